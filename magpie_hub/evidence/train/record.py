"""A training as a record, for a card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from magpie_hub.evidence.record import Column, Record, Table, called, machine, now

_COLUMNS = (
    Column(name="rows", title="rows"),
    Column(name="tokens", title="tokens of an epoch"),
    Column(name="learned_tokens", title="of them learned"),
    Column(name="steps", title="steps"),
    Column(name="first_loss", title="first loss", digits=3),
    Column(name="last_loss", title="last loss", digits=3),
    Column(name="seconds", title="seconds", digits=0),
)
_FOR = {"sft": ("beta",), "dpo": ("packing",)}
"""Settings that the other method has."""
_OF_LORA = ("lora_rank", "lora_alpha", "lora_dropout")


def record(facts: Mapping[str, Any], error: str | None = None) -> Record:
    """Of what ``summary.json`` holds; of a training that failed with ``error``, of as much of it as
    was known."""
    method, data, base = facts["method"], facts["data"], called(facts["base"]["model"])
    table = None
    if error is None:
        row = {"rows": data["rows"], **{each.name: facts.get(each.name) for each in _COLUMNS[1:]}}
        table = Table(columns=_COLUMNS, rows=(row,))
    return Record(
        kind="train",
        name=f"{base} trained on {data['name']} ({data['config']})",
        summary=f"{base} was trained by {method.upper()} on {data['rows']:,} rows of "
        f"{data['name']} {data['version']} ({data['config']}, {data['split']}).",
        command=facts["command"],
        created=now(),
        versions=facts["versions"],
        machine=machine(),
        settings={
            "base": facts["base"]["revision"],
            "data": data["sha256"],
            "chat template": facts["chat_template"]["name"],
            **_settings(method, facts["settings"]),
            "processes": facts["processes"],
        },
        ok=error is None,
        error=error,
        table=table,
    )


def _settings(method: str, found: Mapping[str, Any]) -> dict[str, Any]:
    left_out = (*_FOR[method], *(() if found["lora"] else _OF_LORA))
    return {name: value for name, value in found.items() if name not in left_out}
