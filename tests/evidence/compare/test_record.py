"""What a comparison leaves for a card."""

from __future__ import annotations

from pathlib import Path

import pytest

from magpie_hub import cli
from magpie_hub.errors import EngineError, UsageError
from magpie_hub.evidence.compare import Settings, compare
from magpie_hub.evidence.record import read_records
from magpie_hub.evidence.resampling import Interval
from tests.conftest import Silent

SAMPLES = Path(__file__).parents[1] / "sources" / "samples"
SOURCES = (str(SAMPLES / "alpaca.json"), str(SAMPLES / "magpie_1.jsonl"))


def test_a_row_for_each_source(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["compare", *SOURCES, "--rows", "7", "--evidence", str(tmp_path)]) == 0
    capsys.readouterr()
    (record,) = read_records(tmp_path)
    assert record.kind == "compare" and record.ok
    assert record.name == "alpaca.json and magpie_1.jsonl side by side"
    assert "At most 7 rows" in record.summary
    assert record.command == f"magpie-hub compare {' '.join(SOURCES)} --rows 7"
    assert record.table is not None
    columns = {each.name: each for each in record.table.columns}
    assert columns["refusal"].unit == "%" and columns["turns"].unit == ""
    alpaca, magpie = record.table.rows
    assert (alpaca["source"], alpaca["sampled"]) == ("alpaca.json", 3)
    assert isinstance(magpie["reward"], Interval) and "reward" not in alpaca
    # Alpaca has no labels; of a label that Magpie's has, a value that no row has is none of them.
    assert isinstance(magpie["quality good"], Interval) and columns["quality good"].unit == "%"
    shares = {name for name in columns if name.startswith("category ")}
    assert shares and shares <= set(magpie) and not shares & set(alpaca)
    shared = [each for each in columns.values() if each.title.startswith("in alpaca.json: ")]
    assert shared and all(each.name in magpie and each.name not in alpaca for each in shared)
    assert any(note.startswith("alpaca.json: ") and "3 rows read" in note for note in record.notes)
    assert any(note.startswith("no contamination: ") for note in record.notes)


def test_without_the_option_nothing_is_left(tmp_path: Path) -> None:
    compare(SOURCES, Settings(), progress=Silent(), report=lambda line: None)
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_its_sentence_and_a_refusal_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(where: Path, *sources: str) -> None:
        compare(sources, Settings(), progress=Silent(), report=lambda line: None, evidence=where)

    def lost(*given: object, **named: object) -> None:
        raise EngineError("the GPU is out of memory.")

    with pytest.raises(UsageError, match="two sources or more"):
        told(tmp_path, SOURCES[0])
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="--evidence .* is a file"):
        told(tmp_path / "file", *SOURCES)
    monkeypatch.setattr("magpie_hub.evidence.compare.measured", lost)
    with pytest.raises(EngineError):
        told(tmp_path / "new", *SOURCES)
    (failed,) = read_records(tmp_path / "new")
    assert (failed.ok, failed.error) == (False, "the GPU is out of memory.")
    assert failed.name == "alpaca.json and magpie_1.jsonl side by side"
