"""What the whole is: the numbers at the top of the page, and where the queries went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from magpie_hub.release import Manifest
from magpie_hub.report.shown import clean, short
from magpie_hub.run import Run
from magpie_hub.run.accounts import Account

_STEPS = (
    ("screen", "Passed the screen"),
    ("respond", "Answered"),
    ("extend", "Went on"),
    ("choose", "Paired"),
    ("safety", "Safe"),
    ("pii", "Without personal data"),
    ("release", "Released"),
)
"""The stages that turn queries away, in their order, and what is said of those that passed."""


def flow(fates: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """A partition of the sampled queries; None where there are none."""
    left = sum(each["of"] for each in fates)
    if not left:
        return None
    nodes: list[dict[str, Any]] = [{"name": "sampled", "title": "Sampled queries", "rows": left}]
    links: list[dict[str, Any]] = []
    at = "sampled"

    def lead(name: str, title: str, count: int, **more: int) -> None:
        nodes.append({"name": name, "title": title, "rows": count, **more})
        links.append({"source": at, "target": name, "rows": count})

    by_stage: dict[str, list[tuple[int, Mapping[str, Any]]]] = {}
    for code, each in enumerate(fates):
        if not each["kept"] and each["of"]:
            by_stage.setdefault(each["stage"], []).append((code, each))
    for code, each in by_stage.pop("pending", []):
        lead("pending", each["title"], each["of"], fate=code)
        left -= each["of"]
    steps = [step for step in _STEPS if step[0] in by_stage]
    for place, (stage, passed) in enumerate(steps):
        for code, each in by_stage[stage]:
            lead(f"{stage}/{each['reason']}", each["title"], each["of"], fate=code)
            left -= each["of"]
        if left and place < len(steps) - 1:
            lead(stage, passed, left)
            at = stage
    if left:
        lead("kept", "Kept", left, fate=0)
    return {"nodes": nodes, "links": links}


def of_run(run: Run, whole: Account, *, finished: bool) -> dict[str, Any]:
    recipe = run.recipe
    stages = {stage.name: stage for stage in run.info.stages}
    return {
        "builder": recipe.builder,
        "license": recipe.license or recipe.license_name,
        "model": stages["sample"].model,
        "responder": stages["respond"].model,
        "determinism": whole.determinism,
        "engines": list(whole.engines),
        "finished": finished,
        "new_tokens": whole.new_tokens,
        "hours": short(whole.hours),
        "cpu_hours": short(whole.cpu_seconds / 3600),
        "device": device(whole.engines),
    }


def of_release(manifest: Manifest) -> dict[str, Any]:
    models = {making.stage: making.model for making in manifest.made}
    return {
        "builder": manifest.builder,
        "license": manifest.license or manifest.license_name,
        "model": models.get("sample"),
        "responder": models.get("respond"),
        "determinism": manifest.determinism,
        "engines": list(manifest.engines),
        "finished": True,
        "new_tokens": None,
        "hours": None,
        "cpu_hours": None,
        "device": device(manifest.engines),
    }


def configs(manifest: Manifest | None) -> list[dict[str, Any]]:
    """The configs of a release, the default one first."""
    if manifest is None:
        return []
    found = sorted(manifest.configs.items(), key=lambda each: not each[1].default)
    return [
        {
            "name": name,
            "default": config.default,
            "rows": config.rows,
            "where": config.where,
            "description": clean(config.description),
            "clauses": [
                {"clause": clean(each.clause), "before": each.before, "kept": each.kept}
                for each in config.funnel
            ],
        }
        for name, config in found
    ]


def device(engines: Sequence[str]) -> str | None:
    """What an hour is an hour of."""
    if not engines:
        return None
    return "CPU" if all(name.endswith(" on cpu") for name in engines) else "GPU"
