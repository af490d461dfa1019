"""The command that was called, written out again from its settings."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, fields
from typing import Any

from magpie_hub.engines import EngineSpec


def command(
    verb: str,
    given: Sequence[str],
    settings: Any,  # noqa: ANN401
    **written: str | None,
) -> str:
    """With an option for each field of the dataclass ``settings`` that is not as by default;
    ``written`` says how one is written that is no text. Options of an engine are left out: they say
    where it runs, and not what came out."""
    words = ["magpie-hub", verb, *given]
    for each in fields(settings):
        default = each.default if each.default is not MISSING else None
        value = getattr(settings, each.name)
        if value != default:
            words += _words(each.name, written.get(each.name, value))
    return shlex.join(words)


def _words(name: str, value: object) -> Iterator[str]:
    option = f"--{name.replace('_', '-')}"
    if isinstance(value, EngineSpec):
        value = value.name
    if value is True:
        yield option
    elif isinstance(value, tuple):
        for each in value:
            yield from (option.removesuffix("s"), str(each))
    elif value is not None:
        yield from (option, str(value))
