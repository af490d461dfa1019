"""The section of a card that shows what was measured with the data, and how it gets there."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from magpie_hub import changes, models, plots
from magpie_hub.builder import build
from magpie_hub.building.reduced import loss, reduce
from magpie_hub.card import evidence
from magpie_hub.cli import main
from magpie_hub.errors import InvalidData, UsageError
from magpie_hub.evidence.record import (
    FILE,
    Column,
    Record,
    Table,
    of_release,
    read_records,
    write_records,
)
from magpie_hub.evidence.resampling import Interval
from magpie_hub.release import Release
from magpie_hub.release.checks import release_checks
from magpie_hub.release.withdrawn import Withdrawal
from magpie_hub.run import Run
from magpie_hub.verbs.running import demo_release, measured
from tests.builders.pool import HandPool

RECORDS = Path(__file__).parents[1] / "evidence" / "records"


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures take their time."""
    monkeypatch.setattr(plots, "missing", lambda: True)


def built(out: Path, *places: Path, told: list[str] | None = None) -> Release:
    say = (told if told is not None else []).append
    return build(HandPool(), out.name, out, kind="sft", report=say, evidence=places)


def section(release: Release) -> str:
    """None: empty."""
    text = (release.path / "README.md").read_text(encoding="utf-8")
    found = re.search(r"^## Evidence$.*?(?=^## )", text, re.M | re.S)
    return found.group() if found else ""


def made(**more: Any) -> Record:
    (record, *_) = read_records(RECORDS / "plain")
    return Record.model_validate(record.model_dump() | more)


def shown(columns: tuple[Column, ...], *rows: dict[str, Any]) -> evidence.Shown:
    (finding,) = evidence.findings([made(table=Table(columns=columns, rows=rows))])
    assert finding.table is not None
    return finding.table


def test_what_was_measured_stands_on_the_card(tmp_path: Path) -> None:
    told: list[str] = []
    release = built(tmp_path / "1.0.0", RECORDS, told=told)
    assert "evidence on the card: 3, 1 of runs that failed" in told
    text = section(release)
    records = of_release(release.path)
    assert records == read_records(RECORDS) and len(records) == 3
    assert re.findall(r"^### (.*)$", text, re.M) == [
        "bundled:chat on plain.jsonl (failed)",
        "bundled:chat on plain.jsonl",
        r"magpie\_1.jsonl and alpaca.json side by side",
    ]
    assert "**This run failed**: no server answers at http:" in text
    for record in records:
        assert f"```bash\n{record.command}\n```" in text
        assert f"of {record.created[:10]}, on Linux x86\\_64, 2 CPU cores" in text
    assert "| correct, by value and tests | answer, characters |\n|---:|---:|\n" in text
    assert "| 100.0\u00a0% | 25.7\u00a0[9.0,\u00a045.0] |" in text
    assert "| source | magpie\\_1.jsonl | alpaca.json |\n|---|---:|---:|\n| rows sampled |" in text
    assert "max\\_tokens `40`" in text
    assert FILE in release.manifest.files and release_checks(release) == []
    headings = re.findall(r"^## (.+)$", (release.path / "README.md").read_text(), re.M)
    assert headings.index("Evidence") == headings.index("Statistics") + 1


def test_the_same_evidence_gives_the_same_section_and_none_gives_none(tmp_path: Path) -> None:
    one, two = (built(tmp_path / name / "1.0.0", RECORDS) for name in ("one", "two"))
    assert section(one) == section(two) != ""
    assert one.manifest.files[FILE] == two.manifest.files[FILE]
    # A release is evidence too, and what is given twice is shown once.
    again = built(tmp_path / "three" / "1.0.0", one.path, RECORDS / "plain")
    assert section(again) == section(one)
    without = built(tmp_path / "one" / "1.0.1")
    assert section(without) == "" and FILE not in without.manifest.files
    assert not (without.path / FILE).exists()


def test_a_diff_says_that_it_is_another(tmp_path: Path) -> None:
    old, new = built(tmp_path / "1.0.0"), built(tmp_path / "1.0.1", RECORDS / "plain")
    found = changes.diff(old, new)
    assert [each.text for each in found.statements] == ["the evidence on the card is new"]
    assert found.suggested == "1.0.1"
    assert new.manifest.since and new.manifest.since.changes == ("the evidence on the card is new",)
    other = built(tmp_path / "1.0.2", RECORDS / "failed")
    assert changes.diff(new, other).reasons == ("the evidence on the card is another",)
    assert changes.diff(new, old).reasons == ("the evidence on the card is gone",)
    assert changes.diff(other, built(tmp_path / "1.0.3", RECORDS / "failed")).evidence is None


def test_rows_may_go_and_the_evidence_stays(tmp_path: Path) -> None:
    old = built(tmp_path / "1.0.0", RECORDS)
    gone = ("handmade-000005",)
    new = reduce(
        old,
        loss(old, gone),
        {each: Withdrawal(each, "asked for", "1.1.0") for each in gone},
        "1.1.0",
        tmp_path / "1.1.0",
        releases=tmp_path,
        report=lambda _: None,
    )
    assert section(new) == section(old) != ""
    assert new.manifest.files[FILE] == old.manifest.files[FILE] and release_checks(new) == []


def test_what_is_no_evidence_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no evidence"):
        built(tmp_path / "1.0.0", RECORDS, tmp_path)
    broken = tmp_path / "broken"
    shutil.copytree(RECORDS / "plain", broken)
    document = json.loads((broken / FILE).read_text())
    document["records"][0]["kind"] = "guess"
    (broken / FILE).write_text(json.dumps(document))
    with pytest.raises(InvalidData, match="at records.0.kind"):
        built(tmp_path / "1.0.0", broken)
    assert [each.name for each in tmp_path.iterdir()] == ["broken"]


def test_numbers_are_as_exact_as_their_column() -> None:
    columns = (
        Column(name="a", title="share", unit="%", digits=1),
        Column(name="b", title="time", unit="s", digits=3),
        Column(name="c", title="count"),
        Column(name="d", title="who"),
    )
    table = shown(
        columns,
        {"a": Interval(0.5, 0.25, 1.0, 4), "b": 1234.5678, "c": 1234, "d": "x|y"},
        {"a": 1, "b": Interval(-0.0001, -0.0001, -0.0001, 4), "c": 1.5, "d": None},
    )
    assert table.head == ("share", "time, s", "count", "who")
    assert table.numbers == (True, True, True, False) and table.more == 0
    assert [tuple(cell.replace("\u00a0", " ") for cell in row) for row in table.rows] == [
        ("50.0 % [25.0, 100.0]", "1,234.568", "1,234", r"x\|y"),
        ("100.0 %", "0.000", "1.50", "–"),
    ]


def test_a_wide_table_is_turned_and_a_long_one_cut() -> None:
    wide = tuple(Column(name=f"c{n}", title=f"T{n}") for n in range(8))
    table = shown(wide, {"c0": "first", "c1": 1}, {"c0": "second", "c7": 2})
    assert table.head == ("T0", "first", "second") and table.numbers == (False, True, True)
    assert table.rows[0] == ("T1", "1", "–") and table.rows[-1] == ("T7", "–", "2")
    # Without names of its own each row has its number.
    assert shown(wide, {"c0": 1}).head == ("", "1")
    assert shown(wide, *({"c0": n} for n in range(9))).head == tuple(f"T{n}" for n in range(8))
    table = shown((Column(name="x", title="X"),), *({"x": n} for n in range(60)))
    assert (len(table.rows), table.more) == (evidence.SHOWN_ROWS, 60 - evidence.SHOWN_ROWS)


def test_much_is_cut_on_the_card_alone(tmp_path: Path) -> None:
    many = [made(name=f"run {n}", summary="long " * 400) for n in range(23)]
    rows = tuple({"x": n} for n in range(60))
    many[0] = made(name="run 0", table=Table(columns=(Column(name="x", title="X"),), rows=rows))
    write_records(tmp_path, many)
    release = built(tmp_path / "1.0.0", tmp_path)
    text = section(release)
    assert len(re.findall(r"^### run \d+$", text, re.M)) == evidence.SHOWN_RECORDS
    assert "3 more stand in `evidence.json`." in text and "10 more rows stand" in text
    assert "long " * 199 in text and "long " * 201 not in text
    assert len(of_release(release.path)) == 23


def test_a_digest_is_shown_by_its_first_digits() -> None:
    (finding,) = evidence.findings(
        [made(settings={"a": "sha256:" + "ab" * 32, "b": "cd" * 20, "c": [1, None, True], "d": None,
                        "e": "fe" * 9})]
    )  # fmt: skip
    assert finding.settings == (
        ("a", "`abababababab`"), ("b", "`cdcdcdcdcdcd`"), ("c", "`1, None, true`"),
        ("e", "`fefefefefefefefefe`"),
    )  # fmt: skip


def test_by_the_command(small_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = shutil.copytree(small_run.path, tmp_path / "run")
    given = ["--evidence", str(RECORDS / "failed"), "--evidence", str(RECORDS / "compare")]
    assert main(["build", str(run), "--version", "1.0.0", *given, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["evidence"] == 2
    assert len(re.findall("^### ", section(Release.open(told["release"])), re.M)) == 2
    assert main(["build", str(run), "--version", "1.0.1", "--evidence", str(run)]) == 2
    assert "holds no evidence" in capsys.readouterr().err
    assert [each.name for each in (run / "releases").iterdir()] == ["1.0.0"]


def test_the_demo_has_what_was_measured_once(
    small_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run.open(shutil.copytree(small_run.path, tmp_path / "run"))
    monkeypatch.setattr(models, "MEASURED", tmp_path / "absent")
    bare = demo_release(run)
    assert section(bare) == ""
    shutil.rmtree(bare.path)
    monkeypatch.setattr(models, "MEASURED", RECORDS / "plain")
    text = section(demo_release(run))
    (record,) = read_records(RECORDS / "plain")
    assert "each once, on the day and with the versions\nthat are named, and not while" in text
    assert f"magpie-hub {record.versions['magpie-hub']}" in text and record.created[:10] in text
    another = run.recipe.model_copy(update={"model": "org/another"})
    assert measured(run.recipe) == [RECORDS / "plain"] and measured(another) == []
