"""From any open-weight chat model to a versioned dataset on the Hugging Face Hub.

The verbs of the command are one call each: ``Recipe.load``, ``Run.start``, ``Release.open`` and
their methods; ``load`` is for who reads a release. Importing this costs nothing; the names load
what they need when they are used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from magpie_hub.hub.loading import load
    from magpie_hub.recipe import Recipe
    from magpie_hub.release import Release
    from magpie_hub.run import Run

__version__ = "0.1.0"
__all__ = ["Recipe", "Release", "Run", "__version__", "load"]

_HOMES = {"Recipe": "recipe", "Release": "release", "Run": "run", "load": "hub.loading"}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"magpie_hub.{_HOMES[name]}"), name)
