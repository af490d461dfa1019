import math

from magpie_hub.pool import store
from magpie_hub.respond import kept
from magpie_hub.run import Run


def test_every_answer_has_a_finite_score(small_run: Run) -> None:
    for shard in range(small_run.shard_count):
        scores = store(small_run, "reward").read(shard)
        assert scores["id"].to_pylist() == [name for name, _ in kept(small_run, shard)]
        assert all(math.isfinite(score) for score in scores["reward"].to_pylist())
