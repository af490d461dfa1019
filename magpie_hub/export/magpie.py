"""A release's columns under the names, types and values of the datasets that Magpie published.

Of their two generations of names this is the second, that of the sets made with Qwen2, Phi-3,
Llama 3.1 and later (the first one has ``input``, ``output`` and ``gen_input_config``). What they
have no name for keeps ours. See docs/columns.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import polars as pl
import pyarrow as pa

from magpie_hub.export.formats import PREFERENCE, said
from magpie_hub.release import Manifest


class Beside(NamedTuple):
    """A column that goes with those of a form."""

    name: str
    type: pa.DataType
    value: pl.Expr


RENAMED = {
    "id": "uuid",
    "category": "task_category",
    "other_categories": "other_task_category",
    "quality": "input_quality",
    "safety": "llama_guard_2",
    "reward": "instruct_reward",
    "nearest_id": "min_similar_uuid",
    "query_chars": "instruction_length",
    "response_chars": "response_length",
}
"""Theirs, where it is another name for the same thing; what has the same name is not here."""

_GENERATORS = {
    "task_category_generator": "category",
    "difficulty_generator": "difficulty",
    "quality_generator": "quality",
    "reward_model": "reward",
}
"""Their columns that name the model behind a column of ours, which is in the manifest."""

_ORDER = """uuid model gen_input_configs gen_response_configs instruction response
task_category other_task_category task_category_generator difficulty intent knowledge
difficulty_generator input_quality quality_explanation quality_generator llama_guard_2 reward_model
instruct_reward reward_difference min_neighbor_distance repeat_count min_similar_uuid
instruction_length response_length language""".split()

_SAMPLING = {
    "temperature": ("temperature", pa.float64()),
    "top_p": ("top_p", pa.float64()),
    "input_generator": ("model", pa.string()),
    "seed": ("seed", pa.int64()),
    "pre_query_template": ("", pa.string()),
}
"""The fields of ``gen_input_configs`` and our columns; the template is the model's, and a release
does not record it."""
_ELSEWHERE = ("messages", *PREFERENCE, "temperature", "top_p", "seed", "responder")


def columns(source: pa.Schema, manifest: Manifest, *, turns: int) -> tuple[Beside, ...]:
    """Every column of ``source``, in Magpie's order and then in ours; rows have up to ``turns``
    turns. ``conversations`` is not among them but a form: beside another one, TRL would train on
    it, with ``human`` and ``gpt`` as the roles."""
    found = {each.name: each for each in _all(source, manifest, turns)}
    later = [f"{name}_{n}" for n in range(2, turns + 1) for name in ("instruction", "response")]
    place = _ORDER.index("response") + 1
    order = [*_ORDER[:place], *later, *_ORDER[place:], *found]
    return tuple(found[name] for name in dict.fromkeys(order) if name in found)


def _all(source: pa.Schema, manifest: Manifest, turns: int) -> Iterator[Beside]:
    names = source.names
    text = pa.string()
    if "messages" in names:
        for role, name in (("user", "instruction"), ("assistant", "response")):
            for turn in range(turns):
                value = said("messages", role).list.get(turn, null_on_oob=True)
                yield Beside(f"{name}_{turn + 1}" if turn else name, text, value)
    elif "prompt" in names:
        yield Beside("instruction", text, said("prompt", "user").list.get(-1))
    sampling = [
        (pl.col(ours) if ours in names else pl.lit(None)).alias(theirs)
        for theirs, (ours, _) in _SAMPLING.items()
    ]
    kind = pa.struct([(theirs, type_) for theirs, (_, type_) in _SAMPLING.items()])
    yield Beside("gen_input_configs", kind, pl.struct(sampling))
    if "responder" in names:
        kind = pa.struct([("output_generator", text)])
        value = pl.struct(pl.col("responder").alias("output_generator"))
        yield Beside("gen_response_configs", kind, value)
    for each in manifest.columns:
        for name, ours in _GENERATORS.items():
            if each.name == ours and ours in names:
                yield Beside(name, text, pl.lit(each.producer.model, pl.String))
    for name in names:
        if name not in _ELSEWHERE:
            value = _VALUES.get(name, pl.col(name))
            yield Beside(RENAMED.get(name, name), source.field(name).type, value)


_SAFETY = pl.col("safety")
_VALUES = {
    # In capitals there, and null where it is not known.
    "language": pl.when(pl.col("language") != "und").then(pl.col("language").str.to_uppercase()),
    # What the guard said: its verdict, and on the next line the categories.
    "safety": pl.when(_SAFETY.is_in(["safe", "unsafe"]))
    .then(_SAFETY)
    .otherwise(pl.format("unsafe\n{}", _SAFETY.str.replace_all(", ", ","))),
}
