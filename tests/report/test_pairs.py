"""Questions that are nearly the same, by what a run knows of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from magpie_hub.report.data import collect
from magpie_hub.report.vectors import Embedded, vectors
from magpie_hub.run import Run
from magpie_hub.run.stored import store
from tests.annotate.test_compare import SAME, made

NEAR = "annotate.neighbors={model: 'bundled:chat'}"
MAP = "annotate.map={model: 'bundled:chat'}"
NONE = Embedded([], np.empty((0, 0)), "", "")


@pytest.fixture(scope="module")
def mapped(tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("mapped") / "run"
    return made(out, "rows=40", MAP, "annotate.duplicates={jaccard: 0.6}")


def test_the_nearest_of_all_rows_where_neighbours_are_known(tmp_path: Path) -> None:
    run = made(tmp_path / "run", "rows=40", NEAR)
    found = [r for s in range(run.shard_count) for r in store(run, "neighbors").read(s).to_pylist()]
    least = {frozenset((r["id"], r["nearest_id"])): r["min_neighbor_distance"] for r in found}
    document = collect(run.path)
    near = [p for p in document["pairs"]["items"] if p["distance"] is not None]
    told = {frozenset((p["a"]["id"], p["b"]["id"])): p["distance"] for p in near}
    assert told == pytest.approx(least, rel=1e-3) and len(near) == len(told)
    assert [p["distance"] for p in near] == sorted(p["distance"] for p in near)
    # Without a map of its own, the rows shown are laid out.
    assert sum(x is not None for x in document["rows"]["x"]) == len(found)
    assert "of the questions shown alone" in document["rows"]["map_how"]


def test_else_the_nearest_of_those_that_have_an_embedding(mapped: Run) -> None:
    document = collect(mapped.path)
    ids, points, model, _ = vectors(mapped, document["rows"]["ids"]) or NONE
    assert model == "bundled:chat" and len(ids) == len(points) > 20
    apart = ((points[:, None] - points[None]) ** 2).sum(axis=2) + 9 * np.eye(len(ids))
    near = [p for p in document["pairs"]["items"] if p["distance"] is not None]
    assert near[0]["distance"] == pytest.approx(apart.min(), abs=1e-3)
    for pair in near:
        a, b = (ids.index(pair[side]["id"]) for side in "ab")
        assert pair["distance"] == pytest.approx(apart[a].min(), abs=1e-3)
        assert pair["distance"] == pytest.approx(apart[a, b], abs=1e-3)
    assert "by the embeddings of bundled:chat" in document["pairs"]["how"]


def test_what_was_turned_away_stands_beside_what_it_repeats(mapped: Run) -> None:
    document = collect(mapped.path)
    fates, items = document["rows"]["fates"], document["pairs"]["items"]
    (pair,) = [p for p in items if p["kind"] == "near duplicate"]
    assert {pair["a"]["text"], pair["b"]["text"]} == set(SAME)
    assert fates[pair["a"]["fate"]]["reason"] == "near duplicate"
    assert fates[pair["b"]["fate"]]["kept"]
    same = [p for p in items if p["kind"] == "same words"]
    assert same and all(p["a"]["text"] == p["b"]["text"] for p in same)


def test_the_map_is_in_the_report(mapped: Run) -> None:
    rows = collect(mapped.path)["rows"]
    there = [x is not None for x in rows["x"]]
    reasons = [rows["fates"][fate]["reason"] for fate in rows["fate"]]
    assert there == [y is not None for y in rows["y"]]
    assert {r for r, placed in zip(reasons, there, strict=True) if not placed} == {"duplicate"}
    assert {"kept", "near duplicate"} <= {
        r for r, placed in zip(reasons, there, strict=True) if placed
    }
    assert rows["map_how"] == "t-SNE of the questions' embeddings (bundled:chat), seed 0."


def test_without_embeddings_the_report_says_how_to_get_them(small_run: Run) -> None:
    document = collect(small_run.path)
    assert document["rows"]["x"] is None and vectors(small_run, document["rows"]["ids"]) is None
    assert "add `map: {}` under `annotate`" in document["missing"]["map"]
