"""``init``: files to start from, which work as they are written."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

from magpie_hub.errors import UsageError


def start(name: str, folder: Path, *, builder: bool = False) -> list[Path]:
    """Write ``name.yaml``, a commented recipe, to ``folder``, and with ``builder`` the module of a
    builder that it uses; the files, the recipe first. ``UsageError`` on a bad name or where a file
    is there already."""
    if not re.fullmatch(r"[a-z0-9]+(?:[-_.][a-z0-9]+)*", name):
        raise UsageError(f"{name!r} is no name: small letters, digits, '-', '_' and '.'.")
    module = f"{re.sub(r'[^a-z0-9]', '_', name)}_builder.py"
    recipe = _text("recipe.yaml").replace("name: my-magpie", f"name: {name}")
    if builder:
        line = f"builder: ./{module}           # the module beside this file"
        recipe = re.sub(r"^builder: sft .*$", line, recipe, flags=re.M)
    texts = {f"{name}.yaml": recipe} | ({module: _text("own.py")} if builder else {})
    files = [folder / each for each in texts]
    if there := next((file for file in files if file.exists()), None):
        raise UsageError(f"{there} exists already; choose another name.")
    for file, text in zip(files, texts.values(), strict=True):
        try:
            file.write_text(text, encoding="utf-8")
        except OSError as error:
            raise UsageError(f"{file} cannot be written ({error.strerror or error}).") from error
    return files


def _text(name: str) -> str:
    return (resources.files("magpie_hub.starters") / name).read_text(encoding="utf-8")
