"""The bad rows: where each stands and what it holds, in memory the first ones, on disk all."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from magpie_hub.errors import InvalidData

FIRST = 20
"""Bad rows that a result shows; all of them are counted and, where wanted, reported."""
_EXCERPT = 80


@dataclass(frozen=True)
class BadRow:
    """Where a rule was broken: the table's index in the pool, the row in it, the row's id, and what
    it holds."""

    shard: int
    row: int
    id: str | None
    rule: str
    excerpt: str


NO_CONTROLS = "has no control characters"
"""The end of a rule's sentence."""


@dataclass(frozen=True)
class Validation:
    """The verdict: ``counts`` holds the number of rows that break each broken rule; ``first`` the
    first bad rows in the order of the pool; ``report`` the file that names them all, and ``fault``
    why it could not be written."""

    rows: int
    counts: dict[str, int]
    first: tuple[BadRow, ...]
    report: Path | None = None
    fault: str | None = None

    @property
    def ok(self) -> bool:
        return not self.counts

    def raise_if_bad(self) -> None:
        """``InvalidData`` with the count, the first place and where the full report lies."""
        if self.ok:
            return
        breaches, bad = sum(self.counts.values()), self.first[0]
        others = len(self.counts) - 1
        named = f" ({excerpt(bad.id)})" if bad.id else ""
        ending = ""
        if self.fault:
            ending = f"; the full report could not be written: {self.fault}"
        elif self.report:
            ending = f"; the full report is {self.report}"
        if any(rule.endswith(NO_CONTROLS) for rule in self.counts):
            # A model writes one now and then, and nobody can mend what a model wrote.
            ending += "; `magpie-hub run ... --set annotate.pii.action=drop` leaves such rows out"
        raise InvalidData(
            f"{breaches:,} breach{'es' * (breaches > 1)} in {self.rows:,} rows; the first is shard "
            f"{bad.shard}, row {bad.row}{named}: {bad.rule}, but found {bad.excerpt}"
            + (f"; {others} more rule{'s' * (others > 1)} broken" if others else "")
            + f"{ending}."
        )


class Report:
    """Takes bad rows, a table's at a time. ``path`` gets them as lines of JSON with the fields of
    :class:`BadRow`: complete once it is closed, and absent where no row is bad. A disk that refuses
    it does not change the verdict; ``fault`` says why."""

    def __init__(self, path: Path | None) -> None:
        self.counts: Counter[str] = Counter()
        self.first: list[BadRow] = []
        self.fault: str | None = None
        self._path = path
        if path is not None:
            path.unlink(missing_ok=True)  # of rows that were bad before

    def add(self, bad: Iterable[BadRow]) -> None:
        """``bad``: of one table, in any order."""
        rows = sorted(bad, key=lambda each: (each.shard, each.row))
        if not rows:
            return
        self._write(rows, mode="a" if self.counts else "w")
        self.counts.update(each.rule for each in rows)
        self.first = sorted([*self.first, *rows[:FIRST]], key=lambda each: (each.shard, each.row))
        del self.first[FIRST:]

    def close(self, rows: int) -> Validation:
        path = self._path if self.counts and self.fault is None else None
        if path is not None:
            try:
                _part(path).replace(path)
            except OSError as error:
                self.fault = _why(path, error)
                path = None
        return Validation(rows, dict(self.counts), tuple(self.first), path, self.fault)

    def _write(self, rows: Sequence[BadRow], *, mode: str) -> None:
        if self._path is None or self.fault is not None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with _part(self._path).open(mode, encoding="utf-8") as file:
                file.writelines(f"{json.dumps(asdict(r), ensure_ascii=False)}\n" for r in rows)
        except OSError as error:
            self.fault = _why(self._path, error)
            _part(self._path).unlink(missing_ok=True)


def excerpt(value: object, around: int = 0) -> str:
    """At most 80 characters that say what ``value`` is, of a long text those at ``around``; nothing
    in them can move a terminal's cursor."""
    if value is None:
        return "nothing"
    if isinstance(value, str) and around > _EXCERPT // 2:
        value = value[around - _EXCERPT // 2 :]
    plain = value.isprintable() if isinstance(value, str) else True
    text = repr(value) if plain else ascii(value)
    return text if len(text) <= _EXCERPT else text[: _EXCERPT - 1] + "…"


def _part(path: Path) -> Path:
    return path.with_name(f".{path.name}.part")


def _why(path: Path, error: OSError) -> str:
    return f"{path} ({error.strerror or error}); mend that and build again"
