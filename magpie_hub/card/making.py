"""How a release was made, stage by stage, in the words that a reader needs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from magpie_hub.release import Making, Manifest

_TITLES = {
    "sample": ("Questions", "written by the model behind the left side of its own chat template"),
    "language": ("Language", "of each question"),
    "judge": ("Labels", "of each question, by a model that reads it"),
    "neighbors": ("Neighbours", "of each question among all of them, by its embedding"),
    "duplicates": ("Near duplicates", "of which one is answered"),
    "contamination": ("Benchmarks", "questions that share words with their items"),
    "screen": ("Screen", "which questions are worth an answer; the others were not answered"),
    "respond": ("Answers", "to the questions that passed the screen"),
    "choose": ("Choice", "among several answers to a question"),
    "reward": ("Reward", "score of the answer to its question"),
    "safety": ("Safety", "of question and answer, by a guard"),
    "pii": ("Personal data", "and secrets, searched for in what was written"),
    "map": ("Map", "of the questions in the plane, by their embeddings"),
    "judge-turns": ("Labels of turns", "and of the whole conversation, by a model"),
    "baseline": ("Baseline", "a second answer to compare the reward with"),
    "overlap": ("Benchmarks by meaning", "questions that say the same as one of their items"),
    "text": ("Texts", "loops, refusals, formats and leaks, searched for in the answers"),
}
_LEFT_OUT = ("model", "prompts", "labels", "queries", "first turn", "reward", "controls")
"""Model and prompt stand apart; the others are fingerprints."""
_UNTOLD = ("none", "")
REVISION = 12


@dataclass(frozen=True)
class Step:
    """A stage: its settings in words, those that are code apart."""

    title: str
    what: str
    model: str
    revision: str
    prompt: str
    settings: tuple[tuple[str, str], ...]


def steps(manifest: Manifest) -> Iterator[Step]:
    """In the order in which they were run."""
    prompts = {
        column.producer.by: column.producer.prompt_sha256 or "" for column in manifest.columns
    }
    for making in manifest.made:
        title, what = _titled(making.stage)
        yield Step(
            title,
            what,
            making.model or "",
            (making.revision or "").removeprefix("sha256:")[:REVISION],
            prompts.get(making.stage, "")[:REVISION],
            tuple(_settings(making)),
        )


def _titled(stage: str) -> tuple[str, str]:
    if stage in _TITLES:
        return _TITLES[stage]
    name, _, turn = stage.rpartition("-")
    if name in ("ask", "answer") and turn.isdigit():
        what = "a further question" if name == "ask" else "its answer"
        return f"Turn {turn}", f"{what}, with all that stands before it"
    return stage, ""


def _settings(making: Making) -> Iterator[tuple[str, str]]:
    for key, value in making.settings.items():
        if key not in _LEFT_OUT and value not in _UNTOLD:
            yield key.replace("_", " "), value
