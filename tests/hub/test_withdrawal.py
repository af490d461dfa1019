"""Rows taken down on the Hub, with the real clients against a server of our own."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from magpie_hub import plots
from magpie_hub.builder import build
from magpie_hub.errors import UsageError
from magpie_hub.hub.withdrawal import Holder, WithdrawalResult, read_ids
from magpie_hub.release import Release
from magpie_hub.release.withdrawn import ids
from magpie_hub.run import Run
from tests.builders.pool import HandPool
from tests.hub.faults import Fault
from tests.hub.forked import Forked
from tests.hub.publishing import publish, replace
from tests.hub.server import Hub
from tests.hub.test_hub import REPO, Client
from tests.hub.test_versions import COMMAND
from tests.hub.warm import Process, Warm

MANY = """
import json, sys
from magpie_hub.cli import main
print(json.dumps([main(each) for each in json.load(sys.stdin)]))
"""
GONE = {"handmade-000000", "handmade-000004"}


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures take their time."""
    monkeypatch.setattr(plots, "missing", lambda: True)


@pytest.fixture
def client(hub: Hub, forks: Warm, tmp_path: Path) -> Client:
    return Forked(hub, forks, tmp_path)


@pytest.fixture
def releases(tmp_path: Path) -> Path:
    return tmp_path / "run" / "releases"


def made(releases: Path, version: str = "1.0.0") -> Release:
    out = releases / version
    return build(HandPool(), version, out, kind="sft", report=lambda _: None)


def listed(folder: Path, *ids: str) -> Path:
    file = folder / "ids.txt"
    file.write_text("".join(f"{each}\n" for each in ids))
    return file


def test_ids_are_read_with_their_reasons(tmp_path: Path) -> None:
    lines = ("a-1", "", '{"id": "b", "reason": "a\\n name"}', '{"id": "c", "messages": []}', " d ")
    found = read_ids(listed(tmp_path, *lines), "asked for")
    assert found == {"a-1": "asked for", "b": "a name", "c": "asked for", "d": "asked for"}
    for bad in ('{"id": 7}', '{"id"', "{}"):
        with pytest.raises(UsageError, match="line 2: write an id alone, or JSON with an `id`"):
            read_ids(listed(tmp_path, "a", bad), "x")
    with pytest.raises(UsageError, match="holds no id"):
        read_ids(listed(tmp_path, "", " "), "x")
    with pytest.raises(UsageError, match="say why"):
        read_ids(listed(tmp_path, "a"), " ")
    with pytest.raises(UsageError, match="cannot be read"):
        read_ids(tmp_path / "none", "x")


def test_rows_go_in_the_next_version_and_stay_gone(
    hub: Hub, client: Client, releases: Path, tmp_path: Path
) -> None:
    first = publish(hub, made(releases).path, REPO)
    file = listed(tmp_path, *GONE, "handmade-999999")
    command = ["withdraw", REPO, "--ids", str(file), "--reason", "a name", "--out", str(releases)]

    # A dry run says all and does nothing.
    tried = client.run(COMMAND, *command, "--dry-run", "--json")
    assert hub.journal.writes() == [] and [*releases.iterdir()] == [releases / "1.0.0"]
    assert set(tried.result["ids"]) == GONE and tried.result["unknown"] == ["handmade-999999"]
    assert tried.result["rows"] == {"filtered": 2, "all": 2}
    said = " ".join(tried.said.split())
    assert f"v1.0.0 (commit {first[:8]}) has them" in said
    assert "caches and copies" in said and "refs/convert/parquet" in said
    assert "nothing was written, and nothing was pushed" in said
    assert "In no row of v1.0.0, so left alone: handmade-999999" in said
    assert max(map(len, tried.said.splitlines())) <= 80 + len(str(releases))

    # Killed between commit and tag, and run again: one commit, one tag.
    def started(process: Process) -> None:
        hub.faults.order(Fault("^POST .*/tag/", "reset", act=process.kill))

    assert client.run(COMMAND, *command, started=started).code == -signal.SIGKILL
    done = client.run(COMMAND, *command, "--json")
    repo = hub.store.repo(REPO)
    assert done.result["version"] == "1.1.0" and not done.result["already"]
    assert done.result["commit"] == repo.refs["refs/tags/v1.1.0"] == repo.refs["refs/heads/main"]
    assert repo.commits[done.result["commit"]].parent == first
    again = client.run(COMMAND, *command, "--json")
    assert again.result["already"] and again.result["ids"] == []
    assert set(again.result["before"]) == GONE
    assert hub.store.repo(REPO).refs == repo.refs

    # What readers get.
    checked = client.run(COMMAND, "verify", REPO, "--version", "1.1.0")
    assert checked.code == 0, checked.said
    (new, _), (old, _), (part, _) = client.read(
        "all", "v1.1.0", "all", "v1.0.0", "filtered", "v1.1.0"
    )
    every = {row["id"] for row in old}
    assert len(every) == 24 and {row["id"] for row in new} == every - GONE
    assert GONE.isdisjoint(row["id"] for row in part)
    written = (releases / "1.1.0" / "withdrawn.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in written] == [
        {"id": each, "reason": "a name", "version": "1.1.0"} for each in sorted(GONE)
    ]

    # The next build of the run leaves them out; one that does not know of them is not pushed.
    later = made(releases, "1.2.0")
    assert ids(later) == every - GONE
    unaware = made(tmp_path / "elsewhere", "1.2.0")
    refused = client.push(unaware.path)
    assert refused.code == 3 and f"holds 2 rows that {REPO} has withdrawn" in refused.said
    assert hub.store.repo(REPO).refs == repo.refs
    assert client.push(later.path).code == 0


def test_what_cannot_be_withdrawn_is_refused(
    hub: Hub, client: Client, releases: Path, small_run: Run, tmp_path: Path
) -> None:
    first = made(releases)
    publish(hub, first.path, REPO)

    other = made(releases, "1.1.0")

    def command(*more: str, gone: str = "handmade-000000") -> list[str]:
        file = tmp_path / f"{gone}.txt"
        file.write_text(gone)
        return ["withdraw", REPO, "--ids", str(file), "--reason", "x", *more]

    ran = client.run(
        MANY,
        stdin=json.dumps(
            [
                command(gone="nobody"),
                command("--version", "1.0.1", "--dry-run"),
                command("--run", str(small_run.path)),
                command("--out", str(releases)),
            ]
        ),
    )
    assert ran.result == [2, 2, 2, 2]
    for said in (
        f"none of the 1 ids stands in v1.0.0 of {REPO}: nobody;",
        "it must be 1.1.0 or higher",
        "did not sample the rows",
        f"{other.path} is another release already",
    ):
        assert said in ran.said
    shard = next(name for name in first.manifest.files if name.endswith(".parquet"))
    replace(hub, REPO, "v1.0.0", shard, b"PAR1 damaged")
    damaged = client.run(COMMAND, *command())
    assert damaged.code == 4 and f"v1.0.0 of {REPO} is not what was released" in damaged.said
    assert hub.journal.writes() == []


def test_lines_are_short() -> None:
    found = WithdrawalResult(
        repo_id="org/a-data-set-with-a-long-name",
        version="1.1.0",
        since="1.0.0",
        ids=tuple(f"magpie-air-{n:08}" for n in range(40)),
        before=("a",),
        unknown=("b",),
        rows={f"config-{n}": 40 for n in range(12)},
        files=3,
        held_by=(Holder(version="0.9.0", commit="a" * 40, sure=False),),
        release="x/1.1.0",
        commit=None,
        already=False,
        dry_run=True,
    )
    lines = list(found.lines())
    assert max(map(len, lines)) <= 80
    assert "  v0.9.0 (commit aaaaaaaa) may have some of them" in lines
