"""What a person sees: a live panel on a terminal, plain lines without one, tables, conversations.

All of it goes to stderr; stdout is for JSON alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
from rich import box
from rich.console import Console, Group
from rich.filesize import decimal
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from magpie_hub.accounts import Estimate
from magpie_hub.changes import Changes, plain
from magpie_hub.hub import PushResult
from magpie_hub.release import Release, Yield
from magpie_hub.status import Status

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
_PLAIN_EVERY = 10.0


def _title(stage: str) -> str:
    kind, _, turn = stage.partition("-")
    if kind in ("ask", "answer") and turn.isdigit():
        return f"{kind}, turn {turn}"
    return _TITLES.get(stage, stage)


@dataclass
class _Stage:
    """A stage's counts while it runs; ``done`` are the rows that were there before."""

    title: str
    total: int
    done: int
    rows: int = 0
    tokens: int = 0
    rejected: int = 0
    failed: int = 0
    started: float = field(default_factory=time.monotonic)
    ended: float | None = None

    @property
    def seconds(self) -> float:
        return max((self.ended or time.monotonic()) - self.started, 1e-6)

    @property
    def cells(self) -> tuple[str, ...]:
        """Title, rows, rows/s, tokens/s, rejected, failed, time left or taken."""
        finished = self.ended is not None
        reached = self.total if finished else min(self.done + self.rows, self.total)
        rate = self.rows / self.seconds
        if finished:
            clock = _clock(self.seconds)
        else:
            clock = f"{_clock((self.total - reached) / rate)} left" if self.rows else "..."
        return (
            self.title,
            f"{reached:,}/{self.total:,}",
            f"{rate:,.0f}" if self.rows else "",
            f"{self.tokens / self.seconds:,.0f}" if self.tokens else "",
            f"{self.rejected:,}" if self.rejected else "",
            f"{self.failed:,}" if self.failed else "",
            clock,
        )


class Watch:
    """Follows a run; a ``Progress``. Use as a context manager."""

    def __init__(self, console: Console, title: str) -> None:
        self._console = console
        self._title = title
        self._stages: dict[str, _Stage] = {}
        self._live = Live(get_renderable=self._panel, console=console, refresh_per_second=8)
        self._told = time.monotonic()

    def __enter__(self) -> Watch:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def begin(self, stage: str, *, total: int, done: int) -> None:
        self._stages[stage] = _Stage(_title(stage), total, done)

    def advance(
        self, stage: str, *, rows: int = 0, tokens: int = 0, rejected: int = 0, failed: int = 0
    ) -> None:
        counts = self._stages[stage]
        counts.rows += rows
        counts.tokens += tokens
        counts.rejected += rejected
        counts.failed += failed
        if time.monotonic() - self._told > _PLAIN_EVERY:
            self._say(*(each for each in self._stages.values() if each.ended is None))

    def end(self, stage: str) -> None:
        self._stages[stage].ended = time.monotonic()
        self._say(self._stages[stage])

    def note(self, line: str) -> None:
        self._console.print(line, highlight=False, markup=False)

    def _say(self, *stages: _Stage) -> None:
        """One line without a terminal: all about one stage, or where several are."""
        self._told = time.monotonic()
        if self._console.is_terminal:
            return
        if len(stages) == 1:
            units = ("", " rows", " rows/s", " tokens/s", " rejected", " failed", "")
            parts = [f"{c}{u}" for c, u in zip(stages[0].cells, units, strict=True) if c]
            line = f"{parts[0]}: {', '.join(parts[1:])}"
        else:
            line = "; ".join(f"{stage.title} {stage.cells[1]}" for stage in stages)
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    def _panel(self) -> Panel:
        table = _table("", "rows", "rows/s", "tokens/s", "rejected", "failed", "time")
        for stage in self._stages.values():
            style = "dim" if stage.ended is not None else "bold"
            table.add_row(*stage.cells, style=style)
        return Panel(table, title=self._title, title_align="left", border_style="cyan")


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def _table(*headers: str) -> Table:
    table = Table(box=box.SIMPLE, show_edge=False, pad_edge=False)
    for position, header in enumerate(headers):
        table.add_column(header, justify="left" if position == 0 else "right", no_wrap=True)
    return table


def show_status(console: Console, status: Status) -> None:
    headers = ("rows", "rows/s", "tokens/s", "new tokens", "failed", "time")
    table = _table("stage", *headers)
    for stage in status.stages:
        account = stage.account
        table.add_row(
            _title(stage.name),
            f"{stage.rows_done:,}/{stage.rows:,}",
            _rate(account.rows_per_second),
            _rate(account.tokens_per_second),
            f"{account.new_tokens:,}" if account.new_tokens else "",
            f"{stage.failed:,}" if stage.failed else "",
            _clock(account.seconds) if account.slots else "",
        )
    console.print(f"[bold]{status.name}[/bold] in {status.run}", highlight=False)
    console.print(table)
    lines = []
    if status.seconds_left is not None and not status.finished:
        lines.append(f"left: about {_clock(status.seconds_left)}")
    if status.kept:
        lines.append(
            f"kept: {status.kept:,} rows at {status.hours_per_1000_kept:.3g} device-hours per 1,000"
        )
    if status.rejected:
        lines.append(_rejected(status.rejected))
    if any(stage.failed for stage in status.stages):
        lines.append("failed rows are tried again with: magpie-hub run ... --retry-failed")
    if status.engines:
        lines.append(f"engine: {'; '.join(status.engines)} ({_LEVELS[status.determinism]})")
    lines.append(f"releases: {', '.join(status.releases) or 'none yet'}")
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    show_yields(console, status.yields)


def show_yields(console: Console, yields: Sequence[Yield]) -> None:
    """What each steer key and each decoding cell brought, where there is more than one of them."""
    for kind, title in (("steer", "steered by"), ("cell", "decoding")):
        found = [each for each in yields if each.kind == kind]
        if len(found) < 2:
            continue
        table = _table(title, "queries", "kept", "share", "duplicates", "tokens", "categories")
        table.columns[6].justify, table.columns[6].no_wrap = "left", False
        for each in found:
            table.add_row(
                Text(each.key),
                f"{each.sampled:,}",
                f"{each.kept:,}",
                f"{each.share_kept:.0%}",
                f"{each.duplicates:,}",
                f"{each.mean_query_tokens:.0f}",
                ", ".join(f"{name} {share:.0%}" for name, share in each.categories.items()),
            )
        console.print(table)


def show_estimate(console: Console, estimate: Estimate) -> None:
    """What the whole recipe will take, after a preview."""
    cost = "" if estimate.usd is None else f", about {estimate.usd:,.2f} USD"
    console.print(
        f"all {estimate.rows:,} slots: about {estimate.hours:,.3g} device-hours{cost}, "
        f"{estimate.new_tokens:,} new tokens, {decimal(estimate.disk_bytes)} on disk, "
        f"{estimate.kept:,} rows kept; measured on {estimate.measured_on:,} slots, where a batch "
        "is small and so rather slow",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


def _rate(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def show_release(console: Console, release: Release) -> None:
    """Where a release is, what is in it, and how to load it."""
    manifest = release.manifest
    table = _table("config", "rows", "filter")
    table.columns[2].justify, table.columns[2].no_wrap = "left", False
    for name, config in manifest.configs.items():
        label = f"{name} (default)" if config.default else name
        told = config.where or config.description or "no filter"
        table.add_row(Text(label), f"{config.rows:,}", Text(told))
    rejected = sum(manifest.rejected.values())
    size = sum(entry.size for entry in manifest.files.values())
    name = next(iter(manifest.configs))
    console.print()
    console.print(
        f"{manifest.name} {manifest.version}: {manifest.slots:,} queries sampled, "
        f"{rejected:,} turned away, {len(manifest.files) + 1} files, "
        f"{decimal(size)}",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    console.print(table)
    for line in (
        f"the release  {release.path}",
        f"its card     {release.path / 'README.md'}",
        f'load it      load_dataset("{release.path}", "{name}")',
        f"publish it   magpie-hub push {release.path} ORG/NAME",
    ):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def show_changes(console: Console, changes: Changes) -> None:
    """Line by line, each topic named once; then the files and the version."""
    files = changes.files
    lines = [(each.topic, each.text) for each in changes.statements]
    if not lines and changes.level is None:
        lines = [("files", "the two releases are the same, file by file")]
    else:
        lines = lines or [("rows", "the data is the same; only words about it differ")]
        uploaded = f"{files.new:,} new, {decimal(files.new_bytes)} to upload at most"
        kept = f"{files.same:,} the same, {decimal(files.same_bytes)}"
        lines += [
            ("files", f"{uploaded}; {kept}; {files.gone:,} gone"),
            ("version", f"{changes.suggested} or higher: a {changes.level} step"),
        ]
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    before = None
    for topic, text in lines:
        table.add_row("" if topic == before else topic, Text(text))
        before = topic
    console.print(Text(f"{plain(changes.old)} to {plain(changes.new)}", style="bold"))
    console.print(table)


def show_push(console: Console, result: PushResult) -> None:
    fields = [f"{key}: {value}" for key, value in result.to_dict().items() if value is not None]
    for line in fields:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _rejected(counts: Mapping[str, int]) -> str:
    return "rejected: " + ", ".join(f"{reason} {n:,}" for reason, n in counts.items())


def show_preview(
    console: Console, tables: Sequence[pa.Table], rejected: Mapping[str, int], *, asked: int
) -> None:
    """Conversations as conversations, each under its labels, and how many of those ``asked`` for
    they are."""
    for table in tables:
        for row in table.to_pylist():
            keys = ("category", "difficulty", "quality", "language", "reward", "finish_reason")
            labels = [
                f"{row[key]:.2f}" if isinstance(row[key], float) else str(row[key])
                for key in keys
                if row.get(key) is not None
            ]
            body = Group(
                *(
                    Text.assemble((f"{message['role']}: ", "bold"), message["content"])
                    for message in row["messages"]
                )
            )
            console.print(
                Panel(body, title=" · ".join(labels), title_align="left", box=box.ROUNDED)
            )

    answered = f"{sum(map(len, tables))} of {asked} queries answered"
    why = f"; {_rejected(rejected)}" if rejected else ""
    console.print(answered + why, highlight=False, markup=False)


def reporter(console: Console) -> Callable[[str], None]:
    """Says one line a call."""

    def say(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    return say
