"""The configs of a release: which rows each has."""

from __future__ import annotations

from magpie_hub.recipe.part import Part


class ConfigSpec(Part):
    """A config of the release: the rows for which ``where`` holds, a polars SQL expression."""

    where: str | None = None
    description: str | None = None
