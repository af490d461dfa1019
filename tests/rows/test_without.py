"""A pool without the rows that were taken down."""

from __future__ import annotations

from magpie_hub.rows.without import Without
from tests.builders.pool import HandPool


def test_a_pool_tells_what_it_left_out() -> None:
    pool = Without(HandPool(), ["handmade-000000", "x-1"])
    assert pool.left_out == set() and "withdrawn" not in pool.provenance().rejected
    for _ in range(2):
        there = [i for table in pool.shards(["reward"]) for i in table["id"].to_pylist()]
        assert len(there) == 23 and "handmade-000000" not in there
    assert pool.left_out == {"handmade-000000"}
    assert pool.provenance().rejected["withdrawn"] == 1
