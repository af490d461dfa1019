"""What a comparison of two releases finds: the document that ``diff --json`` prints."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from magpie_hub.changes.rows import RowChanges

Level = Literal["patch", "minor", "major"]
LEVELS: tuple[Level, ...] = ("patch", "minor", "major")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class Change(_Part):
    """The ``key`` of a config or a stage, ``of``; None: it was or is not there."""

    of: str
    key: str
    before: str | None
    after: str | None


class ColumnChange(_Part):
    """A column's type in ``configs``; None: it was or is not there."""

    column: str
    before: str | None
    after: str | None
    configs: tuple[str, ...]


class ProducerChange(_Part):
    """``key`` is by, model, revision or prompt_sha256."""

    columns: tuple[str, ...]
    key: str
    before: str | None
    after: str | None


class LabelShift(_Part):
    """The label's share of the rows of ``config`` that have a label, 0 to 1; ``points`` are
    percentage points."""

    config: str
    column: str
    label: str
    before: float
    after: float
    points: float


class FileChanges(_Part):
    """Files told apart by checksum. ``new_bytes`` are the most that an upload can take: of a file
    that is partly like one before, the Hub takes only the rest."""

    new: int
    new_bytes: int
    same: int
    same_bytes: int
    gone: int


class Statement(_Part):
    """One change as a line of plain text, whoever wrote the names in it, and the step of version
    that it calls for."""

    topic: str
    level: Level
    text: str


class Changes(_Part):
    """From the release ``old`` to ``new``, both X.Y.Z.

    ``rows`` has every config of the two; ``labels`` has the largest shift first; ``filters`` are
    the settings of configs, ``made`` those of stages. ``suggested`` is the lowest version that
    ``new`` may have, ``level`` the step to it; None where each file is the same in both."""

    old: str
    new: str
    level: Level | None = None
    suggested: str | None = None
    statements: tuple[Statement, ...] = ()
    configs_added: tuple[str, ...]
    configs_removed: tuple[str, ...]
    default: Change | None
    splits: tuple[Change, ...]
    columns: tuple[ColumnChange, ...]
    rows: dict[str, RowChanges]
    labels: tuple[LabelShift, ...]
    filters: tuple[Change, ...]
    producers: tuple[ProducerChange, ...]
    made: tuple[Change, ...]
    license: Change | None
    evidence: Change | None
    files: FileChanges

    @property
    def reasons(self) -> tuple[str, ...]:
        """The changes that call for ``level``."""
        return tuple(each.text for each in self.statements if each.level == self.level)
