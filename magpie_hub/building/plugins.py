"""Kinds of dataset by name: ours, those of other packages, and modules of one's own.

builder: sft                 # a module of builders/
builder: dialogues           # an entry point of the group magpie_hub.builders, in any package
builder: ./my_builder.py     # a file beside the recipe
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import pkgutil
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from types import ModuleType

from magpie_hub.building.kind import MagpieBuilder
from magpie_hub.errors import MagpieHubError, RecipeError
from magpie_hub.filters import nearest

GROUP = "magpie_hub.builders"
_HOME = "magpie_hub.builders"
_LOADED = "magpie_hub_builder_"


def kinds() -> tuple[str, ...]:
    """The kinds of dataset that can be built by name."""
    return tuple(sorted({*_ours(), *(point.name for point in _points())}))


def builder_class(kind: str, folder: Path = Path()) -> type[MagpieBuilder]:
    """The builder of that name, or of a file ``.py``; relative names begin at ``folder``.

    ``RecipeError`` where there is none; where a module of somebody else's cannot be loaded, with
    its file and line."""
    if kind.endswith(".py"):
        return _declared(_load(folder / kind), kind)
    if kind in _ours():
        return _declared(importlib.import_module(f"{_HOME}.{kind}"), kind)
    point = next((point for point in _points() if point.name == kind), None)
    if point is None:
        raise RecipeError(f"there is no builder {kind!r}; {nearest(kind, kinds())}")
    with blame(None, f"the builder {kind!r}"):
        found = point.load()
    if isinstance(found, ModuleType):
        return _declared(found, kind)
    if inspect.isclass(found) and issubclass(found, MagpieBuilder):
        return found
    raise RecipeError(f"the entry point of the builder {kind!r} is no MagpieBuilder: {found!r}.")


def source(builder: type[MagpieBuilder]) -> str:
    """The text of the module that declares it."""
    return inspect.getsource(sys.modules[builder.__module__])


def file(builder: type[MagpieBuilder]) -> Path | None:
    """Where it stands, of a builder that was named by its file."""
    if not builder.__module__.startswith(_LOADED):
        return None
    return Path(inspect.getfile(builder))


def digest(builder: type[MagpieBuilder]) -> str:
    """The sha256 of :func:`source`."""
    return hashlib.sha256(source(builder).encode()).hexdigest()


@contextmanager
def blame(builder: type[MagpieBuilder] | None, what: str = "") -> Iterator[None]:
    """What goes wrong in the code of a ``builder`` that is not ours, or where it is None in
    loading one, leaves as a ``RecipeError`` with file, line and reason."""
    home = None if builder is None else sys.modules[builder.__module__].__file__
    try:
        yield
    except MagpieHubError:
        raise
    except Exception as error:  # it is somebody else's code: it may raise anything
        named = what or f"the builder {builder and builder.__name__}"
        if (blamed := _blamed(error, home, named)) is None:
            raise
        raise blamed from error


def _blamed(error: Exception, home: str | None, what: str) -> RecipeError | None:
    """None where the error has nothing to do with the file ``home``."""
    reason = f"{type(error).__name__}: {error}".splitlines()[0].rstrip(".")
    if isinstance(error, SyntaxError) and home in (None, error.filename):
        return RecipeError(f"{error.filename}, line {error.lineno}: {what} is no Python: {reason}.")
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [frame for frame in frames if home in (None, frame.filename)]
    if not theirs:
        return None
    place = theirs[-1]
    return RecipeError(
        f"{place.filename}, line {place.lineno}, in {place.name}: {what} failed: {reason}."
    )


def _ours() -> set[str]:
    folder = importlib.import_module(_HOME).__path__
    return {module.name for module in pkgutil.iter_modules(folder)}


def _points() -> tuple[metadata.EntryPoint, ...]:
    return tuple(metadata.entry_points(group=GROUP))


def _load(path: Path) -> ModuleType:
    """By its contents, so that a changed file is another module."""
    try:
        content = path.read_bytes()
    except OSError as error:
        reason = error.strerror or str(error)
        raise RecipeError(f"the builder {path} cannot be read ({reason}).") from error
    name = _LOADED + hashlib.sha256(str(path.resolve()).encode() + content).hexdigest()[:16]
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:  # it is somebody else's code: it may raise anything
        del sys.modules[name]
        blamed = None
        if isinstance(error, Exception) and not isinstance(error, MagpieHubError):
            blamed = _blamed(error, str(path.resolve()), f"the builder {path.name}")
        if blamed is None:
            raise
        raise blamed from error
    return module


def _declared(module: ModuleType, kind: str) -> type[MagpieBuilder]:
    for _, found in inspect.getmembers(module, inspect.isclass):
        if issubclass(found, MagpieBuilder) and found.__module__ == module.__name__:
            return found
    raise RecipeError(f"the module of the builder {kind!r} declares no MagpieBuilder.")
