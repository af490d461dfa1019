from __future__ import annotations

from pathlib import Path

from magpie_hub.builder import build
from magpie_hub.changes import manifests
from magpie_hub.release import FileEntry, Making, Manifest
from tests.builders.pool import HandPool


def manifest(folder: Path, *made: Making) -> Manifest:
    release = build(HandPool(), "1.0.0", folder / "1.0.0", kind="sft", report=lambda line: None)
    return release.manifest.model_copy(update={"made": made})


def test_a_stage_that_was_run_in_several_ways(tmp_path: Path) -> None:
    cold, warm = (Making(stage="sample", settings={"temperature": t}) for t in ("0.5", "1.0"))
    other = Making(stage="judge", settings={"passes": "one"})
    known = manifest(tmp_path, cold)
    both = known.model_copy(update={"made": (cold, warm, warm, other)})
    (change,) = manifests.made(known, both)
    assert (change.of, change.key) == ("sample", "temperature")
    assert (change.before, change.after) == ("0.5", "0.5; 1.0")
    assert list(manifests.made(both, both)) == []


def test_configs_with_the_same_change_of_a_column_stand_together() -> None:
    old = {"id": "string", "seed": "int64", "reward": "float"}
    new = {"id": "string", "seed": "string", "quality": "string"}
    both = {"a": (old, new), "b": (old, old), "c": (old, new)}
    found = {(c.column, c.before, c.after, c.configs) for c in manifests.columns(both)}
    assert found == {
        ("seed", "int64", "string", ("a", "c")),
        ("quality", None, "string", ("a", "c")),
        ("reward", "float", None, ("a", "c")),
    }


def test_a_file_under_another_name_is_the_same() -> None:
    one, two = (FileEntry(sha256=letter * 64, size=size) for letter, size in (("a", 7), ("b", 9)))
    found = manifests.files({"x": one, "gone": two}, {"y": one, "new": two, "copy": one})
    assert (found.same, found.same_bytes, found.new, found.gone) == (2, 16, 0, 0)
    found = manifests.files({"x": one}, {"x": two})
    assert (found.new, found.new_bytes, found.same, found.gone) == (1, 9, 0, 1)
