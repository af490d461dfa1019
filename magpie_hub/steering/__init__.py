"""Ready sets of system prompts: what a model is told of its user, so that it writes such a user's
queries. One file a set, ``key: system prompt``; an entry's key in a row is ``set/key``."""

from __future__ import annotations

from importlib.resources import files

import yaml


def names() -> tuple[str, ...]:
    found = (file.name.partition(".") for file in files(__name__).iterdir())
    return tuple(sorted(stem for stem, _, ending in found if ending == "yaml"))


def load(name: str) -> dict[str, str]:
    """The system prompts of a set, by the key that rows record."""
    text = files(__name__).joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    return {f"{name}/{key}": system for key, system in yaml.safe_load(text).items()}
