"""The recipe as it goes with a release: without the paths of this machine."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path, PurePath
from typing import Any

import yaml

from magpie_hub.licences import ModelLicense
from magpie_hub.run import Run


def recipe_text(run: Run) -> str:
    """The run's resolved recipe. A model from a folder has the folder's own name, and the checksum
    of its files as its ``revision``; a comment names its base where its card does. A file of
    benchmark items has its name."""
    document = yaml.safe_load(run.recipe.to_yaml())
    models = _models(run)
    names = {each.model for each in models}
    folders: dict[str, None] = {}
    for part in _parts(document):
        ref = part.get("model")
        if isinstance(ref, str) and _is_folder(ref, names):
            part["model"] = name = _name(ref)
            folders[name] = None
            revisions = {each.revision for each in models if each.model == name}
            if part.get("revision") is None and len(revisions) == 1:
                part["revision"] = revisions.pop()
        if isinstance(file := part.get("file"), str):
            part["file"] = PurePath(file).name
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)
    return "".join(_note(name, models) for name in folders) + text


def _parts(document: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401
    """Every mapping in the document."""
    if isinstance(document, dict):
        yield document
    for value in document.values() if isinstance(document, dict) else document:
        if isinstance(value, dict | list):
            yield from _parts(value)


def _models(run: Run) -> list[ModelLicense]:
    """The models of this run, by the names that rows record."""
    found: dict[ModelLicense, None] = {}
    for stage in run.info.stages:
        named = [ModelLicense(model=stage.model, revision=stage.revision)] if stage.model else []
        found |= dict.fromkeys(stage.writers or named)
    return list(found)


def _is_folder(ref: str, names: Collection[str]) -> bool:
    """Rows record a model of the Hub by its id, and one from a folder by the folder's name."""
    if ref in names or ref.startswith("bundled:"):
        return False
    return _name(ref) in names or not re.fullmatch(r"[\w.-]+/[\w.-]+", ref)


def _name(ref: str) -> str:
    return Path(ref).expanduser().resolve().name


def _note(name: str, models: Iterable[ModelLicense]) -> str:
    base = next((each.base for each in models if each.model == name and each.base), None)
    return f"# {name} is a folder{f'; its card names {base} as its base' if base else ''}.\n"
