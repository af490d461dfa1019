"""A run while it goes on: a live panel on a terminal, plain lines without one."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from rich.console import Console
from rich.live import Live
from rich.panel import Panel

from magpie_hub.terminal import amount, clock, reporter, table
from magpie_hub.terminal.runs import stage_title

_PLAIN_EVERY = 10.0
_FRAME = 4
"""Columns of a panel's border and padding."""


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
            time_ = clock(self.seconds)
        else:
            time_ = f"{clock((self.total - reached) / rate)} left" if self.rows else "..."
        return (
            self.title,
            f"{reached:,}/{self.total:,}",
            f"{rate:,.0f}" if self.rows else "",
            amount(round(self.tokens / self.seconds)) if self.tokens else "",
            f"{self.rejected:,}" if self.rejected else "",
            f"{self.failed:,}" if self.failed else "",
            time_,
        )


class Watch:
    """Follows a run; a ``Progress``. Use as a context manager."""

    def __init__(self, console: Console, title: str) -> None:
        self._console = console
        self._title = title
        self._stages: dict[str, _Stage] = {}
        self._live = Live(get_renderable=self._panel, console=console, refresh_per_second=8)
        self._report = reporter(console)
        self._told = time.monotonic()

    def __enter__(self) -> Watch:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def begin(self, stage: str, *, total: int, done: int) -> None:
        self._stages[stage] = _Stage(stage_title(stage), total, done)

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
        self._report(line)

    def _say(self, *stages: _Stage) -> None:
        """One line without a terminal: all about one stage, or where several are."""
        self._told = time.monotonic()
        if self._console.is_terminal:
            return
        if len(stages) == 1:
            units = ("", " rows", " rows/s", " tokens/s", " rejected", " failed", "")
            parts = [f"{c}{u}" for c, u in zip(stages[0].cells, units, strict=True) if c]
            self._report(f"{parts[0]}: {', '.join(parts[1:])}")
        else:
            self._report("; ".join(f"{stage.title} {stage.cells[1]}" for stage in stages))

    def _panel(self) -> Panel:
        stages = list(self._stages.values())
        found = table(
            self._console.width - _FRAME,
            ("", "rows", "rows/s", "tokens/s", "rejected", "failed", "time"),
            [stage.cells for stage in stages],
            styles=["dim" if stage.ended is not None else "bold" for stage in stages],
        )
        return Panel(found, title=self._title, title_align="left", border_style="cyan")
