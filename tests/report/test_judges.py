"""Where judges do not agree."""

from __future__ import annotations

import polars as pl
import pytest

from magpie_hub import schema
from magpie_hub.report.judges import judges
from magpie_hub.report.rows import Walk

IDS = [f"a-{n:08d}" for n in range(40)]
QUALITY = pl.Enum(schema.QUALITIES)


def walked(**columns: pl.Series) -> Walk:
    return Walk(judged=pl.DataFrame({"id": IDS} | columns))


def test_two_reward_models_are_compared_by_rank() -> None:
    one = pl.Series([float(n) for n in range(40)])
    found = judges(walked(**{"by 0": one, "by 1": -(one**3)}), IDS[:5], models=["x", "y"])
    assert found is not None
    (item,) = found["items"]
    assert (item["kind"], item["a"], item["b"], item["agreement"]) == ("numbers", "x", "y", -1)
    assert item["rows"] == [0, 1, 2, 3, 4] and item["points"][2] == [2, -8]
    assert "Of 40 answers that both have scored; 5 are drawn." in item["note"]


def test_labels_of_question_and_conversation_are_crossed() -> None:
    one = pl.Series((["good"] * 10 + ["poor"] * 10) * 2, dtype=QUALITY)
    other = pl.Series(["good"] * 30 + ["excellent"] * 9 + [None], dtype=QUALITY)
    found = judges(walked(quality=one, conversation_quality=other), IDS, unlabelled=3)
    assert found is not None
    (item,) = found["items"]
    at = {name: place for place, name in enumerate(item["values_a"])}
    assert item["counts"][at["good"]][at["good"]] == 20
    assert item["counts"][at["poor"]][at["good"]] == item["counts"][at["poor"]][at["excellent"]] + 1
    assert sum(map(sum, item["counts"])) == 39 and item["agreement"] == pytest.approx(20 / 39, 1e-3)
    assert item["note"].endswith("The judge gave 3 rows no label.")


def test_quality_is_compared_with_the_fifth_of_the_reward() -> None:
    quality = pl.Series([schema.QUALITIES[n // 8] for n in range(40)], dtype=QUALITY)
    rewards = pl.Series([float(n) for n in range(40)])
    found = judges(walked(quality=quality, reward=rewards), IDS)
    assert found is not None
    (item,) = found["items"]
    assert item["counts"] == [[8 if a == b else 0 for b in range(5)] for a in range(5)]
    assert item["agreement"] > 0.97


def test_with_one_judge_there_is_nothing_to_compare() -> None:
    assert judges(walked(reward=pl.Series([1.0] * 40)), IDS) is None
    quality = pl.Series(["good"] * 40, dtype=QUALITY)
    assert judges(walked(quality=quality, reward=pl.Series([1.0] * 40)), IDS) is None
