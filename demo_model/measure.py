"""What the bundled models can do, each measure a function that returns rows of the score table."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import torch
from transformers import (
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    PreTrainedTokenizerBase,
)

from demo_model import corruption, grammar, judge, sampling
from demo_model.conversation import Conversation
from demo_model.followup import is_follow_up
from demo_model.grammar import Parsed, Turn
from demo_model.intent import MATH
from demo_model.reward import rewards
from demo_model.tables import frames
from magpie_hub.schema import CATEGORIES, QUALITIES

SEED = 2_000


@dataclass(frozen=True)
class Score:
    """A row of the table. `target` is what the project aims at, where it set an aim."""

    name: str
    value: float
    n: int
    target: float | None = None


@dataclass(frozen=True)
class Sampled:
    """A query that the model wrote, and how the grammar reads it."""

    query: str
    stopped: bool
    parsed: Parsed | None


@dataclass(frozen=True)
class Bench:
    """The models under test."""

    chat: LlamaForCausalLM
    reward: LlamaForSequenceClassification
    tokenizer: PreTrainedTokenizerBase

    def complete(
        self,
        prompts: Sequence[str],
        *,
        temperature: float = 0.0,
        top_p: float = 1.0,
        max_tokens: int = 112,
    ) -> list[tuple[str, bool]]:
        return sampling.complete(
            prompts,
            model=self.chat,
            tokenizer=self.tokenizer,
            temperature=temperature,
            top_p=top_p,
            max_tokens=max_tokens,
            seed=SEED,
        )

    def queries(
        self, left_sides: Sequence[str], *, temperature: float = 1.0, top_p: float = 1.0
    ) -> list[Sampled]:
        drawn = self.complete(left_sides, temperature=temperature, top_p=top_p, max_tokens=80)
        return [Sampled(text, stopped, grammar.parse(text)) for text, stopped in drawn]


def left_side(system: str | None = None) -> str:
    return sampling.system(system) + sampling.USER


def share(hits: Sequence[bool]) -> float:
    return sum(hits) / len(hits) if hits else float("nan")


def query_scores(sampled: list[Sampled], *, corpus: Sequence[Conversation]) -> list[Score]:
    """Form and novelty of queries at T = 1. Novel: the string is in no training conversation."""
    seen = {query for c in corpus for query, _ in c.turns}
    seen_cores = {parsed.core for query in seen if (parsed := grammar.parse(query))}
    n = len(sampled)
    read = [s for s in sampled if s.parsed]
    cores = [s.parsed.core for s in read if s.parsed]
    languages = Counter(s.parsed.language for s in read if s.parsed)
    categories = Counter(s.parsed.category for s in read if s.parsed)
    rows = [
        Score("queries that stop by themselves", share([s.stopped for s in sampled]), n),
        Score("queries well-formed", len(read) / n, n, 0.8),
        Score("queries distinct", len({s.query for s in sampled}) / n, n),
        Score("queries novel", share([s.query not in seen for s in sampled]), n, 0.6),
        Score("well-formed queries novel", share([s.query not in seen for s in read]), len(read)),
        Score(
            "well-formed queries novel even without greeting or introduction",
            share([core not in seen_cores for core in cores]),
            len(cores),
        ),
        Score("queries of several lines", share(["\n" in s.query for s in sampled]), n),
        Score("smallest share of a category", min(categories[c] for c in CATEGORIES) / n, n),
    ]
    for code in ("es", "fr", "de", "zh"):
        rows.append(
            Score(f"queries in {frames.LANGUAGE_NAMES[code]}", languages[code] / n, n, 0.04)
        )
    return rows


def setting_scores(bench: Bench, *, n: int) -> list[Score]:
    rows = []
    for temperature, top_p in ((1.0, 0.95), (0.8, 1.0)):
        drawn = bench.queries([left_side()] * n, temperature=temperature, top_p=top_p)
        rows.append(
            Score(
                f"queries well-formed at T = {temperature}, top-p = {top_p}",
                share([s.parsed is not None for s in drawn]),
                n,
            )
        )
    return rows


def answer_scores(bench: Bench, sampled: list[Sampled], *, fresh: int) -> list[Score]:
    """Greedy answers to the model's own well-formed queries, and to new ones of the grammar."""
    asked = [s.query for s in sampled if s.parsed]
    parsed = [s.parsed for s in sampled if s.parsed]
    rng = Random(SEED)
    new = [grammar.sample(rng).query for _ in range(fresh)]
    rows = []
    for name, queries, readings, target in (
        ("answers right, own queries", asked, parsed, 0.85),
        ("answers right, fresh queries", new, [grammar.parse(q) for q in new], None),
    ):
        answers = bench.complete([sampling.USER + q + sampling.ASSISTANT for q in queries])
        marks = [
            (reading.category, right)
            for reading, (answer, _) in zip(readings, answers, strict=True)
            if reading and (right := grammar.is_correct(reading, answer)) is not None
        ]
        rows.append(Score(name, share([right for _, right in marks]), len(marks), target))
        if target is None:
            rows.append(
                Score("answers that stop by themselves", share([s for _, s in answers]), fresh)
            )
            continue
        for category in CATEGORIES:
            right = [r for c, r in marks if c == category]
            if right:
                rows.append(
                    Score(f"answers right, own queries: {category}", share(right), len(right))
                )
    return rows


def _labels(bench: Bench, queries: Sequence[str], *, kind: str) -> list[str | None]:
    prompts = [
        sampling.USER + judge.prompt(kind, query=query) + sampling.ASSISTANT for query in queries
    ]
    labels: list[str | None] = []
    for answer, _ in bench.complete(prompts, max_tokens=80):
        try:
            labels.append(json.loads(answer).get(kind))
        except (json.JSONDecodeError, AttributeError):
            labels.append(None)
    return labels


def judge_scores(bench: Bench, sampled: list[Sampled], *, fresh: int) -> list[Score]:
    """Greedy labels without any constraint on the JSON; a broken JSON counts as wrong."""
    rng = Random(SEED + 1)
    new = [grammar.sample(rng) for _ in range(fresh)]
    own = [s for s in sampled if s.parsed]
    rows = []
    for kind in judge.KINDS:
        given = _labels(bench, [s.query for s in own], kind=kind)
        right = [label == getattr(s.parsed, kind) for label, s in zip(given, own, strict=True)]
        rows.append(Score(f"judge: {kind}, own well-formed queries", share(right), len(own), 0.9))
        given = _labels(bench, [t.query for t in new], kind=kind)
        right = [label == getattr(t, kind) for label, t in zip(given, new, strict=True)]
        rows.append(Score(f"judge: {kind}, fresh queries", share(right), fresh, 0.9))
        rows.append(
            Score(f"judge: {kind}, valid JSON", share([x is not None for x in given]), fresh)
        )
    return rows + _filter_scores(bench, sampled) + _quality_scores(bench, n=fresh)


def _filter_scores(bench: Bench, sampled: list[Sampled]) -> list[Score]:
    """What `quality >= 'average'` does to the model's own queries."""
    given = _labels(bench, [s.query for s in sampled], kind="quality")
    passing = set(QUALITIES[2:])
    kept = [s for s, label in zip(sampled, given, strict=True) if label in passing]
    malformed = [label for s, label in zip(sampled, given, strict=True) if s.parsed is None]
    sound = [
        label
        for s, label in zip(sampled, given, strict=True)
        if s.parsed and s.parsed.quality in passing
    ]
    truth = [s.parsed.quality if s.parsed else QUALITIES[0] for s in sampled]
    return [
        Score(
            "judge: quality, all own queries (malformed is very poor)",
            share([label == t for label, t in zip(given, truth, strict=True)]),
            len(sampled),
            0.9,
        ),
        Score(
            "malformed own queries that the filter removes",
            share([label not in passing for label in malformed]),
            len(malformed),
        ),
        Score(
            "sound own queries that the filter keeps",
            share([label in passing for label in sound]),
            len(sound),
        ),
        Score(
            "own queries well-formed after the filter",
            share([s.parsed is not None for s in kept]),
            len(kept),
        ),
    ]


def _quality_scores(bench: Bench, *, n: int) -> list[Score]:
    """Each quality by itself, because most fresh queries are good or excellent."""
    rng = Random(SEED + 2)
    by_quality: dict[str, list[Turn]] = {quality: [] for quality in QUALITIES}
    each = n // len(QUALITIES)
    while any(len(turns) < each for turns in by_quality.values()):
        turn = grammar.sample(rng)
        if rng.random() < 0.3:
            turn = judge.spoil(turn, rng=rng)
        if len(by_quality[turn.quality]) < each:
            by_quality[turn.quality].append(turn)
    rows = []
    for quality, turns in by_quality.items():
        given = _labels(bench, [t.query for t in turns], kind="quality")
        rows.append(
            Score(f"judge: fresh {quality} queries", share([x == quality for x in given]), each)
        )
    return rows


def control_scores(bench: Bench, *, each: int) -> list[Score]:
    """Queries sampled under a system prompt: is the domain, language or difficulty followed?"""
    rows = []
    for name, forms, target in (
        ("domain follows a taught system prompt", frames.SYSTEM_DOMAIN, 0.8),
        ("domain follows a system prompt of new wording", frames.SYSTEM_DOMAIN_HELD_OUT, None),
    ):
        asked = [(c, form) for c in CATEGORIES for form in forms for _ in range(each)]
        drawn = bench.queries([left_side(form.format(*frames.DOMAINS[c])) for c, form in asked])
        hits = [
            s.parsed is not None and s.parsed.category == c
            for (c, _), s in zip(asked, drawn, strict=True)
        ]
        rows.append(Score(name, share(hits), len(hits), target))
    for code, language in frames.LANGUAGE_NAMES.items():
        prompts = [left_side(form.format(language)) for form in frames.SYSTEM_LANGUAGE]
        drawn = bench.queries(prompts * (3 * each))
        hits = [s.parsed is not None and s.parsed.language == code for s in drawn]
        rows.append(
            Score(f"language follows the system prompt: {language}", share(hits), len(hits))
        )
    form = frames.SYSTEM_DOMAIN[0].format(*frames.DOMAINS[MATH])
    for word in ("easy", "medium", "hard"):
        drawn = bench.queries(
            [left_side(form + frames.SYSTEM_DIFFICULTY.format(word))] * (8 * each)
        )
        hits = [
            s.parsed is not None and frames.DIFFICULTY_WORDS[s.parsed.difficulty] == word
            for s in drawn
        ]
        rows.append(
            Score(f"difficulty follows the system prompt: {word} math", share(hits), len(hits))
        )
    return rows


def follow_up_scores(bench: Bench, sampled: list[Sampled], *, n: int) -> list[Score]:
    """The user's second turn, sampled at T = 1 after the model's own first exchange."""
    first = [s.query for s in sampled if s.parsed][:n]
    answers = bench.complete([sampling.USER + q + sampling.ASSISTANT for q in first])
    drawn = bench.complete(
        [
            sampling.USER + q + sampling.ASSISTANT + a + sampling.NEXT_USER
            for q, (a, _) in zip(first, answers, strict=True)
        ],
        temperature=1.0,
        max_tokens=80,
    )
    second = [query for query, _ in drawn]
    thanks = {query for query, _ in frames.THANKS}
    return [
        Score("follow-ups that stop by themselves", share([s for _, s in drawn]), len(drawn)),
        Score("follow-ups distinct", len(set(second)) / len(second), len(second)),
        Score(
            "follow-ups well-formed",
            share([is_follow_up(q) or grammar.parse(q) is not None for q in second]),
            len(second),
        ),
        Score(
            "follow-ups about the first turn", share([is_follow_up(q) for q in second]), len(second)
        ),
        Score("follow-ups that only say thanks", share([q in thanks for q in second]), len(second)),
    ]


def reward_scores(bench: Bench, *, each: int) -> list[Score]:
    """The share of pairs in which the good answer has the higher reward."""
    rng = Random(SEED + 3)
    rows = []
    for kind in corruption.KINDS:
        hits: list[bool] = []
        pairs = [corruption.corrupted(rng, kind=kind) for _ in range(each)]
        for start in range(0, each, 50):
            part = pairs[start : start + 50]
            with torch.inference_mode():
                good = rewards(
                    bench.reward, bench.tokenizer, [(t.query, t.answer) for t, _, _ in part]
                )
                bad = rewards(bench.reward, bench.tokenizer, [(t.query, x) for t, x, _ in part])
            hits += (good > bad).tolist()
        target = 0.95 if kind in corruption.FORM_KINDS else None
        rows.append(Score(f"reward prefers the good answer: {kind}", share(hits), each, target))
    return rows
