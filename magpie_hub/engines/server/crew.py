"""Several completion servers at work on one heap of requests.

The least loaded server gets the next request. What failed is tried again, elsewhere where there is
an elsewhere; a server that takes no connections is left alone until it is back.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from magpie_hub.engines import Completion, Request
from magpie_hub.engines.server.client import Server
from magpie_hub.engines.server.dialects import penalises
from magpie_hub.engines.server.http import Away, Passing, Refused, Unreachable
from magpie_hub.errors import EngineError

_TRIES = 3
_BACKOFF = 1.0
"""Seconds; a retry waits for a random part of this, doubled with every failure."""
_LONGEST_REST = 60.0
"""Seconds for which a server may ask to be left alone (Retry-After)."""
_LONGEST_CHECK = 10.0
"""Seconds between two looks at a server that is down."""


@dataclass(slots=True, eq=False)
class _Job:
    request: Request
    failures: int = 0
    failed_at: _Post | None = None


@dataclass(slots=True, eq=False)
class _Post:
    """A server and what it has to do. ``rests``: how often it has asked to be left alone."""

    server: Server
    load: int = 0
    up: bool = True
    rests: int = 0


class Crew:
    """Distributes requests over servers; lives on one event loop.

    ``concurrency``: requests in flight at each server. ``patience``: seconds for which all of them
    may be away while there is work. ``deliver`` takes a completion for every request, or, where
    there will be no more, the error that ended it.
    """

    def __init__(
        self,
        servers: Sequence[Server],
        *,
        concurrency: int,
        patience: float,
        deliver: Callable[[Completion | BaseException], None],
    ) -> None:
        self._posts = [_Post(server) for server in servers]
        self._concurrency = concurrency
        self._patience = patience
        self._deliver = deliver
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[_Job] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._giving_up: asyncio.TimerHandle | None = None

    @property
    def version(self) -> str:
        return ", ".join(sorted({post.server.version for post in self._posts}))

    def require_schemas(self) -> None:
        for post in self._posts:
            if post.server.kind == "other":
                raise EngineError(
                    f"{post.server.url} cannot be held to a JSON schema; judge with a server by "
                    "vLLM, SGLang or llama.cpp, or with another engine."
                )

    def require_penalties(self) -> None:
        for post in self._posts:
            if not penalises(post.server.kind):
                raise EngineError(
                    f"{post.server.url} has no repetition penalty that counts the prompt too; ask "
                    "for none, or take a server by vLLM or llama.cpp, or another engine."
                )

    def admit(self, requests: Sequence[Request]) -> None:
        self._waiting.extend(_Job(request) for request in requests)
        self._fill()

    async def close(self) -> None:
        if self._giving_up is not None:
            self._giving_up.cancel()
        await asyncio.gather(*(post.server.close() for post in self._posts))

    def _fill(self) -> None:
        while self._waiting and (post := self._choose(self._waiting[0])):
            post.load += 1
            self._start(self._try(self._waiting.popleft(), post))
        if any(post.up for post in self._posts):
            if self._giving_up is not None:
                self._giving_up.cancel()
                self._giving_up = None
        elif self._waiting and self._giving_up is None:
            self._giving_up = self._loop.call_later(self._patience, self._give_up)

    def _choose(self, job: _Job) -> _Post | None:
        free = [p for p in self._posts if p.up and not p.rests and p.load < self._concurrency]
        return min(free, key=lambda p: (p is job.failed_at, p.load), default=None)

    async def _try(self, job: _Job, post: _Post) -> None:
        try:
            self._deliver(await post.server.run(job.request))
        except Unreachable:
            self._waiting.appendleft(job)  # not the request's own failure
            self._set_aside(post)
        except Refused as error:
            self._fail(job, post, str(error))
        except Passing as error:
            job.failures += 1
            job.failed_at = post
            if job.failures == _TRIES:
                self._fail(job, post, f"{error}, at the third try")
            else:
                # Full jitter, so that what failed together does not come back together.
                wait = random.uniform(0, _BACKOFF * 2**job.failures)
                self._loop.call_later(wait, self._again, job)
            if isinstance(error, Away):
                self._set_aside(post)
            if error.retry_after:
                post.rests += 1
                self._loop.call_later(min(error.retry_after, _LONGEST_REST), self._rested, post)
        finally:
            post.load -= 1
        self._fill()

    def _again(self, job: _Job) -> None:
        self._waiting.appendleft(job)
        self._fill()

    def _rested(self, post: _Post) -> None:
        post.rests -= 1
        self._fill()

    def _fail(self, job: _Job, post: _Post, why: str) -> None:
        reason = f"{post.server.url} {why}"
        self._deliver(Completion(job.request, finish_reason="error", error=reason))

    def _set_aside(self, post: _Post) -> None:
        if post.up:
            post.up = False
            self._start(self._look_after(post))

    async def _look_after(self, post: _Post) -> None:
        wait = 0.25
        while not post.up:
            await asyncio.sleep(random.uniform(wait / 2, wait))
            post.up = await post.server.is_healthy()
            wait = min(2 * wait, _LONGEST_CHECK)
        self._fill()

    def _give_up(self) -> None:
        urls = ", ".join(post.server.url for post in self._posts)
        self._deliver(
            EngineError(
                f"the server at {urls} went away and was not back within "
                f"{self._patience:g} s; start it and run again: what was finished stays."
            )
        )

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._deliver(error)
