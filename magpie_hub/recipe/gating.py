"""The form that a reader fills in before the Hub lets them at the data.

It is shown where the repository is gated, which is one of its settings and nobody's file: switch it
on there (Settings, "Enable access request"). https://huggingface.co/docs/hub/datasets-gated
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from magpie_hub.recipe.part import Part


class Choice(Part):
    """One of ``options``."""

    type: Literal["select"] = "select"
    options: tuple[str, ...] = Field(min_length=2)


Asked = Literal["text", "checkbox", "country", "date_picker", "ip_location"] | Choice


class Gating(Part):
    """``fields`` are what is asked, by its label."""

    heading: str | None = Field(None, min_length=1)
    prompt: str | None = Field(None, min_length=1)
    description: str | None = Field(None, min_length=1)
    button: str | None = Field(None, min_length=1)
    fields: dict[str, Asked] = Field(default_factory=dict)

    @field_validator("fields")
    @classmethod
    def _labels(cls, value: dict[str, Asked]) -> dict[str, Asked]:
        if any(not label.strip() for label in value):
            raise ValueError("a field needs a label that says what is asked")
        return value

    def front_matter(self) -> dict[str, Any]:
        """The keys of a card."""
        given = {
            "extra_gated_heading": self.heading,
            "extra_gated_prompt": self.prompt,
            "extra_gated_description": self.description,
            "extra_gated_fields": {
                label: asked if isinstance(asked, str) else asked.model_dump(mode="json")
                for label, asked in self.fields.items()
            },
            "extra_gated_button_content": self.button,
        }
        return {key: value for key, value in given.items() if value}
