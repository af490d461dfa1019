from __future__ import annotations

from typing import Any

import pytest

from magpie_hub.changes.result import Change, Changes, ColumnChange, FileChanges, LabelShift
from magpie_hub.changes.rows import Moved, RowChanges
from magpie_hub.changes.statements import LONGEST, SHOWN_SHIFTS, plain, statements

NONE: dict[str, Any] = {
    "old": "1.0.0", "new": "1.1.0", "configs_added": (), "configs_removed": (), "default": None,
    "splits": (), "columns": (), "rows": {}, "labels": (), "filters": (), "producers": (),
    "made": (), "license": None, "evidence": None,
    "files": FileChanges(new=0, new_bytes=0, same=0, same_bytes=0, gone=0),
}  # fmt: skip
HOSTILE = "a\nb\t\x1b[2J\u202e\u200b\x07 [red]c[/red]" + "d" * 500


def said(**found: Any) -> list[str]:
    return [each.text for each in statements(Changes(**{**NONE, **found}))]


def shift(points: float, label: str = "good") -> LabelShift:
    return LabelShift(
        config="all", column="quality", label=label, before=0.5, after=0.5 + points / 100,
        points=points,
    )  # fmt: skip


def test_nothing_says_nothing() -> None:
    assert said() == []
    assert said(rows={"all": RowChanges(before=3, after=3, added=0, removed=0)}) == []


def test_all_about_the_rows_of_a_config_is_one_line() -> None:
    rows = RowChanges(
        before=1200, after=1300, added=2000, removed=1900, changed=1001,
        columns={name: 1001 - number for number, name in enumerate("abcdefgh")},
        moved=(Moved(before="train", after="test", rows=7),),
    )  # fmt: skip
    assert said(rows={"all": rows}) == [
        "all: 1,300 rows, was 1,200: 2,000 added, 1,900 removed, 1,001 changed "
        "(a 1,001, b 1,000, c 999, d 998, e 997, f 996, 2 more), 7 moved from train to test"
    ]


def test_small_shifts_are_left_out_and_many_are_counted() -> None:
    assert said(labels=(shift(0.04), shift(-0.09))) == []
    assert said(labels=(shift(-0.1),)) == [
        "all: quality good 49.9 %, was 50.0 % (-0.1 points)"
    ]  # fmt: skip
    many = tuple(shift(20 - n) for n in range(SHOWN_SHIFTS + 4))
    assert said(labels=many)[-1] == "4 more shares of labels are others, by 10.0 points at most"
    assert len(said(labels=many)) == SHOWN_SHIFTS + 1


def test_plain_is_one_short_line_that_hides_nothing() -> None:
    line = plain(HOSTILE)
    assert line.startswith(r"a b \x1b[2J\u202e\u200b\x07 [red]c[/red]ddd")
    assert line.isprintable() and len(line) == LONGEST + 1


@pytest.mark.parametrize(
    "found",
    [
        {"configs_removed": (HOSTILE,)},
        {"configs_added": (HOSTILE,)},
        {"default": Change(of="configs", key="default", before="a", after=HOSTILE)},
        {"splits": (Change(of=HOSTILE, key="split", before=HOSTILE, after=None),)},
        {"columns": (ColumnChange(column=HOSTILE, before=None, after="b", configs=(HOSTILE,)),)},
        {"columns": (ColumnChange(column="a", before=HOSTILE, after=None, configs=(HOSTILE,)),)},
        {"columns": (ColumnChange(column="a", before=HOSTILE, after="b", configs=("c",)),)},
        {"filters": (Change(of="a", key=HOSTILE, before=HOSTILE, after=None),)},
        {"made": (Change(of=HOSTILE, key="a", before=None, after=HOSTILE),)},
        {"license": Change(of="release", key="license", before=HOSTILE, after=HOSTILE)},
        {"labels": (shift(5, HOSTILE),)},
        {"rows": {HOSTILE: RowChanges(before=1, after=1, added=1, removed=1, changed=1,
         columns={HOSTILE: 1}, moved=(Moved(before=HOSTILE, after=HOSTILE, rows=1),))}},
    ],
)  # fmt: skip
def test_hostile_text_is_shown_and_does_nothing(found: dict[str, Any]) -> None:
    rows = RowChanges(before=1, after=1, added=0, removed=0)
    found = {"rows": {HOSTILE: rows}, **found}
    lines = said(**found)
    assert lines and any(r"\x1b[2J\u202e" in line for line in lines)
    assert all(line.isprintable() and len(line) < 6 * LONGEST for line in lines)
