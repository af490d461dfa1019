"""An engine that answers by a script, for what the real ones do too rarely or too slowly."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from magpie_hub.engines import Completion, EngineFacts, Request

Script = Callable[[Request], Completion]


class Scripted:
    """Answers requests in a random order, a few at a time. ``most`` is how many were in flight at
    once, ``submissions`` what was submitted together."""

    exclusive = False

    def __init__(self, script: Script, *, capacity: int = 8, batched: bool = False) -> None:
        self.capacity = capacity
        self.batched = batched
        self.most = 0
        self.closed = False
        self.submissions: list[list[Request]] = []
        self._script = script
        self._flying: list[Request] = []
        self._draw = random.Random(7)

    @property
    def facts(self) -> EngineFacts:
        return EngineFacts("scripted", "1", "none", 1, "bits")

    def submit(self, requests: Sequence[Request]) -> None:
        assert requests
        self.submissions.append(list(requests))
        self._flying += requests
        self.most = max(self.most, len(self._flying))

    def poll(self) -> list[Completion]:
        self._draw.shuffle(self._flying)
        count = self._draw.randint(1, 4)
        done, self._flying = self._flying[:count], self._flying[count:]
        return [self._script(request) for request in done]

    def close(self) -> None:
        self.closed = True


def echo(request: Request) -> Completion:
    """The prompt back."""
    return Completion(request, request.prompt)
