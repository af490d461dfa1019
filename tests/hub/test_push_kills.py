"""A push killed with -9 at any moment, and pushes at the same time as others."""

from __future__ import annotations

import json
import random
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from tests.hub.faults import Fault
from tests.hub.publishing import publish, whole
from tests.hub.server import Hub
from tests.hub.test_hub import REPO, build
from tests.hub.test_push_faults import PUSH
from tests.hub.warm import Ended, Process, Warm, warm

SEED = 7
KILLS = 30


@dataclass(frozen=True)
class Moment:
    """``share`` of the requests of a push go by; the next is killed ``before`` it has an effect, or
    once it is ``done``, or some milliseconds ``after`` its answer."""

    share: float
    side: Literal["before", "done", "after"]
    milliseconds: int

    def __str__(self) -> str:
        later = f" {self.milliseconds} ms" if self.side == "after" else ""
        return f"{self.share:.1%} {self.side}{later}"


def moments() -> list[Moment]:
    drawn = random.Random(SEED)
    sides: tuple[Literal["before", "done", "after"], ...] = ("before", "done", "after")
    return [
        Moment(drawn.random(), sides[n % 3], drawn.randrange(40) if n % 3 == 2 else 0)
        for n in range(KILLS)
    ]


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("releases")
    shards = {"1.0.0": (100,), "1.1.0": (100, 60), "1.2.0": (100, 60, 20)}
    return {v: build(folder / v, v, shards[v], configs=["all"]) for v in shards}


def start(forks: Warm, release: Path, folder: Path) -> Process:
    return forks.start(PUSH, json.dumps([str(release), REPO, None]), folder=folder)


def opened(folder: Path, forks: Warm, releases: dict[str, Path]) -> Hub:
    """With 1.0.0."""
    hub = Hub(folder, forks.port)
    hub.part_size = 1500
    publish(hub, releases["1.0.0"], REPO)
    return hub


def titles(hub: Hub) -> list[str]:
    return [commit.title for commit in hub.store.repo(REPO).history()][:-1]


def check(hub: Hub, releases: dict[str, Path], *versions: str) -> None:
    """One commit and one tag for each of ``versions``, with its bytes; 1.0.0 as it was."""
    repo = hub.store.repo(REPO)
    assert sorted(titles(hub)) == [f"Release v{each}" for each in versions]
    assert sorted(repo.tags()) == [f"v{each}" for each in versions]
    for each in versions:
        assert repo.resolve(f"v{each}").title == f"Release v{each}"
        assert whole(hub, REPO, f"v{each}", releases[each])


@pytest.fixture(scope="module")
def requests(
    forks: Warm, releases: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> int:
    """How many a push makes that nobody disturbs."""
    folder = tmp_path_factory.mktemp("whole")
    with opened(folder / "hub", forks, releases) as hub:
        ended = start(forks, releases["1.1.0"], folder / "push").wait()
        assert ended.code == 0, ended.said
        check(hub, releases, "1.0.0", "1.1.0")
        return len(hub.journal.requests)


@pytest.mark.parametrize("moment", moments(), ids=str)
def test_a_push_killed_at_a_random_moment_ends_as_one_never_killed(
    moment: Moment, requests: int, forks: Warm, releases: dict[str, Path], tmp_path: Path
) -> None:
    with opened(tmp_path / "hub", forks, releases) as hub:
        started, killed = threading.Event(), threading.Event()
        running: list[Process] = []

        def kill() -> None:
            assert started.wait(60)
            running[0].kill()
            killed.set()

        def later() -> None:
            threading.Timer(moment.milliseconds / 1000, kill).start()

        act = later if moment.side == "after" else kill
        kind = {"before": "reset", "done": "lost", "after": "delay"}[moment.side]
        fault = Fault(".", kind, skip=int(moment.share * requests), act=act)
        hub.faults.order(fault)
        running.append(start(forks, releases["1.1.0"], tmp_path / "killed"))
        started.set()
        ended = running[0].wait()
        assert fault.struck == 1
        assert killed.wait(60) and ended.code == -signal.SIGKILL
        version = next(v for v in ("1.0.0", "1.1.0") if f"Release v{v}" == titles(hub)[0])
        assert whole(hub, REPO, "main", releases[version])

        again = start(forks, releases["1.1.0"], tmp_path / "again").wait()
        assert again.code == 0, again.said
        check(hub, releases, "1.0.0", "1.1.0")
    assert hub.errors == []


STEPS = {
    "create": "^POST .*/repos/create",
    "put": "^PUT .*/part/1",
    "commit": "^POST .*/commit/main",
    "tag": "^POST .*/tag/",
}


@pytest.fixture(scope="module")
def others(forks: Warm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    """Forks have one home at a time, and these pushes load at the same time."""
    with warm(tmp_path_factory.mktemp("others") / "w", forks.port) as made:
        yield made


def together(
    hub: Hub, forks: tuple[Warm, Warm], releases: tuple[Path, Path], step: str, folder: Path
) -> list[Ended]:
    """Two pushes that are at ``step`` at the same moment."""
    meeting = threading.Barrier(2)
    fault = Fault(STEPS[step], "delay", times=2, act=lambda: meeting.wait(60) and None)
    hub.faults.order(fault)
    both = [
        start(each, release, folder / f"push-{number}")
        for number, (each, release) in enumerate(zip(forks, releases, strict=True))
    ]
    ended = [each.wait() for each in both]
    assert fault.struck == 2
    return ended


@pytest.mark.parametrize("step", STEPS)
def test_two_pushes_of_one_release_make_one(
    step: str, forks: Warm, others: Warm, releases: dict[str, Path], tmp_path: Path
) -> None:
    with Hub(tmp_path / "hub", forks.port) as hub:
        hub.part_size = 1500
        if step != "create":
            publish(hub, releases["1.0.0"], REPO)
        new = releases["1.1.0"]
        for ended in together(hub, (forks, others), (new, new), step, tmp_path):
            assert ended.code == 0, ended.said
        check(hub, releases, *(["1.1.0"] if step == "create" else ["1.0.0", "1.1.0"]))
    assert hub.errors == []


@pytest.mark.parametrize("step", ["put", "commit"])
def test_two_versions_pushed_at_once_do_not_mix(
    step: str, forks: Warm, others: Warm, releases: dict[str, Path], tmp_path: Path
) -> None:
    with opened(tmp_path / "hub", forks, releases) as hub:
        pair = (releases["1.1.0"], releases["1.2.0"])
        older, newer = together(hub, (forks, others), pair, step, tmp_path)
        assert newer.code == 0, newer.said
        if older.code == 0:
            check(hub, releases, "1.0.0", "1.1.0", "1.2.0")
        else:
            last = older.said.splitlines()[-1]
            assert older.code == 4 and "has v1.2.0 already, which is newer than 1.1.0" in last
            check(hub, releases, "1.0.0", "1.2.0")
    assert hub.errors == []
