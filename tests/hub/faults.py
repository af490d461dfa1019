"""Faults that a test orders beforehand: which request, which time, and what goes wrong.

| kind   | what the client sees                                                        |
|--------|-----------------------------------------------------------------------------|
| status | an answer with ``status`` and ``headers``; the request itself has no effect |
| reset  | the connection closes; the request has no effect                            |
| cut    | the connection closes after ``after`` bytes of the body, sent or received   |
| lost   | the request took effect, but of its answer only ``after`` bytes come        |
| delay  | the answer comes after ``seconds``                                          |
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["status", "reset", "cut", "lost", "delay"]


@dataclass
class Fault:
    """Strikes requests whose ``METHOD /path`` matches ``where``, from the ``skip``-th on, ``times``
    times. ``act`` runs while the client waits, before the request takes effect (``lost``: after):
    the place for another writer, or to kill the client."""

    where: str
    kind: Kind = "status"
    times: int = 1
    skip: int = 0
    status: int = 503
    headers: Mapping[str, str] = field(default_factory=dict)
    message: str = "injected"
    after: int = 0
    seconds: float = 0.0
    act: Callable[[], None] | None = None
    struck: int = 0


class Faults:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ordered: list[Fault] = []

    def order(self, fault: Fault) -> Fault:
        with self._lock:
            self._ordered.append(fault)
        return fault

    def clear(self) -> None:
        with self._lock:
            self._ordered.clear()

    def take(self, method: str, path: str) -> Fault | None:
        """The fault for this request, counted as struck; ``None`` where all is well."""
        with self._lock:
            for fault in self._ordered:
                if fault.struck >= fault.times or not re.search(fault.where, f"{method} {path}"):
                    continue
                if fault.skip > 0:
                    fault.skip -= 1
                    continue
                fault.struck += 1
                return fault
        return None
