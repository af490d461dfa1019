"""Labels by one judge and scores by one reward model, the same for every source."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any

import polars as pl

from magpie_hub import models, template
from magpie_hub.annotate.judge import Question, label, prompts
from magpie_hub.engines import Engine, EngineSpec, Request, generate, open_engine
from magpie_hub.errors import EngineError
from magpie_hub.evidence.asking import speaker
from magpie_hub.recipe import Passes
from magpie_hub.stages import Progress, Steps
from magpie_hub.stages.driver import Driver

_TOGETHER = 64
"""Rows that are begun at once."""
JUDGED = ("category", "difficulty", "quality")


def judge(
    ref: str,
    samples: Sequence[tuple[str, pl.DataFrame]],
    *,
    passes: Passes,
    engine: EngineSpec,
    progress: Progress,
) -> list[pl.DataFrame]:
    """The rows of each sample with the judge's labels of their first question in the place of their
    own. ``UsageError`` where the model takes no questions, ``EngineError`` where it gives no valid
    label at all."""
    asked_of = speaker(ref, "the judge")
    asked = [Question.of(prompt, asked_of.template) for prompt in prompts(passes)]
    opened = open_engine(engine, asked_of.model)
    made = []
    try:
        for name, rows in samples:
            stage = f"judge {name}"
            queries = dict(enumerate(rows["query"]))
            steps = {
                str(place): label(asked, asked_of.template, query)
                for place, query in queries.items()
            }
            found = _driven(opened, stage, steps, progress)
            made.append(_labelled(rows, [found[str(place)] for place in queries]))
    finally:
        opened.close()
    if not any(rows["quality"].count() for rows in made):
        raise EngineError(f"{ref} gave no valid label at all; take another judge.")
    return made


def reward(
    ref: str,
    samples: Sequence[tuple[str, pl.DataFrame]],
    *,
    engine: EngineSpec,
    progress: Progress,
) -> list[pl.DataFrame]:
    """The rows of each sample with the model's score of each conversation as their ``reward``;
    null where it ends with no answer."""
    model = models.resolve(ref)
    reader = template.reader(model.path)
    opened = open_engine(engine, model, task="score")
    made = []
    try:
        for name, rows in samples:
            stage = f"reward {name}"
            progress.begin(stage, total=len(rows), done=0)
            scores: list[float | None] = [None] * len(rows)
            places = {
                Request(prompt=reader.conversation(messages)): place
                for place, messages in enumerate(rows["messages"].to_list())
                if messages[-1]["role"] == "assistant"
            }
            for completion in generate(opened, places):
                if completion.finish_reason != "error":
                    if len(completion.scores) != 1:
                        raise EngineError(
                            f"{ref} gives {len(completion.scores)} numbers a text, and a reward "
                            "model gives one."
                        )
                    scores[places[completion.request]] = completion.scores[0]
                progress.advance(stage, rows=1)
            progress.end(stage)
            made.append(rows.with_columns(reward=pl.Series(scores, dtype=pl.Float64)))
    finally:
        opened.close()
    return made


def _driven(
    engine: Engine, stage: str, steps: dict[str, Steps], progress: Progress
) -> dict[str, dict[str, Any]]:
    """What each row came to."""
    driver, left = Driver(engine, progress), iter(steps.items())
    progress.begin(stage, total=len(steps), done=0)
    made: dict[str, dict[str, Any]] = {}
    while True:
        while driver.room and (some := dict(islice(left, _TOGETHER))):
            driver.begin(stage, some)
        if driver.idle:
            progress.end(stage)
            return made
        for batch in driver.poll():
            made |= batch.made
            progress.advance(stage, rows=len(batch.made), failed=batch.failed)


def _labelled(rows: pl.DataFrame, found: Sequence[dict[str, Any]]) -> pl.DataFrame:
    columns = {
        name: pl.Series([each.get(name) for each in found], dtype=pl.String) for name in JUDGED
    }
    return rows.with_columns(**columns)
