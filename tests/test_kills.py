"""A run killed with -9 at any moment ends, started again, with the bytes of one never killed."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("kill_and_resume.py")
KILLS = 20


def shard_bytes(path: Path) -> dict[str, bytes]:
    return {str(f.relative_to(path)): f.read_bytes() for f in sorted(path.rglob("*.arrow"))}


def run(recipe: Path, out: Path, delays: list[float]) -> list[str]:
    command = [sys.executable, str(SCRIPT), str(recipe), str(out), *map(str, delays)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_twenty_kills_leave_no_trace(recipe_file: Path, tmp_path: Path) -> None:
    started = time.monotonic()
    assert run(recipe_file, tmp_path / "whole", []) == ["0"]
    # An upper bound of a child's own time; the imports before it only make some kills late.
    length = time.monotonic() - started
    whole = shard_bytes(tmp_path / "whole")
    assert len(whole) == 6 * 3
    draw = random.Random(20)
    kills = 0
    for attempt in range(40):
        out = tmp_path / f"killed-{attempt}"
        delays = [draw.uniform(0.0, length / 3) for _ in range(5)]
        ends = run(recipe_file, out, delays)
        kills += ends.count("killed")
        assert set(ends) <= {"killed", "0"}
        assert ends[-1] == "0"
        assert shard_bytes(out) == whole
        assert not list(out.rglob("*.tmp"))
        if kills >= KILLS:
            break
    assert kills >= KILLS
