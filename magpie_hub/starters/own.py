"""Short answers to plain questions: a builder to start from. Change what is here; what is not here
the base does.

The recipe beside it names this file (`builder: ./THIS_FILE.py`), and `magpie-hub build` uses it as
it uses those of its own. See docs/builders.md of magpie-hub.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from magpie_hub import schema
from magpie_hub.builder import MagpieBuilder, MagpieConfig
from magpie_hub.errors import RecipeError
from magpie_hub.recipe import Recipe

LONGEST = 400
"""Characters of a short answer."""


class ShortAnswers(MagpieBuilder):
    # Columns that rows must have, and those that are published where a run made them. Names, types
    # and meanings stand in magpie_hub/schema.py.
    required = ("id", "messages", "finish_reason")
    optional = tuple(name for name in schema.names() if name not in schema.PAIR)

    # The configs that every release has, beside those of the recipe: with the same keys (where,
    # rows, order, pick, quotas, columns, splits) as there.
    always = (
        MagpieConfig("all", description="every short answer"),
        MagpieConfig(
            "split",
            description="the same, with a tenth of them to test on",
            splits={"test": 0.1},
        ),
    )

    # The template of the card, one of dataset_cards/.
    template = "sft.md.jinja"

    # Whether messages have a place for what the model thought.
    thinking = False

    @classmethod
    def check(cls, recipe: Recipe) -> None:
        """Before a model is loaded: is this a recipe whose rows the builder can use?"""
        if recipe.extend.turns > 1:
            raise RecipeError(
                f"{recipe.place('extend', 'turns')}: short answers are single turns; leave it out."
            )

    @classmethod
    def rows(cls, table: pa.Table, columns: tuple[str, ...]) -> pa.Table:
        """The rows of one table of the run that are published, with ``columns`` in that order.

        Rows may be left out and values changed; whole columns at a time, since a run may have
        millions of rows. What depends on one row alone can also be a filter of a config, which the
        card explains clause by clause."""
        messages = table["messages"].combine_chunks()
        ends = pc.subtract(messages.offsets[1:], 1)
        answers = pc.struct_field(messages.values.take(ends), "content")
        short = pc.less_equal(pc.utf8_length(answers), LONGEST)
        whole = pc.equal(table["finish_reason"], "stop")
        return table.filter(pc.and_(short, whole)).select(columns)
