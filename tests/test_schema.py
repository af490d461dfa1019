import json

import polars as pl
import pyarrow as pa
import pytest

from magpie_hub import schema


def test_names_are_unique_and_types_are_plain() -> None:
    assert len(set(schema.names())) == len(schema.COLUMNS)
    for col in schema.COLUMNS:
        assert not pa.types.is_null(col.type)
        assert not pa.types.is_large_string(col.type)
        assert col.stage in ("sample", "respond", "annotate")


def test_the_twelve_categories_and_the_orders_are_those_of_magpie() -> None:
    assert len(schema.CATEGORIES) == 12
    enum = schema.label_types()["quality"]
    values = pl.Series(["very poor", "good", "excellent"], dtype=enum)
    assert (values >= "good").to_list() == [False, True, True]


def test_columns_keep_one_order() -> None:
    assert schema.in_order(["reward", "id", "messages"]) == ("id", "messages", "reward")
    with pytest.raises(KeyError, match="no such column: qualty"):
        schema.in_order(["qualty"])


def test_a_judge_may_write_the_asked_keys_and_labels_only() -> None:
    asked = schema.json_schema(["intent", "difficulty"])
    assert list(asked["properties"]) == asked["required"] == ["intent", "difficulty"]
    assert asked["properties"]["difficulty"]["enum"] == list(schema.DIFFICULTIES)
    assert asked["additionalProperties"] is False
    json.dumps(asked)
