from collections import Counter

from magpie_hub.run import Run
from magpie_hub.run.stored import store


def test_every_slot_has_a_query_and_how_it_was_made(small_run: Run) -> None:
    rows = [
        row
        for s in range(small_run.shard_count)
        for row in store(small_run, "sample").read(s).to_pylist()
    ]
    slots = [slot for shard in range(small_run.shard_count) for slot in small_run.slots(shard)]
    assert [row["id"] for row in rows] == [slot.id for slot in slots]
    assert [row["seed"] for row in rows] == [slot.seed for slot in slots]
    assert Counter(row["temperature"] for row in rows) == {1.0: 36, 1.2: 12}
    assert sum(row["query_finish"] == "stop" for row in rows) > 40
    assert all(row["model"] == "bundled:chat" for row in rows)
    assert len({row["query"] for row in rows}) > 30
