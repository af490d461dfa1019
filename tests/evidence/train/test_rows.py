"""Which rows of which release a training reads, here and on the Hub."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from magpie_hub.errors import InvalidData, UsageError
from magpie_hub.evidence.train.rows import open_rows
from tests.evidence.train.training_sets import conversations, preferences, release
from tests.hub.publishing import publish
from tests.hub.server import Hub
from tests.test_hub import REPO, Client, build

OPEN = """
import json, sys
from pathlib import Path
from magpie_hub.errors import MagpieHubError
from magpie_hub.evidence.train.rows import open_rows
try:
    rows = open_rows(sys.argv[1], None, "sft", report=lambda line: None)
    file = rows.write(Path(sys.argv[2]))
    print(json.dumps([rows.data.to_dict(), len(file.read_text().splitlines())]))
except MagpieHubError as error:
    print(json.dumps(str(error)))
"""


def quiet(line: str) -> None:
    pass


def test_conversations_and_preferences(tmp_path: Path) -> None:
    place = release(tmp_path / "release", talk=conversations(5), pairs=preferences(3))
    talk = open_rows(str(place), None, "sft", report=quiet)
    pairs = open_rows(f"{place}:pairs#split=train", None, "dpo", report=quiet)
    assert (talk.data.rows, pairs.data.rows) == (5, 3)
    assert talk.data.sha256 != pairs.data.sha256
    for rows, keys in ((talk, ["messages"]), (pairs, ["prompt", "chosen", "rejected"])):
        out = tmp_path / rows.method
        out.mkdir()
        lines = rows.write(out).read_text().splitlines()
        assert len(lines) == rows.data.rows
        assert all(list(json.loads(line)) == keys for line in lines)
        assert [each.name for each in out.iterdir()] == ["rows.jsonl"]


def test_what_does_not_fit_is_said(tmp_path: Path) -> None:
    place = release(tmp_path / "release", talk=conversations(5), pairs=preferences(3))
    with pytest.raises(UsageError, match="names the config talk, --config pairs; give one"):
        open_rows(f"{place}:talk", "pairs", "dpo", report=quiet)
    with pytest.raises(UsageError, match="talk has no split 'test', only train"):
        open_rows(f"{place}#split=test", None, "sft", report=quiet)
    with pytest.raises(UsageError, match="'name' says nothing about a release"):
        open_rows(f"{place}#name=x", None, "sft", report=quiet)
    with pytest.raises(UsageError, match="is not a release"):
        open_rows(str(tmp_path), None, "sft", report=quiet)
    rows = open_rows(str(place), None, "sft", report=quiet)
    file = place / "data" / "talk" / "train-00000-of-00001.parquet"
    file.write_bytes(file.read_bytes() + b" ")
    with pytest.raises(InvalidData, match="is not what the manifest describes"):
        rows.write(tmp_path)
    assert not (tmp_path / "rows.jsonl").exists()


def test_a_release_on_the_hub(hub: Hub, tmp_path: Path) -> None:
    publish(hub, build(tmp_path / "1.0.0", shards=(30, 10)), REPO)
    client = Client(hub, tmp_path)
    (tmp_path / "out").mkdir()
    ran = client.run(OPEN, f"{REPO}@v1.0.0:filtered", str(tmp_path / "out"), token=None)
    data, lines = json.loads(ran.out)
    assert data["version"] == "1.0.0" and data["config"] == "filtered"
    assert data["rows"] == lines == 20
    ran = client.run(OPEN, f"{REPO}@v3.0.0", str(tmp_path / "out"), token=None)
    assert "has no version 3.0.0; there are: 1.0.0" in json.loads(ran.out)
