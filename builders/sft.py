"""Single questions with their answers, to fine-tune on: the rows of the pool as they are."""

from __future__ import annotations

from magpie_hub import schema
from magpie_hub.builder import MagpieBuilder, MagpieConfig


class Sft(MagpieBuilder):
    required = ("id", "messages")
    optional = schema.names()
    always = (MagpieConfig("all", description="every answered row"),)
    template = "sft.md.jinja"
