"""What is measured of every source by the same annotators, without a model: lengths, languages,
repetitions, refusals, looks, personal data, words of benchmarks; and the labels that it carries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from magpie_hub import models, schema
from magpie_hub.annotate import pii, text
from magpie_hub.annotate.contamination import Benchmarks
from magpie_hub.annotate.duplicates import duplicates
from magpie_hub.annotate.language import UNKNOWN, Identifier
from magpie_hub.errors import EngineError, MissingExtra
from magpie_hub.evidence.resampling import Bootstrap, Floats, Interval
from magpie_hub.recipe import Language
from magpie_hub.words import Words

Counting = Callable[[pl.Series], Floats]
"""How long texts are, in a unit."""
SHARED = ("category", "difficulty", "quality", "safety")
"""Labels of which the shares are told."""
_SCORES = ("reward", "reward_difference")
_MOST_LANGUAGES = 8
_BATCH = 2048


@dataclass(frozen=True)
class Measured:
    """By name, means over the sample's rows, and of kinds (languages, labels, ...) the share of
    each."""

    means: dict[str, Interval]
    shares: dict[str, dict[str, Interval]]


@dataclass(frozen=True)
class Annotators:
    """What the rows of every source are looked at with. None: not installed, or not asked for;
    ``absent`` says why."""

    count: Counting
    unit: str
    identify: Callable[[str], str] | None
    finder: pii.Finder | None
    benchmarks: Benchmarks | None
    absent: dict[str, str]

    @classmethod
    def open(cls, *, tokenizer: str | None, benchmarks: Benchmarks | None) -> Annotators:
        absent = {}
        identify = finder = None
        try:
            identify = Identifier(Language()).identify
        except MissingExtra as error:
            absent["language"] = str(error)
        try:
            finder = pii.Finder()
        except MissingExtra as error:
            absent["pii"] = str(error)
        if benchmarks is None:
            absent["contamination"] = "no benchmark was given; name its files with --benchmark."
        count = words if tokenizer is None else tokens_of(tokenizer)
        unit = "words" if tokenizer is None else f"tokens of {tokenizer}"
        return cls(count, unit, identify, finder, benchmarks, absent)


def words(texts: pl.Series) -> Floats:
    """Words, as of ``words.py``: of scripts without spaces, letters."""
    counts = [np.diff(each.firsts) for each in Words.chunks(texts)]
    return np.concatenate([np.zeros(0), *counts])


def tokens_of(tokenizer: str) -> Counting:
    """The tokens of a model's tokenizer, without those that begin or end a text."""
    from transformers import AutoTokenizer

    model = models.resolve(tokenizer)
    try:
        opened = AutoTokenizer.from_pretrained(model.path)
    except (OSError, ValueError, ImportError) as error:
        raise EngineError(f"the tokenizer of {tokenizer} cannot be loaded: {error}.") from error

    def count(texts: pl.Series) -> Floats:
        made: list[int] = []
        for start in range(0, len(texts), _BATCH):
            some = texts[start : start + _BATCH].to_list()
            ids = opened(some, add_special_tokens=False, verbose=False)["input_ids"]
            made += map(len, ids)
        return np.array(made, np.float64)

    return count


def measured(rows: pl.DataFrame, annotators: Annotators, bootstrap: Bootstrap) -> Measured:
    """Of the rows of a sample, what can be told of each by itself."""
    queries, answers = rows["query"], rows["response"]
    means: dict[str, Floats] = _lengths(rows, annotators.count)
    kinds: dict[str, Sequence[str | None]] = {}
    languages = None
    if annotators.identify is not None:
        languages = [annotators.identify(each) for each in queries]
        kinds["language"] = _frequent(languages)
    means |= _looks(queries.to_list(), answers, languages, annotators.identify)
    means["near_duplicate"] = _duplicated(queries)
    if annotators.finder is not None:
        means["pii"] = _personal(rows["messages"], annotators.finder)
    if annotators.benchmarks is not None:
        hits = annotators.benchmarks.find(queries)
        means["contaminated"] = _numbers(hit is not None for hit in hits)
    for name in _SCORES:
        if name in rows.columns:
            means[name] = rows[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    for name in SHARED:
        if name in rows.columns:
            kinds[name] = rows[name].to_list()
    return Measured(
        _means(means, bootstrap),
        {name: found for name, each in kinds.items() if (found := shares(name, each, bootstrap))},
    )


def shares(name: str, values: Sequence[str | None], bootstrap: Bootstrap) -> dict[str, Interval]:
    """The share of each value among those that are there: labels in their order, others the most
    frequent first."""
    counts = Counter(value for value in values if value is not None)
    known = schema.column(name).labels
    order = [label for label in known if counts[label]] or [v for v, _ in counts.most_common()]
    if not order:
        return {}
    column = np.array(values, dtype=object)
    none = np.array([value is None for value in values])
    each = np.stack([np.where(none, np.nan, column == value) for value in order], axis=1)
    found = bootstrap.mean_of_each(each.astype(np.float64))
    return {value: made for value, made in zip(order, found, strict=True) if made is not None}


def _means(columns: Mapping[str, Floats], bootstrap: Bootstrap) -> dict[str, Interval]:
    found = bootstrap.mean_of_each(np.stack(list(columns.values()), axis=1))
    return {name: made for name, made in zip(columns, found, strict=True) if made is not None}


def _lengths(rows: pl.DataFrame, count: Counting) -> dict[str, Floats]:
    """Of the first question, of the last answer, and of a turn: a question with its answer."""
    said = rows["messages"].list.explode().struct.unnest()
    of = np.repeat(np.arange(len(rows)), rows["messages"].list.len().to_numpy())
    spoken = said["role"].is_in(["user", "assistant"]).to_numpy()
    length = count(said["content"])
    total = np.bincount(of[spoken], weights=length[spoken], minlength=len(rows))
    turns = rows["turns"].to_numpy().astype(np.float64)
    first, last = count(rows["query"]), count(rows["response"].fill_null(""))
    none = rows["response"].is_null().to_numpy()
    return {
        "turns": turns,
        "question_length": first,
        "answer_length": np.where(none, np.nan, last),
        "turn_length": total / turns,
    }


def _looks(
    queries: list[str],
    answers: pl.Series,
    languages: list[str] | None,
    identify: Callable[[str], str] | None,
) -> dict[str, Floats]:
    """What ``text.py`` sees of answers; NaN where there is none."""
    there = answers.is_not_null().to_numpy()
    found = text.columns(
        queries,
        answers.fill_null("").to_list(),
        identify=identify or (lambda _: UNKNOWN),
        languages=languages or [UNKNOWN] * len(queries),
    )
    made = {
        "refusal": _numbers(found["refusal"].to_pylist()),
        "repetition": _numbers(found["repetition"].to_pylist()),
        "loop": _numbers(found["loop"].to_pylist()),
        "leaked": _numbers(each is not None for each in found["leaked"].to_pylist()),
    }
    if identify is not None:
        made["same_language"] = _numbers(found["same_language"].to_pylist())
    formats = found["format"].to_pylist()
    made |= {name: _numbers(name in each for each in formats) for name in text.FORMATS}
    return {name: np.where(there, values, np.nan) for name, values in made.items()}


def _duplicated(queries: pl.Series) -> Floats:
    """Whether a row's question says nearly what another's in the sample does."""
    ids = [str(place) for place in range(len(queries))]
    return _numbers(duplicates(ids, queries)["duplicate_of"].is_valid().to_pylist())


def _personal(messages: pl.Series, finder: pii.Finder) -> Floats:
    """Whether a row has secrets or personal data in any of its messages."""
    said = messages.list.explode().struct.field("content")
    of = np.repeat(np.arange(len(messages)), messages.list.len().to_numpy())
    hit = [any(each.blocking for each in found) for found in finder.find_each(said)]
    return (np.bincount(of[np.array(hit, np.bool_)], minlength=len(messages)) > 0).astype(float)


def _frequent(languages: list[str]) -> list[str]:
    """The rare ones as one."""
    counts = Counter(languages).most_common(_MOST_LANGUAGES)
    kept = {language for language, _ in counts}
    return [each if each in kept else "other" for each in languages]


def _numbers(values: Iterable[bool | float | None]) -> Floats:
    return np.array([np.nan if value is None else float(value) for value in values], np.float64)
