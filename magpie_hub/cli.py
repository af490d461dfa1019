"""The command: parse, call one function, print.

People's text and progress go to stderr, JSON to stdout with ``--json``. Nothing heavy is imported
until a verb needs it, so that ``--help`` is immediate.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from magpie_hub.arguments import parser
from magpie_hub.errors import Interrupted, MagpieHubError
from magpie_hub.visible import visible


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is the error's (see ``errors.py``), 0 when done."""
    options = parser().parse_args(arguments)
    try:
        result = options.verb(options)
    except MagpieHubError as error:
        if options.json and error.result is not None:
            _print_json(error.result)
        return _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _fail("stopped.", Interrupted.exit_code)
    if options.json:
        _print_json(result)
    return 0


def _print_json(result: object) -> None:
    print(json.dumps(result, ensure_ascii=False))


def _fail(message: str, code: int) -> int:
    print(f"magpie-hub: {visible(message)}", file=sys.stderr)
    return code
