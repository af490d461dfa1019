"""Questions with answers that were thought about: the thinking stands apart from the answer. Where
several answers were written, the share that came to the same end says how hard the question is."""

from __future__ import annotations

from magpie_hub import schema
from magpie_hub.builder import MagpieBuilder, MagpieConfig
from magpie_hub.errors import RecipeError
from magpie_hub.recipe import Recipe


class Reasoning(MagpieBuilder):
    required = ("id", "messages", "thinking_tokens")
    optional = tuple(name for name in schema.names() if name not in schema.PAIR)
    always = (MagpieConfig("all", description="every answered row"),)
    template = "reasoning.md.jinja"
    thinking = True

    @classmethod
    def check(cls, recipe: Recipe) -> None:
        for number, each in enumerate(recipe.respond.each):
            if each.thinking is False:
                several = ("responders", number) if recipe.respond.responders else ()
                raise RecipeError(
                    f"{recipe.place('respond', *several, 'thinking')}: the kind is reasoning, so "
                    "answers need their thinking; set it to true, or choose the builder sft."
                )
