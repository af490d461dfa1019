"""The licences that the Hub knows, and what those of models say about what the models write.

Two tables: ``hub.yaml`` has the Hub's identifiers, ``terms.yaml`` the words of the licences. Both
are notes and no legal advice; what is not known for sure is ``unknown`` there, and then the person
who releases decides.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict

OTHER, UNKNOWN = "other", "unknown"
"""The Hub's identifiers for terms that it has no name for, and for none."""
_TEXTS = {"apache-2.0", "cc-by-4.0", "cc0-1.0", "mit"}


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Terms(_Entry):
    """What a licence says of outputs; ``terms.yaml`` tells what the fields mean. ``name`` and
    ``link`` are here for what the Hub has no identifier for."""

    name: str | None = None
    link: str | None = None
    names: tuple[str, ...] = ()
    training: Literal["free", "conditions", "family", "research", "unknown"]
    clause: str | None = None
    dataset: str
    shows: str | None = None
    model_name: str | None = None
    notice: str | None = None
    source: str


class ModelLicense(_Entry):
    """A model that wrote published text, and what its card states: ``license`` is the Hub's
    identifier, ``None`` where there is no card or it states none; ``base`` is the model it was
    made from."""

    model: str
    revision: str | None = None
    license: str | None = None
    license_name: str | None = None
    license_link: str | None = None
    base: str | None = None

    @property
    def key(self) -> str | None:
        """Its licence in ``terms.yaml``, or the identifier, or the name that its card gives."""
        if self.license not in (OTHER, None):
            return self.license
        given = (self.license_name or "").lower()
        own = (key for key, terms in table().items() if given in terms.names or given == key)
        return next(own, given or None)

    @property
    def terms(self) -> Terms | None:
        """``None`` where nothing is known of them."""
        return table().get(self.key or "")


def identifiers() -> tuple[str, ...]:
    """What the Hub accepts as ``license``."""
    return tuple(_hub())


def check(identifier: str) -> None:
    """``ValueError`` with the nearest where the Hub has no such identifier."""
    if identifier in _hub():
        return
    names = {entry["name"].lower(): each for each, entry in _hub().items()}
    lower = identifier.lower()
    close = difflib.get_close_matches(lower, [*_hub(), *names], n=1, cutoff=0.6)
    hint = f"did you mean '{names.get(close[0], close[0])}'? " if close else ""
    raise ValueError(
        f"the Hub knows no licence '{identifier}'; {hint}for terms that it has no name for, write "
        "`license: other` with license_name and license_link"
    )


def name(key: str) -> str:
    """The full name of an identifier or of a key of the terms; what is neither stays as it is."""
    if key in _hub():
        return _hub()[key]["name"]
    found = table().get(key)
    return (found and found.name) or key


def link(key: str) -> str | None:
    """Where the text is, as far as it is known."""
    found = table().get(key)
    own = found and (found.link or (found.source if found.source.startswith("https") else None))
    return _hub().get(key, {}).get("link") or own or None


def text(identifier: str) -> str | None:
    """The whole text of the few licences that are carried here."""
    if identifier not in _TEXTS:
        return None
    return _read(f"texts/{identifier}.txt")


@cache
def table() -> Mapping[str, Terms]:
    """The terms by the Hub's identifier, or by a key of ours where it has none."""
    return {key: Terms.model_validate(each) for key, each in _load("terms.yaml").items()}


@cache
def _hub() -> dict[str, dict[str, str]]:
    return {str(key): entry for key, entry in _load("hub.yaml").items()}


def _load(file: str) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = yaml.safe_load(_read(file))
    return found


def _read(file: str) -> str:
    return (resources.files("magpie_hub.licences") / file).read_text(encoding="utf-8")
