"""One completion server: finding out what it is, and asking it.

Magpie gives a model the bare left side of its chat template, so a server must complete raw prompts.
They go as token ids where it takes them. Where it takes text alone, a prompt goes as text that our
own tokenizer maps back to exactly these ids, and the server's count of them must be ours.
"""

from __future__ import annotations

from typing import Any

from magpie_hub.engines import Completion, Decoding, Request, Task
from magpie_hub.engines.server.dialects import Answer, Kind, Vocabulary, body
from magpie_hub.engines.server.http import Connection, Passing, Refused, Unreachable
from magpie_hub.errors import EngineError, UsageError
from magpie_hub.models import Model

_PROBE = "Hello"
_NO_SUCH_PATH = (404, 405, 501)


class Server:
    """A server at one URL. Made by :meth:`open`, which asks it what it is; used on one event loop.

    ``url`` has no ``/v1``. ``takes_ids``: prompts as token ids. ``adds_bos``: to a prompt that is
    text. ``context``: tokens, prompt and completion together, where the server tells.
    """

    def __init__(
        self,
        url: str,
        *,
        model: Model,
        vocabulary: Vocabulary,
        key: str | None,
        timeout: float,
        connect_timeout: float,
    ) -> None:
        self.url = url
        self.kind: Kind = "other"
        self.version = "unknown"
        self.context: int | None = None
        self.takes_ids = True
        self.adds_bos = False
        self._model = model
        self._vocabulary = vocabulary
        self._http = Connection(url, key=key, timeout=timeout, connect_timeout=connect_timeout)
        self._name = model.ref
        self._health = "/v1/models"

    async def open(self, served_model: str | None, task: Task) -> None:
        """Ask what it serves and how it wants its prompts. ``EngineError`` or ``UsageError`` with
        the reason why it cannot be used."""
        try:
            await self._introduce(served_model)
            if task == "score":
                await self._try_scoring()
            else:
                await self._try_completing()
        except Unreachable as error:
            raise EngineError(
                f"no server answers at {self.url}; start it or leave it out of url."
            ) from error
        except Passing as error:
            raise EngineError(
                f"{self.url} {error}; look after the server and try again."
            ) from error
        except Refused as error:
            if error.status in (401, 403):
                raise UsageError(
                    f"{self.url} lets nobody in without a key ({error.status}); put it into the "
                    "environment variable MAGPIE_HUB_SERVER_KEY, or name another with "
                    "--engine-arg api_key_env=NAME."
                ) from error
            raise EngineError(f"{self.url} {error}.") from error

    async def close(self) -> None:
        await self._http.close()

    async def is_healthy(self) -> bool:
        try:
            await self._http.ask("GET", self._health, lenient=True)
        except (Unreachable, Passing, Refused):
            return False
        return True

    async def run(self, request: Request) -> Completion:
        """``Unreachable``, ``Passing`` or ``Refused`` where it comes to nothing."""
        return await (self._complete(request) if request.decoding else self._score(request))

    async def _introduce(self, served_model: str | None) -> None:
        try:
            listed = (await self._http.ask("GET", "/v1/models"))["data"]
            models = {str(entry["id"]): entry for entry in listed}
        except (KeyError, TypeError) as error:
            raise Refused("lists no models at /v1/models") from error
        self._name = self._choose(served_model, list(models))
        entry = models.get(self._name, {})
        kinds: dict[str, Kind] = {"vllm": "vllm", "sglang": "sglang", "llamacpp": "llamacpp"}
        self.kind = kinds.get(str(entry.get("owned_by")), "other")
        if isinstance(length := entry.get("max_model_len"), int):
            self.context = length
        if await self._offers("/health") is not None:
            self._health = "/health"
        if self.kind != "other":
            told = await self._offers("/version") or {}
            self.version = f"{self.kind} {told.get('version', '')}".strip()

    async def _offers(self, path: str) -> dict[str, Any] | None:
        """What stands at a path that not every server has."""
        try:
            data = await self._http.ask("GET", path, lenient=True)
        except Refused:
            return None
        return data if isinstance(data, dict) else {}

    def _choose(self, wanted: str | None, listed: list[str]) -> str:
        name = wanted or self._model.ref
        if name in listed or not listed:  # those that load on demand may list none
            return name
        if wanted is None and len(listed) == 1:
            return listed[0]
        raise UsageError(
            f"{self.url} serves no model '{name}'; it has: {', '.join(listed)}; choose with "
            "--engine-arg served_model=NAME."
        )

    async def _try_completing(self) -> None:
        ids = self._vocabulary.ids(_PROBE)
        try:
            if await self._count(list(ids)) in (None, len(ids)):
                return
        except (Refused, Passing) as error:
            # Of servers that take none, some refuse ids and some fall over them.
            if self.kind != "other" or getattr(error, "status", 0) in (401, 403):
                raise
        self.takes_ids = False
        counted = await self._count(_PROBE)
        if counted == len(ids) + 1 and self._vocabulary.bos is not None:
            self.adds_bos = True
        elif counted != len(ids):
            raise Refused(
                f"takes text alone and counts {counted} tokens where the tokenizer of "
                f"{self._model.ref} has {len(ids)}, so what it reads would not be the prompt; "
                "serve that model, by a server that takes token ids"
            )

    async def _count(self, prompt: list[int] | str) -> int | None:
        """How many tokens the server finds in ``prompt``, which it completes by one."""
        try:
            answer = await self._answer(Request((), Decoding(0.0, 1.0, 1)), prompt, 1)
        except Refused as error:
            if error.status in _NO_SUCH_PATH or "chat" in str(error).lower():
                raise EngineError(
                    f"{self.url} does not complete raw prompts at /v1/completions ({error}); "
                    "Magpie feeds a bare part of the chat template, and a chat endpoint would put "
                    "its own template around it."
                ) from error
            raise
        return answer.prompt_tokens

    async def _complete(self, request: Request) -> Completion:
        assert request.decoding is not None
        max_tokens = request.decoding.max_tokens
        if self.context is not None:
            if len(request.prompt) >= self.context:
                return Completion(request, finish_reason="length")
            # vLLM refuses what might not fit instead of stopping at the end.
            max_tokens = min(max_tokens, self.context - len(request.prompt))
        prompt = list(request.prompt) if self.takes_ids else self._as_text(request)
        answer = await self._answer(request, prompt, max_tokens)
        if not self.takes_ids and answer.prompt_tokens != len(request.prompt):
            raise Refused(
                f"read {answer.prompt_tokens} tokens where the prompt has {len(request.prompt)}"
            )
        try:
            return answer.completion(request, self._vocabulary)
        except ValueError as error:
            raise Passing(str(error)) from error

    def _as_text(self, request: Request) -> str:
        ids = request.prompt
        if self.adds_bos:
            if ids[:1] != (self._vocabulary.bos,):
                raise Refused("puts a BOS token before every prompt, and this one has none")
            ids = ids[1:]
        text = self._vocabulary.text(ids)
        if self._vocabulary.ids(text) != ids:
            raise Refused("takes text alone, and the text of this prompt is not exactly its tokens")
        return text

    async def _answer(self, request: Request, prompt: list[int] | str, max_tokens: int) -> Answer:
        fields = body(self.kind, request, max_tokens, self._vocabulary)
        data = await self._http.ask(
            "POST", "/v1/completions", {"model": self._name, "prompt": prompt, **fields}
        )
        try:
            return Answer.read(data)
        except ValueError as error:
            raise Passing("answered with something that is no completion") from error

    async def _try_scoring(self) -> None:
        elsewhere = "score with the transformers engine"
        if self.kind != "vllm":
            raise Refused(f"has no way to raw scores; {elsewhere}")
        try:
            await self._score(Request(prompt=self._vocabulary.ids(_PROBE)))
        except Refused as error:
            if error.status in (401, 403):
                raise
            raise Refused(f"gives no scores ({error}); {elsewhere}") from error

    async def _score(self, request: Request) -> Completion:
        if self.context is not None and len(request.prompt) > self.context:
            raise Refused(f"reads {self.context} tokens, and this text has {len(request.prompt)}")
        data = await self._http.ask(
            "POST",
            "/pooling",
            {
                "model": self._name,
                "input": list(request.prompt),
                "task": "classify",
                "use_activation": False,
                "encoding_format": "float",
            },
        )
        try:
            scores = tuple(float(value) for value in data["data"][0]["data"])
        except (KeyError, IndexError, TypeError) as error:
            raise Passing("answered with something that is no scores") from error
        return Completion(request, scores=scores)
