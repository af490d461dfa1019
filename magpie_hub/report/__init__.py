"""``magpie-hub report``: a run or a release as one HTML file, for whoever decides to publish it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from magpie_hub.errors import UsageError
from magpie_hub.report.page import page
from magpie_hub.storage import write_atomically


@dataclass(frozen=True)
class Written:
    """A report on disk; ``size`` in bytes, ``rows`` are those that its page shows; of each set that
    it was laid ``over``, what the two share (see ``report/coverage.py``)."""

    file: Path
    size: int
    rows: int
    over: list[dict[str, Any]] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        made = {"file": str(self.file), "size": self.size, "rows": self.rows}
        return {**made, "over": self.over} if self.over else made


def report(
    place: str | Path,
    out: Path,
    *,
    over: Sequence[str] = (),
    say: Callable[[str], None] = lambda line: None,
) -> Written:
    """Write the report of a run's or a release's folder to ``out``, with what it shares with the
    sources ``over``; ``say`` hears how far it has come with those.

    ``UsageError`` where ``place`` is neither, or one of ``over`` is no source."""
    from magpie_hub.report.data import collect

    if out.is_dir():
        raise UsageError(f"-o {out} is a folder; name a file.")
    data = collect(place, over, say=say)
    html = page(data).encode("utf-8")
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(out, html)
    return Written(
        file=out,
        size=len(html),
        rows=data["rows"]["count"],
        over=data.get("coverage", {}).get("others", []),
    )
