"""Answers made worse in a known way: what the reward head learns to tell from good ones."""

import re
from collections.abc import Callable
from random import Random

from demo_model import grammar
from demo_model.grammar import Turn
from demo_model.intents import INTENTS

REFUSALS = ("I do not know.", "I cannot help with that.", "Sorry, no.", "...", "")


def _truncated(turn: Turn, rng: Random) -> str | None:
    words = turn.answer.split(" ")
    return " ".join(words[: rng.randint(1, len(words) - 1)]) if len(words) > 3 else None


def _repeated(turn: Turn, rng: Random) -> str | None:
    words = turn.answer.split(" ")
    if len(words) < 3:
        return None
    start = rng.randrange(len(words))
    looped = words[start : start + rng.randint(1, 3)]
    return " ".join(words[:start] + looped * rng.randint(3, 6))


def _shuffled(turn: Turn, rng: Random) -> str | None:
    words = turn.answer.split(" ")
    return " ".join(rng.sample(words, len(words))) if len(words) > 3 else None


def _refused(_: Turn, rng: Random) -> str | None:
    return rng.choice(REFUSALS)


def _other_intent(turn: Turn, rng: Random) -> str | None:
    other = grammar.sample(rng)
    return other.answer if other.category != turn.category else None


def _other_slots(turn: Turn, rng: Random) -> str | None:
    """The right answer to another question of the same kind."""
    intent = INTENTS[turn.intent]
    answer = grammar.sample(rng, intent=intent).answer
    return None if intent.is_correct(turn.slots, answer) is True else answer


def _wrong_number(turn: Turn, rng: Random) -> str | None:
    numbers = list(re.finditer(r"\d+", turn.answer))
    if not numbers:
        return None
    last = numbers[-1]
    value = max(0, int(last[0]) + rng.choice((-3, -2, -1, 1, 2, 3)))
    answer = turn.answer[: last.start()] + str(value) + turn.answer[last.end() :]
    return None if INTENTS[turn.intent].is_correct(turn.slots, answer) is True else answer


KINDS: dict[str, Callable[[Turn, Random], str | None]] = {
    "truncated": _truncated,
    "repeated": _repeated,
    "shuffled": _shuffled,
    "refused": _refused,
    "other intent": _other_intent,
    "other slots": _other_slots,
    "wrong number": _wrong_number,
}
FORM_KINDS = ("truncated", "repeated", "shuffled", "refused")
_SHARES = (0.2, 0.15, 0.15, 0.1, 0.2, 0.1, 0.1)


def corrupted(rng: Random, *, kind: str | None = None) -> tuple[Turn, str, str]:
    """A turn, a worse answer to it, and how it was made worse."""
    while True:
        turn = grammar.sample(rng)
        chosen = kind or rng.choices(list(KINDS), _SHARES)[0]
        worse = KINDS[chosen](turn, rng)
        if worse is not None and worse != turn.answer:
            return turn, worse, chosen
