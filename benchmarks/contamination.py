"""Benchmarks' runs of 13 words in queries: ours and Python sets of runs, with the same flags.

Each side reads the items, then looks at all rows. ``ratio`` is of the looking; reading the items,
which is done once, stands beside it.
"""

from __future__ import annotations

import random
import re
import sys
import unicodedata

from harness import Meter, Side, alternate, digest, ratios, same
from queries import Queries
from report import arguments, finish, show_ratios

from magpie_hub.annotate.contamination import Benchmarks
from magpie_hub.annotate.items import Item

SIZES = (13, 8)
ITEMS, ROWS, QUICK_ROWS, ROUNDS, QUICK_ROUNDS = 20_000, 200_000, 60_000, 5, 2
SHARE = 0.02


def corpus(rows: int) -> tuple[list[str], list[str]]:
    """Items, and rows of which some hold a piece of an item."""
    items = Queries(2).take(ITEMS)
    draw = random.Random(3)
    made = Queries(4).take(rows)
    for row in draw.sample(range(rows), int(rows * SHARE)):
        words = draw.choice(items).split()
        start = draw.randrange(len(words))
        made[row] += " " + " ".join(words[start : start + draw.randint(5, 25)]).upper()
    return items, made


def ours(meter: Meter, *, rows: int, size: int) -> None:
    items, texts = corpus(rows)
    named = [Item(f"made:{number}", text) for number, text in enumerate(items)]
    for _ in meter.rounds():
        with meter.part("items") as part:
            index = Benchmarks(named, size=size)
        part.work, part.digest = len(items), digest(())
        with meter.part("rows") as part:
            hits = index.find(texts)
        part.work = rows
        flagged = [row for row, hit in enumerate(hits) if hit is not None]
        part.digest, meter.facts["flagged"] = digest(flagged), len(flagged)


def sets(meter: Meter, *, rows: int, size: int) -> None:
    items, texts = corpus(rows)
    for _ in meter.rounds():
        with meter.part("items") as part:
            known: set[tuple[str, ...]] = set()
            for item in items:
                known.update(_runs(item, size))
        part.work, part.digest = len(items), digest(())
        with meter.part("rows") as part:
            flagged = [
                row for row, text in enumerate(texts) if not known.isdisjoint(_runs(text, size))
            ]
        part.work, part.digest = rows, digest(flagged)
        meter.facts["flagged"] = len(flagged)


_WORD = re.compile(r"\w+")


def _runs(text: str, size: int) -> list[tuple[str, ...]]:
    words = _WORD.findall(unicodedata.normalize("NFKC", text).lower())
    return list(zip(*(words[shift:] for shift in range(size)), strict=False))


def main() -> None:
    given = arguments(__doc__)
    rows, rounds = (QUICK_ROWS, QUICK_ROUNDS) if given.quick else (ROWS, ROUNDS)
    sides = [
        Side(f"{side.__name__}, {size} words", side, {"rows": rows, "size": size})
        for size in SIZES
        for side in (ours, sets)
    ]
    runs = alternate(sides, rounds=rounds)
    found = []
    for size in SIZES:
        names = f"ours, {size} words", f"sets, {size} words"
        if not same(runs, *names):
            raise SystemExit(f"the sides differ in the rows that they flag at {size} words.")
        found += [ratios(runs, *names, part=part) for part in ("rows", "items")]
    flagged = ", ".join(f"{run.side}: {run.facts['flagged']}" for run in runs[-len(sides) :])
    show_ratios(f"contamination of {rows:,} rows by {ITEMS:,} items", "per CPU s", found)
    sys.stdout.write(f"rows flagged: {flagged}\n")
    finish(
        "contamination",
        ratio=found[0].median,
        ours={"rows per CPU s": found[0].ours},
        theirs={"rows per CPU s": found[0].theirs},
        runs=runs,
        libraries=("numpy", "polars"),
        as_json=given.json,
    )


if __name__ == "__main__":
    main()
