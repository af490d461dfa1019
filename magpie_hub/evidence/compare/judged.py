"""Labels by one judge and scores by one reward model, the same for every source."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import polars as pl
import pyarrow as pa

from magpie_hub import models, template
from magpie_hub.annotate.judge import Question, label, prompts
from magpie_hub.annotate.reward import scored
from magpie_hub.engines import EngineSpec
from magpie_hub.errors import EngineError
from magpie_hub.evidence.asking import Stage, fingerprint, rows, speaker
from magpie_hub.recipe import Passes
from magpie_hub.run.answered import Message
from magpie_hub.stages import Progress, ReadSource, Steps

JUDGED = ("category", "difficulty", "quality")
_JUDGE, _REWARD = "judge", "reward"
_LABELS = pa.schema([(name, pa.string()) for name in JUDGED])
_SCORE = pa.schema([("reward", pa.float64())])


def judge(
    ref: str,
    samples: Sequence[pl.DataFrame],
    *,
    passes: Passes,
    folder: Path,
    engine: EngineSpec,
    progress: Progress,
) -> list[pl.DataFrame]:
    """The rows of each sample with the judge's labels of their first question in the place of their
    own; those that are in ``folder`` already are taken from there. ``UsageError`` where the model
    takes no questions, ``EngineError`` where it gives no valid label at all."""
    source = speaker(ref, "the judge")
    asked = [Question.of(prompt, source.template) for prompt in prompts(passes)]
    queries = [query for sample in samples for query in sample["query"]]
    stage = Stage(
        title=_JUDGE,
        folder=folder / _JUDGE,
        schema=_LABELS,
        keys=fingerprint(
            source.model.identity,
            source.template.describe(),
            [question.prompt.sha256 for question in asked],
            queries,
        ),
        model=source.model,
        steps=lambda place: label(asked, source.template, queries[place]),
    )
    found = rows(stage, _ids(len(queries)), engine=engine, progress=progress)
    if not any(row["quality"] for row in found):
        raise EngineError(f"{ref} gave no valid label at all; take another judge.")
    made = pl.DataFrame({name: [row[name] for row in found] for name in JUDGED}, pl.Schema(_LABELS))
    return list(_beside(samples, made))


def reward(
    ref: str,
    samples: Sequence[pl.DataFrame],
    *,
    folder: Path,
    engine: EngineSpec,
    progress: Progress,
) -> list[pl.DataFrame]:
    """The rows of each sample with the model's score of each conversation as their ``reward``; null
    where it ends with no answer. What is in ``folder`` already is taken from there."""
    model = models.resolve(ref)
    source = ReadSource(model, template.reader(model.path))
    talks = [messages for sample in samples for messages in sample["messages"].to_list()]
    answered = [at for at, messages in enumerate(talks) if messages[-1]["role"] == "assistant"]
    stage = Stage(
        title=_REWARD,
        folder=folder / _REWARD,
        schema=_SCORE,
        keys=fingerprint(model.identity, [talks[at] for at in answered]),
        model=model,
        task="score",
        steps=lambda place: _reward(source, talks[answered[place]]),
    )
    found = rows(stage, _ids(len(answered)), engine=engine, progress=progress)
    scores: list[float | None] = [None] * len(talks)
    for at, row in zip(answered, found, strict=True):
        scores[at] = row["reward"]
    return list(_beside(samples, pl.DataFrame({"reward": scores}, pl.Schema(_SCORE))))


def forget(folder: Path) -> None:
    """Take away what was kept in ``folder``, and nothing else that is in it."""
    for name in (_JUDGE, _REWARD):
        shutil.rmtree(folder / name, ignore_errors=True)
    with suppress(OSError):
        folder.rmdir()


def _reward(source: ReadSource, messages: list[Message]) -> Steps:
    [score] = yield from scored(source, [messages])
    return {"reward": score}


def _ids(count: int) -> list[str]:
    return [f"{place:08d}" for place in range(count)]


def _beside(samples: Sequence[pl.DataFrame], made: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Each sample with its rows of ``made``, which has those of all samples in turn."""
    start = 0
    for sample in samples:
        part = made.slice(start, len(sample))
        yield sample.with_columns(*part.get_columns())
        start += len(sample)
