"""What a person sees of releases on the Hub: which there are, and what a check of one found."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from magpie_hub.verification import Verification
from magpie_hub.versions import Released


def show_releases(console: Console, repo_id: str, releases: Sequence[Released]) -> None:
    """The newest first."""
    table = Table(box=box.SIMPLE, show_edge=False, pad_edge=False)
    for header in ("version", "date", "commit", "rows"):
        table.add_column(header, no_wrap=header != "rows")
    for each in reversed(releases):
        rows = "its manifest cannot be read by this version of magpie-hub"
        if each.rows is not None:
            rows = ", ".join(f"{name} {count:,}" for name, count in each.rows.items())
        table.add_row(each.version, (each.date or "")[:10], each.commit[:8], Text(rows))
    console.print(Text(repo_id, style="bold"))
    console.print(table)


def show_verification(console: Console, found: Verification) -> None:
    """The first fault is the command's error, so it is not told here."""

    def say(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    for fault in found.faults[1:]:
        say(f"also ({fault.key}): {fault.sentence}")
    for remark in found.remarks:
        say(f"note: {remark}")
    if others := [name for name in found.unnamed if name != ".gitattributes"]:
        say(f"note: files that are not of the release: {', '.join(others)}")
    if not found.faults:
        rows = ", ".join(f"{name} {sum(each.values()):,}" for name, each in found.rows.items())
        say(
            f"{found.repo_id} v{found.version} is what was released: {found.files} files, "
            f"{decimal(found.bytes)}; rows loaded afresh: {rows}; {found.ids} ids compared."
        )
