"""Rows made by rule, for benchmarks of what is done with a whole pool: any number of them, batch by
batch, the same ones each time; and among them, where wanted, bad ones of 20 kinds.

Texts are words of Zipf's law with the lengths of Magpie's queries and answers, 1.4 kB a row, to
which the other columns add 0.8; one in ten is not ASCII. Labels, scores and distances have the
shares that an annotated run has.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from magpie_hub import schema

COLUMNS = schema.in_order(
    "id messages category other_categories difficulty quality reward reward_difference language "
    "safety pii contaminated_by min_neighbor_distance nearest_id repeat_count intent knowledge "
    "quality_explanation model responder temperature top_p seed system_prompt finish_reason "
    "query_tokens response_tokens turns query_chars response_chars repetition loop refusal "
    "response_language same_language format leaked".split()
)
"""What a run with every annotator of single questions publishes."""

BATCH = 50_000
_WORDS, _DRAWS = 30_000, 1 << 20
_BEYOND_ASCII = 0.1
_EXPLANATIONS = (
    "The query is clear and specific.",
    "The query lacks the context that an answer would need.",
    "The request is coherent, but it leaves the wanted length open.",
)


class Rows:
    """``count`` rows, of which ``bad`` are broken: ``kinds`` says which rows, counted from 0, and
    how (a name of :data:`KINDS`)."""

    schema = schema.arrow_schema(COLUMNS)

    def __init__(self, count: int, *, bad: int = 0, seed: int = 0) -> None:
        self.count = count
        self._seed = seed
        names = list(KINDS)
        # Not row 0: a repeated id needs a row before it.
        places = sorted(random.Random(seed).sample(range(1, count), bad))
        self.kinds = {place: names[each % len(names)] for each, place in enumerate(places)}
        self._text = _Texts()

    def batches(self) -> Iterator[pa.Table]:
        """Tables of ``BATCH`` rows."""
        for start in range(0, self.count, BATCH):
            yield self._broken(self._batch(start, min(BATCH, self.count - start)), start)

    def write(self, folder: Path, *, batches_a_file: int = 4) -> list[Path]:
        """Parquet files in zstd, a row group a batch; their names sort in the rows' order."""
        folder.mkdir(parents=True, exist_ok=True)
        files: list[Path] = []
        writer: pq.ParquetWriter | None = None
        for number, table in enumerate(self.batches()):
            if number % batches_a_file == 0:
                if writer:
                    writer.close()
                files.append(folder / f"{len(files):05d}.parquet")
                writer = pq.ParquetWriter(files[-1], self.schema, compression="zstd")
            assert writer
            writer.write_table(table, row_group_size=len(table))
        if writer:
            writer.close()
        return files

    def _batch(self, start: int, rows: int) -> pa.Table:
        draw = np.random.default_rng((self._seed, start))
        here = np.arange(start, start + rows)
        texts, chars, words = self._text.pairs(draw, rows)
        foreign = draw.random(rows) < _BEYOND_ASCII
        language = np.where(foreign, draw.choice(["de", "fr", "zh", "und"], rows), "en")
        reward = np.where(draw.random(rows) < 0.01, np.nan, draw.normal(0.5, 2.5, rows))
        distance = draw.gamma(3.0, 0.12, rows)
        nearest = (here + draw.integers(1, max(self.count, 2), rows)) % max(self.count, 2)
        repeated = draw.random(rows)
        made: dict[str, Any] = {
            "id": _ids(here),
            "messages": texts,
            "category": _labels(draw, schema.CATEGORIES, rows, missing=0.01),
            "other_categories": _lists(draw, schema.CATEGORIES, rows, most=2),
            "difficulty": _labels(draw, schema.DIFFICULTIES, rows, missing=0.01),
            "quality": _labels(draw, schema.QUALITIES, rows, missing=0.01),
            "reward": pa.array(reward, from_pandas=True),
            "reward_difference": pa.array(reward - 0.3, from_pandas=True),
            "language": language,
            "safety": np.where(draw.random(rows) < 0.99, "safe", "S6"),
            "pii": _lists(draw, ("example", "private ip"), rows, most=1),
            "contaminated_by": pa.nulls(rows, pa.string()),
            "min_neighbor_distance": distance,
            "nearest_id": _ids(nearest),
            "repeat_count": draw.poisson(np.maximum(0.3 - distance, 0) * 10),
            "intent": _labels(draw, _EXPLANATIONS, rows, missing=0.01),
            "knowledge": _labels(draw, _EXPLANATIONS, rows, missing=0.01),
            "quality_explanation": _labels(draw, _EXPLANATIONS, rows, missing=0.01),
            "model": np.full(rows, "meta-llama/Meta-Llama-3-8B-Instruct"),
            "responder": np.full(rows, "meta-llama/Meta-Llama-3-70B-Instruct"),
            "temperature": draw.choice([0.8, 1.0, 1.2], rows),
            "top_p": draw.choice([0.99, 1.0], rows),
            "seed": draw.integers(0, 1 << 62, rows),
            "system_prompt": _labels(draw, ("math", "code"), rows, missing=0.8),
            "finish_reason": np.where(draw.random(rows) < 0.96, "stop", "length"),
            "query_tokens": words[:, 0] * 4 // 3,
            "response_tokens": words[:, 1] * 4 // 3,
            "turns": np.ones(rows, dtype=np.int64),
            "query_chars": chars[:, 0],
            "response_chars": chars[:, 1],
            "repetition": np.where(repeated < 0.9, 0.0, repeated - 0.9),
            "loop": repeated > 0.995,
            "refusal": draw.random(rows) < 0.01,
            "response_language": language,
            "same_language": pa.array(language != "und", mask=language == "und"),
            "format": _lists(draw, ("code", "table", "math", "list", "markdown"), rows, most=2),
            "leaked": _labels(draw, ("role",), rows, missing=0.995),
        }
        arrays = [pa.array(made[f.name]).cast(f.type) for f in self.schema]
        return pa.Table.from_arrays(arrays, schema=self.schema)

    def _broken(self, table: pa.Table, start: int) -> pa.Table:
        bad = [row for row in range(start, start + len(table)) if row in self.kinds]
        if not bad:
            return table
        places = np.array(bad) - start
        rows = table.take(pa.array(places)).to_pylist()
        for row, number in zip(rows, bad, strict=True):
            KINDS[self.kinds[number]](row)
        order = np.arange(len(table))
        order[places] = len(table) + np.arange(len(places))
        broken = pa.Table.from_pylist(rows, schema=self.schema)
        return pa.concat_tables([table, broken]).take(pa.array(order)).combine_chunks()


def _set(name: str, value: object) -> Callable[[dict[str, Any]], None]:
    return lambda row: row.update({name: value})


def _say(place: int, key: str, value: object) -> Callable[[dict[str, Any]], None]:
    return lambda row: row["messages"][place].update({key: value})


def _end_with(letter: str) -> Callable[[dict[str, Any]], None]:
    """In place of the answer's last letter."""

    def put(row: dict[str, Any]) -> None:
        answer = row["messages"][1]
        answer["content"] = answer["content"][:-1] + letter

    return put


KINDS: dict[str, Callable[[dict[str, Any]], None]] = {
    "id is empty": _set("id", " "),
    "id stands before": _set("id", "made-00000000"),
    "no messages": _set("messages", []),
    "nothing said": _say(1, "content", " \n"),
    "user speaks twice": _say(1, "role", "user"),
    "no answer": lambda row: row["messages"].pop(),
    "control character": _end_with("\x00"),
    "category misspelt": _set("category", "Maths"),
    "other category misspelt": _set("other_categories", ["Math", "Maths"]),
    "difficulty in capitals": _set("difficulty", "Easy"),
    "quality is empty": _set("quality", ""),
    "reward is infinite": _set("reward", float("inf")),
    "language in words": _set("language", "English"),
    "finish reason unknown": _set("finish_reason", "error"),
    "query without tokens": _set("query_tokens", 0),
    "response without tokens": _set("response_tokens", None),
    "turns miscounted": _set("turns", 2),
    "characters miscounted": _set("query_chars", 7),
    "nearest to itself": lambda row: row.update({"nearest_id": row["id"]}),
    "format unknown": _set("format", ["code", "poem"]),
}
"""What breaks a row, by kind."""


class _Texts:
    """Words in one buffer, drawn as a whole: a text is a stretch of it."""

    def __init__(self) -> None:
        letters = random.Random(0)
        sizes = [letters.randint(2, 10) for _ in range(_WORDS)]
        words = ["".join(letters.choices("etaoinshrdlucmfwypvbgkjqxz", k=k)) for k in sizes]
        ends = [letters.choice((",", ".", ".\n\n", ".\n- ")) for _ in words[::8]]
        words[::8] = [word + end for word, end in zip(words[::8], ends, strict=True)]
        letters.shuffle(words)
        foreign = [word.translate(str.maketrans("aoune", "äöüñé")) for word in words]
        openings = [
            "What is the",
            "Explain",
            "Write a function that",
            "How do I",
            "是什么",
            "Sure:",
        ]
        self._pieces = pa.array([*(f" {w}" for w in words), *(f" {w}" for w in foreign), *openings])
        weights = 1 / (np.arange(_WORDS) + 5.0)
        draw = np.random.default_rng(0)
        self._zipf = draw.choice(_WORDS, _DRAWS, p=weights / weights.sum()).astype(np.int32)
        self._openings = len(openings)

    def pairs(self, draw: np.random.Generator, rows: int) -> tuple[pa.Array, Any, Any]:
        """(messages, characters [rows, 2], words [rows, 2])"""
        mean = np.array([2.6, 5.1])
        words = np.clip(3 + draw.lognormal(mean, [0.7, 0.6], (rows, 2)), 3, 1500).astype(np.int64)
        firsts = np.concatenate([[0], np.cumsum(words.ravel())])
        which = self._zipf[draw.integers(0, _DRAWS, firsts[-1])]
        which[np.repeat(draw.random(rows) < _BEYOND_ASCII, words.sum(axis=1))] += _WORDS
        which[firsts[:-1]] = 2 * _WORDS + draw.integers(0, self._openings, 2 * rows)
        drawn = self._pieces.take(pa.array(which))
        offsets = np.frombuffer(drawn.buffers()[1], dtype=np.int32)[firsts]
        contents = pa.StringArray.from_buffers(
            2 * rows, pa.py_buffer(offsets.tobytes()), drawn.buffers()[2]
        )
        roles = pa.array(["user", "assistant"]).take(pa.array(np.arange(2 * rows) % 2))
        messages = pa.StructArray.from_arrays([roles, contents], ["role", "content"])
        starts = pa.array(np.arange(0, 2 * rows + 1, 2, dtype=np.int32))
        chars = pa.compute.utf8_length(contents).to_numpy().reshape(rows, 2)
        return pa.ListArray.from_arrays(starts, messages), chars, words


def _ids(numbers: np.ndarray) -> pa.Array:
    return pa.array([f"made-{number:08d}" for number in numbers.tolist()])


def _labels(
    draw: np.random.Generator, labels: tuple[str, ...], rows: int, *, missing: float
) -> pa.Array:
    """The middle labels are the most frequent; some rows have none."""
    chosen = np.clip(draw.normal(len(labels) / 2, len(labels) / 4, rows), 0, len(labels) - 0.1)
    return pa.array(labels).take(
        pa.array(chosen.astype(np.int32), mask=draw.random(rows) < missing)
    )


def _lists(draw: np.random.Generator, labels: tuple[str, ...], rows: int, *, most: int) -> pa.Array:
    counts = draw.integers(0, most + 1, rows)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    values = pa.array(labels).take(pa.array(draw.integers(0, len(labels), offsets[-1])))
    return pa.ListArray.from_arrays(pa.array(offsets), values)
