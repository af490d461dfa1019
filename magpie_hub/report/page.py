"""The report's page: one file that holds its data, its scripts and its style, and asks for nothing.

Nothing in the file runs but the two scripts whose hashes the page's own policy names; what a model
wrote stands in a block of data that no browser runs, and is shown as text alone.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

SCRIPTS = (
    *("base", "filters", "state", "charts", "overview", "flow", "distributions", "moving", "map"),
    *("layers", "coverage", "row", "table", "pairs", "judges", "stages", "changes", "main"),
)
"""The parts of the page's script, in the order in which they are joined."""

_HOLE = re.compile(r"\{\{(\w+)\}\}")


def page(data: Mapping[str, Any]) -> str:
    """The page of ``data`` (see ``report/data.py``) as HTML."""
    return document(_source("page/page.html"), style=style(), script=script(*SCRIPTS), data=data)


def script(*names: str, last: str = "") -> str:
    """Those parts of the page's script, and a ``last`` one, in a scope of their own."""
    parts = "\n".join([*(_source(f"page/{name}.js") for name in names), last])
    return f'(() => {{\n"use strict";\n{parts}}})();\n'


def style() -> str:
    return _source("page/page.css")


def document(
    html: str,
    *,
    style: str,
    script: str,
    data: Mapping[str, Any],
    parts: Mapping[str, str] | None = None,
) -> str:
    """``html`` with its holes filled: ``style``, the charts and the ``script`` that the policy
    allows, the ``data``, and further ``parts``, which are HTML."""
    charts = _source("vendor/echarts.min.js")
    filled = {
        **(parts or {}),
        "policy": _policy(style, (charts, script)),
        "style": style,
        "charts": charts,
        "page": script,
        "data": as_data(data),
    }
    # In one pass: a row that looks like a hole is not filled.
    return _HOLE.sub(lambda hole: filled[hole[1]], html)


def _policy(style: str, scripts: tuple[str, ...]) -> str:
    allowed = " ".join(_hash(script) for script in scripts)
    return (
        f"default-src 'none'; script-src {allowed}; style-src {_hash(style)}; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(source: str) -> str:
    digest = hashlib.sha256(source.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


def as_data(data: Mapping[str, Any]) -> str:
    """JSON that cannot end the block it stands in: no ``</script>``, no ``<!--``."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", r"\u003c")


def _source(name: str) -> str:
    return (files("magpie_hub.report") / name).read_text(encoding="utf-8")
