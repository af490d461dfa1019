"""A model's answers to a benchmark's prompts: judged against another's, and checked by truth where
there is one.

Source: arXiv 2406.08464, section 4: AlpacaEval 2, Arena-Hard and WildBench with greedy decoding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from magpie_hub import models
from magpie_hub.engines import EngineSpec
from magpie_hub.errors import InvalidData, UsageError
from magpie_hub.evidence.evaluate.answers import Answered, answer
from magpie_hub.evidence.evaluate.evaluation import Evaluation
from magpie_hub.evidence.evaluate.judging import judge
from magpie_hub.evidence.evaluate.numbers import Pairs, agreement, own, summary
from magpie_hub.evidence.evaluate.opponents import Answer, read_answers, write_answers
from magpie_hub.evidence.evaluate.prompts import Benchmark, read_prompts
from magpie_hub.evidence.evaluate.truth import checkable
from magpie_hub.evidence.evaluate.winrates import read_gamed
from magpie_hub.locks import locked
from magpie_hub.stage import Progress

_PENALTY = (
    "answers are greedy without a repetition penalty: the paper set one of 1.2 for AlpacaEval, "
    "which the engines do not have."
)


@dataclass(frozen=True)
class Settings:
    """``against`` is a model or a file of answers; ``gamed`` AlpacaEval's file df_gamed.csv."""

    against: str | None = None
    judge: str | None = None
    second_judge: str | None = None
    max_tokens: int = 2048
    seed: int = 0
    gamed: str | None = None
    engine: EngineSpec = EngineSpec()


def evaluate(
    model: str, prompts: str, out: Path, settings: Settings, *, progress: Progress
) -> Evaluation:
    """All of it in ``out``, where a second call finds what the first has finished. ``UsageError``
    where there is nothing to compare or check with, ``InvalidData`` for a broken file,
    ``EngineError`` where a model fails or a judge gives no valid verdict."""
    settings.engine.require()
    benchmark = read_prompts(prompts)
    _require(benchmark, settings)
    gamed = read_gamed(Path(settings.gamed)) if settings.gamed else None
    for prompt in benchmark.prompts if gamed else ():
        if gamed and prompt.place not in gamed.difficulty:
            raise InvalidData(f"{settings.gamed} has no difficulty of prompt {prompt.id}.")
    for ref in (model, settings.judge, settings.second_judge):
        if ref is not None:
            models.resolve(ref)
    out.mkdir(parents=True, exist_ok=True)
    with locked(out):

        def answered(ref: str) -> Answered:
            return answer(
                ref,
                benchmark,
                max_tokens=settings.max_tokens,
                folder=out / "answers",
                engine=settings.engine,
                progress=progress,
            )

        ours = answered(model)
        file = write_answers(out, model, benchmark, ours.answers)
        opponent, theirs = _opponent(benchmark, settings, answered)
        pairs = _paired(benchmark, ours.answers, theirs)
        judgements = [
            judge(
                ref,
                benchmark.kind,
                pairs.prompts,
                pairs.answers,
                pairs.opponents,
                folder=out / "verdicts",
                engine=settings.engine,
                progress=progress,
            )
            for ref in (settings.judge, settings.second_judge)
            if ref is not None
        ]
    absent = {"repetition penalty": _PENALTY} if benchmark.kind == "alpaca-eval" else {}
    judged = [summary(each, benchmark, pairs, gamed, settings.seed, absent) for each in judgements]
    return Evaluation(
        model=model,
        revision=ours.revision,
        opponent=opponent,
        benchmark=benchmark.name,
        kind=benchmark.kind,
        prompts=len(benchmark.prompts),
        judged=len(pairs.prompts) if judgements else 0,
        failed=ours.failed,
        cut=ours.cut,
        settings={
            "decoding": "greedy",
            "max_tokens": settings.max_tokens,
            "seed": settings.seed,
            "engine": settings.engine.name,
        },
        numbers=own(benchmark, ours.answers, settings.seed),
        judges=tuple(judged),
        agreement=agreement(judgements, absent),
        absent=absent,
        file=file.name,
    )


def _require(benchmark: Benchmark, settings: Settings) -> None:
    """What can be told before a model is loaded."""
    if settings.max_tokens < 1:
        raise UsageError(f"--max-tokens {settings.max_tokens}: it is at least 1.")
    if settings.second_judge is not None and settings.judge is None:
        raise UsageError("--second-judge goes with --judge.")
    if settings.gamed and benchmark.kind != "alpaca-eval":
        raise UsageError(f"--gamed is of AlpacaEval, and {benchmark.name} is {benchmark.kind}.")
    opponent = settings.against is not None or _carries_answers(benchmark)
    checks = any(map(checkable, benchmark.prompts))
    if settings.judge is None and not checks:
        raise UsageError(f"{benchmark.name} has no answers to check by: give --judge MODEL.")
    if settings.judge is not None and not opponent and benchmark.kind != "wildbench":
        raise UsageError(
            f"{benchmark.name} comes without answers to compare with: give --against, a model or a "
            "file of answers."
        )


def _carries_answers(benchmark: Benchmark) -> bool:
    return all(prompt.answer is not None for prompt in benchmark.prompts)


def _opponent(
    benchmark: Benchmark, settings: Settings, answered: Callable[[str], Answered]
) -> tuple[str | None, Sequence[Answer | None] | None]:
    """Its name and answers: of a file, of a model, or those that came with the prompts."""
    against = settings.against
    if settings.judge is None:
        return None, None
    if against is None:
        if not _carries_answers(benchmark):
            return None, None
        name = benchmark.prompts[0].generator or benchmark.name
        return name, [(prompt.answer or "",) for prompt in benchmark.prompts]
    if Path(against).is_file():
        return read_answers(Path(against), benchmark)
    return against, answered(against).answers


def _paired(
    benchmark: Benchmark,
    ours: Sequence[Answer | None],
    theirs: Sequence[Answer | None] | None,
) -> Pairs:
    both = [
        (prompt, own, other)
        for prompt, own, other in zip(
            benchmark.prompts, ours, theirs or [()] * len(ours), strict=True
        )
        if own is not None and other is not None
    ]
    if not both:
        raise UsageError(f"no prompt of {benchmark.name} was answered by both sides.")
    asked, answers, others = zip(*both, strict=True)
    return Pairs(asked, answers, others if theirs is not None else None)
