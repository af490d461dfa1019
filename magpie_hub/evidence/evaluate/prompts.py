"""The prompts of benchmarks, recognised by their columns, and all of them in one form.

Formats: AlpacaEval 2 (arXiv 2404.04475), Arena-Hard (2406.11939, both of its generations),
WildBench (2406.04770), MT-Bench (2306.05685) and plain JSONL. Samples of each, written by hand,
stand in ``tests/evidence/evaluate/prompts/``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from magpie_hub.errors import HubError, InvalidData, UsageError, said

Kind = Literal["alpaca-eval", "arena-hard", "wildbench", "mt-bench", "plain"]
Message = dict[str, str]
Row = Mapping[str, Any]

HUB: Mapping[str, tuple[str, str, str]] = {
    "alpaca-eval": ("tatsu-lab/alpaca_eval", "dataset", "alpaca_eval_gpt4_baseline.json"),
    "arena-hard": (
        "lmarena-ai/arena-hard-auto",
        "dataset",
        "data/arena-hard-v0.1/question.jsonl",
    ),
    "wildbench": ("allenai/WildBench", "dataset", "v2/test-00000-of-00001.parquet"),
    "mt-bench": ("lmsys/mt-bench", "space", "data/mt_bench/question.jsonl"),
}
"""Benchmarks by name: repository, its type, and the file in it."""


@dataclass(frozen=True)
class Prompt:
    """``history`` comes before the first of ``turns``, the user's messages that are answered one
    after the other. ``truth`` is the value or ``tests`` the assertions by which an answer is
    checked; ``answer`` of ``generator`` is the opponent's that came with the prompt. ``row`` is
    what the file says, for answers in its own format; ``place`` its number, from 0."""

    id: str
    turns: tuple[str, ...]
    place: int
    row: Row = field(repr=False)
    history: tuple[Message, ...] = ()
    checklist: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    truth: str | None = None
    tests: str | None = None
    answer: str | None = None
    generator: str | None = None


@dataclass(frozen=True)
class Benchmark:
    """Prompts of one file."""

    name: str
    kind: Kind
    prompts: tuple[Prompt, ...]


class _Missing(Exception):
    """What a row lacks."""


def read_prompts(place: str) -> Benchmark:
    """A file (``.json``, ``.jsonl``, ``.parquet``), or a benchmark of :data:`HUB` by name.

    ``UsageError`` where there is none or it is of no known form; ``InvalidData`` where a row lacks
    something, with its line; ``HubError`` where it cannot be had."""
    file = Path(place)
    if place in HUB and not file.exists():
        file = _download(place)
    rows = rows_of(file)
    if not rows:
        raise InvalidData(f"{place} holds no prompts.")
    kind = _kind(place, rows[0][1])
    prompts = []
    known: dict[str, str] = {}
    for number, (where, row) in enumerate(rows):
        try:
            prompt = _READERS[kind](row, number)
        except _Missing as lack:
            raise InvalidData(f"{place}, {where}: {lack}; this is a prompt of {kind}.") from lack
        if prompt.id in known:
            raise InvalidData(
                f"{place}, {where}: the id {prompt.id} stands in {known[prompt.id]} too."
            )
        known[prompt.id] = where
        prompts.append(prompt)
    return Benchmark(place if place in HUB else file.name, kind, tuple(prompts))


def rows_of(file: Path) -> list[tuple[str, Row]]:
    """The objects of a file, each with where it stands."""
    if not file.is_file():
        names = ", ".join(HUB)
        raise UsageError(f"there is no file {file}; give one, or one of {names}.")
    rows: list[tuple[str, Row]] = []
    try:
        if file.suffix == ".parquet":
            import polars as pl

            rows = [(f"row {n}", row) for n, row in enumerate(pl.read_parquet(file).to_dicts(), 1)]
        elif file.suffix == ".json":
            found = json.loads(file.read_text(encoding="utf-8-sig"))
            listed = found if isinstance(found, list) else [found]
            rows = [(f"row {n}", row) for n, row in enumerate(listed, 1)]
        else:
            with file.open(encoding="utf-8-sig") as stream:
                for number, line in enumerate(stream, 1):
                    if line.strip():
                        rows.append((f"line {number}", _object(line, file, number)))
    except (OSError, ValueError) as error:
        raise InvalidData(f"{file} cannot be read: {said(error)}.") from error
    for where, row in rows:
        if not isinstance(row, dict):
            raise InvalidData(f"{file}, {where}: this is no object with columns.")
    return rows


def _object(line: str, file: Path, number: int) -> Any:  # noqa: ANN401 (JSON)
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        raise InvalidData(f"{file}, line {number} is no JSON: {error.msg}.") from error


def _kind(place: str, row: Row) -> Kind:
    columns = row.keys()
    if "conversation_input" in columns:
        return "wildbench"
    if "turns" in columns and "question_id" in columns:
        turns = row["turns"]
        nested = isinstance(turns, list) and turns and isinstance(turns[0], dict)
        return "arena-hard" if nested else "mt-bench"
    if "uid" in columns:
        return "arena-hard"
    if "instruction" in columns and columns & {"dataset", "generator"}:
        return "alpaca-eval"
    if columns & set(_ASKED):
        return "plain"
    raise UsageError(
        f"{place} is of no known form: its columns are {', '.join(columns) or 'none'}; a plain "
        f"prompt has one of {', '.join(_ASKED)}."
    )


def _alpaca_eval(row: Row, place: int) -> Prompt:
    return Prompt(
        id=str(place),
        turns=(_text(row, "instruction"),),
        place=place,
        row=row,
        answer=row.get("output") if isinstance(row.get("output"), str) else None,
        generator=str(row["generator"]) if row.get("generator") else None,
    )


def _arena_hard(row: Row, place: int) -> Prompt:
    name = "uid" if "uid" in row else "question_id"
    if "prompt" in row:
        turns: tuple[str, ...] = (_text(row, "prompt"),)
    else:
        turns = tuple(_text(turn, "content") for turn in _list(row, "turns", dict))
    return Prompt(_id(row, name), turns, place, row)


def _mt_bench(row: Row, place: int) -> Prompt:
    return Prompt(
        _id(row, "question_id"),
        tuple(_list(row, "turns", str)),
        place,
        row,
        references=tuple(map(str, row.get("reference") or ())),
    )


def _wildbench(row: Row, place: int) -> Prompt:
    said_ = _list(row, "conversation_input", dict)
    messages = [{name: _text(each, name) for name in ("role", "content")} for each in said_]
    if messages[-1]["role"] != "user":
        raise _Missing("`conversation_input` does not end with the user")
    return Prompt(
        _id(row, "session_id"),
        (messages[-1]["content"],),
        place,
        row,
        history=tuple(messages[:-1]),
        checklist=tuple(_list(row, "checklist", str)),
    )


_ASKED = ("prompt", "instruction", "question", "query", "messages", "turns")


def _plain(row: Row, place: int) -> Prompt:
    history: tuple[Message, ...] = ()
    name = next((name for name in _ASKED if row.get(name)), _ASKED[0])
    if name == "messages":
        messages = [
            {key: _text(each, key) for key in ("role", "content")}
            for each in _list(row, "messages", dict)
        ]
        if messages[-1]["role"] != "user":
            raise _Missing("`messages` do not end with the user")
        history, turns = tuple(messages[:-1]), (messages[-1]["content"],)
    else:
        turns = tuple(_list(row, name, str)) if name == "turns" else (_text(row, name),)
    truth, tests = row.get("answer"), row.get("tests")
    return Prompt(
        id=str(row.get("id", place)),
        turns=turns,
        place=place,
        row=row,
        history=history,
        truth=None if truth is None else str(truth),
        tests="\n".join(tests) if isinstance(tests, list) else tests,
    )


_READERS: Mapping[Kind, Callable[[Row, int], Prompt]] = {
    "alpaca-eval": _alpaca_eval,
    "arena-hard": _arena_hard,
    "wildbench": _wildbench,
    "mt-bench": _mt_bench,
    "plain": _plain,
}


def _id(row: Row, name: str) -> str:
    value = row.get(name)
    if value in (None, ""):
        raise _Missing(f"`{name}` is missing")
    return str(value)


def _text(row: Row, name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not value.strip():
        raise _Missing(f"`{name}` is {'no text' if value else 'missing'}")
    return value


def _list(row: Row, name: str, kind: type) -> Sequence[Any]:
    value = row.get(name)
    if not isinstance(value, list) or not value:
        raise _Missing(f"`{name}` is {'no list' if value else 'missing'}")
    if not all(isinstance(each, kind) for each in value):
        raise _Missing(f"`{name}` is no list of {'texts' if kind is str else 'objects'}")
    return value


def _download(name: str) -> Path:
    from huggingface_hub import hf_hub_download

    repo, kind, file = HUB[name]
    try:
        return Path(hf_hub_download(repo, file, repo_type=kind))
    except (OSError, ValueError) as error:
        raise HubError(
            f"{name} could not be had from {repo} on the Hub ({type(error).__name__}); check the "
            "network, or give the file."
        ) from error
