"""What goes wrong in a push, at each of its steps, and then a plain rerun.

A push of 1.1.0 onto 1.0.0, whose card somebody edited: it meets a fault once or for as long as it
lasts, and is run again when that has passed. Whatever happened, a reader has had a whole release at
each moment, and in the end there are one commit and one tag more. A cell's name is the step and
the fault.
"""

from __future__ import annotations

import json
import re
import signal
import threading
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.hub.faults import Fault
from tests.hub.publishing import change, publish, whole
from tests.hub.server import TOKENS, Hub
from tests.hub.test_hub import REPO, build
from tests.hub.warm import Ended, Process, Warm

PUSH = """
import json, sys
from magpie_hub import errors, hub
from magpie_hub.hub import client as hub_client
from magpie_hub.hub import reading
from magpie_hub.release import Release
from tests.hub.warm import Subprocess
reading.subprocess = Subprocess
path, repo_id, timeout = json.load(sys.stdin)
hub_client.TIMEOUT = timeout or hub_client.TIMEOUT
report = lambda line: print(line, file=sys.stderr, flush=True)
try:
    print(json.dumps(hub.push(Release.open(path), repo_id, report=report).to_dict()))
except errors.MagpieHubError as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)
"""
FOR_EVER = 10_000
KILLED = -signal.SIGKILL
PEOPLE = b"\nWritten by hand, below what a release writes.\n"

STEPS = {
    "whoami": "^GET .*/whoami",
    "refs": "^GET .*/refs",
    "create": "^POST .*/repos/create",
    "tree": "^GET .*/tree/[0-9a-f]{40}$",
    "history": "^GET .*/commits/main",
    "find card": "^HEAD .*/resolve/[0-9a-f]{40}/README.md",
    "fetch card": "^GET .*/resolve/[0-9a-f]{40}/README.md",
    "fetch manifest": "^GET .*/resolve/[0-9a-f]{40}/manifest.json",
    "check card": "^POST .*/validate-yaml",
    "preupload": "^POST .*/preupload/main",
    "lfs batch": "^POST .*/objects/batch",
    "put": "^PUT /[0-9a-f]{64}$",
    "put part": "^PUT .*/part/2",
    "complete": "^POST .*/complete",
    "verify": "^POST .*/lfs/verify",
    "commit": "^POST .*/commit/main",
    "tag": "^POST .*/tag/",
    "read back": r"^GET .*/tree/v1\.1\.0",
    "read card": r"^GET .*/resolve/v1\.1\.0/README.md",
    "load info": "^GET .*/revision/[0-9a-f]{40}$",
    "load address": r"^GET .*/resolve/[0-9a-f]{40}/data/.*\.parquet",
    "load data": "^GET /[0-9a-f]{64}$",
}
LOADS = ("load info", "load address", "load data")  # in the reader's process
STORAGE = ("put", "put part", "complete", "load data")
BODIES = ("create", "preupload", "lfs batch", "put", "put part", "complete", "verify", "commit")
WRITES = ("create", "preupload", "lfs batch", "verify", "commit", "tag")


class Case:
    """A Hub with 1.0.0, and pushes of 1.1.0 to it. Some of its methods go with a fault."""

    def __init__(self, hub: Hub, warm: Warm, release: Path, folder: Path) -> None:
        self.hub, self.warm, self.release, self.folder = hub, warm, release, folder
        self.runs = self.edits = 0
        self.started = threading.Event()
        self.running: Process | None = None

    def push(self, timeout: float | None = None) -> Ended:
        self.runs += 1
        self.started.clear()
        given = json.dumps([str(self.release), REPO, timeout])
        self.running = self.warm.start(PUSH, given, folder=self.folder / f"push-{self.runs}")
        self.started.set()
        ended = self.running.wait()
        for never in (*self.hub.tokens, "signature=", "Traceback"):
            assert never not in ended.out + ended.said
        return ended

    def kill(self) -> None:
        assert self.started.wait(60) and self.running is not None
        self.running.kill()

    def expire(self) -> None:
        self.hub.tokens["hf_write"] = replace(TOKENS["hf_write"], expired=True)

    def demote(self) -> None:
        self.hub.tokens["hf_write"] = replace(TOKENS["hf_write"], role="read")

    def fill(self) -> None:
        self.hub.quota = 1

    def edit(self) -> None:
        self.edits += 1
        change(self.hub, REPO, {"notes.md": f"{self.edits}".encode()}, "Add notes")

    def edit_card(self) -> None:
        card = self.hub.store.file(self.hub.store.repo(REPO).resolve("main").tree["README.md"])
        change(self.hub, REPO, {"README.md": card.read_bytes() + PEOPLE}, "Edit the card")

    def gate(self) -> None:
        self.hub.tokens["hf_write"] = replace(TOKENS["hf_write"], orgs=())
        self.set_gate(True)

    def set_gate(self, gated: bool) -> None:
        with self.hub.store.lock:
            repo = self.hub.store.repo(REPO)
            repo.gated = gated
            self.hub.store.save(repo)

    def heal(self) -> None:
        self.hub.faults.clear()
        self.hub.tokens = dict(TOKENS)
        self.hub.quota = None
        if self.hub.store.exists(REPO):
            self.set_gate(False)


@dataclass(frozen=True)
class Cell:
    """``code`` and ``said``: how the push that meets the fault ends, and what it says. ``act``
    names the method of :class:`Case` that goes with the fault; ``timeout`` in seconds."""

    step: str
    name: str
    fault: Fault
    act: str | None = None
    code: int = 0
    said: str = ""
    timeout: float | None = None

    def __str__(self) -> str:
        return f"{self.step}: {self.name}"


def cells() -> Iterator[Cell]:
    for step, where in STEPS.items():
        told = "cannot load it there" if step in LOADS else ""
        who = "storage behind the Hub" if step in STORAGE else "Hub"
        still = told or f"The {who} still answers 503 after 5 tries"
        yield Cell(step, "429", Fault(where, status=429, headers={"Retry-After": "2"}))
        # A file that is not verified is there all the same, and is not sent again.
        end = (0, "") if step == "verify" else (4, still)
        yield Cell(step, "503 for ever", Fault(where, times=FOR_EVER), None, *end)
        yield Cell(step, "reset", Fault(where, "reset"))
        yield Cell(step, "killed", Fault(where, "reset"), "kill", KILLED)
        if step in (*WRITES, *STORAGE):
            yield Cell(step, "killed once done", Fault(where, "lost"), "kill", KILLED)
        if step in WRITES:
            yield Cell(step, "answer lost", Fault(where, "lost"))
            refused = "may not write to org/magpie-demo"
            yield Cell(step, "read only", Fault(where, "delay"), "demote", 4, refused)
        if step in BODIES:
            yield Cell(step, "request cut", Fault(where, "cut", after=20))
        elif step not in ("find card", "check card", "tag"):
            yield Cell(step, "answer cut", Fault(where, "cut", after=1))
        if step not in STORAGE:
            refused = told or "does not accept the token: it is wrong, expired or revoked"
            yield Cell(step, "token expires", Fault(where, "delay"), "expire", 4, refused)

    hour = {"status": 429, "headers": {"Retry-After": "3600"}}
    for step in ("whoami", "lfs batch", "put", "tag", "load address"):
        fault = Fault(STEPS[step], times=FOR_EVER, **hour)
        yield Cell(step, "an hour", fault, code=4, said="asks to wait 3600 s")
    for step in ("refs", "create", "put", "commit", "tag"):
        yield Cell(step, "late", Fault(STEPS[step], "delay", seconds=2.5), timeout=1.0)
    for step in ("put", "put part", "load data"):
        yield Cell(step, "address ran out", Fault(STEPS[step], status=403))
    for step in ("tree", "fetch card", "check card", "put", "commit"):
        yield Cell(step, "another writer", Fault(STEPS[step], "delay"), "edit")
        yield Cell(step, "card edited", Fault(STEPS[step], "delay"), "edit_card")
    always = Fault(STEPS["commit"], "delay", times=FOR_EVER)
    yield Cell("commit", "writers for ever", always, "edit", 4, "still answers 412 after 5 tries")
    full = Fault(STEPS["lfs batch"], "delay")
    yield Cell("lfs batch", "quota", full, "fill", 4, "You have exceeded your storage limit")
    for step in ("find card", "load address"):
        gated = Fault(STEPS[step], "delay")
        yield Cell(step, "gated", gated, "gate", 4, "gated")


CELLS = list(cells())


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """1.0.0, and 1.1.0 that has one shard more; a shard is large enough to go up in parts."""
    folder = tmp_path_factory.mktemp("releases")
    old = build(folder / "1.0.0", shards=(100,), configs=["all"])
    return old, build(folder / "1.1.0", "1.1.0", shards=(100, 60), configs=["all"])


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_a_push_that_meets_a_fault_and_its_rerun(
    cell: Cell, forks: Warm, releases: tuple[Path, Path], tmp_path: Path
) -> None:
    old, new = releases
    first = cell.step == "create"
    with Hub(tmp_path / "hub", forks.port) as hub:
        hub.part_size = 1500
        if not first:
            publish(hub, old, REPO)
            before = hub.store.repo(REPO).tags()
            card = (old / "README.md").read_bytes()
            change(hub, REPO, {"README.md": card + PEOPLE}, "Edit the card")
        case = Case(hub, forks, new, tmp_path)
        fault = copy(cell.fault)
        fault.act = getattr(case, cell.act) if cell.act else None
        hub.faults.order(fault)

        ended = case.push(cell.timeout)
        assert fault.struck >= 1
        assert ended.code == cell.code, ended.said
        check_what_was_said(cell, ended)
        check_what_readers_have(hub, releases)
        case.heal()
        released = hub.store.exists(REPO) and "v1.1.0" in hub.store.repo(REPO).tags()

        again = case.push()
        assert again.code == 0, again.said
        assert json.loads(again.out)["already"] is released
        check_what_readers_have(hub, releases)
        repo = hub.store.repo(REPO)
        titles = [commit.title for commit in repo.history() if commit.title.startswith("Release")]
        assert titles == (["Release v1.1.0"] if first else ["Release v1.1.0", "Release v1.0.0"])
        assert repo.resolve("v1.1.0").title == "Release v1.1.0"
        assert list(repo.tags()) == (["v1.1.0"] if first else ["v1.0.0", "v1.1.0"])
        assert whole(hub, REPO, "v1.1.0", new)
        if not first:
            assert repo.tags()["v1.0.0"] == before["v1.0.0"]
            said = hub.store.file(repo.resolve("v1.1.0").tree["README.md"]).read_bytes()
            assert PEOPLE in said
    assert hub.errors == []


def check_what_was_said(cell: Cell, ended: Ended) -> None:
    """One sentence where it failed; what was waited for otherwise."""
    last = ended.said.splitlines()[-1] if ended.said else ""
    if cell.code == 4:
        assert cell.said in last, ended.said
        assert last.endswith(".") and len(last) < 400
        assert ended.out == ""
    elif cell.code == 0 and cell.act is None and cell.step not in (*LOADS, "find card"):
        waits = r"looking again in \d+ s|Retrying in|Rate limited\. Waiting|Trying to resume"
        assert re.search(waits, ended.said), ended.said


def check_what_readers_have(hub: Hub, releases: tuple[Path, Path]) -> None:
    """At no moment of the history anything but a whole release."""
    if hub.store.exists(REPO):
        for commit in hub.store.repo(REPO).history()[:-1]:
            assert any(whole(hub, REPO, commit.id, release) for release in releases), commit.title
