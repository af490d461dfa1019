from collections import Counter
from pathlib import Path

import pytest

from magpie_hub import pipeline
from magpie_hub.engines import Completion, EngineSpec, Request, Task
from magpie_hub.errors import RecipeError
from magpie_hub.models import Model
from magpie_hub.recipe import Recipe
from magpie_hub.run import Run
from magpie_hub.run.rejections import rejections
from magpie_hub.run.status import status
from magpie_hub.run.stored import joined, store
from tests.conftest import Silent, shard_bytes
from tests.pipeline.test_scheduler import CHAT, LABELS, Opened, is_query, plain, speak

MATH, PLANS = 60, 30
"""Of a hundred queries, so many are Math and so many Planning; the others are Editing."""


def script(request: Request) -> Completion:
    """Each query differs, and its number says its category."""
    if is_query(request):
        return Completion(request, tuple(CHAT.renderer.ids(f"What is {request.seed % 10**9} + 1?")))
    if request.schema and '"category"' in request.schema:
        text = CHAT.decode(request.prompt)
        number = int(text.rpartition("What is ")[2].partition(" ")[0]) % 100
        label = "Math" if number < MATH else "Planning" if number < MATH + PLANS else "Editing"
        answer = LABELS["category"], label
        said = speak(request)
        text = CHAT.decode(said.token_ids).replace(*answer)
        return Completion(request, tuple(CHAT.renderer.ids(text)))
    return speak(request)


@pytest.fixture(autouse=True)
def scripted(monkeypatch: pytest.MonkeyPatch) -> Opened:
    opened = Opened(script, capacity=64)

    def open_engine(_: EngineSpec, model: Model, task: Task) -> object:
        return opened(model, task)

    monkeypatch.setattr(pipeline, "open_engine", open_engine)
    return opened


def keeping(*overrides: str) -> Recipe:
    return plain("rows=960", "shard_rows=16", *overrides)


def run(recipe: Recipe, out: Path, progress: Silent | None = None) -> Run:
    return pipeline.run(recipe, out, progress=progress or Silent())


def kept_categories(run: Run) -> Counter[str]:
    found: Counter[str] = Counter()
    for shard in range(run.shard_count):
        verdicts = store(run, "screen").read(shard)
        kept = verdicts.filter(verdicts["kept"])["id"]
        found.update(joined(run, shard, kept, ["judge"])["category"].to_pylist())
    return found


def test_sampling_goes_on_until_enough_have_passed(tmp_path: Path) -> None:
    made = run(keeping("screen.keep=100", "screen.where=category = 'Planning'"), tmp_path / "run")
    assert kept_categories(made) == {"Planning": 100}
    assert 250 < made.info.rows < 600 and made.info.rows % 16 == 0
    assert status(made).finished
    assert made.recipe.rows == 960
    assert rejections(made).keys() <= {"category = 'Planning'", "enough"}


def test_quotas_are_kept_and_the_rest_is_for_the_others(tmp_path: Path) -> None:
    recipe = keeping("screen.keep=60", "screen.quotas={Math: 0.25, Editing: 0.25}")
    made = run(recipe, tmp_path / "run")
    assert kept_categories(made) == {"Math": 15, "Editing": 15, "Planning": 30}
    assert {"quota", "enough"} >= rejections(made).keys() - {"duplicate"} >= {"quota"}


def test_more_are_kept_without_changing_those_before(tmp_path: Path) -> None:
    few = run(keeping("screen.keep=40", "screen.quotas={Math: 0.5}"), tmp_path / "few")
    ids = [
        set(store(few, "respond").read(shard)["id"].to_pylist()) for shard in range(few.shard_count)
    ]
    many = run(keeping("screen.keep=80", "screen.quotas={Math: 0.5}"), tmp_path / "few")
    assert sum(kept_categories(many).values()) == 80
    for shard, before in enumerate(ids):
        assert before <= set(store(many, "respond").read(shard)["id"].to_pylist())
    fresh = run(keeping("screen.keep=80", "screen.quotas={Math: 0.5}"), tmp_path / "fresh")
    assert (
        shard_bytes(many.path).items()
        >= {
            name: data for name, data in shard_bytes(fresh.path).items() if "queries" in name
        }.items()
    )


def test_a_poor_yield_ends_the_sampling(tmp_path: Path, scripted: Opened) -> None:
    progress = Silent()
    recipe = keeping("screen.keep=100", "screen.min_yield=0.5", "screen.where=category = 'Editing'")
    made = run(recipe, tmp_path / "run", progress)
    assert made.info.rows == 112
    assert sum(kept_categories(made).values()) < 60
    assert "less than min_yield, so no more are sampled" in progress.notes[-1]


def test_the_most_is_what_rows_say(tmp_path: Path) -> None:
    made = run(keeping("screen.keep=900", "screen.where=category = 'Editing'"), tmp_path / "run")
    assert made.info.rows == 960
    assert status(made).finished


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("screen.quotas={Math: 0.5}", "quotas are shares of `screen.keep`"),
        ("screen={keep: 9, quotas: {Maths: 0.5}}", "did you mean 'Math'"),
        ("screen={keep: 9, quotas: {Math: 0.7, Planning: 0.7}}", "add up to 1 at most"),
        ("screen.keep=0", "greater than or equal to 1"),
    ],
)
def test_a_target_that_cannot_be(tmp_path: Path, override: str, sentence: str) -> None:
    with pytest.raises(RecipeError, match=sentence):
        run(keeping(override), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_quotas_need_a_judge(tmp_path: Path) -> None:
    recipe = keeping("screen={keep: 9, quotas: {Math: 0.5}}", "annotate.judge=null", "configs={}")
    object.__setattr__(recipe.annotate, "judge", None)
    with pytest.raises(RecipeError, match="quotas are of categories, so `annotate` needs"):
        run(recipe, tmp_path / "run")
