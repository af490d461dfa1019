"""Sides: from the id alone, then what is settled, then who nearly repeats whom."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from magpie_hub.builder import build
from magpie_hub.release import Release
from magpie_hub.rows import splits
from magpie_hub.rows.splits import Rows, Settled
from tests.builders.pool import COLUMNS, HandPool, Spec, row

FREE = Settled(np.empty(0, np.uint64), np.empty(0, np.uint8))
SHARES = {"test": 0.2, "dev": 0.1}
NAMES = (*COLUMNS, "min_neighbor_distance", "nearest_id")


def pool(near: list[tuple[str | None, float | None]]) -> Rows:
    """Rows r0, r1, ... with their nearest others."""
    rows = Rows()
    for first in range(0, len(near), 7):
        part = near[first : first + 7]
        table = {
            "id": [f"r{first + i}" for i in range(len(part))],
            "min_neighbor_distance": pa.array([far for _, far in part], pa.float64()),
            "nearest_id": pa.array([other for other, _ in part], pa.string()),
        }
        rows.add(pa.table(table))
    return rows


def test_sides_follow_from_the_ids_in_the_shares_asked_for() -> None:
    assert splits.names(SHARES) == ("train", "dev", "test")
    sides = pool([(None, None)] * 20_000).sides(SHARES, FREE)
    train, dev, test = np.bincount(sides) / len(sides)
    assert abs(train - 0.7) < 0.01 and abs(dev - 0.1) < 0.01 and abs(test - 0.2) < 0.01
    fewer = pool([(None, None)] * 500).sides(SHARES, FREE)
    assert (fewer == sides[:500]).all()


def test_known_draws_stay_what_they_are() -> None:
    """A change of the hash would move the rows of every release."""
    assert splits.keys(["r0", "é"]).tolist() == [6509208671456214821, 14635220546840893743]


def test_near_neighbours_stand_together_by_any_number_of_links() -> None:
    free = pool([(None, None)] * 60).sides(SHARES, FREE)
    # r0 - r1 - ... - r19 in a chain; r20 and r21 both near one that is not in the pool; the rest
    # are not near enough, or not near to a number.
    chain = [(f"r{i + 1}", 0.01) for i in range(19)] + [("r0", 0.2)]
    ghost: list[tuple[str | None, float | None]] = [("gone", 0.02), ("gone", 0.03)]
    far = [("r0", 0.05)] * 20 + [("r0", None)] * 10 + [(None, 0.01)] * 8
    sides = pool([*chain, *ghost, *far]).sides(SHARES, FREE)
    assert set(sides[:20]) == {free[0]} and len(set(free[:20])) > 1
    assert sides[20] == sides[21] == free[20]
    assert (sides[22:] == free[22:]).all()


def test_the_settled_come_first_then_the_first() -> None:
    near: list[tuple[str | None, float | None]] = [("r1", 0.01), (None, None), ("r1", 0.01)]
    keys = splits.keys(["r2"])
    for side in range(3):
        settled = Settled(keys, np.array([side], np.uint8))
        assert pool(near).sides(SHARES, settled).tolist() == [side] * 3
    # Two that are settled apart stay so; what is new goes with the first.
    both = splits.keys(["r1", "r2"])
    order = np.argsort(both)
    settled = Settled(both[order], np.array([1, 2], np.uint8)[order])
    assert pool(near).sides(SHARES, settled).tolist() == [1, 1, 2]


def made(out: Path, version: str, count: int, share: float, **more: Any) -> Release:
    rows = [{**row(i), "min_neighbor_distance": 1.0, "nearest_id": "x"} for i in range(count)]
    for pair in more.pop("near", ()):
        rows[pair[0]].update(min_neighbor_distance=0.0, nearest_id=rows[pair[1]]["id"])
    specs = {"all": Spec(splits={"test": share}, **more)}
    hand = HandPool(rows=rows, specs=specs, names=NAMES)
    return build(hand, version, out / version, kind="sft", report=lambda line: None)


def sides_of(release: Release, config: str = "all") -> dict[str, str]:
    import polars as pl

    found = {}
    for split, entry in release.manifest.configs[config].splits.items():
        for file in entry.files:
            assert Path(file).name.startswith(f"{split}-")
            ids = pl.read_parquet(release.path / file)["id"].to_list()
            assert ids == sorted(ids) and not set(ids) & set(found)
            found |= dict.fromkeys(ids, split)
    return found


def test_no_row_moves_from_one_version_to_the_next(tmp_path: Path) -> None:
    """With more rows, other shares, and new near neighbours on both sides."""
    old = sides_of(made(tmp_path, "1.0.0", 300, 0.2))
    assert 30 < list(old.values()).count("test") < 90
    train = int(next(name for name, side in old.items() if side == "train")[-6:])
    test = int(next(name for name, side in old.items() if side == "test")[-6:])
    near = [(300, train), (301, test), (train, test)]
    new = sides_of(made(tmp_path, "1.1.0", 400, 0.4, near=near))
    assert {name: new[name] for name in old} == old and len(new) == 400
    ids = [row(i)["id"] for i in (300, 301)]
    first = old[row(min(train, test))["id"]]
    assert [new[name] for name in ids] == [first, first]
    fresh = [side for name, side in new.items() if name not in old and name not in ids]
    assert 20 < fresh.count("test") < 60
    later = sides_of(made(tmp_path, "2.0.0", 400, 0.1))
    assert later == new


def test_without_the_earlier_release_the_ids_say_the_same(tmp_path: Path) -> None:
    one, two = (made(tmp_path / name, "1.0.0", 99, 0.2) for name in "ab")
    assert sides_of(one) == sides_of(two)


def test_splits_of_a_release_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    release = made(tmp_path, "1.0.0", 100, 0.2)
    loaded = datasets.load_dataset(str(release.path), "all", cache_dir=str(tmp_path / "cache"))
    entry = release.manifest.configs["all"]
    assert {name: data.num_rows for name, data in loaded.items()} == {
        name: split.rows for name, split in entry.splits.items()
    }
    assert list(entry.splits) == ["train", "test"] and entry.rows == 100
