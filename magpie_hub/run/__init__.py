"""A run on disk: slots, stages, fingerprints, resume.

    RUN/
      recipe.yaml  run.json                the resolved recipe; each stage's fingerprint
      queries/00000.arrow ...              stage-major, one file a shard
      annotations/<name>/00000.arrow ...
      screen/00000.arrow ...               for each query: kept, or why not
      responses/00000.arrow ...
      accounting/<stage>/00000.json ...    what each shard took
      releases/1.0.0/

A recipe of N rows is N slots. Everything about a slot but the model's words is a pure function of
(fingerprint, slot), so what is left to do is a listing of files: nothing is counted or appended to.
RUN may be a URL of a filesystem elsewhere; see ``storage/``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa

from magpie_hub.errors import InvalidData, UsageError
from magpie_hub.recipe import BUILDERS, Recipe
from magpie_hub.run.info import INFO, RunInfo, StageInfo, read_info, refuse_contradiction, versions
from magpie_hub.run.slots import Slot, derive_seed, slot_id
from magpie_hub.storage import THREADS, Folder, leftovers, open_folder
from magpie_hub.storage.owner import Owner
from magpie_hub.storage.shards import Headers, ShardStore

_RECIPE = "recipe.yaml"
_LISTING_AGE = 5.0
_CONVERSATION = ("respond", "ask-", "answer-")
"""The stages that write the conversations."""


class Run:
    """A run folder. ``start`` makes or resumes one, ``open`` reads one."""

    def __init__(self, folder: Folder, recipe: Recipe, info: RunInfo) -> None:
        self.folder = folder
        self.recipe = recipe
        self.info = info
        self._layout = recipe.layout()
        self._headers: dict[str, Headers] = {}
        self._refreshed = time.monotonic()

    @classmethod
    def open(cls, place: str | Path) -> Run:
        """``UsageError`` where ``place`` is no run, ``InvalidData`` where its files are damaged."""
        folder = open_folder(place)
        if (info := read_info(folder)) is None:
            raise UsageError(f"{folder} is not a run: it has no {INFO}.")
        try:
            text = folder.read(_RECIPE).decode()
        except FileNotFoundError as error:
            raise InvalidData(
                f"{folder}/{_RECIPE} is missing; `magpie-hub run` with your recipe writes it again."
            ) from error
        # What it names by a file is only there for a builder, which works on this machine.
        home = Path() if folder.remote else folder.path
        return cls(folder, Recipe.parse(text, name=f"{folder}/{_RECIPE}", folder=home), info)

    @classmethod
    def start(
        cls,
        recipe: Recipe,
        place: str | Path,
        stages: tuple[StageInfo, ...],
        *,
        alone: bool = True,
        rows: int | None = None,
    ) -> Run:
        """Make the run, or resume the one in ``place``. ``RunMismatch`` names the keys in which the
        recipe contradicts rows that are there. Call it under :func:`locked`; ``alone``: nobody else
        works on the run. ``rows``: the slots to lay out so far, where they are not all of the
        recipe's."""
        folder = open_folder(place)
        info = RunInfo(
            shard_rows=recipe.shard_rows,
            rows=rows or recipe.rows,
            stages=stages,
            versions=versions(),
        )
        if (there := read_info(folder)) is not None:
            refuse_contradiction(folder, there, info)
        elif any(not name.startswith(".") for name in folder.names()):
            raise UsageError(f"{folder} is not empty and no run; choose another --out.")
        if alone and not folder.remote:
            for file in leftovers(folder.path):
                file.unlink(missing_ok=True)
        # The info first: a folder that has it is ours, whatever else a kill has left undone.
        folder.write(INFO, f"{info.model_dump_json(indent=2)}\n".encode())
        folder.write(_RECIPE, recipe.to_yaml().encode())
        if builder := recipe.builder_file:
            folder.child(BUILDERS).write(builder.name, builder.read_bytes())
        return cls(folder, recipe, info)

    @classmethod
    def rows_at(cls, place: str | Path) -> int:
        """The slots laid out in ``place``; 0 where there is no run."""
        info = read_info(open_folder(place))
        return info.rows if info else 0

    @property
    def path(self) -> Path:
        """``UsageError`` where the run is not on this machine."""
        return self.folder.path

    @property
    def shard_count(self) -> int:
        return -(-self.info.rows // self.info.shard_rows)

    def rows_in(self, shard: int) -> int:
        return min(self.info.shard_rows, self.info.rows - shard * self.info.shard_rows)

    def stage(self, name: str) -> StageInfo:
        return next(stage for stage in self.info.stages if stage.name == name)

    def has(self, stage: str) -> bool:
        return any(info.name == stage for info in self.info.stages)

    def slots(self, shard: int) -> list[Slot]:
        """The shard's slots, in order."""
        fingerprint = self.stage("sample").fingerprint
        start = shard * self.info.shard_rows
        return [self._slot(fingerprint, start + row) for row in range(self.rows_in(shard))]

    def slot_id(self, index: int) -> str:
        return slot_id(self.stage("sample").fingerprint, index)

    def _slot(self, fingerprint: str, index: int) -> Slot:
        place = self._layout.at(index)
        sampling = self.recipe.sample
        steer = None if place.steer is None else sampling.steer[place.steer]
        return Slot(
            index=index,
            id=slot_id(fingerprint, index),
            seed=derive_seed(fingerprint, index),
            cell=sampling.grid[place.cell],
            steer=steer,
            topic=None if steer is None or place.topic is None else steer.topics[place.topic],
            responder=place.responder,
        )

    def store(self, stage: str, arrow: pa.Schema) -> ShardStore:
        info = self.stage(stage)
        written_by = info.after if info.cheap else info.fingerprint
        return ShardStore(
            self.folder.child(info.folder), arrow, written_by, headers=self._headers_of(info)
        )

    def _headers_of(self, stage: StageInfo) -> Headers:
        if stage.name not in self._headers:
            self._headers[stage.name] = Headers(self.folder.child(stage.folder))
        return self._headers[stage.name]

    def coverage(self, stage: str, shard: int) -> str:
        """What the stage's shard must cover to be complete.

        Rows of earlier stages that failed are counted in it, so that it is completed once they are
        mended: those of the shard itself, and from the screen on, which compares a query with all
        before it, the queries of the shards before too. What rests on a stage that looks at all
        rows may change with any of them.
        """
        info = self.stage(stage)
        whole = f"{info.fingerprint if info.cheap else info.coverage}/{self.rows_in(shard)}"
        if self._rests_on_all(stage):
            whole += f" of {self.info.rows}"
        failed = {name: count for name, count in self._failed_before(stage, shard) if count}
        counts = " ".join(f"{name} {count}" for name, count in failed.items())
        return f"{whole}/failed: {counts}" if counts else whole

    def _failed_before(self, stage: str, shard: int) -> Iterator[tuple[str, int]]:
        names = [info.name for info in self.info.stages]
        at = names.index(stage)
        screen = names.index("screen") if "screen" in names else len(names)
        before = names[: min(at, screen)]
        before += [n for n in names[:at] if n.startswith(_CONVERSATION)]
        if "choose" in names:
            # A choice waits for the scores, and what stands behind it for the choice.
            before += [n for n in names[:at] if n.startswith("reward") and n not in before]
        together = self._rests_on_all(stage)
        for name in before:
            everywhere = together and name in names[:screen]
            first = 0 if everywhere or (name == "sample" and at >= screen) else shard
            last = self.shard_count - 1 if everywhere else shard
            yield name, self._headers_of(self.stage(name)).failed(first, last)

    def _rests_on_all(self, stage: str) -> bool:
        """Whether it, or a stage before it, looks at all rows beside each other."""
        at = self.info.stages.index(self.stage(stage))
        return any(info.whole for info in self.info.stages[: at + 1])

    def missing(self, stage: str) -> list[int]:
        """The shards that the stage has still to do: a listing of files."""
        self.refresh()
        shards = range(self.shard_count)
        for info in self.info.stages[: self.info.stages.index(self.stage(stage))]:
            self._headers_of(info).load(shards)
        found = self._headers_of(self.stage(stage)).load(shards)
        return [
            shard
            for shard, header in zip(shards, found, strict=True)
            if header is None or header.coverage != self.coverage(stage, shard)
        ]

    def refresh(self, stage: str | None = None, shard: int = 0) -> None:
        """Others may have written since: look anew at everything, or at one shard. Elsewhere than
        on this machine a listing stays good for some seconds, since each costs requests."""
        if stage is not None:
            self.folder.child(self.stage(stage).folder).refresh(f"{shard:05d}.arrow")
        elif time.monotonic() - self._refreshed > _LISTING_AGE:
            self._refreshed = time.monotonic()
            self.folder.refresh()

    def account(
        self, stage: str, shard: int, record: Mapping[str, Any], *, adding: bool = False
    ) -> None:
        """Record what a shard took: counts and seconds, and by whom; ``adding`` to what it took
        when its first rows were made. It may be lost in a power cut."""
        folder = self.folder.child(f"accounting/{stage}")
        name = f"{shard:05d}.json"
        before = _read_record(folder, name) if adding else {}
        numbers = {
            key: value + before.get(key, 0)
            for key, value in record.items()
            if isinstance(value, int | float)
        }
        owner = Owner.me()
        by = {"worker": f"{owner.machine} {owner.pid}", "ended": time.time()}
        text = json.dumps({**record, **numbers, **by}, ensure_ascii=False)
        folder.write(name, text.encode(), durable=False)

    def accounts(self, stage: str) -> dict[int, dict[str, Any]]:
        """The records of the stage's shards."""
        folder = self.folder.child(f"accounting/{stage}")
        folder.refresh()
        names = [name for name in folder.names() if name.endswith(".json") and name[0] != "."]
        if folder.remote:
            with ThreadPoolExecutor(THREADS) as pool:
                records = list(pool.map(lambda name: _read_record(folder, name), names))
        else:
            records = [_read_record(folder, name) for name in names]
        return {int(n[:-5]): found for n, found in zip(names, records, strict=True) if found}


def _read_record(folder: Folder, name: str) -> dict[str, Any]:
    try:
        found = json.loads(folder.read(name))
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
