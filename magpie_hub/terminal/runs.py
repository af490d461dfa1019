"""A run as it stands, and what it costs."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.filesize import decimal
from rich.text import Text

from magpie_hub.release import Yield
from magpie_hub.run.accounts import Estimate
from magpie_hub.run.status import Status
from magpie_hub.terminal import amount, clock, counts, rate, show_table, tell
from magpie_hub.visible import one_line

_TITLES = {
    "sample": "sample queries",
    "language": "tell languages",
    "judge": "judge queries",
    "screen": "screen",
    "respond": "answer",
    "reward": "score answers",
    "judge-turns": "judge turns",
}
_LEVELS = {
    None: "nothing recorded",
    "plan": "another run has the same plan of slots",
    "seeds": "another run on the same engine and machine has the same rows",
    "bits": "another run has the same bytes",
}


def stage_title(stage: str) -> str:
    kind, _, turn = stage.partition("-")
    if kind in ("ask", "answer") and turn.isdigit():
        return f"{kind}, turn {turn}"
    return _TITLES.get(stage, stage)


def show_status(console: Console, status: Status) -> None:
    rows = [
        (
            stage_title(stage.name),
            f"{stage.rows_done:,}/{stage.rows:,}",
            rate(stage.account.rows_per_second),
            rate(stage.account.tokens_per_second),
            amount(stage.account.new_tokens) if stage.account.new_tokens else "",
            f"{stage.failed:,}" if stage.failed else "",
            clock(stage.account.seconds) if stage.account.slots else "",
        )
        for stage in status.stages
    ]
    name = Text.assemble((one_line(status.name), "bold"), f" in {one_line(status.run)}")
    console.print(name, soft_wrap=True)
    headers = ("stage", "rows", "rows/s", "tokens/s", "tokens", "failed", "time")
    show_table(console, headers, rows)
    for line in _lines(status):
        tell(console, line)
    show_yields(console, status.yields)


def _lines(status: Status) -> list[str]:
    lines = []
    if status.seconds_left is not None and not status.finished:
        lines.append(f"left: about {clock(status.seconds_left)}")
    if status.kept:
        cost = status.usd_per_1000_kept
        usd = "" if cost is None else f" ({cost:,.2f} USD)"
        hours = f"{status.hours_per_1000_kept:.3g} device-hours{usd} per 1,000"
        lines.append(f"kept: {status.kept:,} rows at {hours}")
    if status.rejected:
        lines.append(f"rejected: {counts(status.rejected)}")
    if any(stage.failed for stage in status.stages):
        lines.append("failed rows are tried again with: magpie-hub run ... --retry-failed")
    if status.engines:
        lines.append(f"engine: {'; '.join(status.engines)} ({_LEVELS[status.determinism]})")
    lines.append(f"releases: {', '.join(status.releases) or 'none yet'}")
    return lines


def show_yields(console: Console, yields: Sequence[Yield]) -> None:
    """What each steer key and each decoding cell brought, where there is more than one of them."""
    for kind, title in (("steer", "steered by"), ("cell", "decoding")):
        rows = [
            (
                each.key,
                f"{each.sampled:,}",
                f"{each.kept:,}",
                f"{each.share_kept:.0%}",
                f"{each.duplicates:,}" if each.duplicates else "",
                f"{each.mean_query_tokens:.0f}",
                ", ".join(f"{name} {share:.0%}" for name, share in each.categories.items()),
            )
            for each in yields
            if each.kind == kind
        ]
        if len(rows) > 1:
            headers = (title, "queries", "kept", "share", "duplicates", "tokens", "categories")
            console.print()
            show_table(console, headers, rows, words=("categories",))


def show_estimate(console: Console, estimate: Estimate) -> None:
    """What the whole recipe will take, after a preview."""
    cost = "" if estimate.usd is None else f", about {estimate.usd:,.2f} USD"
    tell(
        console,
        f"all {estimate.rows:,} slots: about {estimate.hours:,.3g} device-hours{cost}, "
        f"{estimate.new_tokens:,} new tokens, {decimal(estimate.disk_bytes)} on disk, "
        f"{estimate.kept:,} rows kept; measured on {estimate.measured_on:,} slots, where a batch "
        "is small and so rather slow",
    )
