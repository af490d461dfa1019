"""Builders by name: ours, a file's, another package's; and whose fault an error is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from magpie_hub.builder import build, builder_class, kinds, load_builder
from magpie_hub.building import plugins
from magpie_hub.errors import InvalidData, RecipeError
from magpie_hub.release import Release
from tests.builders.pool import HandPool

MINE = """
import pyarrow.compute as pc
from magpie_hub.builder import MagpieBuilder, MagpieConfig

LONGEST = 20

class Mine(MagpieBuilder):
    required = ("id", "messages")
    optional = ("reward", "quality")
    always = (MagpieConfig("all", description="every row"),
              MagpieConfig("liked", where="reward > 0"))
    template = "sft.md.jinja"

    @classmethod
    def rows(cls, table, columns):
        return table.filter(pc.less(table["response_tokens"], LONGEST)).select(columns)
"""


def written(folder: Path, text: str = MINE) -> Path:
    file = folder / "my_builder.py"
    file.write_text(text, encoding="utf-8")
    return file


def made(file: Path, out: Path) -> Release:
    kind = builder_class(f"./{file.name}", file.parent)
    return build(HandPool(specs={}), "1.0.0", out / "1.0.0", kind=kind, report=lambda line: None)


def test_a_file_beside_the_recipe(tmp_path: Path) -> None:
    release = made(written(tmp_path), tmp_path / "run")
    assert {n: c.rows for n, c in release.manifest.configs.items()} == {"all": 24, "liked": 15}
    assert [c.name for c in release.manifest.columns] == ["id", "messages", "quality", "reward"]
    # It goes with the release, and the manifest knows it by its contents.
    assert (release.path / "builders" / "my_builder.py").read_text() == MINE
    kind = builder_class("my_builder.py", tmp_path)
    assert release.manifest.builder_sha256 == plugins.digest(kind)
    release.check()


def test_a_changed_file_is_another_builder_with_another_cache(tmp_path: Path) -> None:
    file = written(tmp_path)
    first = builder_class("my_builder.py", tmp_path)
    assert builder_class("my_builder.py", tmp_path) is first
    caches = {first(HandPool(specs={}), cache_dir=str(tmp_path)).cache_dir}
    written(tmp_path, MINE.replace("LONGEST = 20", "LONGEST = 5"))
    second = builder_class(file.name, tmp_path)
    caches.add(second(HandPool(specs={}), cache_dir=str(tmp_path)).cache_dir)
    assert second is not first and len(caches) == 2
    assert made(file, tmp_path / "run").manifest.configs["all"].rows == 9


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x = (\n", r"my_builder.py, line 1: the builder my_builder.py is no Python: Synt"),
        ("\n\nimport nothing_like_it\n", r"my_builder.py, line 3, in <module>: the builder my_bu"),
        ("class Mine: pass\n", r"'./my_builder.py' declares no MagpieBuilder"),
        (MINE.replace("< 0", "").replace('"response_tokens"', '"no_such"'),
         r"my_builder.py, line 16, in rows: the builder Mine failed: KeyError"),
    ],
)  # fmt: skip
def test_errors_name_the_file_and_the_line(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=says) as raised:
        made(written(tmp_path, text), tmp_path / "run")
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "run" / "1.0.0").exists()


def test_errors_that_are_not_the_builders_stay_what_they_are(tmp_path: Path) -> None:
    written(tmp_path, MINE.replace('"messages")', '"messages", "margin")'))
    with pytest.raises(InvalidData, match="lack the column `margin`"):
        made(tmp_path / "my_builder.py", tmp_path / "run")
    with pytest.raises(RecipeError, match=r"gone.py cannot be read \(No such file"):
        builder_class("gone.py", tmp_path)
    with pytest.raises(ZeroDivisionError), plugins.blame(builder_class("sft")):
        _ = 1 / 0


def test_a_package_brings_builders_by_an_entry_point(tmp_path: Path) -> None:
    """As an installed one does: a module and its metadata on the path."""
    written(tmp_path)
    info = tmp_path / "theirs-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[magpie_hub.builders]\n"
        "mine = my_builder\nclassy = my_builder:Mine\nbad = my_builder:LONGEST\n"
    )
    code = (
        "from magpie_hub.builder import builder_class, kinds\n"
        "print(kinds(), builder_class('mine').__name__, builder_class('classy').__name__)\n"
        "builder_class('bad')"
    )
    command = [sys.executable, "-c", code]
    env = {"PYTHONPATH": f"{tmp_path}:{':'.join(filter(None, sys.path))}", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    for word in ("'sft'", "'mine'", "'classy'", "Mine Mine"):
        assert word in done.stdout, done.stderr
    assert "the entry point of the builder 'bad' is no MagpieBuilder: 20." in done.stderr


def test_our_own_are_found_by_name() -> None:
    assert "sft" in kinds() and builder_class("sft").__name__ == "Sft"
    with pytest.raises(RecipeError, match="did you mean 'sft'"):
        load_builder("sfft", HandPool())
