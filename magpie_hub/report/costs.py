"""What each stage took, and took for every 1,000 rows kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from magpie_hub.report.overview import device
from magpie_hub.report.shown import short
from magpie_hub.run import Run
from magpie_hub.run.accounts import Account, total

_TITLES = {
    "sample": "Sample queries",
    "language": "Tell languages",
    "contamination": "Look for benchmarks' words",
    "judge": "Label queries",
    "neighbors": "Find neighbours",
    "overlap": "Look for benchmarks' meaning",
    "duplicates": "Find near duplicates",
    "screen": "Screen",
    "respond": "Answer",
    "judge-turns": "Label turns",
    "reward": "Score answers",
    "baseline": "Answer by the second responder",
    "choose": "Choose answers",
    "text": "Look at texts",
    "pii": "Look for personal data",
    "safety": "Guard",
    "map": "Draw the map",
}


def stages(run: Run, costs: Mapping[str, Account], kept: int) -> dict[str, Any] | None:
    """None where nothing has been accounted for."""
    if not costs:
        return None
    whole = total(costs.values())
    models = {stage.name: stage.model for stage in run.info.stages}
    return {
        "device": device(whole.engines),
        "kept": kept,
        "items": [
            {"stage": name, "title": _title(name), "model": models.get(name), **_told(cost, kept)}
            for name, cost in costs.items()
        ],
        "total": _told(whole, kept),
    }


def _title(stage: str) -> str:
    kind, _, turn = stage.partition("-")
    if kind in ("ask", "answer") and turn.isdecimal():
        return f"{'Ask' if kind == 'ask' else 'Answer'}, turn {turn}"
    return _TITLES.get(stage) or (f"Score answers, model {turn}" if kind == "reward" else stage)


def _told(cost: Account, kept: int) -> dict[str, Any]:
    per = 1000 / kept if kept else None
    hours = {"hours": cost.hours, "cpu_hours": cost.cpu_seconds / 3600}
    tokens = {"new_tokens": cost.new_tokens, "prompt_tokens": cost.prompt_tokens}
    return {
        "engine": ", ".join(cost.engines) or None,
        "rows": cost.rows,
        "seconds": short(cost.seconds),
        "cpu_seconds": short(cost.cpu_seconds),
        "hours": short(cost.hours),
        **tokens,
        "rows_per_second": short(cost.rows_per_second),
        "tokens_per_second": short(cost.tokens_per_second),
        "per_1000_kept": {
            name: None if per is None else short(value * per)
            for name, value in (tokens | hours).items()
        },
    }
