"""The recipe: what is made, apart from how it is run.

A recipe is YAML. Whatever is wrong in it is refused before a model is loaded, with the line and the
key, and what to write instead.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    field_validator,
    model_validator,
)

from magpie_hub import presets, schema
from magpie_hub.errors import RecipeError
from magpie_hub.layout import MAX_PERIOD, Layout, pattern
from magpie_hub.origin import Origin, dotted, explain, override

_TOPIC = "{topic}"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Cell(_Part):
    """One way to decode, used for ``weight`` of every ``sum(weights)`` slots."""

    temperature: float = Field(1.0, ge=0, le=10)
    top_p: float = Field(1.0, gt=0, le=1)
    weight: float = Field(1.0, gt=0)


class Steer(_Part):
    """What steers the queries: a ``system`` prompt (null is the bare prefix, as in the paper), the
    beginning of the user's message (``prefill``), or both, with ``{topic}`` for each of ``topics``
    in turn. ``key`` is recorded with each row, as "key: topic" where there are topics."""

    key: str = Field(min_length=1)
    system: str | None = None
    prefill: str = ""
    topics: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    weight: float = Field(1.0, gt=0)

    @model_validator(mode="after")
    def _topics_are_used(self) -> Steer:
        used = _TOPIC in (self.system or "") or _TOPIC in self.prefill
        if used and not self.topics:
            raise ValueError(f"{_TOPIC} stands here and there are no topics; give `topics`")
        if self.topics and not used:
            raise ValueError(f"the topics are never used; write {_TOPIC} in system or prefill")
        return self

    def text(self, topic: str | None) -> tuple[str | None, str]:
        """The system prompt and the prefill, with the topic filled in."""
        if topic is None:
            return self.system, self.prefill
        system = None if self.system is None else self.system.replace(_TOPIC, topic)
        return system, self.prefill.replace(_TOPIC, topic)

    def texts(self) -> Iterator[tuple[str | None, str]]:
        """All that it may say: one pair of system prompt and prefill a topic."""
        return (self.text(topic) for topic in (self.topics or (None,)))

    def name(self, topic: str | None) -> str:
        """What rows record."""
        return self.key if topic is None else f"{self.key}: {topic}"

    def describe(self) -> dict[str, str]:
        """What a fingerprint should know of it."""
        keys = {f"steer {self.key}": f"weight {self.weight:g}: {self.system or '(none)'}"}
        if self.prefill:
            keys[f"prefill {self.key}"] = self.prefill
        if self.topics:
            digest = hashlib.sha256("\n".join(self.topics).encode()).hexdigest()
            keys[f"topics {self.key}"] = f"{len(self.topics)}, sha256 {digest[:16]}"
        return keys


class Sample(_Part):
    grid: tuple[Cell, ...] = Field((Cell(),), min_length=1)
    steer: tuple[Steer, ...] = ()
    max_tokens: int = Field(512, ge=1)

    def describe(self) -> dict[str, str]:
        """What a fingerprint should know of it."""
        cells = (
            f"temperature {c.temperature:g}, top-p {c.top_p:g}, weight {c.weight:g}"
            for c in self.grid
        )
        keys = {"grid": "; ".join(cells), "max_tokens": str(self.max_tokens)}
        for steer in self.steer:
            keys |= steer.describe()
        if len(self.steer) > 1:
            keys["steer order"] = ", ".join(steer.key for steer in self.steer)
        return keys


class Screen(_Part):
    """What a query must pass before it is answered. Empty, cut off, leaked and garbled ones never
    do.

    With ``keep``, sampling goes on until so many have passed, as long as ``rows`` allow it and at
    least ``min_yield`` of those sampled last did. ``quotas`` are the shares of ``keep`` that
    categories get; what they leave is for the others."""

    dedup: Literal["exact", "none"] = "exact"
    languages: tuple[str, ...] = ()
    where: str | None = None
    keep: int | None = Field(None, ge=1)
    min_yield: float = Field(0.0, ge=0, le=1)
    quotas: dict[str, float] = Field(default_factory=dict)

    @field_validator("quotas")
    @classmethod
    def _shares(cls, value: dict[str, float]) -> dict[str, float]:
        for name in value:
            if name not in schema.CATEGORIES:
                close = difflib.get_close_matches(name, schema.CATEGORIES, n=1)
                hint = f"did you mean '{close[0]}'" if close else ", ".join(schema.CATEGORIES)
                raise ValueError(f"'{name}' is no category; {hint}")
        if any(share < 0 for share in value.values()) or sum(value.values()) > 1 + 1e-9:
            raise ValueError("shares are not negative and add up to 1 at most")
        return value


class Answering(_Part):
    """How queries are answered; ``model`` is another responder than the asker. ``thinking`` turns
    a model's thinking on or off where its template has a switch; unset is the template's own."""

    model: str | None = None
    revision: str | None = None
    thinking: bool | None = None
    temperature: float = Field(0.0, ge=0, le=10)
    top_p: float = Field(1.0, gt=0, le=1)
    max_tokens: int = Field(2048, ge=1)


class Responder(Answering):
    """One of several responders, which answers ``weight`` of every ``sum(weights)`` slots."""

    weight: float = Field(1.0, gt=0)


class Respond(Answering):
    """One responder, or several over one pool. Each of ``responders`` has what stands beside the
    list, unless it says otherwise; one that names a model does not take over ``revision``."""

    responders: tuple[Responder, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _inherited(cls, value: object) -> object:
        if not isinstance(value, dict) or not isinstance(value.get("responders"), list):
            return value
        shared = {key: value[key] for key in Answering.model_fields if key in value}
        alone = {key: shared[key] for key in shared if key != "revision"}
        each = [
            {**(alone if "model" in own else shared), **own} if isinstance(own, dict) else own
            for own in value["responders"]
        ]
        return {**value, "responders": each}

    @property
    def each(self) -> tuple[Responder, ...]:
        """The responders; where none are listed, the one that this is."""
        alone = {key: getattr(self, key) for key in Answering.model_fields}
        return self.responders or (Responder(**alone),)


Passes = Literal["one", "three"]


class Judge(_Part):
    """The chat model that labels queries; without ``model``, the asker judges itself. ``passes``:
    all labels in one answer, or three questions, for small models."""

    model: str | None = None
    revision: str | None = None
    passes: Passes = "one"


class Against(_Part):
    """A second responder whose answers the reward model scores too."""

    model: str
    revision: str | None = None
    temperature: float = Field(0.0, ge=0, le=10)
    top_p: float = Field(1.0, gt=0, le=1)
    max_tokens: int = Field(2048, ge=1)


class RewardModel(_Part):
    model: str
    revision: str | None = None


class Reward(RewardModel):
    """A sequence-classification reward model that scores each answer; ``also`` are others, whose
    scores stand beside its own in ``rewards``. With ``against``, ``reward_difference`` says how
    much better the answer is than a second responder's."""

    also: tuple[RewardModel, ...] = ()
    against: Against | None = None


class Safety(_Part):
    """A guard model that calls each exchange safe or not; what it does not call safe is not
    published, unless ``keep``."""

    model: str
    revision: str | None = None
    keep: bool = False


class Language(_Part):
    """Below ``confidence`` a query's language is ``und``; ``among`` narrows the candidates to the
    languages that the source model is known to write, which is what saves short queries."""

    identifier: Literal["lid.176", "lingua"] = "lid.176"
    confidence: float = Field(0.4, ge=0, le=1)
    among: tuple[str, ...] = ()


class Text(_Part):
    """Lengths, loops, refusals, the answer's language and format, leaks."""


class Pii(_Part):
    """Secrets and personal data. Rows with any ``block`` a release, are left out (``drop``) or are
    published with their label (``keep``)."""

    action: Literal["block", "drop", "keep"] = "block"


class Benchmark(_Part):
    """Items of which no query should hold the words: a ``file`` (.jsonl, .json, .csv, .parquet,
    .txt) or a dataset on the ``hub``; of the ``fields`` named."""

    name: str = Field(min_length=1)
    file: str | None = None
    hub: str | None = None
    config: str | None = None
    split: str = "test"
    revision: str | None = None
    fields: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _one_source(self) -> Benchmark:
        if (self.file is None) == (self.hub is None):
            raise ValueError("a benchmark has a file or a hub, one of them")
        return self


class Contamination(_Part):
    """A query that shares a run of ``words`` with a benchmark's item is turned away."""

    against: tuple[Benchmark, ...] = Field(min_length=1)
    words: int = Field(13, ge=3)


class Neighbors(_Part):
    """The nearest other query of each, by embeddings; below ``threshold`` (squared L2; 0.05 is a
    cosine of 0.975) a neighbour counts as a repetition."""

    model: str = "sentence-transformers/all-mpnet-base-v2"
    revision: str | None = None
    threshold: float = Field(0.05, ge=0, le=4)


class Duplicates(_Part):
    """Queries that nearly repeat another are turned away: from a Jaccard similarity of ``jaccard``
    of their words on, and from nearest neighbours less than ``neighbors`` apart."""

    jaccard: float = Field(0.8, gt=0, le=1)
    neighbors: float | None = Field(None, ge=0, le=4)


class Annotate(_Part):
    language: Language | None = None
    contamination: Contamination | None = None
    judge: Judge | None = None
    neighbors: Neighbors | None = None
    duplicates: Duplicates | None = None
    text: Text | None = None
    pii: Pii | None = None
    safety: Safety | None = None
    reward: Reward | None = None


class ConfigSpec(_Part):
    """A config of the release: the rows for which ``where`` holds, a polars SQL expression."""

    where: str | None = None
    description: str | None = None


class Override(_Part):
    """The left side of a template that cannot be derived: what stands before the user's message
    and, where queries are answered by the same model, what stands between it and the answer."""

    prefix: str = Field(min_length=1)
    post_query: str | None = None


class Template(_Part):
    """Almost never needed: the template is derived from the tokenizer. It is the asker's."""

    override: Override | None = None


class Recipe(_Part):
    """What is made. ``rows`` is the number of queries to sample, which enters no fingerprint:
    raising it adds slots behind the old ones."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9]+(?:[-_.][a-z0-9]+)*$")]
    builder: str = "sft"
    model: str = Field(min_length=1)
    revision: str | None = None
    license: str | None = None
    rows: int = Field(ge=1)
    seed: int = Field(0, ge=0)
    shard_rows: int = Field(1000, ge=1)
    template: Template = Template()
    sample: Sample = Sample()
    screen: Screen = Screen()
    respond: Respond = Respond()
    annotate: Annotate = Annotate()
    configs: dict[str, ConfigSpec] = Field(default_factory=dict)

    _origin: Origin | None = PrivateAttr(None)

    @field_validator("annotate", mode="before")
    @classmethod
    def _bare_annotators(cls, value: object) -> object:
        """``judge:`` with nothing behind it means its defaults."""
        if isinstance(value, dict):
            return {k: {} if v is None else v for k, v in value.items()}
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
        taken: dict[str, str] = {}
        for at, steer in enumerate(self.sample.steer):
            for name in {steer.name(topic) for topic in steer.topics or (None,)}:
                if name in taken:
                    raise RecipeError(
                        f"{self.place('sample', 'steer', at)}: the key '{name}' is that of "
                        f"{taken[name]} too; give each entry its own."
                    )
                taken[name] = self.place("sample", "steer", at)

    def place(self, *loc: str | int) -> str:
        """Where a key stands, for messages: file, line and dotted key."""
        return self._origin.place(loc) if self._origin else dotted(loc)

    def to_yaml(self) -> str:
        """The resolved recipe: every key, defaults, presets and topics written out."""
        document = self.model_dump(mode="json")
        # A bare annotator means its defaults, so one that is not run must not stand there.
        document["annotate"] = {k: v for k, v in document["annotate"].items() if v is not None}
        return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)
