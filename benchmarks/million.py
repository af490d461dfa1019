"""A million rows of 384 dimensions on disk: memory, kills in between, and what it would take.

Vectors are made: clusters of a dozen rows, spread as near-repeats are. The work is stopped after
some minutes, so the time of the whole is extrapolated from the pairs of blocks that were compared.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from harness import note
from report import finish, show

_ROWS, _SECONDS = 1_000_000, 600.0
_QUICK_ROWS, _QUICK_SECONDS = 100_000, 30.0
_SHARD, _DIMENSIONS, _CLUSTER = 1000, 384, 12
_KILLS = 3
"""Turns, each ended by a kill."""


@dataclass
class Turn:
    """What a process had done when it was killed: pairs of blocks, CPU seconds, peak bytes."""

    left: int = 0
    done: int = 0
    cpu: float = 0.0
    peak: int = 0


def fill(folder: str, rows: int, line: Connection) -> None:
    from magpie_hub.neighbors.pieces import Row

    index = _open(folder)
    for shard in range(rows // _SHARD):
        named = [Row(row, f"{shard}-{row}", "") for row in range(_SHARD)]
        index.put(shard, named, lambda texts, seed=shard: _vectors(len(texts), seed))
    line.send((0, index.pending(), time.process_time(), _peak()))


def compute(folder: str, rows: int, line: Connection) -> None:
    import torch

    torch.set_num_threads(1)
    index = _open(folder)
    start = time.process_time()
    line.send((0, index.pending(), 0.0, _peak()))
    index.compute(
        lambda done, every: line.send((done, every, time.process_time() - start, _peak()))
    )


def million(*, quick: bool, as_json: bool) -> None:
    rows, seconds = (_QUICK_ROWS, _QUICK_SECONDS) if quick else (_ROWS, _SECONDS)
    with tempfile.TemporaryDirectory() as folder:
        filled = _turn(fill, folder, rows, None)
        every = filled.left
        note(f"{rows} rows in {every} pairs of blocks")
        turns: list[Turn] = []
        while len(turns) < _KILLS and (not turns or turns[-1].left):
            turns.append(_turn(compute, folder, rows, seconds / _KILLS))
            note(f"{turns[-1].done} pairs done, {turns[-1].left} left")
        size = sum(file.stat().st_size for file in Path(folder).rglob("*.arrow"))
    done, cpu = sum(turn.done for turn in turns), sum(turn.cpu for turn in turns)
    peak = max(turn.peak for turn in (filled, *turns))
    show(
        f"{rows:,} rows of {_DIMENSIONS} dimensions, one thread, killed after each turn",
        ("turn", "pairs of blocks before", "compared", "CPU s", "peak GB"),
        [
            (number, turn.done + turn.left, turn.done, turn.cpu, turn.peak / 1e9)
            for number, turn in enumerate(turns, start=1)
        ],
    )
    # A kill may cost the pair that was at work, and no other.
    lost = [
        one.left - (other.done + other.left) for one, other in zip(turns, turns[1:], strict=False)
    ]
    if any(each not in (0, 1) for each in lost):
        raise SystemExit(f"a kill changed what is done by other than the pair at work: {lost}")
    ours = {
        "rows": rows,
        "pairs": every,
        "compared": done,
        "cpu_s": cpu,
        "peak": peak,
        "disk": size,
        "extrapolated_cpu_s": cpu / max(done, 1) * every,
    }
    show(
        "of it all",
        ("pairs of blocks", "compared", "CPU s a pair", "whole CPU s, extrapolated", "disk GB"),
        [(every, done, cpu / max(done, 1), ours["extrapolated_cpu_s"], size / 1e9)],
    )
    finish(
        "neighbors",
        ratio=None,
        ours=ours,
        theirs=None,
        runs=[{"done": turn.done, "cpu_s": turn.cpu, "peak": turn.peak} for turn in turns],
        libraries=["torch", "numpy"],
        as_json=as_json,
    )


def _turn(work: object, folder: str, rows: int, seconds: float | None) -> Turn:
    """Let a process work for ``seconds``, or to its end; then kill it."""
    context = multiprocessing.get_context("spawn")
    line, there = context.Pipe(duplex=False)
    process = context.Process(target=work, args=(folder, rows, there))
    process.start()
    there.close()
    turn, end = Turn(), float("inf")
    # At least one pair, however busy the machine is.
    while line.poll(max(end - time.monotonic(), 0) if turn.done else None):
        try:
            turn.done, every, turn.cpu, turn.peak = line.recv()
        except EOFError:
            break
        turn.left = every - turn.done
        if not turn.done and seconds is not None:  # it begins only now
            end = time.monotonic() + seconds
    if process.is_alive() and seconds is not None:
        os.kill(process.pid or 0, signal.SIGKILL)
    process.join()
    return turn


def _open(folder: str):  # noqa: ANN202 (imported where a child needs it)
    from magpie_hub.neighbors.index import Index

    return Index(folder, dimensions=_DIMENSIONS, fingerprint="made")


def _vectors(rows: int, seed: int) -> np.ndarray:
    """Of length 1, in clusters."""
    draw = np.random.default_rng(seed)
    centres = draw.standard_normal((-(-rows // _CLUSTER), _DIMENSIONS), dtype=np.float32)
    made = np.repeat(centres, _CLUSTER, axis=0)[:rows]
    made += 0.3 * draw.standard_normal(made.shape, dtype=np.float32)
    return made / np.linalg.norm(made, axis=1, keepdims=True)


def _peak() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    (mark,) = (line for line in lines if line.startswith("VmHWM"))
    return int(mark.split()[1]) * 1024
