"""The coordinates of a run's map; how they are made is tested in annotate/test_map.py."""

from __future__ import annotations

import shutil
from pathlib import Path

from magpie_hub.run import Run
from magpie_hub.run.maps import coordinates
from tests.annotate.test_compare import made
from tests.annotate.test_map import OWN


def test_a_run_without_the_annotator_has_no_map(small_run: Run) -> None:
    assert coordinates(small_run) is None


def test_a_map_is_there_when_all_of_it_is(tmp_path: Path) -> None:
    run = made(tmp_path / "run", "rows=16", OWN)
    found = coordinates(run)
    assert found is not None and found.schema.names == ["id", "x", "y"]
    assert [str(each) for each in found.schema.types] == ["string", "float", "float"]
    half = tmp_path / "half"
    shutil.copytree(run.path, half)
    (half / "annotations/map/00000.arrow").unlink()
    assert coordinates(Run.open(half)) is None


def test_too_few_queries_have_none(tmp_path: Path) -> None:
    run = made(tmp_path / "run", "rows=4", OWN)
    assert not run.missing("map") and coordinates(run) is None
