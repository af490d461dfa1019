"""The server engine: any server of raw completions, one or several of the same model.

    vLLM, SGLang     token ids in, token ids out
    llama.cpp        token ids in; out where it gives them, else its text is encoded again
    others           text, where that can be exact (client.py)

The HTTP traffic has an event loop of its own in a background thread, so that whoever drives the
engine may compute meanwhile.
"""

from __future__ import annotations

import asyncio
import difflib
import os
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import wait
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, TypeVar
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    field_validator,
)

from magpie_hub.engines import Completion, EngineFacts, Request, Task
from magpie_hub.engines.server.client import Server
from magpie_hub.engines.server.crew import Crew
from magpie_hub.engines.server.dialects import Vocabulary
from magpie_hub.errors import UsageError
from magpie_hub.models import Model

_T = TypeVar("_T")
_KEY = "MAGPIE_HUB_SERVER_KEY"
_LOOK = 0.5
"""Seconds of waiting at a stretch. Ctrl-C that reaches the other thread would not end a wait."""


class Options(BaseModel):
    """``concurrency``: requests in flight at each URL. ``timeout``, ``connect_timeout``: seconds a
    request. ``patience``: seconds for which there may be no server at all. ``api_key_env``: the
    environment variable that holds the key."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: tuple[str, ...]
    served_model: str | None = None
    concurrency: PositiveInt = 64
    timeout: PositiveFloat = 600.0
    connect_timeout: PositiveFloat = 10.0
    patience: NonNegativeFloat = 60.0
    api_key_env: str | None = None

    @field_validator("url", mode="before")
    @classmethod
    def _urls(cls, value: object) -> tuple[str, ...]:
        given = value.split(",") if isinstance(value, str) else value
        if not isinstance(given, Sequence) or not given:
            raise ValueError("give one URL or several with commas between them")
        return tuple(dict.fromkeys(_base(str(url)) for url in given))

    @classmethod
    def parse(cls, options: Mapping[str, Any]) -> Options:
        """``UsageError`` names the option and what to write."""
        try:
            return cls.model_validate(dict(options))
        except ValidationError as error:
            first = error.errors()[0]
            name = str(first["loc"][0])
        if first["type"] == "missing":
            raise UsageError(
                "the server engine needs to know the server; pass "
                "--engine-arg url=http://127.0.0.1:8000."
            )
        if first["type"] == "extra_forbidden":
            close = difflib.get_close_matches(name, cls.model_fields, n=1)
            hint = (
                f"did you mean '{close[0]}'?"
                if close
                else f"it has: {', '.join(cls.model_fields)}."
            )
            raise UsageError(f"the server engine has no option '{name}'; {hint}")
        why = first["msg"].removeprefix("Value error, ")
        raise UsageError(f"the server engine's option '{name}': {why}.")

    def key(self) -> str | None:
        """``UsageError`` where the variable that was named is not set."""
        if self.api_key_env and not os.environ.get(self.api_key_env):
            raise UsageError(f"api_key_env names {self.api_key_env}, which is not set; export it.")
        return os.environ.get(self.api_key_env or _KEY) or None


def open_engine(model: Model, task: Task, options: Mapping[str, Any]) -> ServerEngine:
    return ServerEngine(Options.parse(options), model, task)


class ServerEngine:
    """Requests go to the servers as they come; completions come as they finish."""

    batched = False

    def __init__(self, options: Options, model: Model, task: Task) -> None:
        self.capacity = 2 * options.concurrency * len(options.url)
        self._urls = len(options.url)
        self._flying = 0
        self._lost: BaseException | None = None
        self._finished: SimpleQueue[Completion | BaseException] = SimpleQueue()
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="magpie-hub server", daemon=True)
        self._thread.start()
        try:
            self._crew = self._wait(self._begin(options, model, task))
        except BaseException:
            self.close()
            raise

    @property
    def facts(self) -> EngineFacts:
        # The seeds are sent, but who else the server computes for, and on what, nobody tells us.
        return EngineFacts(
            name="server",
            version=self._crew.version,
            device="server",
            devices=self._urls,
            determinism="plan",
        )

    def submit(self, requests: Sequence[Request]) -> None:
        """``EngineError`` where a server cannot hold an output to a schema, or has no repetition
        penalty."""
        if any(request.schema is not None for request in requests):
            self._crew.require_schemas()
        if any(r.decoding is not None and r.decoding.repetition_penalty != 1 for r in requests):
            self._crew.require_penalties()
        self._flying += len(requests)
        self._loop.call_soon_threadsafe(self._crew.admit, tuple(requests))

    def poll(self) -> list[Completion]:
        if self._lost is None and not self._flying:
            return []
        completions: list[Completion] = []
        while self._lost is None:
            try:
                item = self._finished.get(block=not completions, timeout=_LOOK)
            except Empty:
                if completions:
                    break
                continue
            if isinstance(item, Completion):
                completions.append(item)
            else:
                self._lost = item
        if self._lost is not None and not completions:
            raise self._lost
        self._flying -= len(completions)
        return completions

    def close(self) -> None:
        if self._loop.is_closed():
            return
        self._wait(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._flying = 0

    async def _begin(self, options: Options, model: Model, task: Task) -> Crew:
        vocabulary = Vocabulary.load(model)
        key = options.key()
        servers = [
            Server(
                url,
                model=model,
                vocabulary=vocabulary,
                key=key,
                timeout=options.timeout,
                connect_timeout=options.connect_timeout,
            )
            for url in options.url
        ]
        try:
            await asyncio.gather(*(server.open(options.served_model, task) for server in servers))
        except BaseException:
            await asyncio.gather(*(server.close() for server in servers))
            raise
        return Crew(
            servers,
            concurrency=options.concurrency,
            patience=options.patience,
            deliver=self._finished.put,
        )

    async def _end(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        if crew := getattr(self, "_crew", None):
            await crew.close()
        await self._loop.shutdown_asyncgens()

    def _wait(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        while not future.done():
            wait([future], timeout=_LOOK)
        return future.result()


def _base(url: str) -> str:
    """Without ``/v1``. ``ValueError`` where it is no URL of a server, or one with a password."""
    parts = urlsplit(url.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise ValueError("a server's URL looks like http://127.0.0.1:8000")
    if parts.username is not None or parts.password is not None:
        raise ValueError(f"put the key into the environment variable {_KEY}, not into the URL")
    return url.strip().rstrip("/").removesuffix("/v1").rstrip("/")
