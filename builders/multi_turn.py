"""Conversations that go on: questions of several turns with their answers, the user's further ones
sampled as the first one was. Those that ended behind the first answer are not among them."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from magpie_hub import schema
from magpie_hub.builder import MagpieBuilder, MagpieConfig
from magpie_hub.errors import RecipeError
from magpie_hub.recipe import Recipe


class MultiTurn(MagpieBuilder):
    required = ("id", "messages", "turns")
    optional = tuple(name for name in schema.names() if name not in schema.PAIR)
    always = (MagpieConfig("all", description="every conversation of two user turns or more"),)
    template = "multi_turn.md.jinja"

    @classmethod
    def check(cls, recipe: Recipe) -> None:
        if recipe.extend.turns < 2:
            raise RecipeError(
                f"{recipe.place('extend', 'turns')}: the kind is multi_turn, so conversations go "
                "on; set extend.turns to 2 or more, or choose the builder sft."
            )

    @classmethod
    def rows(cls, table: pa.Table, columns: tuple[str, ...]) -> pa.Table:
        return table.filter(pc.greater(table["turns"], 1)).select(columns)
