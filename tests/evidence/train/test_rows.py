"""Which rows of which release a training reads, here and on the Hub."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from magpie_hub.errors import InvalidData, UsageError
from magpie_hub.evidence.train.presets import Method
from magpie_hub.evidence.train.rows import Data, open_rows
from tests.evidence.train.training_sets import conversations, preferences, release, said
from tests.hub.publishing import publish
from tests.hub.server import Hub
from tests.hub.test_hub import REPO, Client, build

SAMPLES = Path(__file__).parents[1] / "sources" / "samples"
OPEN = """
import json, sys
from pathlib import Path
from magpie_hub.errors import MagpieHubError
from magpie_hub.evidence.train.rows import open_rows
try:
    with open_rows(sys.argv[1], None, "sft", report=lambda line: None) as rows:
        file = rows.write(Path(sys.argv[2]))
    print(json.dumps([rows.data.to_dict(), len(file.read_text().splitlines())]))
except MagpieHubError as error:
    print(json.dumps(str(error)))
"""


def quiet(line: str) -> None:
    pass


def opened(source: str, config: str | None, method: Method) -> Data:
    with open_rows(source, config, method, report=quiet) as rows:
        return rows.data


def test_conversations_and_preferences(tmp_path: Path) -> None:
    place = release(tmp_path / "release", talk=conversations(5), pairs=preferences(3))
    digests = set()
    for source, method, count, keys in (
        (str(place), "sft", 5, ["messages"]),
        (f"{place}:pairs#split=train", "dpo", 3, ["prompt", "chosen", "rejected"]),
    ):
        out = tmp_path / method
        out.mkdir()
        with open_rows(source, None, method, report=quiet) as rows:
            lines = rows.write(out).read_text().splitlines()
        assert len(lines) == rows.data.rows == count
        assert all(list(json.loads(line)) == keys for line in lines)
        assert [each.name for each in out.iterdir()] == ["rows.jsonl"]
        digests.add(rows.data.sha256)
    assert len(digests) == 2


@pytest.mark.parametrize("sample", sorted(SAMPLES.glob("*.json*")), ids=lambda file: file.name)
def test_every_shape_that_is_known_is_trained_on(sample: Path, tmp_path: Path) -> None:
    if sample.stem == "unknown":
        with pytest.raises(UsageError, match="none of the shapes that are known"):
            opened(str(sample), None, "sft")
        return
    with open_rows(str(sample), None, "sft", report=quiet) as rows:
        lines = rows.write(tmp_path).read_text(encoding="utf-8").splitlines()
    found = [json.loads(line)["messages"] for line in lines]
    assert len(found) == rows.data.rows > 0
    for messages in found:
        assert {"user", "assistant"} <= {each["role"] for each in messages}
        assert {each["role"] for each in messages} <= {"system", "user", "assistant"}
        assert all(each["content"].strip() for each in messages)


def test_what_is_no_conversation_is_left_out_and_counted(tmp_path: Path) -> None:
    file = tmp_path / "mixed.jsonl"
    asked, answered = said("user", "Where is Bern?"), said("assistant", "In Switzerland.")
    rows = [
        [asked, answered],
        [asked],
        [asked, said("tool", "{}"), answered],
        [asked, said("assistant", " ")],
    ]
    file.write_text("".join(json.dumps({"messages": each}) + "\n" for each in rows))
    told: list[str] = []
    with open_rows(str(file), None, "sft", report=told.append) as found:
        written = found.write(tmp_path)
    assert [json.loads(line) for line in written.read_text().splitlines()] == [
        {"messages": rows[0]}
    ]
    [line] = told
    assert line.endswith(": 1 rows; 3 without a question and its answer are left out.")
    # Other rows are another training.
    before = found.data.sha256
    file.write_text(file.read_text().replace("Bern", "Rome"))
    assert opened(str(file), None, "sft").sha256 != before
    file.write_text(json.dumps({"messages": rows[1]}) + "\n")
    with pytest.raises(UsageError, match="no conversation with an answer; nothing to train on"):
        opened(str(file), None, "sft")
    with pytest.raises(UsageError, match="holds conversations .* no preferences"):
        opened(str(file), None, "dpo")


def test_preferences_of_other_sets(tmp_path: Path) -> None:
    file = tmp_path / "pairs.jsonl"
    pair = {"prompt": "Where is Bern?", "chosen": "In Switzerland.", "rejected": "In Sweden."}
    file.write_text("".join(json.dumps(row) + "\n" for row in (pair, {**pair, "rejected": " "})))
    told: list[str] = []
    with open_rows(str(file), None, "dpo", report=told.append) as found:
        [line] = found.write(tmp_path).read_text().splitlines()
    assert json.loads(line) == {
        "prompt": [said("user", "Where is Bern?")],
        "chosen": said("assistant", "In Switzerland."),
        "rejected": said("assistant", "In Sweden."),
    }
    [line] = told
    assert line.endswith(": 1 rows; 1 without a question and two unlike answers are left out.")
    file.write_text(json.dumps({**pair, "rejected": " "}))
    with pytest.raises(UsageError, match="no question with a better and a worse answer"):
        opened(str(file), None, "dpo")


def test_what_does_not_fit_is_said(tmp_path: Path) -> None:
    place = release(tmp_path / "release", talk=conversations(5), pairs=preferences(3))
    with pytest.raises(UsageError, match="names the config talk, --config pairs; give one"):
        opened(f"{place}:talk", "pairs", "dpo")
    with pytest.raises(UsageError, match="talk has no split 'test', only train"):
        opened(f"{place}#split=test", None, "sft")
    with pytest.raises(UsageError, match="'name' says nothing about a release"):
        opened(f"{place}#name=x", None, "sft")
    with pytest.raises(UsageError, match="there is no file or folder"):
        opened(str(tmp_path / "nowhere"), None, "sft")
    with open_rows(str(place), None, "sft", report=quiet) as rows:
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
