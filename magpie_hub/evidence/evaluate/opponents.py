"""Answers in each benchmark's own format: read as an opponent's, written for its own judge."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from magpie_hub.errors import InvalidData
from magpie_hub.evidence.evaluate.prompts import Benchmark, Kind, Prompt, Row, rows_of
from magpie_hub.storage import write_atomically

Answer = tuple[str, ...]
"""A text for each turn."""
_IDS = ("uid", "question_id", "session_id", "id")
_TEXTS = ("output", "response", "answer", "completion", "answers")
_NAMES = ("generator", "model_id", "model", "responder")


def read_answers(file: Path, benchmark: Benchmark) -> tuple[str, list[Answer]]:
    """(whose they are, an answer for each prompt). ``InvalidData`` where one is missing."""
    rows = rows_of(file)
    ours: dict[str, Row] = {}
    for where, row in rows:
        key = _key(row)
        if key is None:
            raise InvalidData(
                f"{file}, {where}: an answer names its prompt by one of {', '.join(_IDS)}, or "
                "repeats it as its instruction or prompt."
            )
        ours[key] = row
    found = []
    for prompt in benchmark.prompts:
        answering = ours.get(prompt.id) or ours.get(prompt.turns[0])
        if answering is None:
            raise InvalidData(f"{file} has no answer to prompt {prompt.id} of {benchmark.name}.")
        answer = _answer(answering)
        if len(answer) != len(prompt.turns):
            raise InvalidData(
                f"{file} has {len(answer)} answers to prompt {prompt.id}, which has "
                f"{len(prompt.turns)} turns."
            )
        found.append(answer)
    named = (str(rows[0][1][name]) for name in _NAMES if rows[0][1].get(name))
    return next(named, file.stem), found


def write_answers(
    folder: Path, model: str, benchmark: Benchmark, answers: Sequence[Answer | None]
) -> Path:
    """The file that the benchmark's own judge reads; those that failed are left out."""
    given = [
        _WRITERS[benchmark.kind](prompt, answer, model)
        for prompt, answer in zip(benchmark.prompts, answers, strict=True)
        if answer is not None
    ]
    if benchmark.kind in ("alpaca-eval", "wildbench"):
        file = folder / "model_outputs.json"
        text = json.dumps(given, ensure_ascii=False, indent=2) + "\n"
    else:
        file = folder / f"{model_slug(model)}.jsonl"
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in given)
    write_atomically(file, text.encode(), durable=False)
    return file


def model_slug(ref: str) -> str:
    """A name for files."""
    kept = "".join(c if c.isalnum() or c in "-._" else "-" for c in Path(ref).name or ref)
    return kept.strip("-.") or "model"


def _key(row: Row) -> str | None:
    name = next((name for name in _IDS if row.get(name) is not None), None)
    if name is not None:
        return str(row[name])
    text = row.get("instruction") or row.get("prompt")
    return text if isinstance(text, str) else None


def _answer(row: Row) -> Answer:
    if choices := row.get("choices"):
        turns = choices[0]["turns"]
        return tuple(turn["content"] if isinstance(turn, dict) else str(turn) for turn in turns)
    if isinstance(messages := row.get("messages"), list):
        said = [each.get("content") for each in messages if each.get("role") == "assistant"]
        return tuple(each["answer"] if isinstance(each, dict) else str(each) for each in said[-1:])
    value = next((row[name] for name in _TEXTS if row.get(name) is not None), "")
    return tuple(map(str, value)) if isinstance(value, list) else (str(value),)


def _alpaca_eval(prompt: Prompt, answer: Answer, model: str) -> dict[str, Any]:
    kept = {"dataset": prompt.row["dataset"]} if "dataset" in prompt.row else {}
    said = {"instruction": prompt.turns[0], "output": answer[0], "generator": model}
    return {**kept, **said}


def _arena_hard(prompt: Prompt, answer: Answer, model: str) -> dict[str, Any]:
    if "uid" not in prompt.row:
        turns = [{"content": text} for text in answer]
        return _choices(prompt, turns, model)
    messages: list[dict[str, Any]] = []
    for asked, text in zip(prompt.turns, answer, strict=True):
        messages += [
            {"role": "user", "content": asked},
            {"role": "assistant", "content": {"answer": text}},
        ]
    return {"uid": prompt.id, "ans_id": prompt.id, "model": model, "messages": messages}


def _mt_bench(prompt: Prompt, answer: Answer, model: str) -> dict[str, Any]:
    return _choices(prompt, list(answer), model)


def _choices(prompt: Prompt, turns: Sequence[Any], model: str) -> dict[str, Any]:
    return {
        "question_id": prompt.row["question_id"],
        "answer_id": prompt.id,
        "model_id": model,
        "choices": [{"index": 0, "turns": list(turns)}],
    }


def _wildbench(prompt: Prompt, answer: Answer, model: str) -> dict[str, Any]:
    history = [each["content"] for each in prompt.history]
    return {
        "session_id": prompt.id,
        "chat_history": [*history, prompt.turns[0]],
        "output": [answer[0]],
        "generator": model,
    }


def _plain(prompt: Prompt, answer: Answer, model: str) -> dict[str, Any]:
    texts = {"answers": list(answer)} if len(answer) > 1 else {"output": answer[0]}
    return {"id": prompt.id, "prompt": prompt.turns[0], **texts, "generator": model}


_WRITERS: Mapping[Kind, Callable[[Prompt, Answer, str], dict[str, Any]]] = {
    "alpaca-eval": _alpaca_eval,
    "arena-hard": _arena_hard,
    "mt-bench": _mt_bench,
    "wildbench": _wildbench,
    "plain": _plain,
}
