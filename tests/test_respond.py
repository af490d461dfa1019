from magpie_hub.pool import store
from magpie_hub.respond import kept
from magpie_hub.run import Run


def test_the_kept_queries_and_no_others_are_answered(small_run: Run) -> None:
    for shard in range(small_run.shard_count):
        answers = store(small_run, "respond").read(shard)
        assert answers["id"].to_pylist() == [name for name, _ in kept(small_run, shard)]
        for row in answers.to_pylist():
            assert row["finish_reason"] in ("stop", "length")
            assert row["response_tokens"] > 0
            assert row["response"] == row["response"].strip()
            assert row["responder"] == "bundled:chat"
