"""What the tests of many workers share: a small recipe of many shards, and what one process alone
makes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from magpie_hub import pipeline
from magpie_hub.recipe import Recipe
from tests.conftest import SMALL, Silent, shard_bytes

OVERRIDES = ("rows=24", "shard_rows=4", "sample.max_tokens=40", "respond.max_tokens=40")


def many(*overrides: str) -> Recipe:
    return Recipe.parse(SMALL, name="small.yaml", overrides=[*OVERRIDES, *overrides])


@pytest.fixture(scope="session")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of one process; tests only read it."""
    out = tmp_path_factory.mktemp("alone") / "run"
    pipeline.run(many(), out, progress=Silent())
    return out


@pytest.fixture(scope="session")
def alone_bytes(alone: Path) -> dict[str, bytes]:
    found = shard_bytes(alone)
    assert len(found) == 6 * 6
    return found
