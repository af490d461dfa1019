"""A reader gets the version that was asked for, or is told why not."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import magpie_hub
from magpie_hub.errors import UsageError
from magpie_hub.release import MANIFEST, Manifest, SplitEntry
from tests.hub.faults import Fault
from tests.hub.forked import Forked
from tests.hub.publishing import publish, replace
from tests.hub.server import Hub
from tests.hub.test_hub import REPO, Client, build, rows, write_manifest
from tests.hub.warm import Warm

LOAD = """
import json, sys, time
sleep = time.sleep
time.sleep = lambda seconds: sleep(seconds / 20)
import magpie_hub
from magpie_hub.errors import MagpieHubError
for config, version, split in json.loads(sys.argv[1]):
    try:
        found = magpie_hub.load(sys.argv[2], config, version=version, split=split)
        whole = {split: found} if split else dict(found)
        print(json.dumps({name: list(part) for name, part in whole.items()}))
    except MagpieHubError as error:
        print(json.dumps([error.exit_code, str(error)]))
"""

PLAIN = """
import sys
from datasets import load_dataset
print(load_dataset(sys.argv[1], "all", revision=sys.argv[2], split="train").num_rows)
"""


@pytest.fixture
def client(hub: Hub, forks: Warm, tmp_path: Path) -> Client:
    return Forked(hub, forks, tmp_path)


@pytest.fixture
def two(hub: Hub, tmp_path: Path) -> Hub:
    """v1.0.0 with 40 rows and v1.1.0 with 60."""
    publish(hub, build(tmp_path / "1.0.0"), REPO)
    publish(hub, build(tmp_path / "1.1.0", "1.1.0", shards=(40, 20)), REPO, "1.1.0")
    return hub


def load(client: Client, *calls: tuple[str | None, ...], **how: object) -> list[object]:
    """What each ``load`` returns, by split, or the exit code and the sentence of its error."""
    repo_id = how.pop("repo_id", REPO)
    ran = client.run(how.pop("first", "") + LOAD, json.dumps(calls), repo_id, **how)
    assert ran.code == 0, ran.said
    return [json.loads(line) for line in ran.out.splitlines()]


def test_names_are_checked_before_the_hub_is_asked() -> None:
    with pytest.raises(UsageError, match="write ORG/NAME"):
        magpie_hub.load("magpie", version="1.0.0")
    with pytest.raises(UsageError, match="write X.Y.Z"):
        magpie_hub.load("org/magpie", version="latest")


def test_each_version_is_the_one_that_was_released(two: Hub, client: Client) -> None:
    whole, kept, newer, sliced = load(
        client,
        ("all", "1.0.0", None),
        ("filtered", "1.0.0", "train"),
        (None, "1.1.0", None),
        ("all", "1.1.0", "train[1:3]+train[50:51]"),
        token=None,
    )
    assert whole == {"train": rows(40)} and kept == {"train": rows(40)[::2]}
    assert newer == {"train": rows(60)}
    assert [*sliced.values()] == [[*rows(60)[1:3], rows(60)[50]]]
    # all of v1.0.0, filtered of it, and what is new in all of v1.1.0; nothing of other configs
    assert len({r.path for r in two.journal.find("^GET", host="storage")}) == 3


def test_what_is_not_there_is_named(two: Hub, client: Client) -> None:
    version, config, split = load(
        client, ("all", "3.0.0", None), ("filterd", "1.0.0", None), ("all", "1.0.0", "test")
    )
    assert version == [4, f"{REPO} has no version 3.0.0; there are: 1.0.0, 1.1.0."]
    assert config[0] == 2 and "did you mean 'filtered'?" in config[1]
    assert split == [2, f"all of {REPO} v1.0.0 has no split 'test', only train."]
    (gone,) = load(client, ("all", "1.0.0", None), repo_id="org/gone")
    assert gone[0] == 4 and "org/gone cannot be fetched" in gone[1]
    replace(two, REPO, "v1.0.0", MANIFEST, None)
    (bare,) = load(client, ("all", "1.0.0", None))
    assert bare[0] == 4 and "was not released by magpie-hub" in bare[1]


OFFLINE = "import os\nos.environ['HF_HUB_OFFLINE'] = '1'\n"


@pytest.mark.parametrize("why", ["down", "expired", "offline"])
def test_a_warm_cache_never_stands_in_for_another_version(
    two: Hub, client: Client, tmp_path: Path, why: str
) -> None:
    home = tmp_path / "warm"
    client.run(PLAIN, REPO, "v1.1.0", home=home)
    assert load(client, ("filtered", "1.0.0", None), home=home)[0]["train"] == rows(40)[::2]
    token = "hf_write"
    if why == "down":
        two.faults.order(Fault(".", "reset", times=100_000))
    elif why == "expired":
        token = "hf_expired"
    first = ""
    if why == "offline":
        first, client = OFFLINE, Client(two, tmp_path)  # it is read when they are imported
    # the trap: another version in the place of the one asked for, with a warning alone
    trapped = client.run(first + PLAIN, REPO, "v1.0.0", home=home, token=token)
    assert trapped.out == "60\n", trapped.said
    lacking, kept, newer = load(
        client,
        ("all", "1.0.0", None),
        ("filtered", "1.0.0", None),
        ("all", "1.1.0", None),
        first=first,
        home=home,
        token=token,
    )
    said = {
        "down": "could not be reached",
        "expired": "does not accept the token",
        "offline": "HF_HUB_OFFLINE is set",
    }[why]
    assert lacking[0] == newer[0] == 4 and said in lacking[1] and said in newer[1]
    assert kept == {"train": rows(40)[::2]}


def test_a_damaged_copy_is_refused(two: Hub, client: Client, tmp_path: Path) -> None:
    home = tmp_path / "warm"
    assert load(client, ("all", "1.0.0", None), home=home) == [{"train": rows(40)}]
    (file,) = home.glob("hf/hub/datasets--*/snapshots/*/data/all/*.parquet")
    content = file.read_bytes()
    file.resolve().write_bytes(content.replace(b"id", b"xx", 1))
    (refused,) = load(client, ("all", "1.0.0", None), home=home)
    assert refused[0] == 4 and f"is not what {REPO} v1.0.0 released" in refused[1]
    assert str(file) in refused[1]


def test_counts_are_those_of_the_manifest(hub: Hub, client: Client, tmp_path: Path) -> None:
    release = build(tmp_path / "1.0.0")
    configs = Manifest.model_validate_json((release / MANIFEST).read_bytes()).configs
    file = "data/all/train-00000-of-00001.parquet"
    assert pq.read_metadata(release / file).num_rows == 40
    split = SplitEntry(rows=41, num_bytes=1, files=(file,))
    configs["all"] = configs["all"].model_copy(update={"splits": {"train": split}})
    write_manifest(release, "1.0.0", configs)
    publish(hub, release, REPO)
    (refused,) = load(client, ("all", "1.0.0", None))
    assert refused[0] == 4 and "has 40 rows in train, but its manifest says 41" in refused[1]
