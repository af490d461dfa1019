"""Two answers to each question, the better one and the worse one, to align a model with: the best
and the worst of several, as reward models score them."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from magpie_hub import schema
from magpie_hub.builder import MagpieBuilder, MagpieConfig
from magpie_hub.errors import RecipeError
from magpie_hub.recipe import Recipe


class Preference(MagpieBuilder):
    required = ("id", *schema.PAIR)
    optional = tuple(name for name in schema.names() if name != "messages")
    always = (MagpieConfig("all", description="every question with two answers"),)
    template = "preference.md.jinja"

    @classmethod
    def check(cls, recipe: Recipe) -> None:
        if recipe.respond.answers < 2 or recipe.choose.by == "vote":
            raise RecipeError(
                f"{recipe.place('respond', 'answers')}: a preference is between answers that a "
                "reward model has scored; set respond.answers to 2 or more, and choose.by to "
                "reward."
            )

    @classmethod
    def rows(cls, table: pa.Table, columns: tuple[str, ...]) -> pa.Table:
        """Those that have a worse answer: ties and identical answers have none."""
        return table.filter(pc.is_valid(table["rejected"])).select(columns)
