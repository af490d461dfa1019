"""What several tests share: a hermetic environment and one finished run on the bundled model."""

from __future__ import annotations

import os

# Before anything imports a client library: no test may look for a Hub, or report to one.
os.environ.update(
    HF_HUB_OFFLINE="1",
    HF_HUB_DISABLE_TELEMETRY="1",
    HF_HUB_DISABLE_PROGRESS_BARS="1",
    HF_HUB_DISABLE_UPDATE_CHECK="1",
    HF_UPDATE_DOWNLOAD_COUNTS="0",
    TOKENIZERS_PARALLELISM="false",
)

from pathlib import Path

import pytest

from magpie_hub import pipeline
from magpie_hub.recipe import Recipe
from magpie_hub.run import Run

pytest_plugins = ["tests.browser", "tests.hub.fixtures", "tests.many"]


LONGEST = (
    *("test_benchmarks", "test_push_faults", "test_kills", "test_cluster", "test_vllm", "test_hub"),
    *("test_story", "test_push_kills", "test_demo", "test_experiment", "test_claims"),
    *("test_train", "test_real", "test_coverage"),
)
"""Files that take half a minute to minutes."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files come first, or one worker would end with them while the other has nothing
    to do. Tests for a GPU are skipped where there is none; nothing else is ever skipped."""
    order = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))
    if not (marked := [item for item in items if item.get_closest_marker("gpu")]):
        return
    import torch

    if not torch.cuda.is_available():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="there is no GPU"))


SMALL = """
name: small
model: bundled:chat
license: apache-2.0
rows: 48
shard_rows: 16
sample:
  grid: [{temperature: 1.0, top_p: 0.95, weight: 3}, {temperature: 1.2, weight: 1}]
  max_tokens: 80
screen: {languages: [en, es, fr, de, zh]}
respond: {max_tokens: 100}
annotate:
  language: {among: [en, es, fr, de, zh]}
  judge: {passes: three}
  reward: {model: "bundled:reward"}
configs:
  filtered: {where: "quality >= 'average' AND finish_reason = 'stop'"}
  all: {}
"""


class Silent:
    """A Progress that keeps what it is told."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.notes: list[str] = []
        self.tokens = 0

    def begin(self, stage: str, *, total: int, done: int) -> None:
        self.stages.append(stage)

    def advance(
        self, stage: str, *, rows: int = 0, tokens: int = 0, rejected: int = 0, failed: int = 0
    ) -> None:
        self.tokens += tokens

    def end(self, stage: str) -> None:
        pass

    def note(self, line: str) -> None:
        self.notes.append(line)


def small(*overrides: str) -> Recipe:
    return Recipe.parse(SMALL, name="small.yaml", overrides=overrides)


def shard_bytes(path: Path) -> dict[str, bytes]:
    """Every shard of a run, by its place in it."""
    return {str(f.relative_to(path)): f.read_bytes() for f in sorted(path.rglob("*.arrow"))}


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run; tests read it and never write into it."""
    out = tmp_path_factory.mktemp("small") / "run"
    return pipeline.run(small(), out, progress=Silent())


@pytest.fixture
def recipe_file(tmp_path: Path) -> Path:
    file = tmp_path / "small.yaml"
    file.write_text(SMALL, encoding="utf-8")
    return file
