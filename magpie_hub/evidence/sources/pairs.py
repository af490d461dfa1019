"""The shapes of published preferences, and all of them in one form: what was asked, the answer that
was preferred, and one that was not.

They are recognised as :mod:`shapes` are. Sources: the cards of UltraFeedback, as it is and
binarized, of Magpie's preferences and of Orca's, and the formats that TRL documents.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import polars as pl

from magpie_hub.errors import UsageError
from magpie_hub.evidence.sources import shapes
from magpie_hub.evidence.sources.shapes import (
    MESSAGES,
    TEXT,
    Fits,
    Shape,
    message,
    of_messages,
    says_something,
    whole,
)

MAPPABLE = ("question", "chosen", "rejected", "system")
"""What a mapping may name a column for."""


def recognised(fits: Fits, columns: Mapping[str, str], where: str) -> Shape:
    """The first shape whose columns are there; ``UsageError`` as :func:`shapes.recognised`."""
    if (shape := shapes.fitting(PAIRS, fits)) is not None:
        return shape
    if (other := shapes.fitting(shapes.SHAPES, fits)) is not None:
        raise UsageError(
            f"{where} holds conversations ({other.name}) and no preferences; give a set that does, "
            "or train on it with --method sft."
        )
    raise shapes.unknown(
        f"{where} has none of the shapes of preferences that are known",
        columns,
        f"'{where}#question=COLUMN,chosen=COLUMN,rejected=COLUMN'",
    )


def mapped(given: Mapping[str, str], fits: Fits, columns: Mapping[str, str], where: str) -> Shape:
    """The shape that a mapping from :data:`MAPPABLE` to columns says; ``UsageError`` as
    :func:`shapes.mapped`."""
    if not {"question", "chosen", "rejected"} <= given.keys() <= set(MAPPABLE):
        raise UsageError(
            f"{where}: a mapping of preferences names the question=, the chosen= and the rejected=."
        )
    shapes.must_be_there(given, columns, where)
    shapes.must_be_text(given, fits, columns, where)
    return _texts(given["question"], given["chosen"], given["rejected"], given.get("system"))


def preferences(frame: pl.DataFrame, shape: Shape) -> pl.DataFrame:
    """``prompt``, messages that end with the user's, and the two answers to it, ``chosen`` and
    ``rejected``. Rows that hold no such thing, or two equal answers, are not in it."""
    pairs = frame.select(shape.made(frame).alias("pair")).unnest("pair")
    asked = whole("prompt") & (pl.col("prompt").list.last().struct.field("role") == "user")
    answers = [pl.col(name) for name in ("chosen", "rejected")]
    answered = [
        (each.struct.field("role") == "assistant") & says_something(each) for each in answers
    ]
    contents = [each.struct.field("content") for each in answers]
    return pairs.filter(asked, *answered, contents[0] != contents[1])


def _pair(prompt: pl.Expr, chosen: pl.Expr, rejected: pl.Expr) -> pl.Expr:
    return pl.struct(prompt.alias("prompt"), chosen.alias("chosen"), rejected.alias("rejected"))


def _answers_behind_a_prompt(_: pl.DataFrame) -> pl.Expr:
    answers = [of_messages(pl.col(name)).list.last() for name in ("chosen", "rejected")]
    return _pair(of_messages(pl.col("prompt")), *answers)


def _whole_conversations(_: pl.DataFrame) -> pl.Expr:
    """Two that differ in their last message alone."""
    both = [of_messages(pl.col(name)) for name in ("chosen", "rejected")]
    prompts = [each.list.slice(0, each.list.len().cast(pl.Int64) - 1) for each in both]
    chosen, rejected = (each.list.last() for each in both)
    return _pair(prompts[0], chosen, pl.when(prompts[0] == prompts[1]).then(rejected))


def _best_and_worst(_: pl.DataFrame) -> pl.Expr:
    """UltraFeedback's answers of the highest and the lowest overall score, where they differ."""
    scores, texts = shapes.completions()
    best = texts.list.get(scores.list.arg_max(), null_on_oob=True)
    worst = texts.list.get(scores.list.arg_min(), null_on_oob=True)
    differ = scores.list.max() > scores.list.min()
    rejected = pl.when(differ).then(message("assistant", worst))
    prompt = pl.concat_list([message("user", pl.col("instruction"))])
    return _pair(prompt, message("assistant", best), rejected)


def _texts(question: str, chosen: str, rejected: str, system: str | None = None) -> Shape:
    def made(frame: pl.DataFrame) -> pl.Expr:
        asked = pl.concat_list([message("user", pl.col(question))])
        if system in frame.columns:
            rule = pl.col(system).cast(TEXT)
            ruled = pl.concat_list([message("system", rule), message("user", pl.col(question))])
            asked = pl.when(rule.str.strip_chars().fill_null("") == "").then(asked).otherwise(ruled)
        return _pair(asked, *(message("assistant", pl.col(name)) for name in (chosen, rejected)))

    return Shape(
        f"{question}, {chosen} and {rejected}",
        dict.fromkeys((question, chosen, rejected), TEXT),
        made,
        may={system: TEXT} if system else {},
    )


def _messages(name: str, made: Callable[[pl.DataFrame], pl.Expr], *columns: str) -> Shape:
    return Shape(name, dict.fromkeys(columns, MESSAGES), made)


PAIRS = (
    _messages(
        "prompt, chosen and rejected messages",
        _answers_behind_a_prompt,
        *("prompt", "chosen", "rejected"),
    ),
    _messages("chosen and rejected messages", _whole_conversations, "chosen", "rejected"),
    Shape(
        "instruction and scored completions",
        {"instruction": TEXT, "completions": shapes.COMPLETIONS},
        _best_and_worst,
    ),
    *(
        _texts(question, "chosen", "rejected", "system")
        for question in ("prompt", "question", "instruction", "input")
    ),
)
"""The surest first."""
