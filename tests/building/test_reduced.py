"""A release again, without some of its rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import pyarrow.parquet as pq
import pytest

from magpie_hub import changes, plots, schema
from magpie_hub.builder import build
from magpie_hub.building import parquet
from magpie_hub.building.reduced import loss, reduce
from magpie_hub.errors import InvalidData
from magpie_hub.hub.front_matter import card_faults
from magpie_hub.release import Release, numbers, withdrawn
from magpie_hub.release.checks import release_checks
from magpie_hub.release.withdrawn import Withdrawal, ids
from tests.builders.pool import COLUMNS, HandPool, Spec, row

GONE = ("handmade-000005", "handmade-000030")


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures take their time."""
    monkeypatch.setattr(plots, "missing", lambda: True)


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Release:
    """Of several files a split, as a large one is."""
    monkeypatch.setattr(parquet, "GROUP_BYTES", 3000)
    monkeypatch.setattr(parquet, "FILE_BYTES", 3000)
    return made(tmp_path / "1.0.0", [row(i) for i in range(64)])


def made(out: Path, every: list[dict[str, Any]]) -> Release:
    specs = {"filtered": HandPool().specs["filtered"], "sided": Spec(splits={"test": 0.3})}
    return build(HandPool(every, specs), out.name, out, kind="sft", report=lambda _: None)


def without(old: Release, *gone: str, version: str = "1.1.0") -> Release:
    withdrawals = {each: Withdrawal(each, "asked <b>for</b>", version) for each in gone}
    new = reduce(
        old,
        loss(old, gone),
        withdrawals,
        version,
        old.path.with_name(version),
        releases=old.path.parent,
        report=lambda _: None,
    )
    assert release_checks(new) == []
    card = (new.path / "README.md").read_text()
    assert list(card_faults(card, new.manifest, list(new.manifest.files))) == []
    return new


def rows(release: Release, config: str) -> dict[str, list[dict[str, object]]]:
    entry = release.manifest.configs[config]
    return {
        split: [r for f in part.files for r in pq.read_table(release.path / f).to_pylist()]
        for split, part in entry.splits.items()
    }


def test_all_rows_but_those_stay_where_they_were(old: Release) -> None:
    new = without(old, *GONE)
    assert [*new.manifest.configs] == ["filtered", "sided", "all"]
    for config in old.manifest.configs:
        wanted = {
            split: [each for each in there if each["id"] not in GONE]
            for split, there in rows(old, config).items()
        }
        assert rows(new, config) == wanted
    assert not ids(new) & {*GONE}


def test_files_that_lose_nothing_are_the_same_bytes(old: Release) -> None:
    new = without(old, *GONE)
    before, after = (
        {entry.sha256 for name, entry in release.manifest.files.items() if name[:5] == "data/"}
        for release in (old, new)
    )
    anew = len(loss(old, GONE).files)
    assert len(after - before) == anew and len(after & before) == len(before) - anew > 1
    assert new.manifest.files["recipe.yaml"] == old.manifest.files["recipe.yaml"]


def test_what_is_said_of_it_is_true(old: Release) -> None:
    new = without(old, *GONE)
    lost = loss(old, [*GONE, "nobody"])
    assert lost.ids == {*GONE} and lost.rows == {"filtered": 1, "sided": 2, "all": 2}
    for name, entry in new.manifest.configs.items():
        was = old.manifest.configs[name]
        assert entry.rows == was.rows - lost.rows[name]
        last = entry.funnel[-1]
        assert (last.clause, last.before, last.kept) == ("withdrawn in 1.1.0", was.rows, entry.rows)
    assert new.manifest.rejected == old.manifest.rejected | {"withdrawn": 2}
    found = changes.diff(old, new)
    assert found.suggested == "1.1.0" and found.rows["all"].removed == 2
    said = new.manifest.since
    assert said is not None and said.version == "1.0.0"
    assert said.changes[0] == "withdrawn, 2 rows: asked <b>for</b>"
    log = (new.path / "CHANGELOG.md").read_text()
    assert "withdrawn, 2 rows: asked &lt;b>for" in log and "## 1.0.0" in log
    assert "withdrawn, 2 rows" in (new.path / "README.md").read_text()
    loaded = datasets.load_dataset(str(new.path), "sided", cache_dir=str(old.path.parent / "cache"))
    assert {name: len(split) for name, split in loaded.items()} == {
        name: split.rows for name, split in new.manifest.configs["sided"].splits.items()
    }


def test_bytes_in_memory_are_those_of_a_build_without_the_rows(
    old: Release, tmp_path: Path
) -> None:
    new = without(old, *GONE)
    every = [each for each in map(row, range(64)) if each["id"] not in GONE]
    built = made(tmp_path / "x" / "1.1.0", every)
    for name, entry in built.manifest.configs.items():
        for split, part in entry.splits.items():
            ours = new.manifest.configs[name].splits[split]
            assert ours.rows == part.rows
            assert ours.num_bytes == pytest.approx(part.num_bytes, rel=0.02)


def test_a_file_whose_rows_all_go_is_gone(old: Release) -> None:
    first = old.manifest.configs["all"].splits["train"].files[0]
    gone = withdrawn.read_ids(old.path / first).to_pylist()
    new = without(old, *gone)
    was, now = (each.manifest.configs["all"].splits["train"].files for each in (old, new))
    assert len(now) == len(was) - 1 and now[0].endswith(f"-00000-of-{len(now):05d}.parquet")
    again = without(new, GONE[1], version="1.2.0")
    assert again.manifest.rejected["withdrawn"] == len(gone) + 1
    assert [each.clause for each in again.manifest.configs["all"].funnel] == [
        "withdrawn in 1.1.0",
        "withdrawn in 1.2.0",
    ]
    assert [numbers(each.version) for each in Release.beside(old.path.parent)] == [
        (1, 0, 0),
        (1, 1, 0),
        (1, 2, 0),
    ]


def test_a_split_is_not_emptied(old: Release) -> None:
    every = [str(each["id"]) for each in rows(old, "sided")["test"]]
    with pytest.raises(InvalidData, match="the split test of sided is empty; build a release"):
        loss(old, every)


def pair(index: int) -> dict[str, object]:
    made = row(index)
    question, answer = made["messages"]
    worse = [{"role": "assistant", "content": "No."}]
    scores = {"chosen_score": 2.0, "rejected_score": 0.5, "margin": 1.5}
    return made | {"prompt": [question], "chosen": [answer], "rejected": worse} | scores


@pytest.mark.parametrize("kind", ["preference", "reasoning"])
def test_other_kinds_lose_rows_as_well(kind: str, tmp_path: Path) -> None:
    if kind == "preference":
        names = schema.in_order([*COLUMNS, *schema.PAIR])
        pool = HandPool([pair(i) for i in range(20)], {}, names=names)
    else:
        names = schema.in_order([*COLUMNS, "thinking_tokens"])
        pool = HandPool([row(i) | {"thinking_tokens": 0} for i in range(20)], {}, names=names)
    old = build(pool, "1.0.0", tmp_path / "1.0.0", kind=kind, report=lambda _: None)
    was = pq.read_schema(old.path / old.manifest.configs["all"].splits["train"].files[0])
    new = without(
        Release(old.path, old.manifest.model_copy(update={"builder": kind})), "handmade-000005"
    )
    file = new.path / new.manifest.configs["all"].splits["train"].files[0]
    assert pq.read_schema(file) == was
    wanted = [each for each in rows(old, "all")["train"] if each["id"] != "handmade-000005"]
    assert rows(new, "all")["train"] == wanted and len(wanted) == 19


def test_a_kind_that_is_not_here_has_a_plain_card(old: Release) -> None:
    theirs = old.manifest.model_copy(update={"builder": "dialogues"})
    assert without(Release(old.path, theirs), *GONE).manifest.builder == "dialogues"
