"""A release on disk: exactly what is pushed, described by its ``manifest.json``.

RELEASE/
  README.md                                   the card
  data/<config>/<split>-00000-of-0000N.parquet
  recipe.yaml  CHANGELOG.md  LICENSE ...
  manifest.json                               written last: a folder without it is no release
"""

from __future__ import annotations

import hashlib
import re
from contextlib import suppress
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from magpie_hub.errors import InvalidData, UsageError
from magpie_hub.licences import ModelLicense
from magpie_hub.recipe.gating import Gating

MANIFEST = "manifest.json"


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FileEntry(_Entry):
    """One file of the release; ``size`` in bytes."""

    sha256: str
    size: int


class ClauseCount(_Entry):
    """A clause of a filter: the rows that came to it, and how many it kept; ``alone`` is how many
    of all rows it would drop by itself. The picking of so many ``rows`` is the last one; it has
    nothing to say alone."""

    clause: str
    before: int
    kept: int
    alone: int | None = None

    @property
    def dropped(self) -> int:
        return self.before - self.kept


class SplitEntry(_Entry):
    """``num_bytes``: in memory, as ``datasets`` counts; ``files`` relative to the release."""

    rows: int
    num_bytes: int
    files: tuple[str, ...]


class ConfigEntry(_Entry):
    """``columns``: those of this config; none named: all of the release's. ``settings``: how it
    picks rows and splits them, as far as its recipe says so."""

    default: bool
    where: str | None
    description: str
    funnel: tuple[ClauseCount, ...]
    splits: dict[str, SplitEntry]
    columns: tuple[str, ...] = ()
    settings: dict[str, str] = Field(default_factory=dict)

    @property
    def rows(self) -> int:
        return sum(split.rows for split in self.splits.values())


class Producer(_Entry):
    """Who made a column: a stage or an annotator, with the model behind it."""

    by: str
    model: str | None = None
    revision: str | None = None
    prompt_sha256: str | None = None


class Making(_Entry):
    """A stage as it was run: its model and the settings that shaped its rows, for the card."""

    stage: str
    model: str | None = None
    revision: str | None = None
    settings: dict[str, str] = Field(default_factory=dict)


class ColumnEntry(_Entry):
    name: str
    type: str
    producer: Producer


class Yield(_Entry):
    """What became of the queries of one steer key or decoding cell. ``kept`` passed the screen;
    ``duplicates`` are among those turned away, ``rejected`` the others by reason; ``categories``
    are the largest, as shares of the labelled queries."""

    kind: Literal["steer", "cell"]
    key: str
    sampled: int
    kept: int
    share_kept: float
    duplicates: int
    rejected: dict[str, int]
    mean_query_tokens: float
    categories: dict[str, float]


class Provenance(_Entry):
    """How a pool of rows came to be. ``slots`` are the queries sampled; ``rejected`` counts those
    that did not pass the screen, by reason; ``versions`` are those of the libraries, ``engines``
    what ran the models, and ``determinism`` what another run would have in common with this one
    (see ``engines.Determinism``). ``license`` is the data's, ``model_licenses`` those of the models
    whose words are published, ``license_decision`` why the one may stand with the others, and
    ``gating`` the form that its readers fill in."""

    name: str
    builder: str
    license: str | None
    license_name: str | None = None
    license_link: str | None = None
    license_decision: str | None = None
    gating: Gating | None = None
    model_licenses: tuple[ModelLicense, ...] = ()
    fingerprints: dict[str, str]
    versions: dict[str, str]
    engines: tuple[str, ...] = ()
    determinism: Literal["plan", "seeds", "bits"] | None = None
    slots: int
    rejected: dict[str, int]
    made: tuple[Making, ...]
    yields: tuple[Yield, ...] = ()


class Since(_Entry):
    """What changed since the release before, ``version``: lines of plain text."""

    version: str
    changes: tuple[str, ...]


class Manifest(Provenance):
    """What ``manifest.json`` holds. ``builder_sha256``: of the source of the builder's module;
    ``remarks`` are sentences on what whoever trains on the rows should know; ``since`` is None
    where no release was there to compare with; ``card`` are the ``card.edits.marks`` of README.md,
    by which it is known where people edited it."""

    manifest_version: int = 1
    version: str
    generator: str
    created: str
    builder_sha256: str | None = None
    columns: tuple[ColumnEntry, ...]
    configs: dict[str, ConfigEntry]
    remarks: tuple[str, ...] = ()
    since: Since | None = None
    card: dict[str, str] = Field(default_factory=dict)
    files: dict[str, FileEntry]


class Release:
    """An opened release; ``Release.open`` is the door."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path = path
        self.manifest = manifest

    @classmethod
    def open(cls, path: str | Path) -> Release:
        """Read the manifest. ``UsageError`` where ``path`` holds no release, ``InvalidData`` where
        its manifest cannot be read. File contents are checked by :meth:`check`, not here."""
        path = Path(path)
        file = path / MANIFEST
        if not file.is_file():
            raise UsageError(
                f"{path} is not a release: it has no {MANIFEST}; "
                "`magpie-hub build RUN --version X.Y.Z` makes one under RUN/releases/."
            )
        try:
            manifest = Manifest.model_validate_json(file.read_bytes())
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the document"
            raise InvalidData(f"{file} is damaged at {where}: {first['msg']}.") from error
        return cls(path, manifest)

    @classmethod
    def beside(cls, folder: Path) -> list[Release]:
        """The releases in ``folder``; what is damaged is left out."""
        found = []
        for file in sorted(folder.glob(f"*/{MANIFEST}")):
            with suppress(InvalidData):
                found.append(cls.open(file.parent))
        return found

    @property
    def version(self) -> str:
        return self.manifest.version

    def check(self) -> None:
        """Compare each file with the manifest; ``InvalidData`` names the first that differs."""
        for name, entry in self.manifest.files.items():
            file = self.path / name
            if not file.is_file():
                raise InvalidData(f"{file} is missing, but the manifest names it; build again.")
            if file_entry(file) != entry:
                raise InvalidData(
                    f"{file} is not what the manifest describes; it was changed or damaged after "
                    "the build; build again."
                )


def numbers(version: str) -> tuple[int, int, int]:
    """X.Y.Z to compare by. ``InvalidData`` where it is none."""
    if not re.fullmatch(r"\d{1,9}\.\d{1,9}\.\d{1,9}", version, re.ASCII):
        raise InvalidData(f"the release's version is {version!r}; it must be X.Y.Z.")
    major, minor, patch = map(int, version.split("."))
    return major, minor, patch


def file_entry(file: Path) -> FileEntry:
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return FileEntry(sha256=digest, size=file.stat().st_size)
