"""The recipe: what is made, apart from how it is run.

A recipe is YAML. Whatever is wrong in it is refused before a model is loaded, with the line and the
key, and what to write instead.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from fractions import Fraction
from math import gcd, lcm
from pathlib import Path
from typing import Annotated, Any, Literal, cast, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, field_validator

from magpie_hub.errors import RecipeError

Place = tuple[str | int, ...]
_MAX_PERIOD = 10_000


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Cell(_Part):
    """One way to decode, used for ``weight`` of every ``sum(weights)`` slots."""

    temperature: float = Field(1.0, ge=0, le=10)
    top_p: float = Field(1.0, gt=0, le=1)
    weight: float = Field(1.0, gt=0)


class Steer(_Part):
    """A system prompt that steers the queries; its ``key`` is recorded with each row.
    ``system: null`` is the bare prefix, as in the paper."""

    key: str = Field(min_length=1)
    system: str | None = None
    weight: float = Field(1.0, gt=0)


class Sample(_Part):
    grid: tuple[Cell, ...] = Field((Cell(),), min_length=1)
    steer: tuple[Steer, ...] = ()
    max_tokens: int = Field(512, ge=1)


class Screen(_Part):
    """What a query must pass before it is answered. Empty, cut off, leaked and garbled ones never
    do."""

    dedup: Literal["exact", "none"] = "exact"
    languages: tuple[str, ...] = ()
    where: str | None = None


class Respond(_Part):
    """How queries are answered; ``model`` is another responder than the asker. ``thinking`` turns
    a model's thinking on or off where its template has a switch; unset is the template's own."""

    model: str | None = None
    revision: str | None = None
    thinking: bool | None = None
    temperature: float = Field(0.0, ge=0, le=10)
    top_p: float = Field(1.0, gt=0, le=1)
    max_tokens: int = Field(2048, ge=1)


class Judge(_Part):
    """The chat model that labels queries; without ``model``, the asker judges itself."""

    model: str | None = None
    revision: str | None = None


class Reward(_Part):
    """A sequence-classification reward model that scores each answer."""

    model: str
    revision: str | None = None


class Language(_Part):
    """Below ``confidence`` a query's language is ``und``; ``among`` narrows the candidates to the
    languages that the source model is known to write, which is what saves short queries."""

    confidence: float = Field(0.4, ge=0, le=1)
    among: tuple[str, ...] = ()


class Annotate(_Part):
    language: Language | None = None
    judge: Judge | None = None
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

    _origin: _Origin | None = PrivateAttr(None)

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
        return cls.parse(text, name=str(path), overrides=overrides)

    @classmethod
    def parse(cls, text: str, *, name: str, overrides: Iterable[str] = ()) -> Recipe:
        """The recipe in ``text``; ``name`` is how messages call its source."""
        origin = _Origin.read(text, name=name)
        document = origin.document
        for override in overrides:
            origin.overridden.append(_override(document, override))
        try:
            recipe = cls.model_validate(document)
            for part, weights in (
                ("grid", [cell.weight for cell in recipe.sample.grid]),
                ("steer", [steer.weight for steer in recipe.sample.steer]),
            ):
                if len(pattern(weights)) > _MAX_PERIOD:
                    raise RecipeError(
                        f"{origin.place(('sample', part))}: these weights repeat only after more "
                        f"than {_MAX_PERIOD} slots; use small whole numbers."
                    )
        except ValidationError as error:
            raise RecipeError(_explain(error, cls, origin)) from error
        recipe._origin = origin
        return recipe

    def place(self, *loc: str | int) -> str:
        """Where a key stands, for messages: file, line and dotted key."""
        return self._origin.place(loc) if self._origin else _dotted(loc)

    def to_yaml(self) -> str:
        """The resolved recipe: every key, defaults written out."""
        return yaml.safe_dump(
            self.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=100
        )


def pattern(weights: list[float]) -> list[int]:
    """Indices in a repeating order that honours ``weights`` exactly over one period and as evenly
    as can be within it (smooth weighted round robin): [3, 1] → [0, 0, 1, 0]."""
    if not weights:
        return []
    fractions = [Fraction(str(weight)) for weight in weights]
    scale = lcm(*(f.denominator for f in fractions))
    shares = [int(f * scale) for f in fractions]
    divisor = gcd(*shares)
    shares = [share // divisor for share in shares]
    total = sum(shares)
    if total > _MAX_PERIOD:
        return list(range(_MAX_PERIOD + 1))
    credit = [0] * len(shares)
    order = []
    for _ in range(total):
        credit = [c + s for c, s in zip(credit, shares, strict=True)]
        chosen = max(range(len(credit)), key=lambda i: (credit[i], -i))
        credit[chosen] -= total
        order.append(chosen)
    return order


class _Origin:
    """The YAML source of a recipe: its values and where each key stands."""

    def __init__(self, name: str, document: dict[str, Any], lines: Mapping[Place, int]) -> None:
        self.name = name
        self.document = document
        self.overridden: list[Place] = []
        self._lines = lines

    @classmethod
    def read(cls, text: str, *, name: str) -> _Origin:
        try:
            node = yaml.compose(text, Loader=yaml.SafeLoader)
            document = yaml.safe_load(text)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark
            where = f", line {mark.line + 1}" if mark else ""
            raise RecipeError(f"{name}{where}: not valid YAML: {error.problem}.") from error
        except yaml.YAMLError as error:
            raise RecipeError(f"{name}: not valid YAML: {error}.") from error
        if not isinstance(document, dict) or node is None:
            raise RecipeError(f"{name}: a recipe is a mapping of keys such as name, model, rows.")
        lines: dict[Place, int] = {}
        _index(node, (), lines, name)
        return cls(name, cast(dict[str, Any], document), lines)

    def place(self, loc: Place) -> str:
        for key in self.overridden:
            if loc[: len(key)] == key or (key[: len(loc)] == loc and loc not in self._lines):
                return f"--set {_dotted(key if len(key) > len(loc) else loc)}"
        line = next(
            (self._lines[loc[:n]] for n in range(len(loc), 0, -1) if loc[:n] in self._lines), None
        )
        return f"{self.name}{f', line {line}' if line else ''}, {_dotted(loc)}"


def _index(node: yaml.Node, loc: Place, lines: dict[Place, int], name: str) -> None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*loc, key.value)
            line = key.start_mark.line + 1
            if inner in lines:
                raise RecipeError(
                    f"{name}, line {line}: {_dotted(inner)} stands here a second time "
                    f"(first on line {lines[inner]}); keep one."
                )
            lines[inner] = line
            _index(value, inner, lines, name)
    elif isinstance(node, yaml.SequenceNode):
        for position, value in enumerate(node.value):
            lines[(*loc, position)] = value.start_mark.line + 1
            _index(value, (*loc, position), lines, name)


def _override(document: dict[str, Any], override: str) -> Place:
    key, equals, text = override.partition("=")
    loc = tuple(key.strip().split("."))
    if not equals or not all(loc):
        raise RecipeError(f"--set {override}: write it as key=value, such as rows=200.")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"--set {override}: the value is not valid YAML.") from error
    target = document
    for part in loc[:-1]:
        inner = target.get(part)
        if inner is None:
            inner = target[part] = {}
        if not isinstance(inner, dict):
            raise RecipeError(f"--set {override}: {part} holds a value, no keys.")
        target = inner
    target[loc[-1]] = value
    return loc


def _dotted(loc: Place) -> str:
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f"{'.' if text else ''}{part}"
    return text


def _explain(error: ValidationError, model: type[BaseModel], origin: _Origin) -> str:
    # An unknown key comes first: with `rowz`, that `rows` is missing is only its consequence.
    errors = error.errors()
    first = next((e for e in errors if e["type"] == "extra_forbidden"), errors[0])
    loc: Place = tuple(first["loc"])
    if first["type"] == "extra_forbidden":
        known = _keys_at(model, loc[:-1])
        close = difflib.get_close_matches(str(loc[-1]), known, n=1, cutoff=0.6)
        hint = f"did you mean '{close[0]}'?" if close else f"known keys: {', '.join(known)}."
        return f"{origin.place(loc)}: there is no such key; {hint}"
    if first["type"] == "missing":
        return f"{origin.place(loc)}: this key is needed and is not there."
    return f"{origin.place(loc)}: {first['msg']}, not {first['input']!r}."


def _keys_at(model: type[BaseModel], loc: Place) -> list[str]:
    """The keys that may stand at ``loc``, found by walking the annotations."""
    current: Any = model
    for part in loc:
        if isinstance(current, type) and issubclass(current, BaseModel):
            current = current.model_fields[str(part)].annotation
        else:
            current = get_args(current)[1 if get_origin(current) is dict else 0]
        options = [a for a in get_args(current) if isinstance(a, type)]
        if options and get_origin(current) not in (dict, tuple):
            current = next((a for a in options if issubclass(a, BaseModel)), current)
    if isinstance(current, type) and issubclass(current, BaseModel):
        return list(current.model_fields)
    return []
