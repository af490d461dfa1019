"""A small pool of handwritten rows: what a run hands to a builder, without a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from magpie_hub import schema
from magpie_hub.recipe import ConfigSpec
from magpie_hub.release import Making, Producer, Provenance

# (question, answer, category, difficulty, quality, reward, language, finish_reason)
WRITTEN: tuple[tuple[Any, ...], ...] = (
    ("What is 3 + 4?", "3 + 4 = 7.", "Math", "easy", "good", 2.5, "en", "stop"),
    ("Wie heißt die Hauptstadt?", "Von welchem Land?", "Information seeking", "easy", "average",
     0.4, "de", "stop"),
    ("Write a poem.", "Roses are", "Creative writing", "medium", "good", 1.1, "en", "length"),
    ("asdf", "I do not understand.", "Others", "very easy", "very poor", -3.0, "en", "stop"),
    ("Fix `x = = 1`.", "```python\nx = 1\n```", "Coding & Debugging", "medium", "excellent", 3.2,
     "en", "stop"),
    ("¿Cuánto es 2 × 6?", "2 × 6 = 12.", "Math", "easy", "good", 2.0, "es", "stop"),
    ("Is 9 prime?", "No: 9 = 3 × 3.", "Math", "medium", "poor", -0.2, "en", "stop"),
    ("Plan my week.", "Monday: rest.", "Planning", "hard", None, None, "en", "stop"),
)  # fmt: skip

COLUMNS = schema.in_order(
    "id messages category difficulty quality reward language model responder temperature seed "
    "finish_reason query_tokens response_tokens turns".split()
)


def row(index: int, written: tuple[Any, ...] | None = None) -> dict[str, Any]:
    question, answer, category, difficulty, quality, reward, language, finish = (
        written or WRITTEN[index % len(WRITTEN)]
    )
    if written is None and index >= len(WRITTEN):
        # No question comes twice: the screen would not let it.
        question += f" ({index})"
    return {
        "id": f"handmade-{index:06d}",
        "messages": [
            {"role": "user", "content": question},
            {"role": "assistant", "content": answer},
        ],
        "category": category,
        "difficulty": difficulty,
        "quality": quality,
        "reward": reward,
        "language": language,
        "model": "tiny/chat",
        "responder": "tiny/chat",
        "temperature": 1.0,
        "seed": index,
        "finish_reason": finish,
        "query_tokens": len(question.split()) + 1,
        "response_tokens": len(answer.split()) + 1,
        "turns": 1,
    }


def Spec(where: str | None = None, description: str | None = None, **more: Any) -> ConfigSpec:
    return ConfigSpec(where=where, description=description, **more)


@dataclass
class HandPool:
    """``rows`` in shards of ``shard_rows``; ``specs`` as the recipe's configs."""

    rows: list[dict[str, Any]] = field(default_factory=lambda: [row(i) for i in range(24)])
    specs: dict[str, ConfigSpec] = field(
        default_factory=lambda: {
            "filtered": Spec(
                "quality >= 'average' AND reward > 0 AND finish_reason = 'stop'",
                "good questions whose answer is liked",
            )
        }
    )
    shard_rows: int = 7
    names: tuple[str, ...] = COLUMNS
    fingerprint: str = "a1"
    license: str | None = "apache-2.0"
    terms: dict[str, Any] = field(default_factory=dict)
    """More of the provenance: names of licences, the decision, the models'."""

    def columns(self) -> tuple[str, ...]:
        return self.names

    def shards(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        names = self.names if columns is None else schema.in_order(columns)
        for start in range(0, len(self.rows), self.shard_rows):
            part = [{name: r[name] for name in names} for r in self.rows[start:][: self.shard_rows]]
            yield pa.Table.from_pylist(part, schema=schema.arrow_schema(names))

    def provenance(self) -> Provenance:
        return Provenance(
            name="handmade",
            builder="sft",
            license=self.license,
            **self.terms,
            fingerprints={"sample": self.fingerprint},
            versions={"polars": "2.1.0"},
            slots=len(self.rows) + 6,
            rejected={"cut off": 4, "exact duplicate": 2},
            made=(
                Making(stage="sample", model="tiny/chat", revision="0123456789abcdef",
                       settings={"temperature": "1.0", "top_p": "1.0"}),
                Making(stage="respond", model="tiny/chat", settings={"temperature": "0.0"}),
                Making(stage="reward", model="tiny/reward"),
            ),
        )  # fmt: skip

    def producers(self) -> dict[str, Producer]:
        return {n: Producer(by=schema.column(n).stage, model="tiny/chat") for n in self.names}

    def recipe_text(self) -> str:
        return "name: handmade\nbuilder: sft\nmodel: tiny/chat\nrows: 30\n"

    def config_specs(self) -> Mapping[str, ConfigSpec]:
        return self.specs
