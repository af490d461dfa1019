"""What a comparison, a training or an evaluation came to, as a card shows it: a file of records.

FOLDER/evidence.json    {"format": 1, "records": [...]}

A record stands by itself: what was found, with which settings, versions and machine, and the
command that finds it again. A run that failed has one too, with its sentence.
"""

from __future__ import annotations

import json
import math
import os
import platform
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from magpie_hub import __version__
from magpie_hub.errors import EngineError, InvalidData, StorageError, UsageError
from magpie_hub.evidence.resampling import Interval
from magpie_hub.storage import write_atomically

FILE = "evidence.json"
FORMAT = 1
MOST_BYTES = 1_000_000
"""Of a file of records: it is read by people, and goes with every copy of a release."""

Kind = Literal["experiment", "evaluate", "compare", "train"]
KINDS: tuple[Kind, ...] = ("experiment", "evaluate", "compare", "train")
"""In the order in which a reader wants them: what came out first, how it was trained last."""

_Whole = Annotated[int, Field(strict=True)]
_Real = Annotated[float, Field(strict=True, allow_inf_nan=False)]
_Text = Annotated[str, Field(strict=True)]
_Truth = Annotated[bool, Field(strict=True)]
Scalar = _Truth | _Whole | _Real | _Text | None
Cell = _Whole | _Real | _Text | Interval | None


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Column(_Frozen):
    """``unit``: "%" for shares, which are stored as 0 to 1 and shown times 100; any other word is
    shown with the title. ``digits`` behind the point are shown of each number."""

    name: str
    title: str
    unit: str = ""
    digits: int = Field(2, ge=0, le=9)

    @property
    def factor(self) -> int:
        return 100 if self.unit == "%" else 1


class Table(_Frozen):
    """Each row has cells by the names of ``columns``; one that is missing is empty."""

    columns: tuple[Column, ...] = Field(min_length=1)
    rows: tuple[dict[str, Cell], ...]

    @model_validator(mode="after")
    def _fit(self) -> Table:
        names = [column.name for column in self.columns]
        if len(set(names)) < len(names):
            raise ValueError("two columns have the same name")
        for number, row in enumerate(self.rows):
            if strange := set(row) - set(names):
                raise ValueError(f"row {number} has no column for {min(strange)!r}")
            for name, cell in row.items():
                if isinstance(cell, Interval) and not _ordered(cell):
                    raise ValueError(f"row {number}, {name!r}: low, value and high do not follow")
        return self


class Record(_Frozen):
    """``name`` is a title for people, ``summary`` one or two sentences of what was found, or "".
    ``error`` is the sentence of a run that failed, and there exactly then. ``created`` is an ISO
    time in UTC."""

    kind: Kind
    name: str = Field(min_length=1)
    summary: str = ""
    command: str
    created: str
    versions: dict[str, str]
    machine: str
    settings: dict[str, Scalar | tuple[Scalar, ...]]
    ok: bool
    error: str | None = None
    table: Table | None = None
    notes: tuple[str, ...] = ()

    @field_validator("created")
    @classmethod
    def _moment(cls, value: str) -> str:
        if datetime.fromisoformat(value).utcoffset() != timedelta(0):
            raise ValueError("it must be a time in UTC, such as 2026-01-31T12:00:00+00:00")
        return value

    @model_validator(mode="after")
    def _fails_with_a_sentence(self) -> Record:
        if self.ok != (self.error is None):
            raise ValueError("`error` is there exactly where `ok` is false")
        return self


def write_records(folder: Path, records: Sequence[Record]) -> Path:
    """``folder/evidence.json``, in the place of one that is there. ``StorageError`` where the disk
    refuses."""
    write_atomically(folder / FILE, text(records).encode(), durable=False)
    return folder / FILE


def text(records: Sequence[Record]) -> str:
    """What stands in the file."""
    found = {"format": FORMAT, "records": [each.model_dump(mode="json") for each in records]}
    return json.dumps(found, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def read_records(place: Path) -> tuple[Record, ...]:
    """Those of ``place/evidence.json`` and of the folders directly in ``place``, or of a file: by
    kind, and each once. ``UsageError`` where there is none, ``InvalidData`` where one cannot be
    read."""
    if place.is_file():
        return _in_order(_read(place))
    files = [place / FILE, *sorted(place.glob(f"*/{FILE}"))]
    found = [record for file in files if file.is_file() for record in _read(file)]
    if not found:
        raise UsageError(
            f"{place} holds no evidence: there is no {FILE} with a record in it or in a folder of "
            "it; `train`, `evaluate` and `compare --evidence DIR` write one."
        )
    return _in_order(found)


def of_release(folder: Path) -> tuple[Record, ...]:
    """Those that a release has; ``InvalidData`` where they cannot be read."""
    file = folder / FILE
    return _read(file) if file.is_file() else ()


def collected(places: Iterable[Path]) -> tuple[Record, ...]:
    """Those of all ``places``, to be written as one file; errors as of :func:`read_records`."""
    found = _in_order(record for place in places for record in read_records(place))
    if (size := len(text(found).encode())) > MOST_BYTES:
        raise InvalidData(
            f"the evidence has {size:,} bytes; give less of it, {MOST_BYTES:,} at most."
        )
    return found


def _in_order(records: Iterable[Record]) -> tuple[Record, ...]:
    """By kind, otherwise as they came, and each once."""
    once: dict[str, Record] = {each.model_dump_json(): each for each in records}
    return tuple(sorted(once.values(), key=lambda each: KINDS.index(each.kind)))


@contextmanager
def failing(folder: Path, record: Callable[[str], Record]) -> Iterator[None]:
    """Where a model or the machine fails in the block, the ``record`` of its sentence stands in
    ``folder``; it takes the place of one that is there."""
    try:
        yield
    except EngineError as error:
        # The disk that refused the work may take so little; if not, its own error is told.
        with suppress(StorageError):
            write_records(folder, [record(str(error))])
        raise


def called(model: str) -> str:
    """A model as it is called on a card: of a folder, its name alone."""
    folder = Path(model).expanduser()
    return folder.resolve().name if folder.is_dir() else model


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def machine() -> str:
    """This one, in words that do not tell whose it is."""
    gpus: dict[str, int] = {}
    torch: Any = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        for place in range(torch.cuda.device_count()):
            name = torch.cuda.get_device_name(place)
            gpus[name] = gpus.get(name, 0) + 1
    cores = os.cpu_count() or 1
    cpu = f"{platform.system()} {platform.machine()}, {cores} CPU core{'s' if cores > 1 else ''}"
    return ", ".join([cpu, *(f"{count} x {name}" for name, count in gpus.items())])


def versions(*packages: str) -> dict[str, str]:
    """Of ours, of Python and of those ``packages`` that are installed."""
    found = {"magpie-hub": __version__, "python": platform.python_version()}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _ordered(cell: Interval) -> bool:
    """Finite too: no comparison with a number that is none holds."""
    return math.isfinite(cell.value) and -math.inf < cell.low <= cell.value <= cell.high < math.inf


def _read(file: Path) -> tuple[Record, ...]:
    try:
        with file.open("rb") as stream:
            data = stream.read(MOST_BYTES + 1)
    except OSError as error:
        raise InvalidData(f"{file} cannot be read ({error.strerror or error}).") from error
    if len(data) > MOST_BYTES:
        raise InvalidData(f"{file} is larger than {MOST_BYTES:,} bytes; leave rows out of it.")
    try:
        return _File.model_validate_json(data).records
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the document"
        said = first["msg"].removeprefix("Value error, ")
        raise InvalidData(f"{file} is no file of evidence, at {where}: {said}.") from error


class _File(_Frozen):
    format: Literal[1]
    records: tuple[Record, ...]
