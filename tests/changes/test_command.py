"""``magpie-hub diff`` as a person and a program meet it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from magpie_hub.builder import build
from magpie_hub.changes import Changes, diff
from magpie_hub.cli import main
from magpie_hub.release import MANIFEST, Release
from tests.builders.pool import HandPool, Spec, row


@pytest.fixture
def two(tmp_path: Path) -> tuple[Release, Release]:
    wide = Spec("quality >= 'average' AND reward > 0 AND finish_reason = 'stop' AND seed >= 0")
    rows = [row(i) for i in range(40)]
    rows[3]["quality"] = "good"
    pools = HandPool(), HandPool(rows=rows, specs={"filtered": wide}, license="mit")
    old, new = (
        build(pool, "1.0.0", tmp_path / name / "1.0.0", kind="sft", report=lambda line: None)
        for pool, name in zip(pools, ("old", "new"), strict=True)
    )
    return old, new


def test_it_reads_well_at_eighty_columns(
    two: tuple[Release, Release],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    old, new = two
    assert main(["diff", str(old.path), str(new.path)]) == 0
    out, err = capsys.readouterr()
    assert out == "" and max(map(len, err.splitlines())) <= 80
    topics = [line.split()[0] for line in err.splitlines()[1:] if not line.startswith(" ")]
    assert topics == ["rows", "filters", "licence", "labels", "files", "version"]
    shown = " ".join(err.split())
    for statement in diff(old, new).statements:
        assert statement.text in shown
    assert "version 1.1.0 or higher: a minor step" in shown


def test_json_is_the_whole_result_and_nothing_else(
    two: tuple[Release, Release], capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = two
    assert main(["diff", str(old.path), str(new.path), "--json"]) == 0
    assert Changes.model_validate_json(capsys.readouterr().out) == diff(old, new)


def test_the_same_release_says_so(
    two: tuple[Release, Release], capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(two[0].path)
    assert main(["diff", path, path, "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["level"] is None and json.loads(out)["suggested"] is None
    assert "the two releases are the same, file by file" in err
    assert "version" not in err and "None" not in err


def test_the_same_data_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for version in ("1.0.0", "1.0.1"):
        build(HandPool(), version, tmp_path / version, kind="sft", report=lambda line: None)
    assert main(["diff", str(tmp_path / "1.0.0"), str(tmp_path / "1.0.1")]) == 0
    err = " ".join(capsys.readouterr().err.split())
    assert "the data is the same; only words about it differ" in err
    assert "version 1.0.1 or higher: a patch step" in err


def test_a_hostile_release_is_shown_as_it_is(
    two: tuple[Release, Release], capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = two
    hostile = "[bold red]x[/bold red] \x1b]0;owned\x07 \x1b[2J \u202egnp.exe"
    document = json.loads((new.path / MANIFEST).read_text())
    document["license"] = hostile
    document["configs"][hostile] = document["configs"].pop("filtered")
    (new.path / MANIFEST).write_text(json.dumps(document))
    assert main(["diff", str(old.path), str(new.path)]) == 0
    err = capsys.readouterr().err
    shown = " ".join(err.split())
    assert r"[bold red]x[/bold red] \x1b]0;owned\x07 \x1b[2J \u202egnp.exe" in shown
    assert not set(err) & set("\x1b\x07\u202e")


def test_what_cannot_be_compared_is_said_in_a_sentence(
    two: tuple[Release, Release], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = two
    assert main(["diff", str(old.path), str(tmp_path)]) == 2
    assert "is not a release: it has no manifest.json" in capsys.readouterr().err
    file = new.path / "data" / "all" / "train-00000-of-00001.parquet"
    file.write_bytes(b"PAR1")
    assert main(["diff", str(old.path), str(new.path), "--json"]) == 3
    out, err = capsys.readouterr()
    assert out == "" and f"{file} cannot be read" in err and "Traceback" not in err
