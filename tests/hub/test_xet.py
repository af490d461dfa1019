"""Releases by xet, the Hub's store of chunks: the real hf_xet, whose store is a folder of ours.

Its network is not covered: between the client and the folder there is none.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from magpie_hub.builder import build
from magpie_hub.building import parquet
from magpie_hub.hub import client as hub_client
from magpie_hub.release import Release
from tests.builders.pool import HandPool, row
from tests.hub.faults import Fault
from tests.hub.server import Hub
from tests.hub.store import LFS_SUFFIXES
from tests.hub.test_hub import REPO, Client, holds, releases
from tests.hub.test_loading import load
from tests.hub.test_verification import verify

ROWS, MORE = 2_000, 2_100


@pytest.fixture
def client(hub: Hub, tmp_path: Path) -> Client:
    hub.xet = True
    return Client(hub, tmp_path)


def release(home: Path, version: str, rows: int) -> Release:
    """Some 600 bytes a row that do not compress further."""
    draw = random.Random(0)
    words = ["".join(draw.choices("etaoinshrdlu", k=draw.randint(2, 9))) for _ in range(5_000)]
    made = []
    for number in range(rows):
        texts = [" ".join(draw.choices(words, k=60)) + f" {number}" for _ in "qa"]
        made.append(row(number, (*texts, "Math", "easy", "good", draw.random(), "en", "stop")))
    pool = HandPool(rows=made, specs={}, shard_rows=500)
    return build(pool, version, home / version, kind="sft", report=lambda line: None)


def large(release: Release, besides: Release | None = None) -> int:
    """Bytes of the large files, without those that ``besides`` has too."""
    known = besides.manifest.files.values() if besides else ()
    files = release.manifest.files.items()
    return sum(f.size for n, f in files if n.endswith(LFS_SUFFIXES) and f not in known)


def test_each_version_uploads_what_is_new_and_readers_get_all(
    hub: Hub, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "TAIL_BYTES", 100_000)
    first = release(tmp_path, "1.0.0", ROWS)
    pushed = client.push(first.path)
    assert pushed.result["tag"] == "v1.0.0"
    assert "Read v1.0.0 back" in pushed.said and "Loaded a row" in pushed.said
    assert holds(hub, first.path, "v1.0.0")
    assert hub.journal.find("^GET .*/xet-write-token/main$")
    assert not hub.journal.find("^(PUT|POST)", host="storage")
    assert not hub.journal.find("/objects/batch$")
    kept = hub.store.xet.stored()
    assert 0.9 * large(first) < kept < 1.01 * large(first)

    second = release(tmp_path, "1.1.0", MORE)
    new = large(second, besides=first)
    assert 0 < new < large(first) / 5
    hub.journal.clear()
    assert client.push(second.path).result["uploaded_bytes"] > large(second)
    assert releases(hub) == ["Release v1.1.0", "Release v1.0.0"]
    assert holds(hub, second.path, "v1.1.0")
    assert hub.store.xet.stored() - kept < new * 1.1

    hub.journal.clear()
    assert verify(client, "1.1.0", token=None).result["faults"] == []
    calls = [("all", "1.0.0", "train"), ("all", "1.1.0", "train")]
    found = load(client, *calls)
    assert [len(each["train"]) for each in found] == [ROWS, MORE]
    assert hub.journal.find("^GET .*/xet-read-token/")
    assert not hub.journal.find(".", host="storage")

    # a client without xet reads the same, and what it pushes one with xet reads
    hub.xet = False
    assert load(client, calls[1]) == found[1:]
    third = release(tmp_path, "1.2.0", MORE + 50)
    assert client.push(third.path).result["tag"] == "v1.2.0"
    assert holds(hub, third.path, "v1.2.0")
    hub.xet = True
    (last,) = load(client, ("all", "1.2.0", "train"))
    assert last["train"][:MORE] == found[1]["train"] and len(last["train"]) == MORE + 50


def test_what_xet_refuses_is_one_sentence_and_a_rerun_is_clean(
    hub: Hub, client: Client, tmp_path: Path
) -> None:
    made = release(tmp_path, "1.0.0", 100)
    store = hub.store.xet.url
    refused = "The storage of org/magpie-demo does not let this token in ({}); use another token"
    for status, url, said in (
        (404, store, refused.format("404 Not Found")),
        (401, store, refused.format("401 Unauthorized")),
        (403, store, refused.format("403 Forbidden")),
        (503, store, "503 Service Unavailable"),
        (None, "http://127.0.0.1:9", "The Hub could not be reached"),
    ):
        hub.faults.order(Fault("/xet-write-token/", times=99 if status else 0, status=status or 0))
        hub.store.xet.url = url
        ran = client.push(made.path)
        assert ran.code == 4, ran.said
        last = ran.said.splitlines()[-1]
        assert said in last and "push again" in last, last
        assert "Traceback" not in ran.said
        assert ("looking again" in ran.said) is (status in (503, None))
        hub.faults.clear()
        assert releases(hub) == [] and hub.store.repo(REPO).tags() == {}
    hub.store.xet.url = store
    assert client.push(made.path).result["already"] is False
    assert releases(hub) == ["Release v1.0.0"] and holds(hub, made.path, "v1.0.0")


def test_xet_does_not_wait_for_minutes_unless_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    name, seconds = hub_client.XET_WAITS
    for given, used in (("", seconds), ("99s", "99s")):
        monkeypatch.setenv(name, given)
        if not given:
            monkeypatch.delenv(name)
        with hub_client.bounded(bars=True):
            assert os.environ[name] == used
