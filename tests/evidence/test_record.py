"""Records as files: what is written is read, and what is no record is refused with its place."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from magpie_hub.errors import EngineError, InvalidData, StorageError, UsageError
from magpie_hub.evidence import record
from magpie_hub.evidence.record import (
    FILE,
    Column,
    Record,
    Table,
    collected,
    failing,
    of_release,
    read_records,
    write_records,
)
from magpie_hub.evidence.resampling import Interval

RECORDS = Path(__file__).parent / "records"
"""Of runs on the bundled model: two that ended well, and one whose engine was not there."""


def made(**more: Any) -> Record:
    given: dict[str, Any] = {
        "kind": "evaluate",
        "name": "a model on 3 prompts",
        "command": "magpie-hub evaluate MODEL --prompts FILE",
        "created": record.now(),
        "versions": record.versions("numpy", "no-such-package"),
        "machine": record.machine(),
        "settings": {"seed": 0, "lora": False, "rate": 2e-05, "names": ["a", 1], "none": None},
        "ok": True,
    }
    return Record.model_validate(given | more)


def table(*cells: Any) -> Table:
    return Table(columns=(Column(name="x", title="X"),), rows=tuple({"x": cell} for cell in cells))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    every = made(table=table(Interval(0.5, 0.25, 0.75, 9), 3, 2.0, "words", None))
    failed = made(kind="train", ok=False, error="the memory does not do.", notes=("one", "two"))
    file = write_records(tmp_path / "new", [every, failed])
    assert file == tmp_path / "new" / FILE and [file] == list((tmp_path / "new").iterdir())
    again = read_records(tmp_path / "new")
    assert again == read_records(file) == of_release(tmp_path / "new") == (every, failed)
    # A whole number stays one, and a truth is none.
    assert [type(row["x"]) for row in again[0].table.rows if again[0].table][1:3] == [int, float]
    assert again[0].settings["lora"] is False and again[0].settings["seed"] == 0
    before = file.read_bytes()
    assert write_records(tmp_path / "new", again).read_bytes() == before


def test_a_folder_of_folders_is_read_in_one_order_each_record_once(tmp_path: Path) -> None:
    shutil.copytree(RECORDS, tmp_path / "ev")
    found = read_records(tmp_path / "ev")
    assert [each.kind for each in found] == ["evaluate", "evaluate", "compare"]
    assert [each.ok for each in found] == [False, True, True]
    write_records(tmp_path / "ev", [made(kind="train"), made(kind="experiment"), found[1]])
    again = read_records(tmp_path / "ev")
    assert [each.kind for each in again] == [
        "experiment", "evaluate", "evaluate", "compare", "train"
    ]  # fmt: skip
    assert collected([tmp_path / "ev", RECORDS]) == again
    assert collected([]) == () == of_release(tmp_path)


def test_nothing_is_no_evidence(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "absent"):
        with pytest.raises(UsageError, match=f"{place} holds no evidence"):
            read_records(place)
    write_records(tmp_path, [])
    with pytest.raises(UsageError, match="holds no evidence"):
        read_records(tmp_path)


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("ok", False, "`error` is there exactly where `ok` is false"),
        ("error", "but it is ok", "`error` is there exactly where `ok` is false"),
        ("created", "2026-01-31", "a time in UTC"),
        ("created", "2026-01-31T12:00:00+02:00", "a time in UTC"),
        ("kind", "guess", "experiment"),
        ("more", 1, "Extra inputs"),
        ("settings", {"deep": {"er": 1}}, "settings.deep"),
        ("table", {"columns": [], "rows": []}, "table.columns"),
    ],
)
def test_what_is_no_record_is_refused(tmp_path: Path, key: str, value: object, says: str) -> None:
    document = {"format": 1, "records": [made().model_dump(mode="json") | {key: value}]}
    (tmp_path / FILE).write_text(json.dumps(document))
    with pytest.raises(InvalidData, match=says) as caught:
        read_records(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / FILE} is no file of evidence, at records.0")


@pytest.mark.parametrize(
    "text", ["", "[]", '{"format": 2, "records": []}', '{"format": 1}', "{", '{"records": []}']
)
def test_what_is_no_file_of_records_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(InvalidData, match=f"{FILE} is no file of evidence"):
        read_records(tmp_path)


@pytest.mark.parametrize(
    "cell",
    [True, float("nan"), float("inf"), Interval(1.0, 2.0, 3.0, 4), Interval(1, 0, float("inf"), 4)],
)
def test_a_cell_is_text_a_number_or_an_interval(cell: object) -> None:
    with pytest.raises(ValueError):
        table(cell)


def test_rows_fit_their_columns() -> None:
    column = Column(name="x", title="X")
    with pytest.raises(ValueError, match="no column for 'y'"):
        Table(columns=(column,), rows=({"y": 1},))
    with pytest.raises(ValueError, match="the same name"):
        Table(columns=(column, column), rows=())


def test_too_much_is_refused(tmp_path: Path) -> None:
    half = "x" * (record.MOST_BYTES * 2 // 3)
    for name in ("one", "two"):
        write_records(tmp_path / name, [made(name=name, summary=half)])
    with pytest.raises(InvalidData, match="give less of it"):
        collected([tmp_path])
    write_records(tmp_path / "one", [made(summary=half + half)])
    with pytest.raises(InvalidData, match="larger than"):
        read_records(tmp_path / "one")


def test_a_failure_leaves_its_sentence_and_a_refusal_nothing(tmp_path: Path) -> None:
    def fails(error: str) -> Record:
        return made(ok=False, error=error)

    with pytest.raises(UsageError), failing(tmp_path, fails):
        raise UsageError("that is no model.")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(EngineError), failing(tmp_path, fails):
        raise EngineError("out of memory.")
    assert [each.error for each in read_records(tmp_path)] == ["out of memory."]
    with failing(tmp_path, fails):
        write_records(tmp_path, [made()])
    assert [each.error for each in read_records(tmp_path)] == [None]
    # A disk that takes no record either: the first error is told.
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="no space"), failing(tmp_path / "file", fails):
        raise StorageError("there is no space.")


def test_nobody_is_named_by_the_machine() -> None:
    import platform

    assert "CPU core" in record.machine() and platform.node() not in record.machine()
