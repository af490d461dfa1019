"""The YAML of a recipe: its values, where each key stands, and what is wrong in it, in words."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, cast, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from magpie_hub.errors import RecipeError

Place = tuple[str | int, ...]
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # with many topics four times as fast


class Origin:
    """The YAML source of a recipe: its values and where each key stands. ``moved`` says for places
    of the resolved recipe where in the source they come from."""

    def __init__(self, name: str, document: dict[str, Any], lines: Mapping[Place, int]) -> None:
        self.name = name
        self.document = document
        self.overridden: list[Place] = []
        self.moved: dict[Place, Place] = {}
        self._lines = lines

    @classmethod
    def read(cls, text: str, *, name: str) -> Origin:
        try:
            loader = _Loader(text)
            node = loader.get_single_node()
            document = None if node is None else loader.construct_document(node)
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
        source = next((n for n in range(len(loc), 0, -1) if loc[:n] in self.moved), None)
        if source is not None:
            loc = (*self.moved[loc[:source]], *loc[source:])
        for key in self.overridden:
            if loc[: len(key)] == key or (key[: len(loc)] == loc and loc not in self._lines):
                return f"--set {dotted(key if len(key) > len(loc) else loc)}"
        line = next(
            (self._lines[loc[:n]] for n in range(len(loc), 0, -1) if loc[:n] in self._lines), None
        )
        return f"{self.name}{f', line {line}' if line else ''}, {dotted(loc)}"


def _index(node: yaml.Node, loc: Place, lines: dict[Place, int], name: str) -> None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*loc, key.value)
            line = key.start_mark.line + 1
            if inner in lines:
                raise RecipeError(
                    f"{name}, line {line}: {dotted(inner)} stands here a second time "
                    f"(first on line {lines[inner]}); keep one."
                )
            lines[inner] = line
            _index(value, inner, lines, name)
    elif isinstance(node, yaml.SequenceNode):
        for position, value in enumerate(node.value):
            lines[(*loc, position)] = value.start_mark.line + 1
            _index(value, (*loc, position), lines, name)


def override(document: dict[str, Any], override: str) -> Place:
    """Set one ``key=value`` in the document; the place of the key."""
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


def dotted(loc: Place) -> str:
    """A place as people write it: sample.grid[0].top_p."""
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f"{'.' if text else ''}{part}"
    return text


def explain(error: ValidationError, model: type[BaseModel], origin: Origin) -> str:
    """The first of the errors as a sentence with its place."""
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
    if first["type"] == "value_error":  # a sentence of the recipe's own
        return f"{origin.place(loc)}: {str(first['ctx']['error']).rstrip('.')}."
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
