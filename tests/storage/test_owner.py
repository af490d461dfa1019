import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from magpie_hub.storage.owner import Owner


def test_an_owner_is_read_as_it_was_written() -> None:
    me = Owner.me()
    assert Owner.parse(me.to_json()) == me
    assert me.pid == os.getpid()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"machine": "a"}', "12", b"\xff"])
def test_half_a_record_is_nobody(text: str | bytes) -> None:
    assert Owner.parse(text) is None


def test_only_a_dead_process_of_this_machine_is_surely_gone() -> None:
    me = Owner.me()
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait()
    assert not me.gone
    assert Owner(me.machine, child.pid, me.since).gone
    assert not Owner("elsewhere", child.pid, me.since).gone


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_a_killed_process_that_nobody_waits_for_is_gone() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        owner = Owner(Owner.me().machine, child.pid, 0.0)
        assert not owner.gone
        child.kill()
        deadline = time.monotonic() + 30
        while not owner.gone:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert child.returncode is None


@pytest.mark.parametrize(
    ("age", "words"), [(5, "5 s"), (60, "1 min"), (7000, "116 min"), (7200, "2 h"), (-9, "0 s")]
)
def test_it_says_who_and_for_how_long(age: float, words: str) -> None:
    owner = Owner("a.host/pid:[4]", 12, time.time() - age)
    assert str(owner) == f"process 12 on a.host, for {words}"
