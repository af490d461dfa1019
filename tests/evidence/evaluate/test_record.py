"""What an evaluation leaves for a card: on the bundled model, and where its engine is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from magpie_hub import models, template
from magpie_hub.engines import Completion, Request
from magpie_hub.errors import EngineError, UsageError
from magpie_hub.evidence import asking
from magpie_hub.evidence.evaluate import Settings, evaluate
from magpie_hub.evidence.record import FILE, Record, read_records
from tests.conftest import Silent
from tests.scripted import Scripted

SAMPLES = Path(__file__).parent / "prompts"
CHAT = "bundled:chat"
SEVEN = template.load(models.resolve(CHAT).path).renderer.ids("7")


def left(name: str, out: Path, **settings: Any) -> Record:
    how = {"max_tokens": 40} | settings
    evaluate(CHAT, str(SAMPLES / name), out, Settings(**how), progress=Silent())
    (record,) = read_records(out)
    return record


def answering(monkeypatch: pytest.MonkeyPatch, *, dies: bool = False) -> None:
    def script(request: Request) -> Completion:
        if dies:
            raise EngineError("the GPU is out of memory.")
        return Completion(request, SEVEN)

    monkeypatch.setattr(asking, "open_engine", lambda *_: Scripted(script))


def test_a_row_for_each_judge_and_one_for_what_needs_none(tmp_path: Path) -> None:
    record = left("arena_hard_1.jsonl", tmp_path, against=CHAT, judge=CHAT, second_judge=CHAT)
    assert record.ok and record.kind == "evaluate"
    assert record.name == "bundled:chat on arena_hard_1.jsonl"
    assert record.summary == (
        "bundled:chat was asked 2 prompts. 2 answers were judged, in both orders, against "
        "bundled:chat."
    )
    assert record.command.endswith("--judge bundled:chat --second-judge bundled:chat --max-tokens "
                                   "40")  # fmt: skip
    assert record.settings["against"] == CHAT and record.settings["decoding"] == "greedy"
    assert record.settings[f"judge {CHAT}"] == record.settings["revision"]
    assert record.versions.keys() >= {"magpie-hub", "torch", "transformers"}
    assert record.table is not None
    columns = {each.name: each for each in record.table.columns}
    assert list(columns)[:2] == ["judge", "win_rate"] and list(columns)[-1] == "length"
    assert columns["win_rate"].unit == "%" and columns["elo"].unit == columns["length"].unit == ""
    one, other, own = record.table.rows
    assert one == other and one["invalid"] == 0 and one["win_rate"].value == 0.5  # type: ignore[union-attr]
    assert own.keys() == {"judge", "length"} and own["judge"] == "no judge"
    assert "win rate: A tie is half a win." in record.notes


def test_without_a_judge_there_is_one_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch)
    record = left("plain.jsonl", tmp_path)
    assert record.summary == "bundled:chat was asked 3 prompts."
    assert record.table is not None and len(record.table.rows) == 1
    assert [each.name for each in record.table.columns] == ["correct", "length"]
    assert record.table.rows[0]["correct"].n == 2  # type: ignore[union-attr]


def test_a_lost_engine_is_shown_as_failed_until_it_is_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering(monkeypatch, dies=True)
    with pytest.raises(EngineError):
        left("plain.jsonl", tmp_path)
    (failed,) = read_records(tmp_path)
    assert (failed.ok, failed.error, failed.table) == (False, "the GPU is out of memory.", None)
    answering(monkeypatch)
    record = left("plain.jsonl", tmp_path)
    assert record.ok and record.error is None
    assert (record.name, record.command) == (failed.name, failed.command)


def test_what_is_refused_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="give --judge"):
        left("arena_hard_1.jsonl", tmp_path)
    assert not list(tmp_path.rglob(FILE))
