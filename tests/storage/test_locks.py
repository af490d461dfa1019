import fcntl
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from magpie_hub.errors import RunLocked, StorageError
from magpie_hub.storage import open_folder
from magpie_hub.storage.locks import locked
from magpie_hub.storage.owner import Owner


@pytest.fixture
def memory() -> Iterator[str]:
    yield "memory://bucket/run"
    fsspec.filesystem("memory").store.clear()


def test_a_run_is_held_alone_or_shared(tmp_path: Path) -> None:
    with locked(tmp_path / "run"):
        for shared in (False, True):
            with (
                pytest.raises(RunLocked, match=rf"by process {os.getpid()} on \S+, for 0 s; wait"),
                locked(tmp_path / "run", shared=shared),
            ):
                pass
    with locked(tmp_path, shared=True), locked(tmp_path, shared=True):
        with pytest.raises(RunLocked), locked(tmp_path):
            pass
    with locked(tmp_path):
        pass


def test_the_refusal_says_since_when(tmp_path: Path) -> None:
    with locked(tmp_path):
        owner = Owner("a-host/pid:[1]", 123, time.time() - 720)
        (tmp_path / ".lock").write_text(owner.to_json())
        with pytest.raises(RunLocked, match="process 123 on a-host, for 12 min"), locked(tmp_path):
            pass


def test_a_lock_dies_with_its_process(tmp_path: Path) -> None:
    code = (
        "import sys; from magpie_hub.storage.locks import locked; lock = locked(sys.argv[1]); "
        "lock.__enter__(); print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None and child.stdout.readline() == "held\n"
        with pytest.raises(RunLocked, match=f"process {child.pid} on"), locked(tmp_path):
            pass
        child.kill()
    with locked(tmp_path):
        pass


def test_a_filesystem_without_locks_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no(*_: object) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", no)
    with pytest.raises(StorageError, match="cannot be locked"), locked(tmp_path):
        pass


def test_a_run_elsewhere_is_not_shared_by_mistake(memory: str) -> None:
    who = f"^{memory} is being worked on by process {os.getpid()} on "
    with locked(memory):
        with (
            pytest.raises(RunLocked, match=who),
            locked(memory),
        ):
            pass
        with pytest.raises(RunLocked), locked(memory, shared=True):
            pass
    with locked(memory, shared=True), locked(memory, shared=True):
        with pytest.raises(RunLocked), locked(memory):
            pass
    with locked(memory):
        pass
    assert open_folder(memory).child(".locks").names() == []


@pytest.mark.parametrize(
    ("machine", "pid", "age", "counts"),
    [("elsewhere", 1, 10, True), ("elsewhere", 1, 1000, False), (None, 2**22 + 1, 10, False)],
)
def test_a_lock_elsewhere_dies_with_its_process(
    memory: str, machine: str | None, pid: int, age: float, counts: bool
) -> None:
    names = open_folder(memory).child(".locks")
    record = {"machine": machine or Owner.me().machine, "pid": pid, "since": time.time() - 3600}
    text = json.dumps({**record, "renewed": time.time() - age})
    names.write("alone-1.json", text.encode())
    if counts:
        with pytest.raises(RunLocked, match="process 1 on elsewhere, for 60 min"), locked(memory):
            pass
    else:
        with locked(memory):
            assert [re.sub("-.*", "", name) for name in names.names()] == ["alone"]


def test_a_lock_elsewhere_is_renewed(memory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("magpie_hub.storage.locks._RENEWED", 0.01)
    before = set(threading.enumerate())
    names = open_folder(memory).child(".locks")
    with locked(memory):
        (name,) = names.names()
        first = json.loads(names.read(name))["renewed"]
        deadline = time.monotonic() + 10
        while json.loads(names.read(name))["renewed"] == first:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert set(threading.enumerate()) <= before
