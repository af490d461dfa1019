"""The numbers of an evaluation: those that need no judge, those of each, and how two agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from magpie_hub.evidence.evaluate import winrates
from magpie_hub.evidence.evaluate.answers import lengths
from magpie_hub.evidence.evaluate.evaluation import Judging, Number
from magpie_hub.evidence.evaluate.judging import Judgement, Verdict
from magpie_hub.evidence.evaluate.logistic import Floats
from magpie_hub.evidence.evaluate.opponents import Answer
from magpie_hub.evidence.evaluate.prompts import Benchmark, Prompt
from magpie_hub.evidence.evaluate.tasks import by_task, groups
from magpie_hub.evidence.evaluate.truth import Truth, checked
from magpie_hub.evidence.resampling import Bootstrap, Interval

MARGIN = 500
"""Characters, WildBench's length margin: a slight win that is longer by more is a tie."""


@dataclass(frozen=True)
class Pairs:
    """The prompts that both sides answered."""

    prompts: tuple[Prompt, ...]
    answers: tuple[Answer, ...]
    opponents: tuple[Answer, ...] | None


def own(
    benchmark: Benchmark, answers: Sequence[Answer | None], truth: Truth | None, seed: int
) -> tuple[Number, ...]:
    """Numbers that need no judge; a prompt that got no answer is a wrong one."""
    tried = [each or ("",) for each in answers]
    found = checked(benchmark.prompts, tried, truth)
    given = np.array(lengths([each for each in answers if each is not None]))
    length = Number(
        name="length",
        title="answer, characters",
        value=winrates.win_rate(given, seed=seed),
        unit="",
        meaning="All turns of an answer together.",
    )
    if not found.right:
        return (length,)
    counts = ", ".join(f"{count:,} by {how}" for how, count in found.by.items())
    right = _share(
        "correct",
        f"correct, by {' and '.join(found.by)}",
        winrates.win_rate(np.array(found.right), seed=seed),
        f"Of the prompts that can be checked, those answered rightly: {counts}.",
    )
    return right, length


def summary(
    judgement: Judgement,
    benchmark: Benchmark,
    pairs: Pairs,
    gamed: winrates.Gamed | None,
    seed: int,
    absent: dict[str, str],
) -> Judging:
    numbers: list[Number] = []
    first = consistent = None
    games = invalid = 0
    if pairs.opponents is not None:
        games = 2 * len(judgement.verdicts)
        invalid = games - sum(len(each.valid) for each in judgement.verdicts)
        valid = [place for place, each in enumerate(judgement.verdicts) if each.valid]
        if valid:
            numbers += _compared(judgement, benchmark, pairs, valid, gamed, seed, absent)
        first = _mean([_first(each) for each in judgement.verdicts], seed)
        consistent = _mean([_same(each) for each in judgement.verdicts], seed)
    graded = [n for n, each in enumerate(judgement.verdicts) if each.score is not None]
    if any(prompt.checklist for prompt in pairs.prompts):
        games += (asked := sum(bool(prompt.checklist) for prompt in pairs.prompts))
        invalid += asked - len(graded)
    if graded:
        grades = np.array([judgement.verdicts[n].score for n in graded], np.float64)
        numbers += _points(
            "wildbench_score",
            "WildBench score",
            winrates.wildbench_scores(grades),
            [pairs.prompts[n] for n in graded],
            "Grades of 1 to 10 with the checklists; 0 for a mean of 5, 100 for 10.",
            seed,
            absent,
        )
    return Judging(
        judge=judgement.judge,
        revision=judgement.revision,
        games=games,
        invalid=invalid,
        first=first,
        consistent=consistent,
        numbers=tuple(numbers),
    )


def _compared(
    judgement: Judgement,
    benchmark: Benchmark,
    pairs: Pairs,
    valid: Sequence[int],
    gamed: winrates.Gamed | None,
    seed: int,
    absent: dict[str, str],
) -> list[Number]:
    """Of the prompts with a valid verdict."""
    assert pairs.opponents is not None
    verdicts = [judgement.verdicts[place].valid for place in valid]
    wins = np.array([np.mean([winrates.worth(each) for each in some]) for some in verdicts])
    answers, opponents = ([side[n] for n in valid] for side in (pairs.answers, pairs.opponents))
    own, other = np.array(lengths(answers)), np.array(lengths(opponents))
    numbers = [
        _share("win_rate", "win rate", winrates.win_rate(wins, seed=seed), "A tie is half a win.")
    ]
    if len(valid) < 2:
        absent["length-controlled"] = "it takes two prompts with verdicts or more."
    else:
        places = [pairs.prompts[n].place for n in valid]
        if benchmark.kind == "alpaca-eval" and gamed is None:
            absent["difficulty"] = (
                "the length-controlled win rate is of AlpacaEval 2's model without its term for "
                "the difficulty of instructions, which is published: give --gamed df_gamed.csv."
            )
        numbers.append(
            _share(
                "length_controlled",
                "length-controlled win rate",
                winrates.length_controlled(wins, own, other, places=places, gamed=gamed, seed=seed),
                "The win rate at equal length (arXiv 2404.04475).",
            )
        )
    if benchmark.kind == "arena-hard":
        numbers += _arena(verdicts, answers, opponents, seed)
    if benchmark.kind == "wildbench":
        prompts = [pairs.prompts[n] for n in valid]
        numbers += _wildbench(verdicts, own, other, prompts, seed, absent)
    return numbers


def _arena(
    verdicts: Sequence[Sequence[str]],
    answers: Sequence[Answer],
    opponents: Sequence[Answer],
    seed: int,
) -> list[Number]:
    score = winrates.bradley_terry(verdicts, seed=seed)
    styled = winrates.style_controlled(
        verdicts, ["\n".join(a) for a in answers], ["\n".join(a) for a in opponents], seed=seed
    )
    return [
        _share("arena_score", "Arena-Hard score", score.rate, "Much better counts as 3 battles."),
        Number(
            name="elo",
            title="Bradley-Terry points",
            value=score.elo,
            unit="points",
            meaning="The opponent has 1000; 400 more are tenfold odds.",
        ),
        _share("style_controlled", "style-controlled score", styled, "At equal length and markup."),
    ]


def _wildbench(
    verdicts: Sequence[Sequence[str]],
    own: Floats,
    other: Floats,
    prompts: Sequence[Prompt],
    seed: int,
    absent: dict[str, str],
) -> list[Number]:
    made = []
    for name, title, margin in (
        ("wildbench_reward", "WildBench reward", None),
        ("wildbench_reward_500", f"reward, {MARGIN} characters", MARGIN),
    ):
        values = winrates.wildbench_rewards(verdicts, own, other, margin=margin)
        meaning = "From -100, always much worse, to 100."
        if margin is not None:
            meaning += f" Slight wins that are longer by over {MARGIN} characters are ties."
        made += _points(name, title, values, prompts, meaning, seed, absent)
    return made


def _points(
    name: str,
    title: str,
    values: Floats,
    prompts: Sequence[Prompt],
    meaning: str,
    seed: int,
    absent: dict[str, str],
) -> list[Number]:
    """WildBench's: the mean of the prompts, and that of its groups of tasks."""
    mean = winrates.win_rate(values, seed=seed)
    made = [Number(name=name, title=title, value=mean, unit="points", meaning=meaning)]
    weighted = by_task(values, [groups(prompt) for prompt in prompts], seed=seed)
    if weighted is None:
        absent["by task"] = "no prompt has a primary_tag or secondary_tags that WildBench has."
        return made
    weights = "The mean of its groups of tasks, with WildBench's weights."
    made.append(
        Number(
            name=f"{name}_by_task",
            title=f"{title}, by task",
            value=weighted,
            unit="points",
            meaning=weights,
        )
    )
    return made


def _share(name: str, title: str, value: Interval, meaning: str) -> Number:
    return Number(name=name, title=title, value=value, unit="%", meaning=meaning)


def _first(verdict: Verdict) -> float:
    """How often what stood first won, of the games that had a winner."""
    won = []
    if verdict.forward is not None and verdict.forward != "A=B":
        won.append(winrates.worth(verdict.forward))
    if verdict.backward is not None and verdict.backward != "A=B":
        won.append(1 - winrates.worth(verdict.backward))
    return float(np.mean(won)) if won else float("nan")


def _same(verdict: Verdict) -> float:
    if verdict.forward is None or verdict.backward is None:
        return float("nan")
    return float(winrates.worth(verdict.forward) == winrates.worth(verdict.backward))


def _mean(values: Sequence[float], seed: int) -> Interval | None:
    return Bootstrap(len(values), seed=seed).mean(values)


def agreement(judgements: Sequence[Judgement], absent: dict[str, str]) -> float | None:
    """Of two judges, over the games in which both gave a verdict."""
    if len(judgements) < 2:
        return None
    pairs = [
        (mine, yours)
        for one, other in zip(*(each.verdicts for each in judgements), strict=True)
        for mine, yours in ((one.forward, other.forward), (one.backward, other.backward))
        if mine is not None and yours is not None
    ]
    labels = [[str(winrates.worth(each)) for each in side] for side in zip(*pairs, strict=True)]
    found = winrates.kappa(*labels) if pairs else None
    if found is None:
        absent["agreement"] = "both judges always said the same one thing, or never both anything."
    return found
