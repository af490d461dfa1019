"""How a recipe is run, apart from what it makes: the engine and its options.

They stand in a run file (YAML) or in ``--engine-arg KEY=VALUE``, and enter no fingerprint::

    engine:
      name: vllm
      tensor_parallel_size: 2
      models:                        # what one model needs beside or instead of that
        org/judge: {max_model_len: 8192}
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from magpie_hub.engines import EngineSpec
from magpie_hub.errors import UsageError


def engine_spec(
    name: str | None = None, arguments: Sequence[str] = (), file: str | Path | None = None
) -> EngineSpec:
    """The engine that ``file`` describes, with ``name`` and ``arguments`` (``KEY=VALUE``, values as
    in YAML) coming first. ``UsageError`` where one cannot be read."""
    found = _read(Path(file)) if file else {}
    models = found.pop("models", {})
    named = found.pop("name", None)
    return EngineSpec(name or named or "transformers", found | _arguments(arguments), models)


def _read(file: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"{file} cannot be read as a run file ({error}).") from error
    if not isinstance(document, dict) or set(document) != {"engine"}:
        raise UsageError(f"{file}: a run file has one key, engine, with the engine's name in it.")
    engine = document["engine"]
    if isinstance(engine, str):
        return {"name": engine}
    if not isinstance(engine, dict):
        raise UsageError(f"{file}: engine is a name, or a mapping with the engine's options.")
    models = engine.get("models", {})
    if not isinstance(models, dict) or not all(isinstance(m, dict) for m in models.values()):
        raise UsageError(f"{file}: engine.models has a mapping of options under each model.")
    return dict(engine)


def _arguments(arguments: Sequence[str]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for argument in arguments:
        key, equals, text = argument.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"--engine-arg {argument}: write it as key=value.")
        try:
            options[key.strip().replace("-", "_")] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise UsageError(f"--engine-arg {argument}: the value is not valid YAML.") from error
    return options
