"""The rows of one seed: a run of the bundled model and its configs, pairs of answers, rows that the
grammar approves of, and rows in the way of Self-Instruct."""

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from random import Random

import torch
from rapidfuzz.distance import Indel
from transformers import AutoTokenizer, LlamaForCausalLM

from demo_model import grammar
from demo_model.package import CHAT
from demo_model.sampling import ASSISTANT, NEXT_USER, USER, complete
from demo_model.truth import is_right
from magpie_hub import cli
from magpie_hub.building.pools import open_pool

HERE = Path(__file__).parent
ROWS = 1000
"""Of each set that is trained on, unless told otherwise."""
_SAMPLED = {"sft": 2.6, "preference": 1.0}
"""Queries that are sampled for each of these rows."""
CONFIGS = ("filtered", "raw", "random", "longest", "length_controlled")
VERSION = "1.0.0"
RELEASE = f"releases/{VERSION}"
SEEDS = 100
"""Questions with their answers that Self-Instruct begins with; the paper had 175."""
ALIKE = 0.9
"""ROUGE-L from which on a question repeats another one. Self-Instruct has 0.7; but questions of a
grammar differ in a word or two, and at 0.7 no thousand of them are found."""
_ROUND = 480
"""Questions that are asked for at a time, at most."""
MAX_TOKENS = 128

Row = tuple[str, str]


def build(name: str, folder: Path, *, rows: int, seed: int) -> Path:
    """The run of the recipe `name`.yaml under `seed`, and in it a release of sets of so many rows;
    what is there is not made again."""
    run = folder / name
    settings = [f"seed={seed}", f"rows={math.ceil(_SAMPLED[name] * rows)}"]
    if name == "sft":
        settings += [f"configs.{config}.rows={rows}" for config in CONFIGS]
        settings += [f"configs.{config}.seed={seed}" for config in ("raw", "random")]
    given = [part for each in settings for part in ("--set", each)]
    _call("run", str(HERE / f"{name}.yaml"), "--out", str(run), *given)
    if not (run / RELEASE / "manifest.json").is_file():
        _call("build", str(run), "--version", VERSION)
    return run


def asked_in(run: Path) -> Iterator[str]:
    """The questions of its answered rows, of one answer or of two."""
    pool = open_pool([run])
    column = "prompt" if "prompt" in pool.columns() else "messages"
    for table in pool.shards([column]):
        yield from (messages[0]["content"] for messages in table[column].to_pylist())


def rows_of(run: Path) -> Iterator[Row]:
    for table in open_pool([run]).shards(["messages"]):
        for messages in table["messages"].to_pylist():
            yield messages[0]["content"], messages[1]["content"]


def approved(pool: Iterable[Row], file: Path, *, rows: int, seed: int) -> None:
    """Of the rows whose question the grammar reads, and whose answer is not wrong, so many at
    random."""
    good = [row for row in pool if grammar.parse(row[0]) and is_right(*row) is not False]
    write(Random(seed).sample(good, rows), file)


def self_instruct(file: Path, *, rows: int, seed: int) -> None:
    """Rows in the way of Self-Instruct (arXiv 2212.10560), as far as this model follows it.

    It is shown two questions with their answers, and writes the next question, which is kept where
    it is not much like one before. It was never told how to write questions on request, so what it
    is shown are turns of a conversation: one of the seeds, and one of its own or another seed.
    """
    rng = Random(seed)
    tokenizer = AutoTokenizer.from_pretrained(CHAT)
    model = LlamaForCausalLM.from_pretrained(CHAT, dtype=torch.float32, attn_implementation="eager")
    model.eval()
    seeds = []
    while len(seeds) < SEEDS:
        turn = grammar.sample(rng)
        if turn.quality != "poor":
            seeds.append((turn.query, turn.answer))
    made: list[Row] = []
    words = [query.lower().split() for query, _ in seeds]
    for number in range(1_000):
        if len(made) >= rows:
            write(made[:rows], file)
            return
        shown = [
            (rng.choice(seeds), rng.choice(made or seeds)) for _ in range(min(_ROUND, 2 * rows))
        ]
        prompts = [_conversation(rng.sample(pair, 2)) for pair in shown]
        asked = complete(
            prompts,
            model=model,
            tokenizer=tokenizer,
            temperature=1.0,
            seed=seed * 1_000 + number,
        )
        fresh = []
        for query, stopped in asked:
            split = query.lower().split()
            if stopped and split and not _repeats(split, words):
                words.append(split)
                fresh.append(query)
        answers = complete(
            [f"{USER}{query}{ASSISTANT}" for query in fresh],
            model=model,
            tokenizer=tokenizer,
            max_tokens=MAX_TOKENS,
        )
        made += [
            (query, answer)
            for query, (answer, stopped) in zip(fresh, answers, strict=True)
            if stopped and answer.strip()
        ]
    raise RuntimeError(f"only {len(made)} questions that are not much like another one")


def questions(file: Path, count: int, *, seed: int, seen: set[str]) -> None:
    """So many questions with one right answer, none of them in `seen`, as `evaluate` reads them."""
    rng = Random(seed)
    chosen: dict[str, str] = {}
    while len(chosen) < count:
        turn = grammar.sample(rng)
        parsed = grammar.parse(turn.query)
        if turn.query in seen or parsed is None or is_right(turn.query, turn.answer) is not True:
            continue
        chosen[turn.query] = turn.category
    lines = [
        json.dumps({"id": str(n), "prompt": query, "category": category}, ensure_ascii=False)
        for n, (query, category) in enumerate(chosen.items())
    ]
    _whole(file, "\n".join(lines) + "\n")


def write(rows: Sequence[Row], file: Path) -> None:
    lines = [
        json.dumps(
            {
                "messages": [
                    {"role": "user", "content": query},
                    {"role": "assistant", "content": answer},
                ]
            },
            ensure_ascii=False,
        )
        for query, answer in rows
    ]
    _whole(file, "\n".join(lines) + "\n")


def _conversation(turns: Sequence[Row]) -> str:
    return USER + "".join(f"{query}{ASSISTANT}{answer}{NEXT_USER}" for query, answer in turns)


def _repeats(words: list[str], others: list[list[str]]) -> bool:
    """ROUGE-L is twice the longest common subsequence over both lengths, and so is this."""
    return any(
        Indel.normalized_similarity(words, other, score_cutoff=ALIKE) >= ALIKE for other in others
    )


def _call(*line: str) -> None:
    if code := cli.main(line):
        raise RuntimeError(f"magpie-hub {' '.join(line)} ended with {code}")


def _whole(file: Path, text: str) -> None:
    part = file.with_name(f".{file.name}")
    part.write_text(text, encoding="utf-8")
    part.rename(file)
