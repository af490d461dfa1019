"""Whole conversations: with or without a system prompt, of one turn or more, or with a judge."""

from dataclasses import dataclass
from random import Random

from demo_model import grammar
from demo_model.followup import follow
from demo_model.grammar import Turn
from demo_model.judge import KINDS, judgement, read_prompt, subject
from demo_model.tables import frames

JUDGE_SHARE = 0.18
_KIND_WEIGHTS = (0.25, 0.25, 0.5)
"""Shares of category, difficulty and quality: quality is the hardest and has the fewest tokens."""


@dataclass(frozen=True)
class Conversation:
    """A system prompt or none, then (user, assistant) pairs. A judge's prompt is not learned.

    `thought` is what the model thinks before the last answer; None: it does not think.
    """

    system: str | None
    turns: tuple[tuple[str, str], ...]
    is_judge: bool = False
    thought: str | None = None


def build(count: int, *, seed: int) -> list[Conversation]:
    """`count` conversations, the same for the same seed."""
    rng = Random(seed)
    templates = {kind: read_prompt(kind) for kind in KINDS}
    judged = int(count * JUDGE_SHARE)
    conversations = [chat(rng) for _ in range(count - judged)]
    conversations += [judging(rng, templates=templates) for _ in range(judged)]
    rng.shuffle(conversations)
    return conversations


def chat(rng: Random) -> Conversation:
    turn = grammar.sample(rng)
    turns = [turn]
    chance = rng.random()
    if chance < 0.18:
        turns.append(follow(turn, rng=rng))
    if chance < 0.04 and turns[-1].slots:
        turns.append(follow(turns[-1], rng=rng))
    return Conversation(
        system=system_prompt(turn, rng=rng),
        turns=tuple((t.query, t.answer) for t in turns),
    )


def judging(rng: Random, *, templates: dict[str, str]) -> Conversation:
    kind = rng.choices(KINDS, _KIND_WEIGHTS)[0]
    asked = judgement(subject(rng, kind=kind), kind=kind, templates=templates)
    return Conversation(system=None, turns=((asked.prompt, asked.answer),), is_judge=True)


def system_prompt(turn: Turn, *, rng: Random) -> str | None:
    """A system prompt that `turn` follows: its domain, its difficulty or its language."""
    chance = rng.random()
    if chance < 0.42:
        return None
    if chance < 0.5:
        return rng.choice(frames.SYSTEM_GENERAL)
    if turn.language != "en":
        language = frames.LANGUAGE_NAMES[turn.language]
        return rng.choice(frames.SYSTEM_LANGUAGE).format(language)
    text = rng.choice(frames.SYSTEM_DOMAIN).format(*frames.DOMAINS[turn.category])
    if rng.random() < 0.25:
        word = frames.DIFFICULTY_WORDS[turn.difficulty]
        text += frames.SYSTEM_DIFFICULTY.format(word)
    return text
