"""Two releases compared: a hand-made pair for each kind of change, and the version it asks for."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from magpie_hub.builders.sft import Sft

from magpie_hub import changes
from magpie_hub.builder import build
from magpie_hub.building import parquet
from magpie_hub.changes import Changes, diff
from magpie_hub.errors import InvalidData, UsageError
from magpie_hub.release import MANIFEST, Making, Producer, Provenance, Release
from tests.builders.pool import COLUMNS, HandPool, Spec, row

FILTERED = HandPool().specs["filtered"]


@dataclass
class Made(HandPool):
    """``producer`` made all columns; ``settings`` are those of the stage respond."""

    producer: dict[str, str] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)

    def producers(self) -> dict[str, Producer]:
        return {n: p.model_copy(update=self.producer) for n, p in super().producers().items()}

    def provenance(self) -> Provenance:
        known = super().provenance()
        made = (known.made[0], Making(stage="respond", model="tiny/chat", settings=self.settings))
        return known.model_copy(update={"made": made})


class Thoughtful(Sft):
    thinking = True


def built(pool: HandPool, out: Path, version: str, **more: Any) -> Release:
    given = {"kind": "sft", "report": lambda line: None, **more}
    return build(pool, version, out / version, **given)


def compared(old: HandPool, new: HandPool, folder: Path, **more: Any) -> Changes:
    """Built apart, so that neither knows of the other."""
    one = built(old, folder / "old", "1.2.3")
    return diff(one, built(new, folder / "new", "9.0.0", **more))


def rows(count: int = 24, **altered: dict[int, Any]) -> list[dict[str, Any]]:
    """``altered``: by column and row the value that stands there instead."""
    found = [row(i) for i in range(count)]
    for column, values in altered.items():
        for index, value in values.items():
            found[index][column] = value
    return found


def specs(**more: Any) -> dict[str, Any]:
    return {"filtered": Spec(FILTERED.where, FILTERED.description, **more)}


CASES: list[tuple[str, HandPool, HandPool, str, str]] = [
    ("config gone", HandPool(), HandPool(specs={"all": Spec()}), "2.0.0",
     "config filtered is gone, with its 12 rows"),
    ("config new", HandPool(specs={}),
     HandPool(specs={"all": Spec(), "m": Spec("category = 'Math'")}), "1.3.0",
     "config m is new: 9 rows"),
    ("default", HandPool(), HandPool(specs={"all": Spec(), **specs()}), "2.0.0",
     "the default config is all, was filtered"),
    ("column gone", HandPool(), HandPool(names=tuple(n for n in COLUMNS if n != "turns")), "2.0.0",
     "column turns is gone from filtered, all"),
    ("column new", HandPool(names=tuple(n for n in COLUMNS if n != "turns")), HandPool(), "1.3.0",
     "column turns is new in filtered, all: int64"),
    ("column of one config", HandPool(), HandPool(specs=specs(columns=("quality",))), "2.0.0",
     "column reward is gone from filtered"),
    ("split new", HandPool(), HandPool(specs=specs(splits={"test": 0.4})), "1.3.0",
     "split test of filtered is new"),
    ("split gone", HandPool(specs=specs(splits={"test": 0.4})), HandPool(), "2.0.0",
     "split test of filtered is gone"),
    ("rows new", HandPool(), HandPool(rows=rows(30)), "1.3.0",
     "all: 30 rows, was 24: 6 added"),
    ("rows gone", HandPool(), HandPool(rows=rows()[3:]), "1.3.0",
     "all: 21 rows, was 24: 3 removed"),
    ("rows changed", HandPool(), HandPool(rows=rows(reward={3: -9.0}, seed={3: 99, 6: 99})),
     "1.3.0", "all: 24 rows: 2 changed (seed 2, reward 1)"),
    ("filter", HandPool(), HandPool(specs={"filtered": Spec("reward > 0")}), "1.3.0",
     f"filtered, where: reward > 0, was {FILTERED.where}"),
    ("filter, same rows", HandPool(specs={"f": Spec("reward > 0")}),
     HandPool(specs={"f": Spec("reward >= 0.1")}), "1.2.4",
     "f, where: reward >= 0.1, was reward > 0"),
    ("picking", HandPool(specs=specs(rows=5, order="reward DESC")),
     HandPool(specs=specs(rows=4, pick="longest")), "1.3.0",
     "filtered, pick: longest, was none"),
    ("description", HandPool(specs={"f": Spec("reward > 0", "liked")}),
     HandPool(specs={"f": Spec("reward > 0", "loved")}), "1.2.4",
     "f, description: loved, was liked"),
    ("model", HandPool(), Made(producer={"model": "big/chat"}), "1.2.4",
     "category, difficulty, quality, reward and 9 more: model big/chat, was tiny/chat"),
    ("revision", Made(producer={"revision": "0" * 40}), Made(producer={"revision": "1" * 40}),
     "1.2.4", "9 more: revision 111111111111, was 000000000000"),
    ("prompt", Made(), Made(producer={"prompt_sha256": "ab" * 32}), "1.2.4",
     "9 more: prompt_sha256 abababababab, was none"),
    ("settings", Made(settings={"temperature": "0.0"}), Made(settings={"temperature": "0.7"}),
     "1.2.4", "respond, temperature: 0.7, was 0.0"),
    ("licence", HandPool(), HandPool(license="mit"), "1.3.0",
     "the licence is mit, was apache-2.0"),
    ("labels", HandPool(), HandPool(rows=rows(category={2: "Math"})), "1.3.0",
     "all: category Math 41.7 %, was 37.5 % (+4.2 points)"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "suggested", "line"), [case[1:] for case in CASES], ids=[c[0] for c in CASES]
)
def test_each_kind_of_change(
    old: HandPool, new: HandPool, suggested: str, line: str, tmp_path: Path
) -> None:
    found = compared(old, new, tmp_path)
    said = [each.text for each in found.statements]
    assert any(text.endswith(line) for text in said), said
    assert found.suggested == suggested
    assert found.reasons or found.level == "patch"


def test_another_type_is_a_change_of_the_schema_and_not_of_rows(tmp_path: Path) -> None:
    found = compared(HandPool(), HandPool(), tmp_path, kind=Thoughtful)
    (change,) = found.columns
    assert (change.column, change.configs) == ("messages", ("filtered", "all"))
    assert "thinking" in str(change.after) and "thinking" not in str(change.before)
    assert found.level == "major" and all(each.same for each in found.rows.values())


def test_the_same_data_again_is_a_patch(tmp_path: Path) -> None:
    found = compared(HandPool(), HandPool(), tmp_path)
    assert (found.level, found.suggested, found.statements) == ("patch", "1.2.4", ())
    # All but the card, the changelog, what is said to Croissant and the manifest.
    listed = Release.open(tmp_path / "new" / "9.0.0").manifest.files
    assert (found.files.same, found.files.new, found.files.gone) == (len(listed) - 3, 4, 4)


def test_a_copy_is_no_change(tmp_path: Path) -> None:
    release = built(HandPool(), tmp_path, "1.0.0")
    shutil.copytree(release.path, tmp_path / "copy")
    found = diff(release, Release.open(tmp_path / "copy"))
    assert (found.level, found.suggested, found.statements, found.labels) == (None, None, (), ())
    assert found.files.new == found.files.gone == 0
    assert found.files.same == len(release.manifest.files) + 1


def test_bytes_are_those_of_the_files_that_are_new(tmp_path: Path) -> None:
    one = built(HandPool(), tmp_path / "a", "1.0.0")
    two = built(HandPool(rows=rows(30)), tmp_path / "b", "1.1.0")
    old = {path.read_bytes() for path in one.path.rglob("*") if path.is_file()}
    sizes = {p: p.stat().st_size for p in two.path.rglob("*") if p.is_file()}
    same = sum(size for path, size in sizes.items() if path.read_bytes() in old)
    files = diff(one, two).files
    assert files.same_bytes == same > 0
    assert files.new_bytes == sum(sizes.values()) - same > 0


def test_labels_are_told_by_the_largest_shift_first(tmp_path: Path) -> None:
    new = HandPool(rows=rows(category=dict.fromkeys(range(12), "Math"), language={0: "fr"}))
    shifts = compared(HandPool(), new, tmp_path).labels
    points = [abs(shift.points) for shift in shifts]
    assert points == sorted(points, reverse=True) and len(points) > 5
    assert shifts[0].label == "Math"
    for shift in shifts:
        assert shift.points == pytest.approx(100 * (shift.after - shift.before), abs=1e-3)
    one = next(s for s in shifts if (s.config, s.column, s.label) == ("all", "language", "fr"))
    assert (one.before, one.after) == (0.0, 1 / 24)


@pytest.mark.parametrize(
    ("version", "level", "expected"),
    [
        ("1.2.3", "major", "2.0.0"), ("1.2.3", "minor", "1.3.0"), ("1.2.3", "patch", "1.2.4"),
        ("0.2.3", "major", "0.3.0"), ("0.2.3", "minor", "0.3.0"), ("0.0.0", "patch", "0.0.1"),
    ],
)  # fmt: skip
def test_steps(version: str, level: Any, expected: str) -> None:
    assert changes._next(changes.numbers(version), level) == expected


FEWER = HandPool(specs={"all": Spec()})
MORE = HandPool(rows=rows(30))


@pytest.mark.parametrize(
    ("new", "refused", "right", "why"),
    [
        (FEWER, ("1.0.1", "1.9.9"), "2.0.0", "config filtered is gone, with its 12 rows"),
        (MORE, ("1.0.1",), "1.1.0", "filtered: 16 rows, was 12: 4 added .and 1 more."),
        (HandPool(), (), "1.0.1", ""),
    ],
)
def test_a_build_asks_for_the_right_version(
    new: HandPool, refused: tuple[str, ...], right: str, why: str, tmp_path: Path
) -> None:
    built(HandPool(), tmp_path, "1.0.0")
    before = sorted(tmp_path.rglob("*"))
    for version in refused:
        with pytest.raises(UsageError, match=f"{version} is too low: since 1.0.0, {why}.*{right}"):
            built(new, tmp_path, version)
        assert sorted(tmp_path.rglob("*")) == before
    release = built(new, tmp_path, right)
    assert release.manifest.since and release.manifest.since.version == "1.0.0"


def test_a_build_may_be_told_to_keep_its_version(tmp_path: Path) -> None:
    built(HandPool(), tmp_path, "1.0.0")
    release = built(FEWER, tmp_path, "1.0.1", any_version=True)
    assert release.manifest.since
    assert "config filtered is gone, with its 12 rows" in release.manifest.since.changes


def test_the_version_before_counts_and_no_other_kind(tmp_path: Path) -> None:
    first = built(HandPool(), tmp_path, "1.9.0")
    assert first.manifest.since is None
    built(FEWER, tmp_path, "2.0.0")
    assert built(HandPool(), tmp_path, "1.10.0").manifest.since.version == "1.9.0"  # type: ignore[union-attr]
    known = changes.earlier(tmp_path, first.manifest.model_copy(update={"version": "2.0.1"}))
    assert known and known.version == "2.0.0"
    other = first.manifest.model_copy(update={"version": "3.0.0", "builder": "preference"})
    assert changes.earlier(tmp_path, other) is None


def test_the_changelog_and_the_card_say_what_changed(tmp_path: Path) -> None:
    hostile = "<b>x</b> [a](https://evil.example) \u202e\x1b[31m| `"
    built(HandPool(specs=specs()), tmp_path, "1.0.0")
    altered = {"filtered": Spec(FILTERED.where, hostile)}
    built(HandPool(rows=rows(30), specs=altered), tmp_path, "1.1.0")
    release = built(HandPool(rows=rows(33), specs=altered), tmp_path, "1.2.0")
    log = (release.path / "CHANGELOG.md").read_text(encoding="utf-8")
    card = (release.path / "README.md").read_text(encoding="utf-8")
    assert "Since 1.1.0:\n\n- filtered: 17 rows, was 16: 1 added\n- all: 33 rows, was 30" in log
    assert "Since 1.0.0:\n\n- filtered: 16 rows, was 12: 4 added\n- all: 30 rows, was 24" in log
    assert r"- filtered, description: &lt;b>x&lt;/b> \[a\](https:\/\/evil.example) \\u202e" in log
    part = card.partition("## Changes since v1.1.0\n\n")[2].partition("\n## ")[0]
    assert part.startswith(
        "- filtered: 17 rows, was 16: 1 added\n- all: 33 rows, was 30: 3 added\n"
    )
    assert "was 24" not in card and "\x1b" not in log + card


def test_a_long_list_is_cut_on_the_card(tmp_path: Path) -> None:
    names = {f"c{i}": Spec("reward > 0") for i in range(25)}
    built(HandPool(specs={**specs()}), tmp_path, "1.0.0")
    release = built(HandPool(specs={**specs(), **names}), tmp_path, "1.1.0")
    card = (release.path / "README.md").read_text(encoding="utf-8")
    part = card.partition("## Changes since v1.0.0\n\n")[2].partition("\n## ")[0]
    assert len(part.strip().splitlines()) == 21 and "- 5 more, in `CHANGELOG.md`" in part
    assert "config c24 is new" in (release.path / "CHANGELOG.md").read_text(encoding="utf-8")


def damage(release: Release) -> None:
    file = release.path / "data" / "all" / "train-00000-of-00001.parquet"
    file.write_bytes(file.read_bytes()[:200])


def vanish(release: Release) -> None:
    (release.path / "data" / "all" / "train-00000-of-00001.parquet").unlink()


@pytest.mark.parametrize("harm", [damage, vanish])
def test_a_damaged_release_is_named(harm: Callable[[Release], None], tmp_path: Path) -> None:
    old = built(HandPool(), tmp_path / "a", "1.0.0")
    new = built(MORE, tmp_path / "b", "1.1.0")
    harm(old)
    with pytest.raises(InvalidData, match="train-00000-of-00001.parquet cannot be read; fetch"):
        diff(old, new)


def test_a_manifest_that_does_not_list_its_files(tmp_path: Path) -> None:
    release = built(HandPool(), tmp_path, "1.0.0")
    bare = Release(release.path, release.manifest.model_copy(update={"files": {}}))
    with pytest.raises(InvalidData, match="does not list 'data/filtered/train-00000"):
        diff(release, bare)


def test_a_version_that_is_none(tmp_path: Path) -> None:
    release = built(HandPool(), tmp_path, "1.0.0")
    for version in ("x", "1.0", "1.0.0\n", "1.0.0-rc1", f"1.0.{'9' * 5000}"):
        odd = Release(release.path, release.manifest.model_copy(update={"version": version}))
        with pytest.raises(InvalidData, match="must be X.Y.Z"):
            diff(odd, release)
    assert (release.path / MANIFEST).is_file()


def test_what_is_released_already_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pool that grew: its first files are the same, and may even be gone here."""
    monkeypatch.setattr(parquet, "GROUP_BYTES", 4_000)
    monkeypatch.setattr(parquet, "FILE_BYTES", 12_000)
    pools = [HandPool(rows=rows(n), specs={}) for n in (300, 400)]
    old, new = (built(p, tmp_path / str(len(p.rows)), "1.0.0") for p in pools)
    read: list[Path] = []
    hashes = changes.rows._hashes
    monkeypatch.setattr(
        changes.rows, "_hashes", lambda s, c: read.extend(p.path for p in s) or hashes(s, c)
    )
    found = diff(old, new).rows["all"]
    assert found == counted(before=300, after=400, added=100)
    (count,) = {len(entry.files) for entry in old.manifest.configs["all"].splits.values()}
    assert count > 3 and {p for p in read if old.path in p.parents} == {
        old.path / old.manifest.configs["all"].splits["train"].files[-1]
    }


def counted(**counts: int) -> changes.RowChanges:
    return changes.RowChanges(**{"removed": 0, **counts})  # type: ignore[arg-type]
