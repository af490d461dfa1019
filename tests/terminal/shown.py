"""What a terminal of some width shows, and whether a JSON document tells the same numbers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator

from rich.console import Console

NUMBER = re.compile(r"-?\d+(?:,\d{3})*(?:\.\d+)?")


def shown(show: Callable[[Console], None], width: int = 80) -> str:
    """Without a colour, line by line, and without the spaces at the ends."""
    console = Console(width=width, color_system=None, highlight=False, markup=False, emoji=False)
    with console.capture() as captured:
        show(console)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def untold(text: str, document: object) -> list[str]:
    """The numbers in ``text`` that are in no unit one of those in ``document``."""
    leaves = list(_leaves(json.loads(json.dumps(document))))
    words = " ".join(each for each in leaves if isinstance(each, str))
    numbers = [each for each in leaves if isinstance(each, int | float)]
    return [
        found
        for found in NUMBER.findall(text)
        if found not in words and not any(_same(found, each) for each in numbers)
    ]


def _leaves(value: object) -> Iterator[object]:
    if isinstance(value, dict):
        yield from value  # names are shown as well
        yield len(value)
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _leaves(each)
    else:
        yield value


def _same(found: str, number: float) -> bool:
    """As it is, as percent, in kB, MB, GB, or as hours, minutes and seconds."""
    digits = len(found.partition(".")[2])
    value = float(found.replace(",", ""))
    units = [number, 100 * number, *(number / 1000**power for power in (1, 2, 3))]
    units += [number // 3600, number // 60 % 60, number % 60]
    near = 0.51 * 10**-digits
    return any(abs(value - unit) <= near for unit in units)
