"""Precision and recall of the demo recipe's screen and filter, by the grammar that knows the truth.

The bundled model writes, answers, judges and scores; here every query that the rules let pass is
answered, so that what screen and filter turn away can be checked too. The grammar (``demo_model``)
reads a query or not (well-formed), and checks its answer where there is one right one. **Good** is
a row whose query is well-formed and no repetition of one before, and whose answer is not wrong.
Precision is the share of good rows among those that are kept; recall is the share of the good ones
that are. "Novel" says that no conversation of the training holds the query; nothing filters for it.
Last, whether a classifier before the judge would pay (``sieve.py``).

There is no other side: ``theirs`` is all that was sampled, and the ratio is the precision after
screen and filter ÷ before.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

# Before anything is imported: children have it from here.
os.environ.update(
    HF_HUB_OFFLINE="1", OMP_NUM_THREADS="1", PYTHONWARNINGS="ignore", TOKENIZERS_PARALLELISM="false"
)

import polars as pl
from harness import Meter, Side, alternate, digest
from lines import Recorder, bring
from report import arguments, finish, show
from screening import DEMO, planned
from sieve import HEADER, ready, sieve

from magpie_hub import models
from magpie_hub.engines import EngineSpec, open_engine
from magpie_hub.filters import Filter
from magpie_hub.recipe import Recipe
from magpie_hub.run import Run
from magpie_hub.run.accounts import accounts
from magpie_hub.run.stored import joined, store

ROOT = Path(__file__).parents[1]
CONFIG = "filtered"
ROWS, QUICK_ROWS = 1500, 100
LIBRARIES = ("torch", "transformers", "llguidance", "polars", "scikit-learn")
TRUTHS = ("well-formed", "novel", "right", "good")
Row = dict[str, Any]
Step = tuple[str, list[Row]]


def everything(meter: Meter, *, rows: int) -> None:
    """Sample, answer, judge and score; what became of each slot is left in the facts."""
    plan = planned("bundled:chat", rows, min(rows, 500), 0, late=True, fixed=False)
    chat = Recorder(open_engine(EngineSpec(), plan.sources.asker.model))
    scorer = Recorder(open_engine(EngineSpec(), plan.sources.rewards[0].model, "score"))
    for _ in meter.rounds():
        with tempfile.TemporaryDirectory() as folder:
            with meter.part() as part:
                run = bring(plan, Path(folder) / "run", "annotate", chat, scorer)
            found = list(collected(run))
            judge = accounts(run)["judge"]
        part.work, part.digest = len(found), digest(row["id"] for row in found)
        meter.facts["rows"] = found
        meter.facts["judge, CPU s a query"] = judge.cpu_seconds / judge.rows


def clauses() -> list[str]:
    """The demo recipe's, of its screen and of its config."""
    recipe = Recipe.parse(DEMO.read_text(encoding="utf-8"), name=DEMO.name)
    return [str(recipe.screen.where), *str(recipe.configs[CONFIG].where).split(" AND ")]


def collected(run: Run) -> Iterator[Row]:
    """For every slot: what was said, why the rules turn it away, and which clauses it passes."""
    stages = [stage.name for stage in run.info.stages if stage.name != "screen"]
    columns = [c for stage in run.info.stages for c in stage.columns]
    columns = [c for c in columns if c not in ("messages", "turns")]
    for shard in range(run.shard_count):
        verdicts = store(run, "screen").read(shard)
        table = joined(run, shard, verdicts["id"], stages)
        frame = pl.DataFrame(table.select(columns))
        passed = {c: Filter.parse(c, columns).keep(frame).to_list() for c in clauses()}
        texts = table.select(["id", "query", "response"]).to_pylist()
        for at, row in enumerate(texts):
            passes = {clause: each[at] for clause, each in passed.items()}
            yield {**row, "reason": verdicts["reason"][at].as_py(), "passes": passes}


def add_truth(rows: Sequence[Row]) -> None:
    """What the grammar says of each."""
    sys.path.insert(0, str(ROOT))
    from demo_model.conversation import build
    from demo_model.grammar import is_correct, parse

    facts = json.loads((models.resolve("bundled:chat").path / "training.json").read_text())
    taught = build(facts["conversations"], seed=facts["seed"])
    seen = {query for each in taught if not each.is_judge for query, _ in each.turns}
    met: set[str] = set()
    for row in rows:
        query, answer = row["query"], row["response"]
        parsed = parse(query)
        right = is_correct(parsed, answer) if parsed and answer is not None else None
        first = query not in met
        met.add(query)
        row["checkable"] = right is not None
        row["well-formed"], row["novel"] = parsed is not None, query not in seen
        row["right"] = bool(right)
        row["good"] = parsed is not None and first and right is not False


def steps(rows: list[Row]) -> Iterator[Step]:
    """The rows that are left after each step of screen and filter, in their order."""
    yield "all that was sampled", rows
    reasons = dict.fromkeys(row["reason"] for row in rows if row["reason"])
    for reason in reasons:
        rows = [row for row in rows if row["reason"] != reason]
        yield f"not: {reason}", rows
    for clause in clauses():
        rows = [row for row in rows if row["passes"][clause]]
        yield clause, rows


def share(rows: Sequence[Row], truth: str) -> float:
    """Of those that it can be said of."""
    asked = [row for row in rows if truth != "right" or row["checkable"]]
    return sum(row[truth] for row in asked) / max(len(asked), 1)


def recall(rows: Sequence[Row], whole: Sequence[Row], truth: str = "good") -> float:
    return sum(row[truth] for row in rows) / sum(row[truth] for row in whole)


def alone(rows: Sequence[Row], passes: Callable[[Row], bool], truth: str) -> tuple[float, float]:
    """Precision and recall of one clause, on rows that all others let through."""
    kept = [row for row in rows if passes(row)]
    known = [row for row in rows if truth != "right" or row["checkable"]]
    return share(kept, truth), sum(row[truth] for row in known if passes(row)) / sum(
        row[truth] for row in known
    )


def main() -> None:
    args = arguments(__doc__)
    size = QUICK_ROWS if args.quick else ROWS
    preload = ("torch", "transformers", "magpie_hub.pipeline.plan")
    runs = alternate([Side("everything", everything, {"rows": size})], preload=preload)
    rows = runs[0].facts.pop("rows")
    add_truth(rows)
    taken = list(steps(rows))
    show(
        f"{size:,} slots of bundled:chat, step by step",
        ("step", "rows", *(f"{truth}" for truth in TRUTHS), "recall of good"),
        [
            (
                step,
                len(left),
                *(f"{share(left, truth):.1%}" for truth in TRUTHS),
                f"{recall(left, rows):.1%}",
            )
            for step, left in taken
        ],
    )
    answered = [row for row in rows if row["reason"] is None]
    show(
        "each clause alone, on all answered rows",
        ("clause", "truth", "share before", "precision", "recall"),
        [
            (
                clause,
                truth,
                f"{share(answered, truth):.1%}",
                *(f"{x:.1%}" for x in alone(answered, lambda r, c=clause: r["passes"][c], truth)),
            )
            for clause in clauses()
            for truth in ("well-formed", "right", "good")
        ],
    )
    if ready() and not args.quick:
        queries = [row["query"] for row in answered]
        passed = [row["passes"][clauses()[0]] for row in answered]
        table = sieve(queries, passed, runs[0].facts["judge, CPU s a query"])
        show("a classifier before the judge (sieve.py)", HEADER, table)
    kept = taken[-1][1]
    before, after = share(rows, "good"), share(kept, "good")
    finish(
        "precision",
        ratio=after / before,
        ours={"precision": after, "recall": recall(kept, rows)},
        theirs={"precision": before, "recall": 1.0},
        runs=runs,
        libraries=LIBRARIES,
        as_json=args.json,
    )


if __name__ == "__main__":
    main()
