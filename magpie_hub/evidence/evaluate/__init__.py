"""A model's answers to a benchmark's prompts: judged against another's, and checked by truth where
there is one.

Source: arXiv 2406.08464, section 4: AlpacaEval 2, Arena-Hard and WildBench with greedy decoding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path

from magpie_hub.engines import Decoding, EngineSpec
from magpie_hub.errors import InvalidData, UsageError
from magpie_hub.evidence.asking import answerer, speaker
from magpie_hub.evidence.command import command
from magpie_hub.evidence.evaluate.answers import Answered, answer
from magpie_hub.evidence.evaluate.evaluation import Evaluation
from magpie_hub.evidence.evaluate.judging import judge
from magpie_hub.evidence.evaluate.numbers import Pairs, agreement, own, summary
from magpie_hub.evidence.evaluate.opponents import Answer, read_answers, write_answers
from magpie_hub.evidence.evaluate.prompts import Benchmark, Kind, read_prompts
from magpie_hub.evidence.evaluate.record import failed, record
from magpie_hub.evidence.evaluate.truth import Truth, checkable
from magpie_hub.evidence.evaluate.truth import name as name_of
from magpie_hub.evidence.evaluate.winrates import read_gamed
from magpie_hub.evidence.record import Record, failing, write_records
from magpie_hub.evidence.templates import OWN
from magpie_hub.stages import Progress
from magpie_hub.storage.locks import locked

PENALTIES: Mapping[Kind, float] = {"alpaca-eval": 1.2}
"""Repetition penalties that the paper answered with; the others are 1, which is none."""


@dataclass(frozen=True)
class Settings:
    """``against`` is a model or a file of answers; ``gamed`` AlpacaEval's file df_gamed.csv;
    ``truth`` checks answers to prompts that do not say by what they can be checked. Where
    ``repetition_penalty`` is None it is that of ``PENALTIES``; ``chat_template``, a file or a
    name, is the model's, and that of an opponent that has none."""

    against: str | None = None
    judge: str | None = None
    second_judge: str | None = None
    max_tokens: int = 2048
    repetition_penalty: float | None = None
    chat_template: str | None = None
    seed: int = 0
    gamed: str | None = None
    truth: Truth | None = None
    engine: EngineSpec = EngineSpec()


def evaluate(
    model: str, prompts: str, out: Path, settings: Settings, *, progress: Progress
) -> Evaluation:
    """All of it in ``out``, where a second call finds what the first has finished. ``UsageError``
    where there is nothing to compare or check with, ``InvalidData`` for a broken file,
    ``EngineError`` where a model fails or a judge gives no valid verdict. What came of it is a
    record for a card too (see ``evidence/record.py``), whether it failed or not."""
    settings.engine.require()
    benchmark = read_prompts(prompts)
    _require(benchmark, settings)
    gamed = read_gamed(Path(settings.gamed)) if settings.gamed else None
    for prompt in benchmark.prompts if gamed else ():
        if gamed and prompt.place not in gamed.difficulty:
            raise InvalidData(f"{settings.gamed} has no difficulty of prompt {prompt.id}.")
    judges = [
        (ref, speaker(ref, "the judge"))
        for ref in (settings.judge, settings.second_judge)
        if ref is not None
    ]
    asked = {
        ref: answerer(ref, settings.chat_template, spare=ref != model)
        for ref in (model, _rival(settings))
        if ref is not None
    }
    for ref, (_, named) in asked.items():
        if named != OWN:
            progress.note(f"{ref} is asked with the chat template {named}.")
    penalty = settings.repetition_penalty
    penalty = PENALTIES.get(benchmark.kind, 1.0) if penalty is None else penalty
    decoding = Decoding(0.0, 1.0, settings.max_tokens, penalty)
    out.mkdir(parents=True, exist_ok=True)
    called = _called(model, prompts, settings)

    def fails(error: str) -> Record:
        return failed(model, benchmark.name, called, engine=settings.engine.name, error=error)

    with locked(out), failing(out, fails):

        def answered(ref: str) -> Answered:
            return answer(
                ref,
                asked[ref][0],
                benchmark,
                decoding=decoding,
                folder=out / "answers",
                engine=settings.engine,
                progress=progress,
            )

        ours = answered(model)
        file = write_answers(out, model, benchmark, ours.answers)
        numbers = own(benchmark, ours.answers, settings.truth, settings.seed)
        opponent, theirs = _opponent(benchmark, settings, answered)
        pairs = _paired(benchmark, ours.answers, theirs)
        judgements = [
            judge(
                ref,
                source,
                benchmark.kind,
                pairs.prompts,
                pairs.answers,
                pairs.opponents,
                folder=out / "verdicts",
                engine=settings.engine,
                progress=progress,
            )
            for ref, source in judges
        ]
    absent: dict[str, str] = {}
    if settings.truth is not None and not any(each.name == "correct" for each in numbers):
        absent["correct"] = f"{name_of(settings.truth)} could check none of the answers."
    judged = [summary(each, benchmark, pairs, gamed, settings.seed, absent) for each in judgements]
    found = Evaluation(
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
            "repetition_penalty": penalty,
            "chat_template": asked[model][1],
            "seed": settings.seed,
            "engine": settings.engine.name,
            **({"truth": name_of(settings.truth)} if settings.truth else {}),
        },
        numbers=numbers,
        judges=tuple(judged),
        agreement=agreement(judgements, absent),
        absent=absent,
        file=file.name,
    )
    write_records(out, [record(found, called)])
    return found


def _called(model: str, prompts: str, settings: Settings) -> str:
    truth = settings.truth and name_of(settings.truth)
    return command("evaluate", [model, "--prompts", prompts], settings, truth=truth)


def _require(benchmark: Benchmark, settings: Settings) -> None:
    """What can be told before a model is loaded."""
    if settings.max_tokens < 1:
        raise UsageError(f"--max-tokens {settings.max_tokens}: it is at least 1.")
    if settings.repetition_penalty is not None and not 0 < settings.repetition_penalty < inf:
        raise UsageError(
            f"--repetition-penalty {settings.repetition_penalty:g}: it is above 0, and 1 is none."
        )
    if settings.second_judge is not None and settings.judge is None:
        raise UsageError("--second-judge goes with --judge.")
    if settings.gamed and benchmark.kind != "alpaca-eval":
        raise UsageError(f"--gamed is of AlpacaEval, and {benchmark.name} is {benchmark.kind}.")
    opponent = settings.against is not None or _carries_answers(benchmark)
    checks = settings.truth is not None or any(map(checkable, benchmark.prompts))
    if settings.judge is None and not checks:
        raise UsageError(
            f"{benchmark.name} has no answers to check by: give --judge MODEL or --truth "
            "MODULE:FUNCTION."
        )
    if settings.judge is not None and not opponent and benchmark.kind != "wildbench":
        raise UsageError(
            f"{benchmark.name} comes without answers to compare with: give --against, a model or a "
            "file of answers."
        )


def _carries_answers(benchmark: Benchmark) -> bool:
    return all(prompt.answer is not None for prompt in benchmark.prompts)


def _rival(settings: Settings) -> str | None:
    """The opponent, where it is a model that has to answer."""
    against = settings.against
    return None if settings.judge is None or against is None or Path(against).is_file() else against


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
    if _rival(settings) is None:
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
