"""Rows that were taken down stay down."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from magpie_hub import plots
from magpie_hub.builder import build, load_builder
from magpie_hub.errors import InvalidData
from magpie_hub.release import Release, withdrawn
from magpie_hub.release.withdrawn import (
    FILE,
    Withdrawal,
    beside,
    ids,
    named,
    parse,
    read,
    refuse,
)
from tests.builders.pool import HandPool

DOWN = {n: Withdrawal(n, "a phone number, ü", "1.1.0") for n in ("handmade-000000", "x-1")}


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures take their time."""
    monkeypatch.setattr(plots, "missing", lambda: True)


def made(out: Path, version: str = "1.0.0", kind: str = "sft") -> tuple[Release, list[str]]:
    said: list[str] = []
    return build(HandPool(), version, out / version, kind=kind, report=said.append), said


def test_a_file_is_read_as_it_was_written() -> None:
    assert parse(withdrawn.text(DOWN), "x") == DOWN
    assert parse(withdrawn.text(DOWN).encode(), "x") == DOWN
    for bad in ('{"id": "a"}', "[1]", "a", '{"id": "a", "reason": "", "version": "1", "x": 1}'):
        with pytest.raises(InvalidData, match=f"line 2 of {FILE} is damaged"):
            parse(withdrawn.text({"x-1": DOWN["x-1"]}) + bad, "org/x")
    with pytest.raises(InvalidData, match="is damaged"):
        parse(b"\xff", "org/x")


def test_names_are_few() -> None:
    assert named({"b", "a"}) == "a, b"
    assert named([f"n{number:04}" for number in range(1200)]).endswith("n0004 and 1,195 more")


def test_a_build_leaves_out_what_a_release_beside_it_withdrew(tmp_path: Path) -> None:
    first, said = made(tmp_path)
    assert read(first) == {} and not (first.path / FILE).exists()
    assert not any("withdrawn" in line for line in said)
    (first.path / FILE).write_text(withdrawn.text(DOWN), encoding="utf-8")

    second, said = made(tmp_path, "1.1.0")
    assert "left out, as they were withdrawn: 1 rows" in said
    assert ids(first) - ids(second) == {"handmade-000000"}
    assert read(second) == DOWN and FILE in second.manifest.files
    assert second.manifest.rejected["withdrawn"] == 1
    filtered = second.manifest.configs["filtered"]
    assert filtered.funnel[0].before == 23
    assert (second.path / "README.md").read_text().count("withdrawn") == 1

    # Also once the release that withdrew them is gone, and for another kind of the same rows.
    (first.path / FILE).unlink()
    assert beside(tmp_path) == DOWN
    third, _ = made(tmp_path, "1.2.0")
    assert ids(third) == ids(second) and read(third) == DOWN
    there = load_builder("sft", HandPool(), "all", cache_dir=str(tmp_path / "cache"))
    assert there.pool.provenance().rejected == HandPool().provenance().rejected


def test_withdrawn_rows_are_not_pushed_again(tmp_path: Path) -> None:
    release, _ = made(tmp_path)
    refuse(release, b"", "org/x")
    refuse(release, withdrawn.text({"x-1": DOWN["x-1"]}).encode(), "org/x")
    with pytest.raises(InvalidData) as caught:
        refuse(release, withdrawn.text(DOWN).encode(), "org/x")
    assert "holds 1 rows that org/x has withdrawn (handmade-000000); build" in str(caught.value)
    assert "v1.1.0" in str(caught.value)

    forgets = [json.dumps({"id": "x-2", "reason": "r", "version": "1.0.0"})]
    (release.path / FILE).write_text("\n".join(forgets))
    with pytest.raises(InvalidData, match=r"lacks 1 ids that org/x has withdrawn \(x-1\)"):
        refuse(release, withdrawn.text({"x-1": DOWN["x-1"]}).encode(), "org/x")
