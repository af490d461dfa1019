"""The recipe: what is made, apart from how it is run.

A recipe is YAML. Whatever is wrong in it is refused before a model is loaded, with the line and the
key, and what to write instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import Field, PrivateAttr, ValidationError, field_validator

from magpie_hub import licences
from magpie_hub.errors import RecipeError
from magpie_hub.recipe import presets
from magpie_hub.recipe.configs import ConfigSpec
from magpie_hub.recipe.gating import Gating
from magpie_hub.recipe.labels import (
    Against,
    Annotate,
    Contamination,
    Duplicates,
    Items,
    Judge,
    Language,
    Map,
    Neighbors,
    Passes,
    Pii,
    Reward,
    RewardModel,
    Safety,
)
from magpie_hub.recipe.layout import MAX_PERIOD, Layout, pattern
from magpie_hub.recipe.origin import Origin, dotted, explain, override
from magpie_hub.recipe.part import Part
from magpie_hub.recipe.steps import (
    Cell,
    Choose,
    Extend,
    Respond,
    Responder,
    Sample,
    Screen,
    Steer,
)

__all__ = [
    "Against",
    "Annotate",
    "Cell",
    "Choose",
    "ConfigSpec",
    "Contamination",
    "Duplicates",
    "Extend",
    "Gating",
    "Items",
    "Judge",
    "Language",
    "Map",
    "Neighbors",
    "Passes",
    "Pii",
    "Recipe",
    "Respond",
    "Responder",
    "Reward",
    "RewardModel",
    "Safety",
    "Sample",
    "Screen",
    "Steer",
]


BUILDERS = "builders"
"""The folder beside a resolved recipe that holds its builder, where that is a file."""


class Override(Part):
    """The left side of a template that cannot be derived: what stands before the user's message
    and, where queries are answered by the same model, what stands between it and the answer."""

    prefix: str = Field(min_length=1)
    post_query: str | None = None


class Template(Part):
    """Almost never needed: the template is derived from the tokenizer. It is the asker's."""

    override: Override | None = None


class Recipe(Part):
    """What is made. ``rows`` is the number of queries to sample, which enters no fingerprint:
    raising it adds slots behind the old ones.

    ``license`` is the data's, by the Hub's identifier; with ``other`` the terms have a name and a
    link. ``license_decision`` is the reason why it may stand where the source model's licence asks
    for another, or is not known. ``gating`` is the form that readers fill in, where the repository
    is set to ask for it."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9]+(?:[-_.][a-z0-9]+)*$")]
    builder: str = "sft"
    model: str = Field(min_length=1)
    revision: str | None = None
    license: str | None = None
    license_name: str | None = Field(None, min_length=1)
    license_link: str | None = Field(None, min_length=1)
    license_decision: str | None = Field(None, min_length=1)
    gating: Gating | None = None
    rows: int = Field(ge=1)
    seed: int = Field(0, ge=0)
    shard_rows: int = Field(1000, ge=1)
    template: Template = Template()
    sample: Sample = Sample()
    screen: Screen = Screen()
    respond: Respond = Respond()
    choose: Choose = Choose()
    extend: Extend = Extend()
    annotate: Annotate = Annotate()
    configs: dict[str, ConfigSpec] = Field(default_factory=dict)

    _origin: Origin | None = PrivateAttr(None)
    _folder: Path = PrivateAttr(Path())

    @field_validator("annotate", mode="before")
    @classmethod
    def _bare_annotators(cls, value: object) -> object:
        """``judge:`` with nothing behind it means its defaults."""
        if isinstance(value, dict):
            return {k: {} if v is None else v for k, v in value.items()}
        return value

    @field_validator("license")
    @classmethod
    def _known_license(cls, value: str | None) -> str | None:
        if value is not None:
            licences.check(value)
        return value

    @field_validator("configs")
    @classmethod
    def _config_names(cls, value: dict[str, ConfigSpec]) -> dict[str, ConfigSpec]:
        for name in value:
            if not re.fullmatch(r"[A-Za-z0-9]+(?:[-_.][A-Za-z0-9]+)*", name):
                raise ValueError(f"'{name}' is no config name: letters, digits, '-', '_' and '.'")
        return value

    @classmethod
    def load(cls, path: str | Path, *, overrides: Iterable[str] = ()) -> Recipe:
        """Read a recipe file; ``overrides`` are ``key=value`` with dotted keys and YAML values."""
        path = Path(path)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise RecipeError(f"{path}: cannot be read as a recipe ({error}).") from error
        return cls.parse(text, name=str(path), overrides=overrides, folder=path.parent)

    @classmethod
    def parse(
        cls, text: str, *, name: str, overrides: Iterable[str] = (), folder: Path = Path()
    ) -> Recipe:
        """The recipe in ``text``; ``name`` is how messages call its source, and ``folder`` is where
        the names of files in it begin."""
        origin = Origin.read(text, name=name)
        for each in overrides:
            origin.overridden.append(override(origin.document, each))
        presets.write_out(origin, folder)
        try:
            recipe = cls.model_validate(origin.document)
        except ValidationError as error:
            raise RecipeError(explain(error, cls, origin)) from error
        recipe._origin = origin
        recipe._folder = folder
        recipe._check()
        return recipe

    def layout(self) -> Layout:
        """Which cell, prompt, topic and responder each slot gets."""
        steer = self.sample.steer
        return Layout(
            grid=[cell.weight for cell in self.sample.grid],
            steer=[each.weight for each in steer],
            topics=[len(each.topics) for each in steer],
            responders=[each.weight for each in self.respond.each],
        )

    def _check(self) -> None:
        """What no single value shows."""
        self._check_license()
        for *loc, parts in (
            ("sample", "grid", self.sample.grid),
            ("sample", "steer", self.sample.steer),
            ("respond", "responders", self.respond.responders),
        ):
            if len(pattern([part.weight for part in parts])) > MAX_PERIOD:
                raise RecipeError(
                    f"{self.place(*loc)}: these weights repeat only after more than {MAX_PERIOD} "
                    "slots; use small whole numbers."
                )
        if self.respond.answers > 1 and self.extend.turns > 1:
            raise RecipeError(
                f"{self.place('extend', 'turns')}: a conversation goes on from one answer; leave "
                "out respond.answers, or extend."
            )
        for each in self.respond.each:
            if self.respond.answers > 1 and each.temperature == 0:
                raise RecipeError(
                    f"{self.place('respond', 'answers')}: greedy answers are all the same; set "
                    "respond.temperature above 0."
                )
        against = self.annotate.reward and self.annotate.reward.against
        if against and (self.respond.answers > 1 or self.extend.turns > 1):
            raise RecipeError(
                f"{self.place('annotate', 'reward', 'against')}: a second responder is compared "
                "with one answer; leave it out, or respond.answers and extend."
            )
        taken: dict[str, str] = {}
        for at, steer in enumerate(self.sample.steer):
            for name in {steer.name(topic) for topic in steer.topics or (None,)}:
                if name in taken:
                    raise RecipeError(
                        f"{self.place('sample', 'steer', at)}: the key '{name}' is that of "
                        f"{taken[name]} too; give each entry its own."
                    )
                taken[name] = self.place("sample", "steer", at)

    def _check_license(self) -> None:
        other = self.license == licences.OTHER
        for key in ("license_name", "license_link"):
            if other and getattr(self, key) is None:
                raise RecipeError(
                    f"{self.place('license')}: with `other` the terms need license_name and "
                    "license_link."
                )
            if not other and getattr(self, key) is not None:
                raise RecipeError(
                    f"{self.place(key)}: it goes with `license: other`; the Hub names its own."
                )

    def place(self, *loc: str | int) -> str:
        """Where a key stands, for messages: file, line and dotted key."""
        return self._origin.place(loc) if self._origin else dotted(loc)

    @property
    def folder(self) -> Path:
        """Where the names of files in it begin."""
        return self._folder

    @property
    def builder_file(self) -> Path | None:
        """The module that ``builder`` names by its file."""
        return self._folder / self.builder if self.builder.endswith(".py") else None

    def to_yaml(self) -> str:
        """The resolved recipe: every key, defaults, presets and topics written out. A builder in a
        file of its own is kept under builders/ beside it."""
        document = self.model_dump(mode="json")
        if file := self.builder_file:
            document["builder"] = f"./{BUILDERS}/{file.name}"
        # A bare annotator means its defaults, so one that is not run must not stand there.
        document["annotate"] = {k: v for k, v in document["annotate"].items() if v is not None}
        return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)
