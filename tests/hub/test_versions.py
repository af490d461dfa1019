"""Which releases a repository has, and a copy of one to read or to compare."""

from __future__ import annotations

from pathlib import Path

import pytest

from magpie_hub.errors import HubError, UsageError
from magpie_hub.hub.versions import check_name, check_version, commit_of, config_named, open_release
from magpie_hub.release import MANIFEST, Release
from tests.hub.faults import Fault
from tests.hub.forked import Forked
from tests.hub.publishing import publish, replace
from tests.hub.server import Hub
from tests.hub.test_hub import REPO, Client, build
from tests.hub.warm import Warm

COMMAND = """
import sys, time
sleep = time.sleep
time.sleep = lambda seconds: sleep(seconds / 20)
from magpie_hub.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def client(hub: Hub, forks: Warm, tmp_path: Path) -> Client:
    return Forked(hub, forks, tmp_path)


def test_names_and_versions() -> None:
    check_name("org/magpie-demo")
    check_version("1.10.0")
    for name in ("magpie", "org/", "../x", "org/a/b", "https://hub/x"):
        with pytest.raises(UsageError, match="write ORG/NAME"):
            check_name(name)
    for version in ("v1.0.0", "1.0", "1.0.0-rc1", "main"):
        with pytest.raises(UsageError, match="write X.Y.Z"):
            check_version(version)


def test_a_version_is_one_of_those_there() -> None:
    known = {"1.2.0": "a", "1.10.0": "b"}
    assert commit_of(known, REPO, "1.2.0") == "a"
    assert commit_of(known, REPO, None) == "b"
    with pytest.raises(HubError, match="no version 1.3.0; there are: 1.2.0, 1.10.0"):
        commit_of(known, REPO, "1.3.0")
    with pytest.raises(HubError, match="none of its tags is vX.Y.Z"):
        commit_of({}, REPO, None)


def test_a_config_is_one_of_those_there(tmp_path: Path) -> None:
    manifest = Release.open(build(tmp_path / "1.0.0")).manifest
    assert config_named(manifest, None, "x") == "all"
    assert config_named(manifest, "filtered", "x") == "filtered"
    with pytest.raises(UsageError, match="only all, filtered; did you mean 'filtered'"):
        config_named(manifest, "filterd-300", "x")
    with pytest.raises(UsageError, match=r"only all, filtered\.$"):
        config_named(manifest, "zzz", "x")


def test_a_folder_is_a_release_without_a_hub(tmp_path: Path) -> None:
    assert open_release(build(tmp_path / "1.0.0")).version == "1.0.0"
    with pytest.raises(UsageError, match="is not a release"):
        open_release(tmp_path)


def test_releases_are_listed_from_their_manifests(hub: Hub, client: Client, tmp_path: Path) -> None:
    publish(hub, build(tmp_path / "1.9.0", "1.9.0"), REPO, "1.9.0")
    newest = publish(hub, build(tmp_path / "1.10.0", "1.10.0", shards=(40, 20)), REPO, "1.10.0")
    other = build(tmp_path / "other", "0.1.0")
    (other / MANIFEST).unlink()
    publish(hub, other, REPO, "0.1.0")
    foreign = build(tmp_path / "foreign", "0.2.0")
    (foreign / MANIFEST).write_text("{}")
    publish(hub, foreign, REPO, "0.2.0")
    repo = hub.store.repo(REPO)
    repo.refs["refs/tags/best"] = newest
    hub.store.save(repo)
    hub.faults.order(Fault("^GET .*/refs"))
    for token in ("hf_read", None):
        ran = client.run(COMMAND, "releases", REPO, "--json", token=token)
        assert [each["version"] for each in ran.result] == ["0.2.0", "1.9.0", "1.10.0"]
        last = ran.result[-1]
        assert last["rows"] == {"all": 60, "filtered": 30} and last["commit"] == newest
        assert last["date"][:19] == repo.commits[newest].date[:19]
        assert ran.result[0]["rows"] is None and "cannot be read" in ran.said
        assert ran.said.index("1.10.0") < ran.said.index("1.9.0")
        assert "all 60, filtered 30" in " ".join(ran.said.split())
    assert hub.journal.find("^GET .*parquet") == hub.journal.writes() == []


def test_a_repository_without_releases_says_so(hub: Hub, client: Client, tmp_path: Path) -> None:
    hub.store.create(REPO, private=False, user="ann")
    ran = client.run(COMMAND, "releases", REPO)
    assert ran.code == 4 and f"{REPO} has no releases of magpie-hub" in ran.said
    gone = client.run(COMMAND, "releases", "org/gone", token=None)
    assert gone.code == 4 and "org/gone cannot be fetched from the Hub (" in gone.said
    expired = client.run(COMMAND, "releases", REPO, token="hf_expired")
    assert expired.code == 4 and "does not accept the token" in expired.said


def test_two_pushed_versions_are_compared_by_their_names(
    hub: Hub, client: Client, tmp_path: Path
) -> None:
    old, new = build(tmp_path / "1.0.0"), build(tmp_path / "1.1.0", "1.1.0", shards=(40, 20))
    for release in (old, new):
        assert client.push(release).code == 0
    ran = client.run(COMMAND, "diff", f"{REPO}@v1.0.0", REPO, "--json")
    found = ran.result
    assert (found["old"], found["new"], found["suggested"]) == ("1.0.0", "1.1.0", "1.1.0")
    assert found["rows"]["all"]["added"] == 20
    local = client.run(COMMAND, "diff", str(old), f"{REPO}@v1.1.0", "--json")
    assert local.result == found
    gone = client.run(COMMAND, "diff", "org/gone", REPO)
    assert gone.code == 4 and "Nor is there a folder org/gone." in gone.said
    missing = client.run(COMMAND, "diff", f"{REPO}@v2.0.0", REPO)
    assert missing.code == 4 and "no version 2.0.0; there are: 1.0.0, 1.1.0" in missing.said
    replace(hub, REPO, "v1.1.0", MANIFEST, None)
    bare = client.run(COMMAND, "diff", str(old), REPO)
    assert bare.code == 4 and f"at v1.1.0 holds no {MANIFEST}" in bare.said
