import math
from pathlib import Path

import pytest

from magpie_hub.engines import Completion, Request
from magpie_hub.errors import EngineError
from magpie_hub.rows.pool import RunPool
from magpie_hub.run import Run
from magpie_hub.run.answered import kept
from magpie_hub.run.stored import store
from tests.pipeline.test_scheduler import CHAT, Opened, plain, scheduled, speak


def test_every_answer_has_a_finite_score(small_run: Run) -> None:
    for shard in range(small_run.shard_count):
        scores = store(small_run, "reward").read(shard)
        assert scores["id"].to_pylist() == [name for name, _ in kept(small_run, shard)]
        assert all(math.isfinite(score) for score in scores["reward"].to_pylist())


def test_several_models_and_a_second_responder(tmp_path: Path) -> None:
    """Of a script whose answers the second responder makes shorter, and whose score is a length."""

    def script(request: Request) -> Completion:
        if request.decoding and request.decoding.max_tokens == 7:
            return Completion(request, tuple(CHAT.renderer.ids("It is.")))
        return speak(request)

    recipe = plain(
        "annotate.reward={model: 'bundled:reward', also: [{model: 'bundled:reward'}], "
        "against: {model: 'bundled:chat', max_tokens: 7}}"
    )
    line, run = scheduled(recipe, tmp_path / "run", Opened(script))
    assert line.work()
    longer = len(CHAT.renderer.ids("It is what it is.")) - len(CHAT.renderer.ids("It is."))
    rows = [row for table in RunPool(run).shards() for row in table.to_pylist()]
    assert rows
    for row in rows:
        assert row["reward_difference"] == longer
        assert row["rewards"] == [{"model": "bundled:reward", "score": row["reward"]}]
    seconds = store(run, "baseline").read(0).to_pylist()
    assert {row["response"] for row in seconds} == {"It is."}


def test_a_model_of_several_labels_is_no_reward_model(tmp_path: Path) -> None:
    def script(request: Request) -> Completion:
        if request.decoding is None:
            return Completion(request, scores=(0.1, 0.9))
        return speak(request)

    line, _ = scheduled(plain(), tmp_path / "run", Opened(script))
    with pytest.raises(EngineError, match="bundled:reward gives 2 numbers a text"):
        line.work()
