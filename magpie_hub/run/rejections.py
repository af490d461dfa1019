"""Which queries gave no row, and why: turned away by the screen, or left without an answer that is
published."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from magpie_hub.run import Run
from magpie_hub.run.answered import dialogues
from magpie_hub.run.stored import joined, store

SAFE = "safe"
PAIRED = "preference"
"""The kind of dataset that publishes two answers."""
TALKING = "multi_turn"
"""The kind that publishes only what goes on."""
TURNS = ("ask-", "answer-")


@dataclass(frozen=True)
class TurnedAway:
    """``detail`` says more than the ``reason`` by which they are counted, or nothing."""

    id: str
    query: str
    reason: str
    detail: str | None


def rejections(run: Run) -> dict[str, int]:
    """How many queries were turned away so far, by reason, most frequent first."""
    counts: Counter[str] = Counter()
    left = _left(run)
    for shard in range(run.shard_count):
        for _, reasons in _turned_away(run, shard, left):
            counts.update(reasons)
    return {reason: count for reason, count in counts.most_common() if count}


def turned_away(
    run: Run, shard: int, left: Mapping[str, Container[int]] | None = None
) -> list[TurnedAway]:
    """Those of a shard, in slot order. ``left``: the shards that each stage has still to do, where
    that is known."""
    reasons = {
        name: reason
        for names, found in _turned_away(run, shard, _left(run) if left is None else left)
        for name, reason in zip(names, found, strict=True)
    }
    queries = store(run, "sample").read(shard)
    details = dict(_details(run, shard)) if reasons else {}
    rows = zip(queries["id"].to_pylist(), queries["query"].to_pylist(), strict=True)
    return [
        TurnedAway(name, query, reasons[name], details[name])
        for name, query in rows
        if name in reasons
    ]


def _details(run: Run, shard: int) -> Iterator[tuple[str, str | None]]:
    verdicts = store(run, "screen").read(shard)
    return zip(verdicts["id"].to_pylist(), verdicts["detail"].to_pylist(), strict=True)


def _left(run: Run) -> dict[str, set[int]]:
    """The shards that each stage has still to do."""
    return {stage.name: set(run.missing(stage.name)) for stage in run.info.stages}


def _turned_away(
    run: Run, shard: int, left: Mapping[str, Container[int]]
) -> Iterator[tuple[list[str], list[str]]]:
    """Ids and their reasons, each id once; as far as the shard has come."""

    def done(stage: str) -> bool:
        return stage in left and shard not in left[stage]

    if not done("screen"):
        return
    verdicts = store(run, "screen").read(shard).select(["id", "kept", "reason"])
    turned = verdicts.filter(pc.is_valid(verdicts["reason"]))
    yield turned["id"].to_pylist(), turned["reason"].to_pylist()
    if not done("respond"):
        return
    kept = verdicts.filter(verdicts["kept"])["id"]
    answers = joined(run, shard, kept, ["respond"])
    empty = pc.equal(answers["response"], "")
    found: dict[str, str] = {}
    if done("choose"):
        choices = joined(run, shard, kept, ["choose"])
        empty = pc.is_null(choices["chosen_place"])
        if run.recipe.builder == PAIRED:
            found = _unpaired(run, choices)
    found = dict.fromkeys(answers.filter(empty)["id"].to_pylist(), "no answer") | found
    if run.recipe.builder == TALKING and all(done(s) for s in left if s.startswith(TURNS)):
        rows = dialogues(run, shard, turns=2)
        found = {row.id: f"one turn: {row.ended}" for row in rows if len(row.queries) == 1} | found
    rest = answers.filter(pc.invert(empty))["id"]
    rest = rest.filter(pc.invert(pc.is_in(rest, pa.array(found, pa.string()))))
    if guarded(run) and done("safety"):
        safe = pc.equal(joined(run, shard, rest, ["safety"])["safety"], SAFE)
        safe = pc.fill_null(safe, False)
        found |= dict.fromkeys(rest.filter(pc.invert(safe)).to_pylist(), "unsafe")
        rest = rest.filter(safe)
    if drops_pii(run) and done("pii"):
        kinds = pc.list_value_length(joined(run, shard, rest, ["pii"])["pii"])
        held = pc.fill_null(pc.greater(kinds, 0), False)
        found |= dict.fromkeys(rest.filter(held).to_pylist(), "pii")
    yield list(found), list(found.values())


def _unpaired(run: Run, choices: pa.Table) -> dict[str, str]:
    """By id, why queries with an answer have no pair of them."""
    found = {}
    for row in choices.select(["id", "unpaired", "margin"]).to_pylist():
        if row["unpaired"] not in (None, "no answer"):
            found[row["id"]] = row["unpaired"]
        elif row["margin"] is not None and row["margin"] <= run.recipe.choose.min_margin:
            found[row["id"]] = "margin" if row["margin"] else "equal scores"
    return found


def guarded(run: Run) -> bool:
    """Whether what the guard does not call safe is kept back."""
    settings = run.recipe.annotate.safety
    return settings is not None and not settings.keep


def drops_pii(run: Run) -> bool:
    settings = run.recipe.annotate.pii
    return settings is not None and settings.action == "drop"
