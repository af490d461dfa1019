"""``hub``: a server for one test, with its own store, stopped when the test ends; ``forks``: its
clients at little cost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub.server import Hub
from tests.hub.warm import Warm, warm


@pytest.fixture(scope="session")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    with warm(tmp_path_factory.mktemp("warm") / "w") as made:
        yield made


@pytest.fixture
def hub(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Hub]:
    """Where the forks look for it, in a test that has them."""
    port = request.getfixturevalue("forks").port if "forks" in request.fixturenames else 0
    with Hub(tmp_path / "hub", port) as hub:
        yield hub
    assert hub.errors == []
