"""Claims by themselves, and whole runs that several processes share."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from magpie_hub import pipeline
from magpie_hub.errors import StorageError, UsageError
from magpie_hub.run import Run
from magpie_hub.run.status import status
from magpie_hub.storage.claims import Alone, Joined, Part
from magpie_hub.storage.owner import Owner
from tests.conftest import Silent, shard_bytes
from tests.many import many

ROOT = Path(__file__).parents[2]


@pytest.fixture
def claims(tmp_path: Path) -> Iterator[Joined]:
    with Joined(tmp_path) as joined:
        yield joined


def test_alone_everything_is_ours() -> None:
    alone = Alone()
    assert alone.take("sample", 3) and alone.take("sample", 3) and not alone.waits
    alone.give_back("sample", 3)


def test_parts_are_disjoint_and_leave_nothing() -> None:
    parts = [Part.parse(f"{i}/3") for i in range(3)]
    owners = [[i for i, part in enumerate(parts) if part.take("x", s)] for s in range(7)]
    assert owners == [[0], [1], [2], [0], [1], [2], [0]]
    assert not any(part.waits for part in parts)
    parts[0].give_back("x", 0)


@pytest.mark.parametrize("text", ["3/3", "1", "1/", "-1/3", "a/b", "0/0", "1/2/3", "0 / 2"])
def test_what_is_no_part_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="write I/N, where I counts from 0"):
        Part.parse(text)


def test_a_claim_is_one_processs_until_it_is_given_back(claims: Joined, tmp_path: Path) -> None:
    with Joined(tmp_path) as other:
        assert claims.take("sample", 0) and not other.take("sample", 0)
        assert other.take("sample", 1) and other.take("judge", 0)
        claims.give_back("sample", 0)
        assert other.take("sample", 0) and not claims.take("sample", 0)
    # What it held when it ended is free.
    assert claims.take("sample", 0) and claims.take("judge", 0)
    assert claims.waits


def test_nothing_is_left_when_all_have_ended(tmp_path: Path) -> None:
    threads = threading.active_count()
    with Joined(tmp_path) as claims:
        assert claims.take("sample", 0)
        assert json.loads((tmp_path / ".claims" / "sample-00000").read_text())["pid"] == os.getpid()
    assert [p.name for p in (tmp_path / ".claims").iterdir()] == [".removing"]
    assert threading.active_count() == threads


def elsewhere(folder: Path, name: str, text: str | None = None) -> Path:
    (folder / ".claims").mkdir(exist_ok=True)
    path = folder / ".claims" / name
    owner = Owner("another-host/pid:[1]", 1, time.time())
    path.write_text(owner.to_json() if text is None else text)
    return path


@pytest.mark.parametrize("text", [None, "", '{"mach'])
def test_a_silent_claim_of_another_machine_is_free_again(tmp_path: Path, text: str | None) -> None:
    elsewhere(tmp_path, "sample-00000", text)
    with Joined(tmp_path, stale=0.2) as claims:
        assert not claims.take("sample", 0)
        assert not claims.take("sample", 0)
        time.sleep(0.25)
        assert claims.take("sample", 0)


def test_a_claim_that_is_touched_stays(tmp_path: Path) -> None:
    path = elsewhere(tmp_path, "sample-00000")
    with Joined(tmp_path, stale=0.3) as claims:
        for _ in range(8):
            assert not claims.take("sample", 0)
            time.sleep(0.1)
            os.utime(path)
        time.sleep(0.4)
        assert not claims.take("sample", 0), "the last beat has just been seen"
        time.sleep(0.4)
        assert claims.take("sample", 0)


def test_our_claims_are_kept_alive(tmp_path: Path) -> None:
    with Joined(tmp_path, beat=0.05) as claims, Joined(tmp_path, stale=0.5) as other:
        assert claims.take("sample", 0)
        deadline = time.monotonic() + 1.5
        while time.monotonic() < deadline:
            assert not other.take("sample", 0)
            time.sleep(0.05)


def test_a_claim_of_a_dead_process_here_is_free_at_once(claims: Joined, tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait()
    elsewhere(tmp_path, "sample-00000", Owner(Owner.me().machine, child.pid, 0.0).to_json())
    assert claims.take("sample", 0)


def test_a_claim_that_was_taken_from_us_is_not_given_back(tmp_path: Path) -> None:
    with Joined(tmp_path, beat=60) as paused, Joined(tmp_path, stale=0.05) as other:
        assert paused.take("sample", 0) and not other.take("sample", 0)
        time.sleep(0.1)
        assert other.take("sample", 0)
        paused.give_back("sample", 0)
        assert not paused.take("sample", 0), "it is still the other's"


def test_of_many_that_take_a_stale_claim_one_has_it(tmp_path: Path) -> None:
    names = range(30)
    for shard in names:
        elsewhere(tmp_path, f"sample-{shard:05d}")
    everybody = [Joined(tmp_path, stale=0.05) for _ in range(8)]
    won: Counter[int] = Counter()

    def grab(claims: Joined) -> list[int]:
        with claims:
            for shard in names:
                claims.take("sample", shard)
            together.wait()
            time.sleep(0.1)
            mine = [shard for shard in names if claims.take("sample", shard)]
            together.wait()
            return mine

    together = threading.Barrier(len(everybody), timeout=30)
    with ThreadPoolExecutor(len(everybody)) as pool:
        for mine in pool.map(grab, everybody):
            won.update(mine)
    assert won == dict.fromkeys(names, 1)


def test_without_exclusive_files_there_is_no_joining() -> None:
    with pytest.raises(UsageError, match="--join needs a filesystem .* use --shards I/N or --ray"):
        Joined("memory://bucket/run")


def test_a_folder_that_cannot_be_written_to_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file")
    with pytest.raises(StorageError, match="could not be written"), Joined(tmp_path / "run"):
        pass


# Whole runs.

WORKER = """
import sys
from magpie_hub import pipeline
from magpie_hub.storage.claims import Joined
from tests.conftest import Silent
from tests.many import many

with Joined(sys.argv[1]) as claims:
    pipeline.run(many(), sys.argv[1], progress=Silent(), claims=claims)
"""


def ended(child: subprocess.Popen[str]) -> int:
    _, said = child.communicate(timeout=240)
    assert child.returncode in (0, -signal.SIGKILL), said
    return child.returncode


def claimed(out: Path) -> list[str]:
    texts = []
    for path in (out / ".claims").glob("*-*"):
        try:
            texts.append(path.read_text())
        except FileNotFoundError:
            continue
    return texts


@pytest.mark.slow
def test_two_that_join_and_one_is_killed(alone_bytes: dict[str, bytes], tmp_path: Path) -> None:
    out = tmp_path / "run"
    pair = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(out)],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    try:
        deadline = time.monotonic() + 120
        while not (texts := claimed(out)) or not (owner := Owner.parse(texts[0])):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        killed, other = sorted(pair, key=lambda child: child.pid != owner.pid)
        killed.kill()
        assert (ended(killed), ended(other)) == (-signal.SIGKILL, 0)
    finally:
        for child in pair:
            child.kill()
    assert shard_bytes(out) == alone_bytes
    assert [p.name for p in (out / ".claims").iterdir()] == [".removing"]
    pipeline.run(many(), out, progress=(progress := Silent()))
    assert progress.stages == []


@pytest.mark.slow
def test_parts_one_after_the_other_in_two_passes(
    alone_bytes: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    for until in ("sample", "annotate"):
        for part in ("1/2", "0/2"):
            claims = Part.parse(part)
            pipeline.run(many(), out, progress=Silent(), until=until, claims=claims)
    assert status(Run.open(out)).finished
    assert shard_bytes(out) == alone_bytes


@pytest.mark.slow
def test_a_part_leaves_what_needs_the_queries_of_another(tmp_path: Path) -> None:
    run = pipeline.run(many(), tmp_path, progress=Silent(), claims=Part.parse("1/2"))
    assert run.missing("sample") == [0, 2, 4]
    assert run.missing("language") == [0, 2, 4]
    assert run.missing("judge") == list(range(6)), "shard 0 comes before all of them"
