"""Counts by steer key and cell against the rows themselves, of a run of the bundled model."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from magpie_hub import pipeline
from magpie_hub.release import Yield
from magpie_hub.rows.pool import RunPool
from magpie_hub.run import Run, yields
from magpie_hub.run.stored import joined, store
from magpie_hub.terminal.runs import show_yields
from tests.conftest import Silent, small

STEER = """sample.steer=[
  {key: plain, weight: 2},
  {key: question, prefill: "What is"},
  {key: place, system: "The user asks about {topic}.", topics: [Peru, 'rivers: all']}]"""


@pytest.fixture(scope="module")
def steered(tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("steered") / "run"
    return pipeline.run(small(STEER, "rows=64"), out, progress=Silent())


def rows_of(run: Run, shards: range) -> list[dict[str, Any]]:
    rows = []
    for shard in shards:
        ids = store(run, "sample").read(shard)["id"]
        rows += joined(run, shard, ids, ["sample", "screen", "judge"]).to_pylist()
    return rows


def counted(kind: str, key: str, rows: list[dict[str, Any]]) -> dict[str, object]:
    """The same in plain Python."""
    reasons = Counter(row["reason"] for row in rows if row["reason"])
    labels = Counter(row["category"] for row in rows if row["category"])
    top = sorted(labels, key=lambda label: (-labels[label], label))[: yields.TOP_CATEGORIES]
    kept = sum(row["kept"] for row in rows)
    return {
        "kind": kind,
        "key": key,
        "sampled": len(rows),
        "kept": kept,
        "share_kept": pytest.approx(kept / len(rows)),
        "duplicates": reasons.pop("duplicate", 0),
        "rejected": dict(reasons),
        "mean_query_tokens": pytest.approx(sum(row["query_tokens"] for row in rows) / len(rows)),
        "categories": {n: pytest.approx(labels[n] / labels.total()) for n in top},
    }


def expected(run: Run, shards: range) -> list[dict[str, object]]:
    rows = rows_of(run, shards)
    found = [
        counted("steer", key, [row for row in rows if row["system_prompt"].startswith(key)])
        for key in ("plain", "question", "place")
    ]
    return found + [
        counted("cell", f"temperature {t:g}, top-p {p:g}", part)
        for t, p in [(1.0, 0.95), (1.2, 1.0)]
        if (part := [row for row in rows if (row["temperature"], row["top_p"]) == (t, p)])
    ]


def test_rows_begin_with_their_prefill_and_record_their_key(steered: Run) -> None:
    slots = [slot for shard in range(steered.shard_count) for slot in steered.slots(shard)]
    rows = rows_of(steered, range(steered.shard_count))
    assert [row["system_prompt"] for row in rows] == [slot.key for slot in slots]
    assert Counter(slot.key for slot in slots) == {
        "plain": 32, "question": 16, "place: Peru": 8, "place: rivers: all": 8,
    }  # fmt: skip
    asked = [row["query"] for row in rows if row["system_prompt"] == "question"]
    assert sum(bool(query) for query in asked) > 12
    assert all(query.startswith("What is ") for query in asked if query)


def test_counts_are_those_of_the_rows(steered: Run) -> None:
    found = [each.model_dump() for each in yields.yields(steered)]
    assert found == expected(steered, range(4))
    assert sum(each["sampled"] for each in found if each["kind"] == "steer") == 64
    assert all(each["categories"] for each in found)
    assert RunPool(steered).provenance().yields == yields.yields(steered)


def test_only_what_is_screened_counts(steered: Run, tmp_path: Path) -> None:
    shutil.copytree(steered.path, tmp_path / "run")
    run = Run.open(tmp_path / "run")
    for shard in (1, 2, 3):
        store(run, "screen").path(shard).unlink()
    assert [each.model_dump() for each in yields.yields(run)] == expected(run, range(1))
    store(run, "screen").path(0).unlink()
    assert yields.yields(run) == ()


def test_a_run_without_steering_has_its_cells(small_run: Run) -> None:
    assert [each.kind for each in yields.yields(small_run)] == ["cell", "cell"]


def made(kind: str, key: str) -> Yield:
    return Yield.model_validate(
        {"kind": kind, "key": key, "sampled": 1200, "kept": 300, "share_kept": 0.25,
         "duplicates": 7, "rejected": {"cut off": 5}, "mean_query_tokens": 20.6,
         "categories": {"Math": 0.5}}
    )  # fmt: skip


def shown(*found: Yield) -> str:
    console = Console(width=120)
    with console.capture() as captured:
        show_yields(console, found)
    return captured.get()


def test_a_terminal_shows_them_side_by_side() -> None:
    text = shown(made("steer", "a[b]"), made("steer", "math/proofs"), made("cell", "only"))
    assert [line.split() for line in text.splitlines() if "math/proofs" in line] == [
        ["math/proofs", "1,200", "300", "25%", "7", "21", "Math", "50%"]
    ]
    assert "a[b]" in text and "only" not in text
    assert shown(made("steer", "a"), made("cell", "b")) == ""
