"""``magpie-hub report``: a run or a release as one HTML file, for whoever decides to publish it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from magpie_hub.report.page import page
from magpie_hub.storage import write_atomically


@dataclass(frozen=True)
class Written:
    """A report on disk; ``size`` in bytes, ``rows`` are those that its page shows."""

    file: Path
    size: int
    rows: int

    def to_dict(self) -> dict[str, Any]:
        return {"file": str(self.file), "size": self.size, "rows": self.rows}


def report(place: str | Path, out: Path) -> Written:
    """Write the report of a run's or a release's folder to ``out``.

    ``UsageError`` where ``place`` is neither."""
    from magpie_hub.report.data import collect

    data = collect(place)
    html = page(data).encode("utf-8")
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(out, html)
    return Written(file=out, size=len(html), rows=data["rows"]["count"])
