"""A run on disk: slots, stages, fingerprints, resume.

    RUN/
      recipe.yaml  run.json                the resolved recipe; each stage's fingerprint
      queries/00000.arrow ...              stage-major, one file a shard
      annotations/<name>/00000.arrow ...
      screen/00000.arrow ...               for each query: kept, or why not
      responses/00000.arrow ...
      releases/1.0.0/

A recipe of N rows is N slots. Everything about a slot but the model's words is a pure function of
(fingerprint, slot), so what is left to do is a listing of files: nothing is counted or appended to.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import IO

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, ValidationError

from magpie_hub.errors import InvalidData, RunLocked, RunMismatch, StorageError, UsageError
from magpie_hub.recipe import Cell, Recipe, Steer, pattern
from magpie_hub.shards import ShardStore, leftovers, write_durably

INFO = "run.json"
_LIBRARIES = ("magpie-hub", "torch", "transformers", "llguidance", "polars", "pyarrow", "datasets")


class StageInfo(BaseModel):
    """A stage as this run does it.

    ``keys`` are what shapes its rows, in words; with ``after``, the fingerprint of the stage
    before, they are its fingerprint. ``coverage`` says which rows it is for: where only that
    changes (a new gate), rows that are there stay and the missing ones are added. A ``cheap`` stage
    asks no model and is simply done again where its keys change.
    ``columns`` are the published ones that it makes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    folder: str
    keys: dict[str, str]
    after: str = ""
    coverage: str = ""
    cheap: bool = False
    columns: tuple[str, ...]
    model: str | None = None
    revision: str | None = None
    prompt_sha256: str | None = None

    @cached_property
    def fingerprint(self) -> str:
        text = json.dumps([self.name, self.after, sorted(self.keys.items())], ensure_ascii=False)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


class RunInfo(BaseModel):
    """What ``run.json`` holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = 1
    shard_rows: int
    rows: int
    stages: tuple[StageInfo, ...]
    versions: dict[str, str]


@dataclass(frozen=True, slots=True)
class Slot:
    """One place for a query; all of it follows from (fingerprint, index)."""

    index: int
    id: str
    seed: int
    cell: Cell
    steer: Steer | None


class Run:
    """A run folder. ``start`` makes or resumes one, ``open`` reads one."""

    def __init__(self, path: Path, recipe: Recipe, info: RunInfo) -> None:
        self.path = path
        self.recipe = recipe
        self.info = info
        self._grid = pattern([cell.weight for cell in recipe.sample.grid])
        self._steer = pattern([steer.weight for steer in recipe.sample.steer])

    @classmethod
    def open(cls, path: str | Path) -> Run:
        """``UsageError`` where ``path`` is no run, ``InvalidData`` where its files are damaged."""
        path = Path(path)
        if not (path / INFO).is_file():
            raise UsageError(f"{path} is not a run: it has no {INFO}.")
        return cls(path, Recipe.load(path / "recipe.yaml"), _read_info(path))

    @classmethod
    def start(cls, recipe: Recipe, path: str | Path, stages: tuple[StageInfo, ...]) -> Run:
        """Make the run, or resume the one in ``path``. ``RunMismatch`` names the keys in which the
        recipe contradicts rows that are there. Call it under :func:`locked`."""
        path = Path(path)
        info = RunInfo(
            shard_rows=recipe.shard_rows,
            rows=recipe.rows,
            stages=stages,
            versions={lib: metadata.version(lib) for lib in _LIBRARIES if _installed(lib)},
        )
        if (path / INFO).is_file():
            _refuse_contradiction(path, _read_info(path), info)
        elif path.is_dir() and any(p for p in path.iterdir() if not p.name.startswith(".")):
            raise UsageError(f"{path} is not empty and no run; choose another --out.")
        for file in leftovers(path):
            file.unlink(missing_ok=True)
        # The info first: a folder that has it is ours, whatever else a kill has left undone.
        text = info.model_dump_json(indent=2) + "\n"
        write_durably(path / INFO, lambda stream: stream.write(text.encode()))
        write_durably(path / "recipe.yaml", lambda s: s.write(recipe.to_yaml().encode()))
        return cls(path, recipe, info)

    @property
    def shard_count(self) -> int:
        return -(-self.info.rows // self.info.shard_rows)

    def rows_in(self, shard: int) -> int:
        return min(self.info.shard_rows, self.info.rows - shard * self.info.shard_rows)

    def stage(self, name: str) -> StageInfo:
        return next(stage for stage in self.info.stages if stage.name == name)

    def slots(self, shard: int) -> list[Slot]:
        """The shard's slots, in order."""
        fingerprint = self.stage("sample").fingerprint
        start = shard * self.info.shard_rows
        return [self._slot(fingerprint, start + row) for row in range(self.rows_in(shard))]

    def _slot(self, fingerprint: str, index: int) -> Slot:
        # Mixed radix: over len(grid) * len(steer) slots each pair of cell and prompt comes up
        # exactly as often as their weights say.
        turn, place = divmod(index, len(self._grid))
        steer = self.recipe.sample.steer
        return Slot(
            index=index,
            id=f"{fingerprint[:10]}-{index:08d}",
            seed=derive_seed(fingerprint, index),
            cell=self.recipe.sample.grid[self._grid[place]],
            steer=steer[self._steer[turn % len(self._steer)]] if steer else None,
        )

    def store(self, stage: str, arrow: pa.Schema) -> ShardStore:
        info = self.stage(stage)
        written_by = info.after if info.cheap else info.fingerprint
        return ShardStore(self.path / info.folder, arrow, written_by)

    def coverage(self, stage: str, shard: int) -> str:
        """What the stage's shard must cover to be complete."""
        info = self.stage(stage)
        return f"{info.fingerprint if info.cheap else info.coverage}/{self.rows_in(shard)}"

    def missing(self, stage: str) -> list[int]:
        """The shards that the stage has still to do: a listing of files."""
        store = self.store(stage, pa.schema([]))
        return [
            shard
            for shard in range(self.shard_count)
            if store.coverage(shard) != self.coverage(stage, shard)
        ]


def derive_seed(fingerprint: str, slot: int) -> int:
    """A 63-bit seed, so that it fits a signed column."""
    digest = hashlib.blake2b(f"{fingerprint}:{slot}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


class locked:  # noqa: N801 (reads as the statement it is: `with locked(path):`)
    """Hold the run alone. The lock dies with its process, so a kill leaves nothing to clean up."""

    def __init__(self, path: Path) -> None:
        self._path = path / ".lock"
        self._stream: IO[str] | None = None

    def __enter__(self) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            stream = self._path.open("a+")
        except OSError as error:
            raise StorageError(
                f"{self._path.parent} cannot be written to ({error.strerror}); choose "
                "another --out."
            ) from error
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            stream.seek(0)
            owner = stream.read().strip() or "another process"
            stream.close()
            raise RunLocked(
                f"{self._path.parent} is being worked on by {owner}; wait for it or stop it."
            ) from error
        stream.truncate(0)
        stream.write(f"process {os.getpid()}")
        stream.flush()
        self._stream = stream

    def __exit__(self, *_: object) -> None:
        if self._stream is not None:
            self._stream.close()


def _read_info(path: Path) -> RunInfo:
    try:
        return RunInfo.model_validate_json((path / INFO).read_bytes())
    except ValidationError as error:
        raise InvalidData(
            f"{path / INFO} is damaged; put back a copy, or choose another --out."
        ) from error


def _refuse_contradiction(path: Path, old: RunInfo, new: RunInfo) -> None:
    if old.shard_rows != new.shard_rows:
        raise RunMismatch(
            f"{path} was laid out with shard_rows: {old.shard_rows}, not {new.shard_rows}; keep "
            "it, or choose another --out."
        )
    if new.rows < old.rows:
        raise RunMismatch(
            f"{path} has rows: {old.rows}, and a run only grows; {new.rows} rows need another "
            "--out, or a config with a filter."
        )
    before = {stage.name: stage for stage in old.stages}
    for stage in new.stages:
        there = before.get(stage.name)
        if there is None or there.fingerprint == stage.fingerprint or there.cheap:
            continue
        if not any((path / stage.folder).glob("*.arrow")):
            continue
        keys = sorted(
            key for key in {*there.keys, *stage.keys} if there.keys.get(key) != stage.keys.get(key)
        )
        changes = "; ".join(
            f"{key}: {there.keys.get(key, 'absent')} there, {stage.keys.get(key, 'absent')} here"
            for key in keys
        )
        raise RunMismatch(
            f"{path / stage.folder} holds rows of another recipe ({stage.name}: "
            f"{changes or 'an earlier stage differs'}); choose another --out, or delete that "
            "folder to do the stage again."
        )


def _installed(library: str) -> bool:
    try:
        metadata.version(library)
    except metadata.PackageNotFoundError:
        return False
    return True
