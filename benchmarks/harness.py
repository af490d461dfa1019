"""Side by side: two ways to do one thing, in turn, each in a process of its own.

A side is a function ``side(meter, **settings)`` at the top of a benchmark's module. It makes ready
what it needs (models, warm-up) and then, round by round, does its work in a measured part and says
how much it did and what came out, so that both sides can be seen to have made the same::

    def ours(meter: Meter, *, rows: int) -> None:
        data = load(rows)
        for number in meter.rounds():
            with meter.part() as part:
                made = work(data)
            part.work, part.digest = rows, digest(made)

    runs = alternate([Side("ours", ours, {"rows": 10}), Side("theirs", theirs, {"rows": 10})])
    show_ratios("work", "rows per CPU s", [ratios(runs, "ours", "theirs")])

CPU seconds of a busy machine differ by some 15 % from minute to minute, so many short rounds in
turn tell more than a few long ones. They are those of the side's process and of its children that
have ended; the peak is the largest resident set of the process within the measured part, or of a
child where that is larger.
"""

from __future__ import annotations

import gc
import hashlib
import multiprocessing
import resource
import statistics
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

Clock = Literal["cpu", "wall"]
_DIGESTS = 1 << 64


@dataclass
class Part:
    """A measured stretch of work: seconds, bytes, and what the side says of it; ``digest`` is made
    by :func:`digest`."""

    cpu: float = 0.0
    wall: float = 0.0
    peak: int = 0
    work: float = 0.0
    digest: str = ""


class Meter:
    """What a side reports to. ``facts`` are numbers or words worth a line in a table."""

    def __init__(self, line: Connection) -> None:
        self.facts: dict[str, Any] = {}
        self._parts: dict[str, Part] = {}
        self._line = line

    def rounds(self) -> Iterator[int]:
        """The numbers of the rounds, each when it is this side's turn."""
        self._line.send(None)
        while (number := self._line.recv()) is not None:
            self._parts, self.facts = {}, {}
            yield number
            self._line.send((self._parts, self.facts))

    @contextmanager
    def part(self, name: str = "all") -> Iterator[Part]:
        part = self._parts[name] = Part()
        gc.collect()
        _forget_peak()
        cpu, wall = _cpu(), time.perf_counter()
        yield part
        part.cpu, part.wall = _cpu() - cpu, time.perf_counter() - wall
        part.peak = _peak()


@dataclass(frozen=True)
class Side:
    """``function(meter, **settings)``, run in a process of its own."""

    name: str
    function: Callable[..., None]
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """One run of a side in a round."""

    side: str
    round: int
    parts: dict[str, Part]
    facts: dict[str, Any]

    def rate(self, part: str | None = None, clock: Clock = "cpu") -> float:
        """Work per second of a part, or of all of them together."""
        parts = list(self.parts.values()) if part is None else [self.parts[part]]
        return sum(p.work for p in parts) / sum(getattr(p, clock) for p in parts)

    @property
    def peak(self) -> int:
        return max(part.peak for part in self.parts.values())

    def __str__(self) -> str:
        took = (f"{n} {p.cpu:.1f} CPU s, {p.wall:.1f} s" for n, p in self.parts.items())
        return f"{self.side}: {'; '.join(took)}"


@dataclass(frozen=True)
class Ratio:
    """``ours`` ÷ ``theirs`` round by round, and the median rate of each. ``best`` is the fastest
    round of one ÷ the fastest of the other: what else the machine does only ever takes time."""

    name: str
    ours: float
    theirs: float
    rounds: tuple[float, ...]
    best: float

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)


def alternate(
    sides: Sequence[Side], *, rounds: int = 1, preload: Sequence[str] = (), fresh: bool = False
) -> list[Run]:
    """Run all sides in turn, ``rounds`` times; each has one process, or with ``fresh`` one a round.
    The modules ``preload`` are imported once, in a process from which the others are forked."""
    context = multiprocessing.get_context("forkserver" if preload else "spawn")
    if preload:
        context.set_forkserver_preload(list(preload))
    runs: list[Run] = []
    working: dict[str, _Process] = {}
    try:
        for number in range(rounds):
            for side in sides:
                if side.name not in working:
                    working[side.name] = _Process(context, side)
                runs.append(working[side.name].round(number))
                if fresh:
                    working.pop(side.name).end()
                note(f"{number + 1} of {rounds}: {runs[-1]}")
    finally:
        for process in working.values():
            process.end()
    return runs


def ratios(
    runs: Sequence[Run], ours: str, theirs: str, part: str | None = None, clock: Clock = "cpu"
) -> Ratio:
    """Of two sides, over the rounds in which both ran."""
    mine, other = (
        {run.round: run.rate(part, clock) for run in runs if run.side == side}
        for side in (ours, theirs)
    )
    name = f"{ours} ÷ {theirs}" + (f", {part}" if part else "")
    return Ratio(
        name,
        statistics.median(mine.values()),
        statistics.median(other.values()),
        tuple(mine[number] / other[number] for number in mine if number in other),
        max(mine.values()) / max(other.values()),
    )


def same(runs: Iterable[Run], *sides: str) -> bool:
    """Whether ``sides`` made the same in every round."""
    made: dict[int, set[int]] = {}
    for run in runs:
        if run.side in sides:
            total = sum(int(part.digest, 16) for part in run.parts.values())
            made.setdefault(run.round, set()).add(total % _DIGESTS)
    return all(len(each) == 1 for each in made.values())


def digest(values: Iterable[object]) -> str:
    """Equal for equal values in any order; those of two parts add up to that of both."""
    total = 0
    for value in values:
        total += int.from_bytes(hashlib.sha256(repr(value).encode()).digest()[:8], "big")
    return f"{total % _DIGESTS:016x}"


def note(line: str) -> None:
    """Progress, for people."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


# The side's process.


class _Process:
    """A side at work. ``SystemExit`` with its traceback where it fails."""

    def __init__(self, context: Any, side: Side) -> None:  # noqa: ANN401 (one of the contexts)
        self._side = side
        self._line, there = context.Pipe()
        self._process = context.Process(target=_work, args=(side, there))
        self._process.start()
        there.close()
        self._hear()

    def round(self, number: int) -> Run:
        self._line.send(number)
        parts, facts = self._hear()
        return Run(self._side.name, number, parts, facts)

    def end(self) -> None:
        with suppress(OSError):  # it failed, and is gone
            self._line.send(None)
        self._process.join()

    def _hear(self) -> Any:  # noqa: ANN401 (what the meter sends)
        try:
            heard = self._line.recv()
        except EOFError:
            heard = "without a word"
        if isinstance(heard, str):
            self._process.join()
            raise SystemExit(f"the side '{self._side.name}' failed: {heard}")
        return heard


def _work(side: Side, line: Connection) -> None:
    try:
        side.function(Meter(line), **side.settings)
    except Exception:
        line.send(traceback.format_exc())
        sys.exit(1)


def _cpu() -> float:
    return time.process_time() + sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])


def _forget_peak() -> None:
    """From here on the kernel's high-water mark is of what comes."""
    with suppress(OSError):  # not Linux: the mark is of the whole process
        Path("/proc/self/clear_refs").write_text("5")


def _peak() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return max(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit, child)
    (mark,) = (line for line in lines if line.startswith("VmHWM"))
    return max(int(mark.split()[1]) * 1024, child)
