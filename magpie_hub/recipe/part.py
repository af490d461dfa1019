"""The base of every part of a recipe: nothing unknown, nothing changed later."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Penalty = Annotated[float, Field(gt=0, le=10)]
"""See ``engines.Decoding.repetition_penalty``."""


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
