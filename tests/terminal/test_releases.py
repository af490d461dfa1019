"""Releases as a person sees them, and the same numbers as JSON."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from magpie_hub.builder import build
from magpie_hub.changes import diff
from magpie_hub.cli import main
from magpie_hub.hub import PushResult
from magpie_hub.hub.verification import Fault, Verification
from magpie_hub.hub.versions import Released
from magpie_hub.release import Release
from magpie_hub.run import Run
from magpie_hub.terminal import releases as terminal
from tests.builders.pool import HandPool, Spec, row
from tests.terminal.shown import shown, untold

PUSHED = PushResult(
    repo_id="org/magpie-demo", url="https://hub/datasets/org/magpie-demo/tree/v1.0.0",
    version="1.0.0", tag="v1.0.0", commit="0123456789abcdef", uploaded_files=12,
    uploaded_bytes=123_456_789, already=False, dry_run=False,
)  # fmt: skip
VERIFIED = Verification(
    repo_id="org/magpie-demo", endpoint="https://hub", version="1.0.0", commit="0123456789abcdef",
    files=23, bytes=4_567_890, unnamed=(".gitattributes", "notes\x1b[2J.txt"), card_edited=True,
    rows={"all": {"train": 4000, "test": 321}, "filtered": {"train": 1999}}, ids=30, faults=(),
    remarks=("Your cache of `datasets` holds all of v1.1.0.",),
)  # fmt: skip
LISTED = [
    Released(version="1.0.0", commit="0123456789", date="2026-11-21T10:00:00+00:00", rows=None),
    Released(version="1.10.0", commit="abcdef0123", date="2026-11-22T10:00:00+00:00",
             rows={"all": 3_000_000, "filtered-300k": 300_000, "math": 41_000}),
]  # fmt: skip


def replaced(of: Any, **fields: object) -> Any:
    return type(of)(**{**of.__dict__, **fields})


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Release, Release]:
    top = tmp_path_factory.mktemp("two")
    wide = Spec("quality >= 'average' AND reward > 0 AND finish_reason = 'stop' AND seed >= 0")
    pools = HandPool(), HandPool(rows=[row(i) for i in range(40)], specs={"filtered": wide})
    old, new = (
        build(pool, version, top / version, kind="sft", report=lambda line: None)
        for pool, version in zip(pools, ("1.0.0", "1.1.0"), strict=True)
    )
    return old, new


@pytest.mark.parametrize("width", [60, 80, 200])
def test_all_of_them_fit(two: tuple[Release, Release], width: int) -> None:
    changes = diff(*two)
    shows: list[tuple[Callable[[Console], None], object]] = [
        (lambda to: terminal.show_releases(to, "org/x", LISTED), [e.to_dict() for e in LISTED]),
        (lambda to: terminal.show_verification(to, VERIFIED), VERIFIED.to_dict()),
        (lambda to: terminal.show_changes(to, changes), changes.model_dump(mode="json")),
    ]
    for show, document in shows:
        text = shown(show, width)
        assert max(map(cell_len, text.splitlines())) <= min(width, 100)
        if document != VERIFIED.to_dict():  # it adds the splits of a config up
            assert untold(text, document) == []
        assert "\x1b" not in text
    assert "all 4,321, filtered 1,999 loaded afresh" in " ".join(shown(shows[1][0], width).split())


def test_releases_newest_first() -> None:
    lines = shown(lambda to: terminal.show_releases(to, "org/x", LISTED), 80).splitlines()
    assert lines[0] == "org/x" and lines[3].split()[:3] == ["1.10.0", "2026-11-22", "abcdef01"]
    assert "all 3,000,000, filtered-300k 300,000" in lines[3]
    assert "cannot be read by this version" in " ".join(lines[4:])


@pytest.mark.parametrize(
    ("fields", "lines"),
    [
        ({}, ["released   org/magpie-demo v1.0.0: 12 files, 123.5 MB uploaded",
              "commit     01234567, tag v1.0.0",
              "its place  https://hub/datasets/org/magpie-demo/tree/v1.0.0",
              "check it   magpie-hub verify org/magpie-demo --version 1.0.0"]),
        ({"already": True}, [
            "released   org/magpie-demo v1.0.0: was there already, as it is here"]),
        ({"dry_run": True}, ["dry run    org/magpie-demo v1.0.0: to upload: 12 files, 123.5 MB; "
                             "nothing was changed"]),
        ({"dry_run": True, "already": True}, [
            "dry run    org/magpie-demo v1.0.0: there already, as it is here; "
            "nothing was changed"]),
        ({"tag": None}, ["pull request  org/magpie-demo v1.0.0: 12 files, 123.5 MB uploaded; "
                         "merge it, and push again for the tag"]),
    ],
)  # fmt: skip
def test_a_push_says_what_is_there_and_what_to_do(
    fields: dict[str, object], lines: list[str]
) -> None:
    result = replaced(PUSHED, **fields)
    text = shown(lambda to: terminal.show_push(to, result), 60)
    assert text.splitlines()[: len(lines)] == lines
    assert untold(text, result.to_dict()) == []


def test_a_verification_says_each_step() -> None:
    text = shown(lambda to: terminal.show_verification(to, VERIFIED), 80)
    assert text.splitlines() == [
        "files  23 that the manifest names, 4.6 MB: all agree",
        "card   README.md and the manifest agree; the card carries edits by people",
        "       outside our part",
        "load   all 4,321, filtered 1,999 loaded afresh, 30 ids compared",
        "note: Your cache of `datasets` holds all of v1.1.0.",
        r"note: files that are not of the release: notes\x1b[2J.txt",
        "org/magpie-demo v1.0.0 is what was released.",
    ]
    faults = (Fault("card", "One."), Fault("load", "Two."), Fault("load", "Three."))
    wrong = replaced(VERIFIED, faults=faults, rows={}, ids=0, card_edited=False)
    text = shown(lambda to: terminal.show_verification(to, wrong), 80)
    assert "card   README.md and the manifest differ" in text
    assert "load   no config loaded afresh, 0 ids compared: not what was released" in text
    assert "One." not in text and "also (load): Two.\nalso (load): Three." in text
    assert "is what was released" not in text


def test_a_build_and_its_json_tell_the_same(
    small_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("COLUMNS", "80")
    run = shutil.copytree(small_run.path, tmp_path / "run")
    assert main(["build", str(run), "--version", "1.0.0", "--json"]) == 0
    out, err = capsys.readouterr()
    document = json.loads(out)
    table = err[err.index("small 1.0.0:") :]
    assert untold(table, document) == [] and str(document["files"]) in table
    assert "config              rows  filter" in table
    assert document["configs"].keys() == {"filtered", "all"}
    page = (Path(__file__).parents[2] / "docs" / "output.md").read_text(encoding="utf-8")
    row = next(line for line in page.splitlines() if line.startswith("| `build` |"))
    assert re.findall(r"`(\w+)`", row)[1:] == list(document)
