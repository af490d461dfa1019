"""The lock on a run: one process alone, or several that share it because they claim shards.

On this machine, and on network filesystems that know ``flock``, the lock dies with its process, so
a kill leaves nothing to clean up. Object stores have no locks: there each process leaves a file
with its name and renews it, and whoever finds one that is fresh gives way. That is advisory: it
stops a mistake, not a race of milliseconds; and no harm is done then but double work.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import secrets
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import IO

from magpie_hub.errors import RunLocked, StorageError
from magpie_hub.storage import Folder, open_folder
from magpie_hub.storage.owner import Owner

_RENEWED = 30.0
_STALE = 150.0
"""Seconds after which the name of a process elsewhere counts no more."""


class locked:  # noqa: N801 (reads as the statement it is: `with locked(out):`)
    """Hold the run alone, or ``shared`` with others that do. ``RunLocked`` names who has it."""

    def __init__(self, out: str | Path | Folder, *, shared: bool = False) -> None:
        folder = open_folder(out)
        self._lock = _Names(folder, shared) if folder.remote else _Flock(folder.path, shared)

    def __enter__(self) -> None:
        self._lock.take()

    def __exit__(self, *_: object) -> None:
        self._lock.give_back()


class _Flock:
    def __init__(self, folder: Path, shared: bool) -> None:
        self._folder, self._shared = folder, shared
        self._stream: IO[str] | None = None

    def take(self) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            stream = (self._folder / ".lock").open("a+")
        except OSError as error:
            raise StorageError(
                f"{self._folder} cannot be written to ({error.strerror}); choose another --out."
            ) from error
        kind = fcntl.LOCK_SH if self._shared else fcntl.LOCK_EX
        try:
            fcntl.flock(stream, kind | fcntl.LOCK_NB)
        except BlockingIOError as error:
            stream.seek(0)
            owner = Owner.parse(stream.read())
            stream.close()
            raise _busy(self._folder, owner) from error
        except OSError as error:
            stream.close()
            raise StorageError(
                f"{self._folder} cannot be locked ({error.strerror}); choose an --out on a "
                "filesystem with flock."
            ) from error
        stream.truncate(0)
        stream.write(Owner.me().to_json())
        stream.flush()
        self._stream = stream

    def give_back(self) -> None:
        if self._stream is not None:
            self._stream.close()


class _Names:
    """``.locks/alone-*.json`` or ``shared-*.json``, one a process."""

    def __init__(self, run: Folder, shared: bool) -> None:
        self._run, self._folder, self._shared = run, run.child(".locks"), shared
        self._name = f"{'shared' if shared else 'alone'}-{secrets.token_hex(8)}.json"
        self._me = Owner.me()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._renew, daemon=True)

    def take(self) -> None:
        # First the own name, then a look at the others': of two that come at once, at least one
        # sees the other.
        self._sign()
        self._folder.refresh()
        for name in self._folder.names():
            ours = name == self._name or (self._shared and name.startswith("shared-"))
            if not ours and (owner := self._at_work(name)) is not None:
                self._folder.delete(self._name)
                raise _busy(self._run, owner)
        self._thread.start()

    def give_back(self) -> None:
        self._done.set()
        if self._thread.is_alive():
            self._thread.join()
            self._folder.delete(self._name)

    def _sign(self) -> None:
        record = {**asdict(self._me), "renewed": time.time()}
        self._folder.write(self._name, json.dumps(record).encode())

    def _renew(self) -> None:
        while not self._done.wait(_RENEWED):
            with contextlib.suppress(StorageError):  # the next one comes before we count as gone
                self._sign()

    def _at_work(self, name: str) -> Owner | None:
        try:
            text = self._folder.read(name)
        except FileNotFoundError:
            return None
        owner = Owner.parse(text)
        if owner is None or owner.gone or time.time() - json.loads(text)["renewed"] > _STALE:
            self._folder.delete(name)
            return None
        return owner


def _busy(run: object, owner: Owner | None) -> RunLocked:
    who = "another process" if owner is None or owner.gone else str(owner)
    return RunLocked(f"{run} is being worked on by {who}; wait for it or stop it.")
