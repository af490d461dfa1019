"""What the data files say, against rows that were counted by hand."""

from __future__ import annotations

import pyarrow as pa
import pytest
from pydantic import TypeAdapter

from magpie_hub.builder import build
from magpie_hub.release import Release
from magpie_hub.release.facts import BARS, Facts, facts, mapped
from tests.builders.pool import COLUMNS, HandPool, Spec, row


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    rows = [
        {**row(i), "refusal": i % 4 == 0, "same_language": None if i % 2 else i % 4 == 0,
         "safety": "safe" if i else "S1", "pii": ["email"] * (i < 6), "leaked": None,
         "repeat_count": i % 2, "reward": i / 10, "min_neighbor_distance": 0.5}
        for i in range(40)
    ]  # fmt: skip
    more = ("refusal", "same_language", "safety", "pii", "leaked", "repeat_count")
    pool = HandPool(
        rows=rows,
        specs={f"c{i}": Spec(f"reward >= {i / 10}") for i in range(1, 8)},
        names=(*COLUMNS, *more, "min_neighbor_distance"),
    )
    out = tmp_path_factory.mktemp("facts") / "1.0.0"
    return build(pool, "1.0.0", out, kind="sft", report=lambda line: None)


@pytest.fixture(scope="module")
def known(release: Release) -> Facts:
    return facts(release.path, release.manifest)


def test_the_widest_config_is_always_described(known: Facts) -> None:
    assert known.configs == ("c1", "c2", "c3", "c4", "c5", "all")
    assert known.compared == ("c1", "all")


def test_traits_are_shares_of_the_default_config(known: Facts) -> None:
    assert known.traits == pytest.approx(
        {
            "finish_reason": 5 / 39,
            "refusal": 9 / 39,
            # Of the rows where both languages are known: 2, 4, 6, …, 38.
            "same_language": 10 / 19,
            "leaked": 0,
            "safety": 0,
            "pii": 5 / 39,
            "repeat_count": 20 / 39,
        }
    )


def test_histograms_count_every_row_of_the_middle(known: Facts) -> None:
    rewards = known.histograms["reward"]
    assert len(rewards.edges) <= BARS + 1 and list(rewards.edges) == sorted(set(rewards.edges))
    assert [sum(counts) for counts in rewards.counts] == [39, 40]
    tokens = known.histograms["query_tokens"]
    assert all(edge == int(edge) for edge in tokens.edges)
    assert [sum(counts) for counts in tokens.counts] == [39, 40]
    assert "min_neighbor_distance" not in known.histograms


def test_facts_go_through_json(known: Facts) -> None:
    kept = TypeAdapter(Facts)
    assert kept.validate_json(kept.dump_json(known)) == known


def test_a_map_of_many_is_a_sample(release: Release) -> None:
    ids = [f"handmade-{i:06d}" for i in reversed(range(50))]
    plane = pa.table({"id": ids, "x": [float(i) for i in range(50)], "y": [0.0] * 50})
    every = mapped(release.path, release.manifest, plane, most=100)
    assert len(every) == 40 and every[0] == (49.0, 0.0, "Math")
    some = mapped(release.path, release.manifest, plane, most=10)
    assert len(some) == 10 and set(some) < set(every)
    assert some == mapped(release.path, release.manifest, plane, most=10)
