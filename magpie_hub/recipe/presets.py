"""What a recipe may call by a name or take from a file, written out: decoding grids, ready sets of
system prompts, topics, filters. The resolved recipe holds the contents, so a run does not change
when a file or a newer version of this package does."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from magpie_hub import steering
from magpie_hub.errors import RecipeError
from magpie_hub.recipe.filter_presets import FILTERS
from magpie_hub.recipe.origin import Origin, Place

GRIDS: dict[str, tuple[tuple[float, float, int], ...]] = {
    "paper-air": (
        *((t, p, 3) for t in (1.0, 1.1, 1.2) for p in (1.0, 0.995, 0.99)),
        *((1.25, p, 1) for p in (1.0, 0.995, 0.99)),
    ),
    "paper-pro": ((1.0, 1.0, 3), (1.1, 0.995, 3), (1.2, 0.995, 3), (1.25, 0.99, 1)),
}
"""(temperature, top_p, weight) by name: those of Magpie-Air and Magpie-Pro (arXiv 2406.08464,
table 7)."""
_GRID: Place = ("sample", "grid")
_STEER: Place = ("sample", "steer")


def write_out(origin: Origin, folder: Path) -> None:
    """Replace names and files in the document by what they stand for; ``folder`` is where relative
    file names begin. What is of a wrong type stays, for the recipe to refuse."""
    _filters(origin)
    sample = origin.document.get("sample")
    if not isinstance(sample, dict):
        return
    if isinstance(name := sample.get("grid"), str):
        cells = GRIDS[_known(name, GRIDS, "grid", origin.place(_GRID))]
        sample["grid"] = [
            dict(zip(("temperature", "top_p", "weight"), c, strict=True)) for c in cells
        ]
    if isinstance(steer := sample.get("steer"), str | list):
        pairs = list(_entries(steer, origin, folder))
        sample["steer"] = [entry for entry, _ in pairs]
        origin.moved = {(*_STEER, at): place for at, (_, place) in enumerate(pairs)}


def _filters(origin: Origin) -> None:
    """The configs' presets: their clauses come before the config's own."""
    configs = origin.document.get("configs")
    for key, config in configs.items() if isinstance(configs, dict) else ():
        if not isinstance(config, dict) or not isinstance(config.get("preset"), str):
            continue
        name = config.pop("preset")
        preset = FILTERS[_known(name, FILTERS, "preset", origin.place(("configs", key, "preset")))]
        config.setdefault("description", preset.description)
        where = config.get("where")
        if where is None:
            config["where"] = preset.where
        elif isinstance(where, str):
            both = f"({where})" if re.search(r"\bOR\b", where, re.IGNORECASE) else where
            config["where"] = f"{preset.where} AND {both}"
        if config.get("rows") is not None:
            if config.get("pick") is None and config.get("order") is None:
                config["pick"] = "length_controlled"
            if preset.quotas:
                config.setdefault("quotas", preset.quotas)


def _entries(steer: str | list[Any], origin: Origin, folder: Path) -> Iterator[tuple[Any, Place]]:
    """The entries, each with where it comes from."""
    if isinstance(steer, str):
        yield from ((entry, _STEER) for entry in _ready(steer, origin.place(_STEER)))
        return
    for at, entry in enumerate(steer):
        place = (*_STEER, at)
        if isinstance(entry, str):
            yield from ((each, place) for each in _ready(entry, origin.place(place)))
        elif isinstance(entry, dict) and isinstance(name := entry.get("topics"), str):
            lines = _lines(folder / name, origin.place((*place, "topics")))
            yield {**entry, "topics": lines}, place
        else:
            yield entry, place


def _ready(name: str, place: str) -> list[dict[str, str]]:
    prompts = steering.load(_known(name, steering.names(), "ready set", place))
    return [{"key": key, "system": system} for key, system in prompts.items()]


def _lines(file: Path, place: str) -> list[str]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(
            f"{place}: {file} cannot be read as a list of topics ({error})."
        ) from error
    lines = (line.strip() for line in text.splitlines())
    if not (found := [line for line in lines if line and not line.startswith("#")]):
        raise RecipeError(f"{place}: {file} has no topic; write one a line.")
    return found


def _known(name: str, known: Iterable[str], kind: str, place: str) -> str:
    names = sorted(known)
    if name in names:
        return name
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    hint = f"did you mean '{close[0]}', or another of" if close else "there are"
    raise RecipeError(f"{place}: there is no {kind} '{name}'; {hint}: {', '.join(names)}.")
