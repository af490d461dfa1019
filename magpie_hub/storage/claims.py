"""Who does which shard, where several processes work on one run."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from magpie_hub.errors import StorageError, UsageError
from magpie_hub.storage import open_folder
from magpie_hub.storage.owner import Owner

_BEAT = 10.0
_STALE = 60.0
"""Seconds without a beat after which a claim of a process elsewhere counts no more."""


class Claims(Protocol):
    """``waits``: others may be finishing what we need, so look again later."""

    waits: bool

    def take(self, stage: str, shard: int) -> bool:
        """Whether the shard is ours now."""

    def give_back(self, stage: str, shard: int) -> None: ...


class Alone:
    """Everything is ours; used under the run's lock."""

    waits = False

    def take(self, stage: str, shard: int) -> bool:
        return True

    def give_back(self, stage: str, shard: int) -> None:
        pass


class Part:
    """``--shards i/n``: every n-th shard, beginning with number i, which counts from 0 as Slurm
    does. The parts know nothing of each other, and so nobody waits."""

    waits = False

    def __init__(self, index: int, count: int) -> None:
        self._index, self._count = index, count

    @classmethod
    def parse(cls, text: str) -> Part:
        """``UsageError`` where ``text`` is not like 0/8."""
        found = re.fullmatch(r"(\d+)/(\d+)", text, re.ASCII)
        if not found or int(found[1]) >= int(found[2]):
            raise UsageError(
                f"--shards {text}: write I/N, where I counts from 0: of 8 processes the first has "
                "0/8 and the last 7/8."
            )
        return cls(int(found[1]), int(found[2]))

    def take(self, stage: str, shard: int) -> bool:
        return shard % self._count == self._index

    def give_back(self, stage: str, shard: int) -> None:
        pass


class Joined:
    """``--join``: processes share one run folder, also from several machines, through files in
    ``RUN/.claims``. Use as a context manager.

    A claim is a file that only one process can create. Its owner touches it every ``beat`` seconds,
    from a thread, so that long work is no silence; a claim is free again where nobody touched it
    for ``stale`` seconds, or at once where its owner was a process of this machine and is dead.
    Claims are removed under a lock (``flock``), so that nobody removes one that somebody else has
    just put in the place of a stale one. Silence is measured by our own clock between two looks:
    the clocks of machines differ.
    """

    waits = True

    def __init__(self, out: str | Path, *, beat: float = _BEAT, stale: float = _STALE) -> None:
        folder = open_folder(out)
        if folder.remote:
            raise UsageError(
                f"--join needs a filesystem on which a file can be created by one process alone, "
                f"and {out} is none; use --shards I/N or --ray."
            )
        self._folder = folder.path / ".claims"
        self._beat, self._stale = beat, stale
        self._held: dict[str, int] = {}
        self._seen: dict[str, _Look] = {}
        self._guard = threading.Lock()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._keep_beating, daemon=True)

    def __enter__(self) -> Joined:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _refused(self._folder, error) from error
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        for name in list(self._held):
            self._remove(name)

    def take(self, stage: str, shard: int) -> bool:
        name = f"{stage}-{shard:05d}"
        if self._create(name):
            return True
        return self._is_stale(name) and self._free(name) and self._create(name)

    def give_back(self, stage: str, shard: int) -> None:
        self._remove(f"{stage}-{shard:05d}")

    def _create(self, name: str) -> bool:
        try:
            descriptor = os.open(self._folder / name, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o644)
            os.write(descriptor, Owner.me().to_json().encode())
        except FileExistsError:
            return False
        except OSError as error:
            raise _refused(self._folder, error) from error
        with self._guard:
            self._held[name] = descriptor
        self._seen.pop(name, None)
        return True

    def _is_stale(self, name: str) -> bool:
        if (look := _look(self._folder / name)) is None:
            return True
        before = self._seen.get(name)
        if before is None or before.version != look.version:
            self._seen[name] = before = look
        silent = time.monotonic() - before.at > self._stale
        return silent or (look.owner is not None and look.owner.gone)

    def _free(self, name: str) -> bool:
        """Take the stale claim away, unless it is another one by now."""
        judged = self._seen.pop(name, None)
        with self._removing():
            look = _look(self._folder / name)
            if look is None:
                return True
            if judged is None or look.version != judged.version:
                return False
            (self._folder / name).unlink(missing_ok=True)
        return True

    def _remove(self, name: str) -> None:
        with self._guard:
            descriptor = self._held.pop(name)
        try:
            with self._removing(), contextlib.suppress(OSError):
                ours = os.fstat(descriptor).st_ino
                if os.stat(self._folder / name).st_ino == ours:
                    (self._folder / name).unlink()
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def _removing(self) -> Iterator[None]:
        with (self._folder / ".removing").open("a") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield

    def _keep_beating(self) -> None:
        while not self._done.wait(self._beat):
            with self._guard:
                for descriptor in self._held.values():
                    # The file that we made, not whatever has its name now.
                    with contextlib.suppress(OSError):
                        os.utime(descriptor)


class _Look(NamedTuple):
    """A claim as it was at ``at`` on our clock; ``version`` changes with every beat."""

    version: tuple[int, int]
    owner: Owner | None
    at: float


def _look(path: Path) -> _Look | None:
    try:
        with path.open("rb") as stream:
            found = os.fstat(stream.fileno())
            owner = Owner.parse(stream.read())
    except OSError:
        return None
    return _Look((found.st_ino, found.st_mtime_ns), owner, time.monotonic())


def _refused(folder: Path, error: OSError) -> StorageError:
    return StorageError(
        f"{folder} could not be written ({error.strerror or error}); make room or choose another "
        "folder, then run again: what was finished stays."
    )
