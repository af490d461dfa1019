"""What Axolotl and LLaMA-Factory accept, as JSON Schema, out of their own packages.

    cd tests/evidence/train
    python make_schemas.py axolotl AXOLOTL.whl > schemas/axolotl.json
    python make_schemas.py llamafactory LLAMAFACTORY.whl > schemas/llamafactory.json

The wheels are those of `pip download --no-deps axolotl llamafactory`: they are read and not
installed, since they hold back many other packages. What their modules of settings import has to be
there: for LLaMA-Factory 0.9.5 omegaconf, and transformers 5.6 with the packages that it asks for.
Axolotl's are the pydantic models behind `axolotl train`, LLaMA-Factory's the dataclasses that
`llamafactory-cli train` parses a file into, transformers' `TrainingArguments` among them, the names
of its templates, and an entry of `dataset_info.json`. Words and defaults are left out, and keys
that they do not name are none: Axolotl itself passes over those in silence.
"""

from __future__ import annotations

import ast
import dataclasses
import json
import os
import sys
import warnings
import zipfile
from contextlib import redirect_stdout
from enum import Enum
from pathlib import Path
from typing import Any, Literal, get_type_hints

from pydantic import TypeAdapter
from pydantic.errors import PydanticInvalidForJsonSchema, PydanticSchemaGenerationError
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import PydanticSerializationError

SAID = ("title", "description", "default", "examples")


class Lenient(GenerateJsonSchema):
    """Without the types that JSON does not have, such as those of torch."""

    def enum_schema(self, schema: Any) -> dict[str, Any]:
        try:
            return super().enum_schema(schema)
        except PydanticSerializationError:
            return {}

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> dict[str, Any]:
        return {}


def short(schema: Any, *, properties: bool = False) -> Any:
    """Without words; objects with fields have no others."""
    if isinstance(schema, list):
        return [short(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {
        key: short(value, properties=key in ("properties", "$defs"))
        for key, value in schema.items()
        if properties or key not in SAID
    }
    if not properties and "properties" in kept:
        kept["additionalProperties"] = False
    return kept


def axolotl() -> dict[str, Any]:
    from axolotl.utils.schemas.config import AxolotlInputConfig

    return AxolotlInputConfig.model_json_schema(schema_generator=Lenient)


def llamafactory(wheel: Path) -> dict[str, Any]:
    from llamafactory.hparams.parser import _TRAIN_ARGS

    keys: dict[str, Any] = {}
    shared: dict[str, Any] = {"dataset_info": _dataset_info(wheel)}
    for each in _TRAIN_ARGS:
        hints = get_type_hints(each)
        keys |= {f.name: _typed(hints[f.name]) for f in dataclasses.fields(each) if f.init}
    keys["template"] = {"enum": _templates(wheel)}
    for key in keys.values():
        shared |= key.pop("$defs", {})
    return {"type": "object", "properties": keys, "$defs": shared}


def _typed(hint: Any) -> dict[str, Any]:
    if isinstance(hint, type) and issubclass(hint, Enum):
        return {"enum": [each.value for each in hint]}
    try:
        return TypeAdapter(hint).json_schema(schema_generator=Lenient)
    except (PydanticInvalidForJsonSchema, PydanticSchemaGenerationError):
        return {}


def _source(wheel: Path, name: str) -> ast.Module:
    with zipfile.ZipFile(wheel) as archive:
        return ast.parse(archive.read(name))


def _templates(wheel: Path) -> list[str]:
    calls = [
        node
        for node in ast.walk(_source(wheel, "llamafactory/data/template.py"))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "register_template"
    ]
    names = [word.value for call in calls for word in call.keywords if word.arg == "name"]
    return sorted(ast.literal_eval(name) for name in names)


def _dataset_info(wheel: Path) -> dict[str, Any]:
    """Of an entry: what ``DatasetAttr`` takes over, where its ``join`` looks for it."""
    module = _source(wheel, "llamafactory/data/parser.py")
    [attributes] = [
        node
        for node in module.body
        if isinstance(node, ast.ClassDef) and node.name == "DatasetAttr"
    ]
    types = {
        node.target.id: ast.unparse(node.annotation)
        for node in attributes.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    inner: dict[str, list[str]] = {"column_names": [], "tag_names": []}
    outer = [
        node.args[0].value
        for node in ast.walk(attributes)
        if isinstance(node, ast.Call)
        and getattr(node.func, "attr", "") == "set_attr"
        and isinstance(node.args[0], ast.Constant)
    ]
    for node in ast.walk(attributes):
        if isinstance(node, ast.Assign | ast.AugAssign):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if getattr(target, "id", "") in inner:
                inner[target.id] += ast.literal_eval(node.value)

    def part(names: list[str]) -> dict[str, Any]:
        texts = {name: {"type": "string"} for name in names}
        return {"type": "object", "properties": texts}

    places = ("hf_hub_url", "ms_hub_url", "om_hub_url", "script_url", "cloud_file_name")
    return {
        "type": "object",
        "properties": {
            **{name: {"type": "string"} for name in ("file_name", *places)},
            **{name: _literal(types[name]) for name in outer},
            "columns": part(inner["column_names"]),
            "tags": part(inner["tag_names"]),
        },
    }


def _literal(annotation: str) -> dict[str, Any]:
    return _typed(eval(annotation, {"Literal": Literal}))


def _lines(schema: dict[str, Any]) -> str:
    """A line for each key."""
    parts = []
    for name, value in sorted(schema.items()):
        text = json.dumps(value, sort_keys=True)
        if name in ("properties", "$defs"):
            inner = (
                f"  {json.dumps(k)}: {json.dumps(v, sort_keys=True)}"
                for k, v in sorted(value.items())
            )
            text = "{\n" + ",\n".join(inner) + "\n }"
        parts.append(f" {json.dumps(name)}: {text}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def main() -> None:
    warnings.simplefilter("ignore")
    framework, wheel = sys.argv[1], Path(sys.argv[2])
    os.environ["DISABLE_VERSION_CHECK"] = "1"
    sys.path.insert(0, str(wheel))
    with redirect_stdout(sys.stderr):  # what their modules say when they are imported
        found = axolotl() if framework == "axolotl" else llamafactory(wheel)
    name, version, *_ = wheel.name.split("-")
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    head["$comment"] = f"{name} {version}, by tests/evidence/train/make_schemas.py"
    sys.stdout.write(_lines(head | short(found)))


if __name__ == "__main__":
    main()
