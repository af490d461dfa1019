"""Rows matched by id, against the plain comparison of dictionaries."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from magpie_hub.changes.rows import Moved, Part, RowChanges, compare, labels
from magpie_hub.errors import InvalidData

MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
SCHEMA = pa.schema(
    [
        ("id", pa.string()), ("messages", MESSAGES), ("quality", pa.string()),
        ("reward", pa.float64()), ("kinds", pa.list_(pa.string())), ("loop", pa.bool_()),
    ]
)  # fmt: skip
COLUMNS = SCHEMA.names[1:]

# Values that a hash of their text, or one that skips nulls, would take for each other.
VALUES: dict[str, list[Any]] = {
    "messages": [
        None, [], [None], [{"role": None, "content": None}], [{"role": "", "content": ""}],
        [{"role": "a", "content": "b"}], [{"role": "b", "content": "a"}],
        [{"role": "ab", "content": ""}], [{"role": "", "content": "ab"}],
        [{"role": "a", "content": "b"}, {"role": "c", "content": "d"}],
        [{"role": "c", "content": "d"}, {"role": "a", "content": "b"}],
        [{"role": "a", "content": "b"}, None],
    ],
    "quality": [None, "", "good", "good ", "Good", "go\u200bod", "x" * 1000, "x" * 1001],
    "reward": [None, 0.0, 1.0, -1.0, 1e-300, float("inf"), float("nan")],
    "kinds": [None, [], [None], [""], ["a", "b"], ["b", "a"], ["ab"], ["a"], ["a", "a"]],
    "loop": [None, True, False],
}  # fmt: skip


def part(folder: Path, split: str, rows: list[dict[str, Any]], group: int = 3) -> Part:
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    digest = hashlib.sha256(repr((split, rows)).encode()).hexdigest()
    file = folder / f"{digest}.parquet"
    pq.write_table(table, file, row_group_size=group)
    return Part(split, file, hashlib.sha256(repr(rows).encode()).hexdigest())


def row(name: str, **values: Any) -> dict[str, Any]:
    return {"id": name, **dict.fromkeys(COLUMNS), **values}


@pytest.mark.parametrize("column", COLUMNS)
def test_any_two_values_differ_and_each_is_itself(column: str, tmp_path: Path) -> None:
    values = VALUES[column]
    pairs = [(a, b) for a in range(len(values)) for b in range(len(values))]
    old = [row(f"{a}-{b}", **{column: values[a]}) for a, b in pairs]
    new = [row(f"{a}-{b}", **{column: values[b]}) for a, b in pairs]
    found = compare([part(tmp_path, "train", old)], [part(tmp_path, "train", new)], COLUMNS)
    differ = len(pairs) - len(values)
    assert (found.changed, found.columns) == (differ, {column: differ})


@pytest.mark.parametrize("seed", range(8))
def test_random_releases_against_dictionaries(seed: int, tmp_path: Path) -> None:
    dice = random.Random(seed)

    def some(names: list[str]) -> dict[str, tuple[str, dict[str, Any]]]:
        made = {n: {c: dice.choice(VALUES[c][:4]) for c in COLUMNS} for n in names}
        return {n: (dice.choice("ab"), row(n, **values)) for n, values in made.items()}

    old = some([f"r{i}" for i in dice.sample(range(60), 40)])
    new = {**old, **some([f"r{i}" for i in dice.sample(range(60), 30)])}
    for name in dice.sample(sorted(new), 8):
        del new[name]
    both = [name for name in new if name in old]
    columns = {c: sum(repr(old[n][1][c]) != repr(new[n][1][c]) for n in both) for c in COLUMNS}
    moves = {(a, b): sum((old[n][0], new[n][0]) == (a, b) for n in both) for a, b in ("ab", "ba")}
    sides = []
    for number, release in enumerate((old, new)):
        names = sorted(release, key=lambda name: dice.random())
        folder = tmp_path / str(number)
        folder.mkdir()
        sides.append([
            part(folder, split, rows)
            for split in "ab"
            for rows in [[release[n][1] for n in names if release[n][0] == split]]
            if rows
        ])  # fmt: skip
    found = compare(*sides, COLUMNS)
    assert found.model_dump(exclude={"columns", "moved"}) == {
        "before": len(old),
        "after": len(new),
        "added": len(new) - len(both),
        "removed": len(old) - len(both),
        "changed": sum(repr(old[n][1]) != repr(new[n][1]) for n in both),
    }
    assert found.columns == {c: n for c, n in columns.items() if n}
    assert list(found.columns.values()) == sorted(found.columns.values(), reverse=True)
    assert {(m.before, m.after): m.rows for m in found.moved} == {
        k: n for k, n in moves.items() if n
    }


def test_a_file_that_moved_as_a_whole(tmp_path: Path) -> None:
    first = [row("a"), row("b")]
    old = [part(tmp_path, "train", first), part(tmp_path, "test", [row("c")])]
    new = [part(tmp_path, "test", first), part(tmp_path, "train", [row("c", quality="x")])]
    found = compare(old, new, COLUMNS)
    assert found.moved == (
        Moved(before="train", after="test", rows=2), Moved(before="test", after="train", rows=1),
    )  # fmt: skip
    assert (found.changed, found.columns, found.before, found.after) == (1, {"quality": 1}, 3, 3)


def test_nothing_in_common_and_nothing_at_all(tmp_path: Path) -> None:
    one, two = ([part(tmp_path, "train", [row(name)])] for name in "ab")
    assert compare(one, two, COLUMNS) == RowChanges(before=1, after=1, added=1, removed=1)
    assert compare(one, one, COLUMNS) == RowChanges(before=1, after=1, added=0, removed=0)
    assert compare([], one, COLUMNS) == RowChanges(before=0, after=1, added=1, removed=0)
    assert compare([], [], COLUMNS).same


def test_an_id_that_stands_twice(tmp_path: Path) -> None:
    twice = [part(tmp_path, "train", [row("a"), row("b")]), part(tmp_path, "test", [row("a")])]
    with pytest.raises(InvalidData, match="has an id twice"):
        compare([], twice, COLUMNS)


def test_a_column_that_the_file_does_not_have(tmp_path: Path) -> None:
    one, two = ([part(tmp_path, "train", [row("a", loop=value)])] for value in (True, False))
    with pytest.raises(InvalidData, match="cannot be read"):
        compare(one, two, ["nothing"])


def test_labels_are_counted_over_files_and_row_groups(tmp_path: Path) -> None:
    rows = [row(str(i), quality=q, loop=flag) for i, (q, flag) in enumerate(
        [("good", True), ("good", None), (None, False), ("poor", True), ("good", True)]
    )]  # fmt: skip
    side = [part(tmp_path, "train", rows, group=2), part(tmp_path, "test", [row("x", loop=True)])]
    assert labels(side, ["quality", "loop"]) == {
        "quality": {"good": 3, "poor": 1},
        "loop": {"true": 4, "false": 1},
    }
