"""What a stage is: for one shard, the rows that it has to make, and how each is made.

A row that asks a model is a small generator: it yields requests, receives their completions, and
returns what it made. One step is a query; three prompts at once are a judge; a second turn is a
second step. Who runs them, and in what order, is the scheduler's business.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from magpie_hub.engines import Completion, Request, Task
from magpie_hub.models import Model
from magpie_hub.template import ChatTemplate, Reader

Steps = Generator[list[Request], list[Completion], dict[str, Any]]
"""A row in the making. Completions come in the order of the requests; one whose finish reason is
"error" is a request that failed for good: the row asks again or returns what it has, and is kept as
failed. A row that is not what it should be says so itself, as its "error"."""


@dataclass(frozen=True)
class Source:
    """A model and the template through which it is spoken to."""

    model: Model
    template: ChatTemplate


@dataclass(frozen=True)
class ReadSource:
    """A model that reads finished conversations."""

    model: Model
    reader: Reader


class Progress(Protocol):
    """Who is told how far a run is. Counts are of rows; tokens are new ones."""

    def begin(self, stage: str, *, total: int, done: int) -> None: ...
    def advance(
        self, stage: str, *, rows: int = 0, tokens: int = 0, rejected: int = 0, failed: int = 0
    ) -> None: ...
    def end(self, stage: str) -> None: ...
    def note(self, line: str) -> None:
        """A sentence for whoever is watching."""


class Silent:
    """A Progress that nobody watches."""

    def begin(self, stage: str, *, total: int, done: int) -> None:
        pass

    def advance(
        self, stage: str, *, rows: int = 0, tokens: int = 0, rejected: int = 0, failed: int = 0
    ) -> None:
        pass

    def end(self, stage: str) -> None:
        pass

    def note(self, line: str) -> None:
        pass


@dataclass(frozen=True)
class Asking:
    """A stage that asks a model: ``job(shard, have)`` gives the rows of ``shard`` by id whose ids
    are not in ``have``.

    ``orderly``: needs the sampled queries of all shards before it too. Where several models share
    a stage, each has its own ``part`` of ``parts``, and a shard goes from one to the next.
    """

    stage: str
    model: Model
    job: Callable[[int, set[str]], dict[str, Steps]]
    task: Task = "generate"
    orderly: bool = False
    part: int = 0
    parts: int = 1


@dataclass(frozen=True)
class Local:
    """A stage that needs no model: ``make(shard, have)`` gives the rows of ``shard`` whose ids are
    not in ``have``, which for a cheap stage is always empty. ``in_order``: shards are made one
    after the other, since each depends on those before."""

    stage: str
    make: Callable[[int, set[str]], pa.Table]
    orderly: bool = False
    in_order: bool = False


@dataclass(frozen=True)
class Whole:
    """A stage that compares all rows with all: ``make(shards)`` gives the tables of ``shards``, in
    their order, once every shard has come that far."""

    stage: str
    make: Callable[[Sequence[int]], Iterator[pa.Table]]


Work = Asking | Local | Whole
