import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from magpie_hub import models, schema, template
from magpie_hub.annotate import language
from magpie_hub.engines import Completion, Engine, Request, Task
from magpie_hub.models import Model
from magpie_hub.pipeline import Plan, scheduler
from magpie_hub.pipeline.scheduler import Scheduler, Stop
from magpie_hub.recipe import Language, Recipe
from magpie_hub.run import Run
from magpie_hub.run.stored import store
from magpie_hub.stages import Local, Whole
from magpie_hub.storage.claims import Alone, Claims
from tests.conftest import Silent, shard_bytes, small
from tests.scripted import Script, Scripted

CHAT = template.load(models.resolve("bundled:chat").path)
LABELS = {
    "category": "Math",
    "other_categories": [],
    "difficulty": "easy",
    "quality": "good",
}


def speak(request: Request) -> Completion:
    """Queries, labels, answers and scores as a model would give them, only always the same."""
    if request.decoding is None:
        return Completion(request, scores=(float(len(request.prompt)),))
    if request.schema:
        wanted = json.loads(request.schema)["properties"]
        text = json.dumps({name: LABELS.get(name, "so") for name in wanted})
    elif request.prompt == CHAT.prefix_ids:
        text = f"What is {request.seed % 1000} + 1?"
    else:
        text = "It is what it is."
    return Completion(request, tuple(CHAT.renderer.ids(text)))


def is_query(request: Request) -> bool:
    return request.decoding is not None and request.prompt == CHAT.prefix_ids


def is_answer(request: Request) -> bool:
    return request.decoding is not None and not request.schema and not is_query(request)


class Opened:
    """Opens a scripted engine for each model, and remembers them."""

    def __init__(
        self, script: Script = speak, *, capacity: int = 8, exclusive: bool = False
    ) -> None:
        self.engines: list[tuple[str, Task, Scripted]] = []
        self._script, self._capacity, self._exclusive = script, capacity, exclusive

    def __call__(self, model: Model, task: Task) -> Engine:
        if self._exclusive:
            assert all(engine.closed for *_, engine in self.engines)
        engine = Scripted(self._script, capacity=self._capacity)
        engine.exclusive = self._exclusive
        self.engines.append((model.ref, task, engine))
        return engine

    @property
    def submitted(self) -> list[Request]:
        return [r for *_, e in self.engines for wave in e.submissions for r in wave]


def plain(*overrides: str) -> Recipe:
    return small("rows=96", "shard_rows=8", "screen.languages=[]", *overrides)


def scheduled(
    recipe: Recipe,
    out: Path,
    opened: Callable[[Model, Task], Engine],
    *,
    claims: Claims | None = None,
    stop: Stop | None = None,
    retry_failed: bool = False,
) -> tuple[Scheduler, Run]:
    plan = Plan(recipe)
    run = Run.start(recipe, out, plan.stages)
    made = Scheduler(
        run,
        plan.works(run),
        open_engine=opened,
        claims=claims or Alone(),
        progress=Silent(),
        stop=stop or Stop(),
        retry_failed=retry_failed,
    )
    return made, run


def test_the_bytes_do_not_depend_on_the_order_in_which_completions_come(tmp_path: Path) -> None:
    for capacity in (1, 8, 300):
        line, _ = scheduled(plain(), tmp_path / str(capacity), Opened(capacity=capacity))
        assert line.work()
    assert (
        shard_bytes(tmp_path / "1") == shard_bytes(tmp_path / "8") == shard_bytes(tmp_path / "300")
    )
    assert len(shard_bytes(tmp_path / "1")) == 6 * 12


def test_answers_are_asked_for_while_queries_are_still_sampled(tmp_path: Path) -> None:
    opened = Opened()
    line, _ = scheduled(plain(), tmp_path / "run", opened)
    line.work()
    ((_, _, chat),) = [engine for engine in opened.engines if engine[1] == "generate"]
    kinds = [is_query(r) for wave in chat.submissions for r in wave if is_query(r) or is_answer(r)]
    assert kinds.index(False) < len(kinds) - 1 - kinds[::-1].index(True)


def test_requests_in_flight_are_bounded(tmp_path: Path) -> None:
    opened = Opened(capacity=20)
    line, _ = scheduled(plain(), tmp_path / "run", opened)
    line.work()
    # A shard is begun whole: at most one above the engine's capacity, with three prompts a row.
    assert max(engine.most for *_, engine in opened.engines) < 20 + 3 * 8


class Counting(Alone):
    """How many shards were with an engine at once."""

    def __init__(self) -> None:
        self.held: set[tuple[str, int]] = set()
        self.most = 0

    def take(self, stage: str, shard: int) -> bool:
        if stage not in ("language", "screen"):
            self.held.add((stage, shard))
        self.most = max(self.most, len(self.held))
        return True

    def give_back(self, stage: str, shard: int) -> None:
        self.held.discard((stage, shard))


@pytest.mark.parametrize(("rows_open", "shards"), [(16, 2), (40, 5)])
def test_rows_in_memory_are_bounded_whatever_the_engine_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows_open: int, shards: int
) -> None:
    monkeypatch.setattr(scheduler, "_ROWS_OPEN", rows_open)
    claims = Counting()
    recipe = plain("screen.dedup=none")
    line, _ = scheduled(recipe, tmp_path / "run", Opened(capacity=1000), claims=claims)
    assert line.work()
    assert claims.most == shards
    assert not claims.held


def test_a_stop_finishes_the_shards_in_flight_and_begins_none(tmp_path: Path) -> None:
    stop, asked = Stop(), []

    def script(request: Request) -> Completion:
        asked.append(request)
        if len(asked) == 20:
            stop.asked = True
        return speak(request)

    opened = Opened(script)
    line, run = scheduled(plain(), tmp_path / "run", opened, stop=stop)
    assert not line.work()
    assert len(asked) == len(opened.submitted)
    there = shard_bytes(tmp_path / "run")
    assert 0 < len(there) < 6 * 12
    assert all(engine.closed for *_, engine in opened.engines)
    again, _ = scheduled(plain(), tmp_path / "run", Opened())
    assert again.work()
    whole, _ = scheduled(plain(), tmp_path / "whole", Opened())
    whole.work()
    assert shard_bytes(tmp_path / "run") == shard_bytes(tmp_path / "whole")
    assert there.items() <= shard_bytes(tmp_path / "run").items()


def test_rows_that_failed_are_kept_as_failed_and_can_be_made_again(tmp_path: Path) -> None:
    def failing(request: Request) -> Completion:
        if (is_query(request) and request.seed % 7 == 0) or (
            is_answer(request) and request.seed % 5 == 0
        ):
            return Completion(request, finish_reason="error", error="out of luck")
        return speak(request)

    line, run = scheduled(plain(), tmp_path / "run", Opened(failing))
    assert line.work()
    lost = {
        stage: sum(store(run, stage).failed(s) for s in range(12))
        for stage in ("sample", "respond")
    }
    assert lost["sample"] and lost["respond"]
    again = Opened()
    mended, _ = scheduled(plain(), tmp_path / "run", again, retry_failed=True)
    mended.work()
    rest, _ = scheduled(plain(), tmp_path / "run", again)
    assert rest.work()
    assert sum(map(is_query, again.submitted)) == lost["sample"]
    whole, _ = scheduled(plain(), tmp_path / "whole", Opened())
    whole.work()
    for stage in ("sample", "language", "judge", "screen", "respond", "reward"):
        for shard in range(12):
            tables = [store(r, stage).read(shard) for r in (run, Run.open(tmp_path / "whole"))]
            assert tables[0].equals(tables[1]), (stage, shard)


def test_several_responders_answer_their_own_slots(tmp_path: Path) -> None:
    recipe = plain(
        "respond={responders: [{weight: 3}, {model: 'bundled:chat', temperature: 0.5, weight: 1}]}"
    )
    opened = Opened()
    line, run = scheduled(recipe, tmp_path / "run", opened)
    assert line.work()
    answers = [r for r in opened.submitted if is_answer(r)]
    warm = sum(r.decoding.temperature == 0.5 for r in answers if r.decoding)
    assert warm == pytest.approx(len(answers) / 4, abs=4)
    for shard in range(12):
        verdicts = store(run, "screen").read(shard)
        kept = verdicts.filter(verdicts["kept"])["id"].to_pylist()
        assert store(run, "respond").read(shard)["id"].to_pylist() == kept


def test_a_model_that_takes_the_machine_is_closed_before_another_is_opened(tmp_path: Path) -> None:
    opened = Opened(exclusive=True)
    line, _ = scheduled(plain(), tmp_path / "run", opened)
    assert line.work()
    assert [(ref, task) for ref, task, _ in opened.engines] == [
        ("bundled:chat", "generate"),
        ("bundled:reward", "score"),
    ]


class Half(Alone):
    """The even shards are ours."""

    def take(self, stage: str, shard: int) -> bool:
        return shard % 2 == 0


def test_the_shards_of_others_are_left_alone(tmp_path: Path) -> None:
    line, run = scheduled(plain("screen.dedup=none"), tmp_path / "run", Opened(), claims=Half())
    assert not line.work()
    for stage in run.info.stages:
        assert run.missing(stage.name) == list(range(1, 12, 2))


def test_what_needs_the_shards_of_others_waits_for_them(tmp_path: Path) -> None:
    """Duplicates are those of queries before: a shard is judged when all before it are sampled."""
    line, run = scheduled(plain(), tmp_path / "run", Opened(), claims=Half())
    assert not line.work()
    assert run.missing("sample") == list(range(1, 12, 2))
    assert run.missing("judge") == list(range(1, 12))


def test_a_shard_that_another_finishes_is_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "_LOOK_AGAIN", 0.0)
    whole, _ = scheduled(plain(), tmp_path / "whole", Opened())
    whole.work()

    class Shared(Half):
        """Somebody else does the odd shards' queries, one whenever we ask."""

        waits = True

        def take(self, stage: str, shard: int) -> bool:
            path = Path("queries") / f"{shard:05d}.arrow"
            if stage != "sample" or shard % 2 == 0:
                return True
            target = tmp_path / "run" / path
            target.parent.mkdir(exist_ok=True)
            target.write_bytes((tmp_path / "whole" / path).read_bytes())
            return False

    line, _ = scheduled(plain(), tmp_path / "run", Opened(), claims=Shared())
    assert line.work()
    assert shard_bytes(tmp_path / "run") == shard_bytes(tmp_path / "whole")


def test_every_finished_shard_has_its_account(tmp_path: Path) -> None:
    line, run = scheduled(plain(), tmp_path / "run", Opened())
    line.work()
    for stage in run.info.stages:
        records = run.accounts(stage.name)
        assert sorted(records) == list(range(12))
        assert all(record["seconds"] >= 0 and record["rows"] <= 8 for record in records.values())
    sampled = run.accounts("sample")
    assert sum(record["new_tokens"] for record in sampled.values()) > 96
    assert sampled[0]["engine"]["name"] == "scripted"
    assert schema.QUERIES.names[-1] == "error"


def test_a_stage_in_order_does_one_shard_after_the_other(tmp_path: Path) -> None:
    plan = Plan(plain())
    run = Run.start(plain(), tmp_path / "run", plan.stages)
    made: list[int] = []

    def make(shard: int, _: set[str]) -> pa.Table:
        made.append(shard)
        return language.telling(run, Language()).make(shard, set())

    works = [plan.works(run)[0], Local("language", make, in_order=True)]
    engine = Opened(capacity=300)
    line = Scheduler(run, works, open_engine=engine, claims=Alone(), progress=Silent(), stop=Stop())
    assert line.work()
    assert made == list(range(12))


def test_a_stage_over_the_whole_waits_for_every_shard_and_is_done_once(tmp_path: Path) -> None:
    plan = Plan(plain())
    stages = [s.model_copy(update={"whole": s.name == "language"}) for s in plan.stages]
    calls: list[list[int]] = []

    def scheduled_over(rows: int) -> tuple[Scheduler, Run]:
        run = Run.start(plain(f"rows={rows}"), tmp_path / "run", tuple(stages))

        def make(shards: Sequence[int]) -> Iterator[pa.Table]:
            assert not run.missing("sample")
            calls.append(list(shards))
            for shard in shards:
                yield language.telling(run, Language()).make(shard, set())

        first, *rest = plan.works(run)
        works = [first, Whole("language", make), *(w for w in rest if w.stage == "screen")]
        return (
            Scheduler(
                run, works, open_engine=Opened(), claims=Alone(), progress=Silent(), stop=Stop()
            ),
            run,
        )

    line, run = scheduled_over(40)
    assert line.work()
    again, _ = scheduled_over(40)
    assert again.work()
    assert calls == [list(range(5))]
    line, run = scheduled_over(96)
    assert line.work()
    assert calls[1:] == [list(range(12))]
    assert not run.missing("screen")
