"""A run killed with -9 at any moment ends, started again, with the bytes of one never killed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import shard_bytes

SCRIPT = Path(__file__).with_name("kill_and_resume.py")


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("engine", "kills"),
    [("transformers", 30), pytest.param("vllm", 5, marks=pytest.mark.vllm)],
)
def test_kills_leave_no_trace(recipe_file: Path, tmp_path: Path, engine: str, kills: int) -> None:
    command = [sys.executable, str(SCRIPT), str(recipe_file), str(tmp_path), str(kills), "20"]
    done = subprocess.run([*command, engine], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    ends = json.loads(done.stdout.splitlines()[-1])
    assert ends.pop("whole") == ["0"]
    whole = shard_bytes(tmp_path / "whole")
    assert len(whole) == 6 * 3
    assert sum(end.count("killed") for end in ends.values()) >= kills
    for name, each in ends.items():
        assert each[-1] == "0", f"{name}: {each}"
        assert shard_bytes(tmp_path / name) == whole
        assert not list((tmp_path / name).rglob("*.tmp"))
