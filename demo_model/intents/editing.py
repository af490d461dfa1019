"""Sentences and words to correct, to turn and to sort."""

from demo_model.intent import EASY, EDIT, MEDIUM, VERY_EASY, Intent, Slots, one_of
from demo_model.intents.lookup import lookup
from demo_model.tables import text

_BASE = {forms[0]: verb for verb, forms in text.VERBS.items()}
_SUBJECT = one_of(text.SUBJECTS)
_PLACE = one_of(text.PLACES)
_WRONG = {"s": _SUBJECT, "v": one_of(text.VERBS), "p": _PLACE}
_RIGHT = {"s": _SUBJECT, "v": one_of(_BASE), "p": _PLACE}
_THREE = {name: one_of(text.WORDS) for name in "abc"}


def _third_person(s: Slots) -> str:
    return f"{s['s']} {text.VERBS[s['v']][0]} {s['p']}."


def _past(s: Slots) -> str:
    return f"{s['s']} {text.VERBS[_BASE[s['v']]][1]} {s['p']}."


def _question(s: Slots) -> str:
    subject = s["s"][0].lower() + s["s"][1:]
    return f"Does {subject} {_BASE[s['v']]} {s['p']}?"


def _negative(s: Slots) -> str:
    return f"{s['s']} does not {_BASE[s['v']]} {s['p']}."


def _sorted(s: Slots) -> str:
    return ", ".join(sorted(s[k] for k in "abc"))


INTENTS: tuple[Intent, ...] = (
    Intent(
        name="correct",
        category=EDIT,
        templates=("Fix the grammar: {s} {v} {p}.", "Correct this sentence:\n{s} {v} {p}."),
        slots=_WRONG,
        answer=lambda s, _: _third_person(s),
        keys=lambda s: [_third_person(s)],
        difficulty=EASY,
        wants="correct a sentence",
        knowledge="grammar",
        weight=1.5,
    ),
    Intent(
        name="past",
        category=EDIT,
        templates=(
            "Rewrite in the past tense: {s} {v} {p}.",
            "Put this sentence in the past tense:\n{s} {v} {p}.",
        ),
        slots=_RIGHT,
        answer=lambda s, _: _past(s),
        keys=lambda s: [_past(s)],
        difficulty=EASY,
        wants="change the tense",
        knowledge="grammar",
        weight=1.5,
    ),
    Intent(
        name="question",
        category=EDIT,
        templates=("Turn this sentence into a question: {s} {v} {p}.",),
        slots=_RIGHT,
        answer=lambda s, _: _question(s),
        keys=lambda s: [_question(s)],
        difficulty=MEDIUM,
        wants="make a question",
        knowledge="grammar",
        weight=1.2,
    ),
    Intent(
        name="negative",
        category=EDIT,
        templates=("Make this sentence negative: {s} {v} {p}.",),
        slots=_RIGHT,
        answer=lambda s, _: _negative(s),
        keys=lambda s: [_negative(s)],
        difficulty=MEDIUM,
        wants="negate a sentence",
        knowledge="grammar",
        weight=1.2,
    ),
    lookup(
        "spelling",
        category=EDIT,
        templates=('Correct the spelling of "{x}".', 'How do you spell "{x}" correctly?'),
        table=text.MISSPELT,
        answer='The correct spelling is "{value}".',
        difficulty=VERY_EASY,
        wants="fix the spelling of {x}",
        knowledge="spelling",
        weight=0.7,
    ),
    lookup(
        "uppercase",
        category=EDIT,
        templates=(
            'Write the word "{x}" in capital letters.',
            'Change "{x}" to uppercase.',
        ),
        table={word: word.upper() for word in text.WORDS},
        answer="{value}",
        difficulty=VERY_EASY,
        wants="uppercase a word",
        knowledge="letters",
        weight=0.5,
    ),
    Intent(
        name="alphabet",
        category=EDIT,
        templates=(
            "Put these words in alphabetical order: {a}, {b}, {c}.",
            "Sort these words from a to z:\n- {a}\n- {b}\n- {c}",
        ),
        slots=_THREE,
        draw=lambda rng: dict(zip("abc", rng.sample(text.WORDS, 3), strict=True)),
        answer=lambda s, _: _sorted(s),
        keys=lambda s: [_sorted(s)],
        difficulty=MEDIUM,
        wants="sort words",
        knowledge="the alphabet",
        weight=1.0,
    ),
    Intent(
        name="join",
        category=EDIT,
        templates=(
            "Join these two sentences: We {v} {p}. We {w} {q}.",
            "Combine into one sentence:\nWe {v} {p}.\nWe {w} {q}.",
        ),
        slots={
            "v": one_of(text.VERBS),
            "w": one_of(text.VERBS),
            "p": _PLACE,
            "q": _PLACE,
        },
        answer=lambda s, _: f"We {s['v']} {s['p']} and {s['w']} {s['q']}.",
        keys=lambda s: [f"We {s['v']} {s['p']} and {s['w']} {s['q']}."],
        difficulty=MEDIUM,
        wants="join two sentences",
        knowledge="grammar",
        weight=1.3,
    ),
)
