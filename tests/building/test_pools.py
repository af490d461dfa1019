"""Several runs as one pool, and releases as pools, from a folder and from the Hub."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from magpie_hub import pipeline
from magpie_hub.builder import MagpieConfig, build, load_builder
from magpie_hub.building.pools import Merged, ReleasePool, open_pool
from magpie_hub.cli import main
from magpie_hub.errors import UsageError
from magpie_hub.licences import ModelLicense
from magpie_hub.recipe import Recipe
from magpie_hub.release import Release
from magpie_hub.run import Run
from tests.builders.pool import COLUMNS, HandPool, Spec, row
from tests.conftest import Silent, small
from tests.hub.server import Hub


def ids(release: Release, config: str) -> list[str]:
    splits = release.manifest.configs[config].splits
    return [
        name
        for split in splits.values()
        for file in split.files
        for name in pl.read_parquet(release.path / file)["id"]
    ]


def made(pool: Any, out: Path, **more: Any) -> Release:
    return build(pool, "1.0.0", out / "1.0.0", kind="sft", report=lambda line: None, **more)


def another(**more: Any) -> HandPool:
    rows = [{**row(i), "id": f"other-{i:06d}"} for i in range(10)]
    return HandPool(**{"rows": rows, "fingerprint": "b2", **more})


def test_rows_of_several_pools_come_in_their_order(tmp_path: Path) -> None:
    names = tuple(name for name in COLUMNS if name != "reward")
    first = HandPool(specs={"good": Spec("quality >= 'good'")}, names=names)
    release = made(Merged([first, another()]), tmp_path)
    assert ids(release, "all") == [r["id"] for r in (*HandPool().rows, *another().rows)]
    assert list(release.manifest.configs) == ["good", "all"]
    assert {c.name for c in release.manifest.columns} == set(COLUMNS)
    file = release.manifest.configs["all"].splits["train"].files[0]
    rewards = pl.read_parquet(release.path / file)["reward"]
    assert rewards[:24].null_count() == 24 and rewards[24:].null_count() == 1
    manifest = release.manifest
    assert manifest.slots == 24 + 6 + 10 + 6 and manifest.rejected["cut off"] == 8
    assert manifest.fingerprints == {"1: sample": "a1", "2: sample": "b2"}
    assert len(manifest.made) == 3
    assert (release.path / "recipe-2.yaml").read_text() == another().recipe_text()


def test_pools_that_cannot_be_one_are_refused() -> None:
    with pytest.raises(UsageError, match="the runs 1 and 2 sampled the same slots"):
        Merged([HandPool(), HandPool()])
    with pytest.raises(UsageError, match="licences apache-2.0 and mit; say which"):
        Merged([HandPool(), another(license="mit")])


def test_the_licences_of_all_pools_count() -> None:
    one, two = (ModelLicense(model=name, license="mit") for name in ("a", "b"))
    first = HandPool(terms={"model_licenses": (one,), "license_decision": "read"})
    known = Merged([first, another(terms={"model_licenses": (one, two)})]).provenance()
    assert known.model_licenses == (one, two) and known.license_decision == "read"
    names = [{"license_name": name, "license_link": "https://example.org"} for name in ("x", "y")]
    pools = [HandPool(license="other", terms=names[0]), another(license="other", terms=names[1])]
    with pytest.raises(UsageError, match="licences x and y; say which"):
        Merged(pools)


def test_several_models_of_a_column_are_all_named() -> None:
    class Theirs(HandPool):
        def producers(self) -> Any:
            found = super().producers()
            found["id"] = found["id"].model_copy(update={"model": "other/chat"})
            return found

    third = another(fingerprint="c3")
    producers = Merged([HandPool(), Theirs(fingerprint="b2"), third]).producers()
    assert producers["id"].model == "tiny/chat; other/chat"
    assert producers["messages"].model == "tiny/chat"


def test_a_release_is_a_pool_of_all_its_rows(tmp_path: Path) -> None:
    specs = {"few": Spec("reward > 2"), "all": Spec(splits={"test": 0.3})}
    release = made(HandPool(specs=specs), tmp_path / "old")
    pool = ReleasePool(release, {"math": Spec("category = 'Math'")})
    assert pool.columns() == COLUMNS
    again = made(pool, tmp_path / "new")
    assert sorted(ids(again, "all")) == [r["id"] for r in HandPool().rows]
    assert len(ids(again, "math")) == 9 and again.manifest.license == "apache-2.0"
    projected = list(pool.shards(["reward", "id"]))
    assert projected[0].column_names == ["id", "reward"]


def test_a_pool_without_all_is_its_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from magpie_hub.builders.sft import Sft

    monkeypatch.setattr(Sft, "always", (MagpieConfig("most", where="reward > 0"),))
    pool = ReleasePool(made(HandPool(specs={}), tmp_path))
    assert sum(table.num_rows for table in pool.shards()) == 15


def test_runs_by_their_folders(small_run: Run, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="sampled the same slots"):
        open_pool([small_run.path, small_run.path])
    text = "name: other\nbuilder: sft\nmodel: m\nrows: 1\nconfigs: {odd: {where: seed > 9}}"
    recipe = Recipe.parse(text, name="other.yaml")
    pool = open_pool([small_run.path], recipe=recipe)
    assert list(pool.config_specs()) == ["odd"] and pool.provenance().name == "other"
    assert "odd" in pool.recipe_text() and list(small_run.recipe.configs) == ["filtered", "all"]


def test_several_runs_are_built_as_one(
    small_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    shutil.copytree(small_run.path, first)
    pipeline.run(small("seed=1", "rows=16"), second, progress=Silent())
    command = ["build", str(first), str(second), "--version", "1.0.0", "--json"]
    assert main(command) == 0
    release = Release.open(json.loads(capsys.readouterr().out)["release"])
    assert release.path == first / "releases" / "1.0.0" and release.manifest.slots == 64
    prefixes = [Run.open(each).slot_id(0)[:10] for each in (first, second)]
    found = [name[:10] for name in ids(release, "all")]
    assert list(dict.fromkeys(found)) == prefixes and found == sorted(found, key=prefixes.index)
    loaded = load_builder("sft", runs=[first, second], config_name="all", cache_dir=str(tmp_path))
    loaded.download_and_prepare()
    assert loaded.as_dataset(split="train")["id"][:] == ids(release, "all")


def test_load_builder_from_runs_and_releases(small_run: Run, tmp_path: Path) -> None:
    cache = str(tmp_path / "cache")
    run = load_builder("sft", run=small_run.path, config_name="filtered", cache_dir=cache)
    run.download_and_prepare()
    rows = run.as_dataset(split="train")
    assert 0 < rows.num_rows and rows.column_names[:2] == ["id", "messages"]
    assert list(run.as_streaming_dataset(split="train")) == list(rows)
    release = made(HandPool(), tmp_path)
    loaded = load_builder("sft", release=release.path, config_name="all", cache_dir=cache)
    loaded.download_and_prepare()
    assert loaded.as_dataset(split="train")["id"][:] == ids(release, "all")
    with pytest.raises(UsageError, match="a run, runs, a release or a pool, one of them"):
        load_builder("sft", run=small_run.path, release=release.path)
    with pytest.raises(UsageError, match="one of them"):
        load_builder("sft")
    with pytest.raises(UsageError, match="is not a release"):
        load_builder("sft", release=tmp_path)


LOAD = """
import sys
from magpie_hub.builder import load_builder
from magpie_hub.errors import HubError
for name in sys.argv[1:]:
    try:
        builder = load_builder("sft", release=name, config_name="all", cache_dir="cache")
    except HubError as error:
        print(error)
        continue
    builder.download_and_prepare()
    print(builder.as_dataset(split="train").num_rows, builder.pool.provenance().name)
"""


def test_a_release_on_the_hub(hub: Hub, tmp_path: Path) -> None:
    env = hub.env(tmp_path / "home")
    push = "import sys; from magpie_hub.cli import main; sys.exit(main(sys.argv[1:]))"
    for version, count in (("1.0.0", 24), ("1.1.0", 30)):
        pool = HandPool(rows=[row(i) for i in range(count)])
        out = tmp_path / "releases" / version
        build(pool, version, out, kind="sft", report=lambda line: None)
        command = [sys.executable, "-c", push, "push", str(out), "org/made"]
        done = subprocess.run(command, env=env, capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    names = ["org/made", "org/made@v1.0.0", "org/gone"]
    done = subprocess.run(
        [sys.executable, "-c", LOAD, *names], env=env, capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    newest, first, *gone = done.stdout.splitlines()
    assert (newest, first) == ("30 handmade", "24 handmade")
    assert len(gone) == 1 and gone[0].startswith("org/gone cannot be fetched from the Hub (")

    # Without the Hub: exactly the version that was asked for, where its copy is whole.
    data = "data/all/train-00000-of-00001.parquet"
    cached = (tmp_path / "home").glob(f"**/snapshots/*/{data}")
    (newer,) = (file for file in cached if pl.read_parquet(file).height == 30)
    newer.resolve().write_bytes(newer.read_bytes().replace(b"made", b"mode"))
    hub.journal.clear()
    away = tmp_path / "away"
    away.mkdir()
    names = ["org/made@v1.0.0", "org/made@v1.1.0", "org/made@v1.2.0", "org/made"]
    env |= {"HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", LOAD, *names], env=env, capture_output=True, text=True, cwd=away
    )
    assert done.returncode == 0, done.stderr
    whole, damaged, lacking, newest = done.stdout.splitlines()
    assert whole == "24 handmade"
    assert damaged.startswith(str(newer)) and "is not what org/made v1.1.0 released" in damaged
    assert lacking == "HF_HUB_OFFLINE is set, so the Hub cannot be reached; unset it."
    assert newest == f"{lacking} Nor is there a folder org/made."
    assert hub.journal.requests == []
