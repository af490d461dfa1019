"""The changes as lines of plain text, for the changelog, the card and the terminal.

Names, labels and filters come from releases that anybody may have made: they stand on one line,
cut short, with what is hidden or turns the writing shown as escapes. What prints a line as
Markdown escapes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from magpie_hub.changes.result import Changes, ColumnChange, LabelShift, Level, Statement
from magpie_hub.changes.rows import RowChanges
from magpie_hub.visible import one_line

LONGEST = 120
"""Characters of a foreign text in a line."""
SHOWN_SHIFTS = 10
SHOWN_NAMES = 6
LEAST_POINTS = 0.1
_HASHES = ("revision", "prompt_sha256")


def statements(found: Changes) -> Iterator[Statement]:
    """Topic by topic."""
    for name in found.configs_removed:
        before = found.rows[name].before
        yield _said("configs", "major", f"config {plain(name)} is gone, with its {before:,} rows")
    for name in found.configs_added:
        after = found.rows[name].after
        yield _said("configs", "minor", f"config {plain(name)} is new: {after:,} rows")
    if found.default:
        text = f"the default config is {_now(found.default.before, found.default.after)}"
        yield _said("configs", "major", text)
    for split in found.splits:
        name = plain(split.before or split.after)
        gone = split.after is None
        text = f"split {name} of {plain(split.of)} is {'gone' if gone else 'new'}"
        yield _said("configs", "major" if gone else "minor", text)
    for column in found.columns:
        yield _column(column)
    for name, rows in found.rows.items():
        if not (rows.same or name in found.configs_removed + found.configs_added):
            yield _said("rows", "minor", f"{plain(name)}: {_rows(rows)}")
    for each in found.filters:
        text = f"{plain(each.of)}, {plain(each.key)}: {_now(each.before, each.after)}"
        yield _said("filters", "patch", text)
    for made in found.producers:
        text = f"{_names(made.columns)}: {made.key} {_now(made.before, made.after, made.key)}"
        yield _said("made by", "patch", text)
    for each in found.made:
        text = f"{plain(each.of)}, {plain(each.key)}: {_now(each.before, each.after)}"
        yield _said("made by", "patch", text)
    if found.license:
        text = f"the licence is {_now(found.license.before, found.license.after)}"
        yield _said("licence", "minor", text)
    if proof := found.evidence:
        what = "is new" if proof.before is None else "is gone" if not proof.after else "is another"
        yield _said("evidence", "patch", f"the evidence on the card {what}")
    yield from _shifts(found.labels)


def plain(value: object) -> str:
    """Foreign text on one line, with nothing in it that is not seen."""
    line = one_line(str(value))
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}…"


def _said(topic: str, level: Level, text: str) -> Statement:
    return Statement(topic=topic, level=level, text=text)


def _now(before: str | None, after: str | None, key: str = "") -> str:
    shown = (
        "none" if value is None else plain(value[:12] if key in _HASHES else value)
        for value in (after, before)
    )
    return ", was ".join(shown)


def _column(change: ColumnChange) -> Statement:
    name, configs = plain(change.column), _names(change.configs)
    if change.after is None:
        return _said("columns", "major", f"column {name} is gone from {configs}")
    if change.before is None:
        return _said(
            "columns", "minor", f"column {name} is new in {configs}: {plain(change.after)}"
        )
    text = f"column {name} has another type in {configs}: {_now(change.before, change.after)}"
    return _said("columns", "major", text)


def _rows(change: RowChanges) -> str:
    parts = [
        f"{rows:,} {what}"
        for rows, what in ((change.added, "added"), (change.removed, "removed"))
        if rows
    ]
    if change.changed:
        columns = [f"{plain(name)} {rows:,}" for name, rows in change.columns.items()]
        more = f", {len(columns) - SHOWN_NAMES} more" if len(columns) > SHOWN_NAMES else ""
        parts.append(f"{change.changed:,} changed ({', '.join(columns[:SHOWN_NAMES])}{more})")
    for moved in change.moved:
        parts.append(f"{moved.rows:,} moved from {plain(moved.before)} to {plain(moved.after)}")
    was = f", was {change.before:,}" if change.before != change.after else ""
    return f"{change.after:,} rows{was}: {', '.join(parts)}"


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(map(plain, names[:SHOWN_NAMES]))
    more = len(names) - SHOWN_NAMES
    return f"{shown} and {more} more" if more > 0 else shown


def _shifts(shifts: Sequence[LabelShift]) -> Iterator[Statement]:
    worth = [shift for shift in shifts if abs(shift.points) >= LEAST_POINTS]
    for shift in worth[:SHOWN_SHIFTS]:
        text = (
            f"{plain(shift.config)}: {plain(shift.column)} {plain(shift.label)} "
            f"{100 * shift.after:.1f} %, was {100 * shift.before:.1f} % "
            f"({shift.points:+.1f} points)"
        )
        yield _said("labels", "patch", text)
    if rest := worth[SHOWN_SHIFTS:]:
        most = abs(rest[0].points)
        text = f"{len(rest):,} more shares of labels are others, by {most:.1f} points at most"
        yield _said("labels", "patch", text)
