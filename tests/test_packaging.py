"""What a person gets who installs the wheel or the sdist, and what an editable install maps."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import magpie_hub.builders.sft
import magpie_hub.dataset_cards
import pytest

import magpie_hub

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """sdist and wheel, the wheel built from the sdist, out of a copy of the tracked files."""
    work = tmp_path_factory.mktemp("source")
    tree = work / "tree"
    keep = ["magpie_hub", "builders", "dataset_cards", "recipes"]
    for name in keep:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, tree / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree / name)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(work / "dist")]
    done = subprocess.run([*command, str(tree)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return work / "dist"


def sources() -> set[str]:
    """The files that must be installed, by where they land; the example cards are for readers of
    the repository."""
    homes = {
        "magpie_hub": "magpie_hub",
        "builders": "magpie_hub/builders",
        "dataset_cards": "magpie_hub/dataset_cards",
        "recipes": "magpie_hub/recipes",
    }
    return {
        f"{home}/{file.relative_to(ROOT / top).as_posix()}"
        for top, home in homes.items()
        for file in (ROOT / top).rglob("*")
        if file.is_file() and not {"__pycache__", "examples"} & {*file.parts}
    }


def test_the_wheel_holds_the_whole_package_and_one_name(dist: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert tops == {"magpie_hub", f"magpie_hub-{PROJECT['version']}.dist-info"}
    assert sources() <= set(names)
    assert not [name for name in names if "/examples/" in name]
    assert not [name for name in names if name.endswith((".bin", ".pt", ".pkl"))]
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_sdist_builds_that_wheel(dist: Path) -> None:
    (sdist,) = dist.glob("*.tar.gz")
    names = tarfile.open(sdist).getnames()
    for needed in ("pyproject.toml", "builders/sft.py", "recipes/demo.yaml", "LICENSE"):
        assert any(name.endswith(f"/{needed}") for name in names)


def test_the_installed_wheel_runs_without_the_repository(dist: Path, tmp_path: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    target = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--target", str(target), str(wheel)], check=True)
    code = (
        "import magpie_hub, magpie_hub.builders.sft as s; from magpie_hub import models; "
        "from importlib import resources as r; "
        "print(magpie_hub.__file__, s.__file__, models.resolve('bundled:chat').path); "
        "(r.files('magpie_hub.recipes') / 'demo.yaml').read_text()"
    )
    env = {**os.environ, "PYTHONPATH": str(target)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert all(path.startswith(str(target)) for path in done.stdout.split())


def test_an_editable_install_maps_the_folders_at_the_top() -> None:
    assert Path(magpie_hub.builders.sft.__file__) == ROOT / "builders" / "sft.py"
    assert Path(magpie_hub.dataset_cards.__file__).parent == ROOT / "dataset_cards"


def test_the_version_stands_once_and_heads_the_changelog() -> None:
    assert PROJECT["version"] == magpie_hub.__version__
    first = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert first and first[1] == magpie_hub.__version__


def test_every_requirement_has_bounds_and_a_tested_version() -> None:
    extras = PROJECT["optional-dependencies"]
    tested = (ROOT / "constraints.txt").read_text().lower().replace("_", "-")
    # vLLM is tested in its CPU build, which has another name.
    heavy = [each for name in extras if name not in ("vllm", "dev") for each in extras[name]]
    for requirement in PROJECT["dependencies"] + heavy:
        name = re.match(r"[\w-]+", requirement)
        assert name and ">=" in requirement and "<" in requirement
        assert f"\n{name[0].lower().replace('_', '-')}==" in tested
    assert set(extras) == {
        *("transformers", "vllm", "ray", "server"),
        *("annotate", "map", "neighbors", "plots", "lingua", "train", "dev"),
    }


def test_public_names_are_all_there() -> None:
    for name in magpie_hub.__all__:
        assert getattr(magpie_hub, name)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = magpie_hub.nothing  # type: ignore[attr-defined]
