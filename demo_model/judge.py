"""What the judge is asked, through the prompt files that the package judges with, and answers."""

import json
from dataclasses import dataclass
from pathlib import Path
from random import Random

from demo_model import grammar
from demo_model.grammar import Turn
from demo_model.intents import INTENTS
from demo_model.malformed import garble
from magpie_hub.schema import CATEGORIES, DIFFICULTIES, QUALITIES

PROMPTS = Path(__file__).resolve().parents[1] / "magpie_hub" / "annotate" / "prompts"

KINDS = ("category", "difficulty", "quality")
LABELS = {"category": CATEGORIES, "difficulty": DIFFICULTIES, "quality": QUALITIES}

# Categories that a query of another one may also be said to have.
_ALSO = {
    "two_hops": ["Information seeking"],
    "budget": ["Math"],
    "print_sum": ["Math"],
    "larger": ["Math"],
    "sequence": ["Math"],
}
_EXPLANATIONS = {
    "very poor": "The query is malformed.",
    "poor": "The query lacks details.",
    "average": "The query is clear but careless.",
    "good": "The query is clear.",
    "excellent": "The query is clear and polite.",
}


@dataclass(frozen=True)
class Judgement:
    """One judge conversation: the whole prompt, and the JSON that answers it."""

    kind: str
    prompt: str
    answer: str


def read_prompt(kind: str) -> str:
    """The text of a prompt file after its front matter, with `{query}` still in it."""
    return (PROMPTS / f"{kind}.md").read_text(encoding="utf-8").split("---\n", 2)[2].strip()


def prompt(kind: str, *, query: str, templates: dict[str, str] | None = None) -> str:
    text = templates[kind] if templates else read_prompt(kind)
    return text.replace("{query}", query)


def target(kind: str, *, turn: Turn) -> str:
    """The JSON that a perfect judge answers, its keys in the order of the prompt's front matter."""
    intent = INTENTS[turn.intent]
    if kind == "category":
        verdict: dict[str, object] = {
            "category": turn.category,
            "other_categories": _ALSO.get(turn.intent, []),
        }
    elif kind == "difficulty":
        verdict = {
            "intent": f"The user wants to {intent.wants.format(**turn.slots)}.",
            "knowledge": intent.knowledge,
            "difficulty": turn.difficulty,
        }
    else:
        verdict = {
            "quality_explanation": _EXPLANATIONS[turn.quality],
            "quality": turn.quality,
        }
    return json.dumps(verdict, ensure_ascii=False)


def subject(rng: Random, *, kind: str) -> Turn:
    """A query to judge: mostly a sound one, for the quality often a malformed or a vague one."""
    chance = rng.random()
    if kind == "quality":
        if chance < 0.35:
            return spoil(grammar.sample(rng), rng=rng)
        if chance < 0.4:
            vague = [intent for intent in INTENTS.values() if intent.vague]
            return grammar.sample(rng, intent=rng.choice(vague))
    elif chance < 0.1:
        return spoil(grammar.sample(rng), rng=rng)
    return grammar.sample(rng)


def spoil(turn: Turn, *, rng: Random) -> Turn:
    """`turn` with a malformed query. What it was about stays its category: the best guess."""
    return _with_query(turn, query=garble(turn.query, rng=rng))


def _with_query(turn: Turn, *, query: str) -> Turn:
    return Turn(**(vars(turn) | {"query": query, "quality": "very poor"}))


def judgement(turn: Turn, *, kind: str, templates: dict[str, str]) -> Judgement:
    return Judgement(
        kind=kind,
        prompt=prompt(kind, query=turn.query, templates=templates),
        answer=target(kind, turn=turn),
    )


def quality_judgement(query: str, *, quality: str, templates: dict[str, str]) -> Judgement:
    """The quality of a query that a half-trained model wrote, as the grammar reads it."""
    verdict = {"quality_explanation": _EXPLANATIONS[quality], "quality": quality}
    return Judgement(
        kind="quality",
        prompt=prompt("quality", query=query, templates=templates),
        answer=json.dumps(verdict, ensure_ascii=False),
    )
