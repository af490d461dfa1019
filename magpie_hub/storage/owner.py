"""Who is at work on a run: which process, on which machine, since when."""

from __future__ import annotations

import json
import os
import socket
import time
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class Owner:
    """``since`` is in seconds since 1970."""

    machine: str
    pid: int
    since: float

    @classmethod
    def me(cls) -> Owner:
        return cls(_machine(), os.getpid(), time.time())

    @classmethod
    def parse(cls, text: str | bytes) -> Owner | None:
        """None where the text is not whole: its writer was killed."""
        try:
            found = json.loads(text)
            return cls(str(found["machine"]), int(found["pid"]), float(found["since"]))
        except (ValueError, KeyError, TypeError):
            return None

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @property
    def gone(self) -> bool:
        """Surely dead; of a process on another machine nobody can say so."""
        if self.machine != _machine():
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        # Killed, but its parent has not asked for it yet: in containers it may never.
        try:
            return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except (OSError, IndexError):
            return False

    def __str__(self) -> str:
        host = self.machine.partition("/")[0]
        return f"process {self.pid} on {host}, for {_span(time.time() - self.since)}"


@cache
def _machine() -> str:
    """Containers of one host have the same name at times, but never the same processes."""
    space = Path("/proc/self/ns/pid")
    processes = os.readlink(space) if space.is_symlink() else ""
    return f"{socket.gethostname()}/{processes}"


def _span(seconds: float) -> str:
    minutes = int(seconds / 60)
    if minutes < 1:
        return f"{max(seconds, 0):.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h"
