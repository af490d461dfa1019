"""Datasets of the Hub as sources, streamed from the test server by the real client."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.hub.publishing import change, publish
from tests.hub.server import Hub
from tests.hub.test_hub import REPO, Client, build

SAMPLES = Path(__file__).parents[1] / "sources" / "samples"
OTHER = str(SAMPLES / "alpaca.json")
MANY = """
import json, sys
from magpie_hub.cli import main
for source in json.loads(sys.argv[1]):
    code = main(["compare", source, sys.argv[2], "--json", "--scan", "25"])
    sys.stdout.flush()
    print(code, "=====", sep="\\n", file=sys.stderr, flush=True)
"""
CARD = """---
configs:
- config_name: talk
  data_files:
  - {split: train_sft, path: talk/train.jsonl}
  - {split: test_sft, path: talk/test.jsonl}
- config_name: tasks
  data_files:
  - {split: easy, path: tasks/easy.json}
  - {split: hard, path: tasks/hard.json}
---
"""


@pytest.fixture
def client(hub: Hub, tmp_path: Path) -> Client:
    return Client(hub, tmp_path)


@dataclass(frozen=True)
class Ran:
    """One comparison: its exit code, the first of its sources, and its last line."""

    code: int
    source: dict[str, Any]
    said: str


def compared(client: Client, *sources: str) -> list[Ran]:
    """Each of ``sources`` with another one, in one process."""
    ran = client.run(MANY, json.dumps(sources), OTHER, token=None)
    assert "Traceback" not in ran.said
    parts = ran.said.split("=====\n")[:-1]
    found = [json.loads(line) for line in ran.out.splitlines()]
    made = []
    for part in parts:
        *_, last, code = part.splitlines()
        source = found.pop(0)["sources"][0] if code == "0" else {}
        made.append(Ran(int(code), source, last))
    assert len(made) == len(sources), ran.said
    return made


def test_a_release_of_ours(hub: Hub, client: Client, tmp_path: Path) -> None:
    release = build(tmp_path / "1.0.0", shards=(30, 10))
    commit = publish(hub, release, REPO)
    change(hub, REPO, {"data/all/train-00000-of-00001.parquet": b"newer and broken"}, "newer")
    places = (":filtered", ":filterd")
    found, wrong, absent = compared(
        client, *(f"{REPO}@v1.0.0{each}" for each in places), f"{REPO}@v3.0.0"
    )
    first = found.source
    assert first["facts"] == {
        "kind": "release",
        "revision": commit[:12],
        "config": "filtered",
        "split": "train",
        "shape": "messages of role and content",
    }
    assert first["read"] == 20
    assert wrong.code == 2 and "did you mean 'filtered'" in wrong.said
    assert absent.code == 4 and "has no version 3.0.0; there are: 1.0.0." in absent.said


def test_a_dataset_of_others(hub: Hub, client: Client) -> None:
    repo = "some/set"
    hub.store.create(repo, private=False, user="ann")
    talk, tasks = (SAMPLES / name for name in ("ultrachat_200k.jsonl", "openhermes_1.json"))
    files = {
        "README.md": CARD.encode(),
        "talk/train.jsonl": talk.read_bytes() * 20,
        "talk/test.jsonl": talk.read_bytes(),
        "tasks/easy.json": tasks.read_bytes(),
        "tasks/hard.json": tasks.read_bytes(),
    }
    change(hub, repo, files, "data")
    keys = (":talk", ":tasks", ":tasks#split=hard", "", ":tasks#split=hrd")
    found, every, one, none, split = compared(client, *(f"{repo}{key}" for key in keys))
    first = found.source
    # The first split for training, and of its 40 rows those that --scan allows.
    assert first["facts"]["split"] == "train_sft" and first["read"] == 25
    assert first["facts"]["kind"] == "Hub" and len(first["facts"]["revision"]) == 12
    assert first["means"]["turns"]["value"] == pytest.approx(1.5, abs=0.05)
    # None is for training: all of them.
    assert every.source["read"] == 4 and one.source["read"] == 2
    assert none.code == 2 and "some/set:CONFIG" in none.said and "talk" in none.said
    assert split.code == 2 and "did you mean 'hard'" in split.said


def test_what_is_not_there(hub: Hub, client: Client) -> None:
    hub.store.create("some/empty", private=False, user="ann")
    change(hub, "some/empty", {"README.md": b"# nothing\n"}, "card")
    found, empty = compared(client, "nobody/nothing", "some/empty")
    assert empty.code == 4 and "some/empty holds nothing that can be read as rows" in empty.said
    assert found.code == 4 and "nobody/nothing cannot be fetched from the Hub" in found.said
