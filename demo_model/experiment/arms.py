"""The arms: what a base is fine-tuned on, and what it then answers."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from demo_model import grammar
from demo_model.experiment import data
from demo_model.experiment.base import READ
from demo_model.experiment.data import RELEASE, Row
from demo_model.truth import is_right
from magpie_hub.evidence.evaluate import Settings, evaluate
from magpie_hub.evidence.train import train
from magpie_hub.evidence.train.presets import settings
from magpie_hub.evidence.train.rows import FILE
from magpie_hub.stages import Silent

QUESTIONS = 1500
"""That every model of a seed is asked, unless told otherwise."""
SCORE = "score.json"
SFT = (
    "learning_rate=3e-4",
    "warmup=0.1",
    "epochs=3",
    "max_tokens=512",
    "packing=false",
    "per_device=32",
    "recompute=false",
    "attention=eager",
    "save_steps=1000000",
    "log_steps=1000000",
)
"""The paper's settings, but for a network so small: a rate fifteen times as high, and no packing of
rows into 8,192 tokens, which would leave a few steps."""
DPO = (
    "learning_rate=1e-4",
    "batch=32",
    "epochs=3",
    "max_tokens=512",
    "per_device=32",
    "recompute=false",
    "attention=eager",
    "save_steps=1000000",
    "log_steps=1000000",
)


@dataclass(frozen=True)
class Arm:
    """`source` of a seed's folder is what it is trained on; `after`: that arm, not the base."""

    name: str
    title: str
    source: str
    after: str | None = None


ARMS = (
    Arm("filtered", "filtered, best reward first", f"sft/{RELEASE}:filtered"),
    Arm("raw", "raw, at random", f"sft/{RELEASE}:raw"),
    Arm("random", "filtered, at random", f"sft/{RELEASE}:random"),
    Arm("longest", "filtered, longest first", f"sft/{RELEASE}:longest"),
    Arm("length_controlled", "filtered, length-controlled", f"sft/{RELEASE}:length_controlled"),
    Arm("self_instruct", "Self-Instruct-style", "self-instruct.jsonl"),
    Arm("approved", "what the grammar approves of", "approved.jsonl"),
    Arm(
        "dpo",
        "filtered, best reward first, then DPO",
        f"preference/{RELEASE}:pairs",
        "filtered",
    ),
)


def one_seed(
    folder: Path, base: Path, template: Path, *, rows: int, questions: int, seed: int
) -> None:
    """All arms of a seed, each with so many rows; what is in `folder` is not done again."""
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    run = data.build("sft", folder, rows=rows, seed=seed)
    pairs = data.build("preference", folder, rows=rows, seed=seed)
    files: dict[str, Callable[[Path], None]] = {
        "approved.jsonl": lambda file: data.approved(data.rows_of(run), file, rows=rows, seed=seed),
        "self-instruct.jsonl": lambda file: data.self_instruct(file, rows=rows, seed=seed),
        "questions.jsonl": lambda file: data.questions(
            file, questions, seed=1_000 + seed, seen=_seen(folder, base, run, pairs)
        ),
    }
    for name, make in files.items():
        if not (folder / name).is_file():
            make(folder / name)
    for arm in ARMS:
        _fine_tuned(folder, arm, base, template, seed)


def _seen(folder: Path, base: Path, *runs: Path) -> set[str]:
    """Every question that the base has read, or that stands among the rows of a seed."""
    read = json.loads((base / READ).read_text(encoding="utf-8"))
    drawn = [query for query, _ in rows_in(folder / "self-instruct.jsonl")]
    return {*read, *drawn, *(query for run in runs for query in data.asked_in(run))}


def _fine_tuned(folder: Path, arm: Arm, base: Path, template: Path, seed: int) -> None:
    out = folder / arm.name
    if (out / SCORE).is_file():
        return
    method = "sft" if arm.after is None else "dpo"
    changed = [*(SFT if arm.after is None else DPO), f"seed={seed}"]
    done = train(
        str(folder / arm.source),
        str(base if arm.after is None else folder / arm.after / "model"),
        method=method,
        settings=settings(method, "paper", changed),
        out=out,
        chat_template=str(template),
        report=lambda line: None,
    )
    found = score(done.model, folder / "questions.jsonl", out)
    found |= {"steps": done.summary["steps"], "learned_tokens": done.summary["learned_tokens"]}
    if arm.after is None:
        found["rows"] = told(rows_in(out / FILE))
    (out / SCORE).write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def score(model: Path, questions: Path, out: Path) -> dict[str, Any]:
    """Shares of right answers: `right` of all, `of` each category; `cut` ones did not end."""
    found = evaluate(
        str(model),
        str(questions),
        out,
        Settings(truth=is_right, max_tokens=data.MAX_TOKENS),
        progress=Silent(),
    )
    asked = _lines(questions)
    answers = _lines(out / found.file)
    right = defaultdict(list)
    for question, answer in zip(asked, answers, strict=True):
        verdict = is_right(question["prompt"], answer["output"])
        right[question["category"]].append(bool(verdict))
    every = [each for some in right.values() for each in some]
    return {
        "right": sum(every) / len(every),
        "of": {name: sum(some) / len(some) for name, some in sorted(right.items())},
        "cut": found.cut / found.prompts,
        "length": sum(len(answer["output"]) for answer in answers) / len(answers),
    }


def told(rows: Iterator[Row]) -> dict[str, float]:
    """What the grammar says of rows: shares of well-formed questions and of right answers, how many
    kinds of question there are, and the characters of an answer."""
    listed = list(rows)
    read = [parsed for query, _ in listed if (parsed := grammar.parse(query)) is not None]
    checked = [verdict for row in listed if (verdict := is_right(*row)) is not None]
    return {
        "well_formed": len(read) / len(listed),
        "right": sum(checked) / len(checked),
        "kinds": len({parsed.intent for parsed in read}),
        "length": sum(len(answer) for _, answer in listed) / len(listed),
    }


def rows_in(file: Path) -> Iterator[Row]:
    """First questions and their answers, of a file of messages."""
    for line in _lines(file):
        yield line["messages"][0]["content"], line["messages"][1]["content"]


def _lines(file: Path) -> list[Mapping[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
