"""A completion server that does what a test tells it: for faults, and for kinds that are not here.

It answers with the words of :attr:`FakeServer.answer` and the request's seed, so that an answer
shows whose it is. It counts tokens with the real tokenizer.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

from magpie_hub.engines.server.dialects import Vocabulary


@dataclass(frozen=True)
class Fault:
    """What happens to one completion request instead of an answer."""

    status: int = 500
    message: str = "out of order"
    headers: dict[str, str] = field(default_factory=dict)
    how: Literal["answer", "reset", "hang"] = "answer"


RESET = Fault(how="reset")
HANG = Fault(how="hang")


@dataclass(frozen=True)
class Asked:
    path: str
    body: dict[str, Any]
    authorization: str | None


class FakeServer:
    """``with FakeServer(vocabulary) as server``; ``stop`` is what a death looks like from outside.

    ``faults`` befall the next completion requests, one each; ``always`` all of them. ``health`` is
    the status of /health. While ``gate`` is clear, completion requests wait.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        *,
        kind: str = "vllm",
        models: Iterable[str] = ("served",),
        port: int = 0,
        takes_ids: bool = True,
        adds_bos: bool = False,
        miscounts: int = 0,
        context: int | None = None,
        answer: str = "Answer",
    ) -> None:
        self.vocabulary = vocabulary
        self.kind = kind
        self.models = list(models)
        self.takes_ids = takes_ids
        self.adds_bos = adds_bos
        self.miscounts = miscounts
        self.context = context
        self.answer = answer
        self.faults: deque[Fault] = deque()
        self.always: Fault | None = None
        self.health = 200
        self.gate = threading.Event()
        self.gate.set()
        self.asked: list[Asked] = []
        self.flying = 0
        self.most_flying = 0
        self.lock = threading.Lock()
        self.stopped = threading.Event()
        self.connections: set[socket.socket] = set()
        self._http = _Http(("127.0.0.1", port), _Handler)
        self._http.fake = self
        self.port = self._http.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))

    def __enter__(self) -> FakeServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        if self.stopped.is_set():
            return
        self.stopped.set()
        self.gate.set()
        self._http.shutdown()
        self._thread.join()
        self._http.socket.close()
        with self.lock:
            for connection in self.connections:
                connection.shutdown(socket.SHUT_RDWR)
        self._http.server_close()

    def forget(self) -> None:
        """What was asked so far, which was the engine's opening."""
        self.asked.clear()
        self.most_flying = 0

    @property
    def completions(self) -> list[dict[str, Any]]:
        with self.lock:
            return [asked.body for asked in self.asked if asked.path == "/v1/completions"]

    def listing(self) -> dict[str, Any]:
        extra = {} if self.context is None else {"max_model_len": self.context}
        return {"data": [{"id": name, "owned_by": self.kind, **extra} for name in self.models]}

    def complete(self, body: dict[str, Any]) -> dict[str, Any]:
        prompt = body["prompt"]
        if isinstance(prompt, str):
            prompt = [*[0] * self.adds_bos, *self.vocabulary.ids(prompt)]
        text = f"{self.answer} {body['seed']}"
        ids = [*self.vocabulary.ids(text), *body.get("stop_token_ids", [])[:1]]
        finish = "stop"
        if len(ids) > body["max_tokens"]:
            ids, finish = ids[: body["max_tokens"]], "length"
        choice: dict[str, Any] = {"index": 0, "text": text, "finish_reason": finish}
        data: dict[str, Any] = {
            "choices": [choice],
            "usage": {"prompt_tokens": len(prompt) + self.miscounts},
        }
        if body.get("return_token_ids"):
            choice["token_ids"] = ids
        if body.get("return_tokens") and body.get("verbose"):
            data["__verbose"] = {"tokens": ids}
        return data


class _Http(ThreadingHTTPServer):
    fake: FakeServer
    daemon_threads = False
    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that was broken off on purpose is nothing to report."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or each body waits 40 ms for the client's word on the headers
    server: _Http

    def setup(self) -> None:
        super().setup()
        with self.server.fake.lock:
            self.server.fake.connections.add(self.connection)

    def finish(self) -> None:
        with self.server.fake.lock:
            self.server.fake.connections.discard(self.connection)
        super().finish()

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        fake = self.server.fake
        self._note({})
        if self.path == "/v1/models":
            self._reply(200, fake.listing())
        elif self.path == "/version" and fake.kind == "vllm":
            self._reply(200, {"version": "1.2.3"})
        elif self.path == "/health":
            self._reply(fake.health, None)
        else:
            self._reply(404, {"detail": "Not Found"})

    def do_POST(self) -> None:
        fake = self.server.fake
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._note(body)
        with fake.lock:
            fake.flying += 1
            fake.most_flying = max(fake.most_flying, fake.flying)
            fault = fake.faults.popleft() if fake.faults else fake.always
        try:
            fake.gate.wait()
            if fault is None:
                self._answer(body)
            else:
                self._fail(fault)
        finally:
            with fake.lock:
                fake.flying -= 1

    def _answer(self, body: dict[str, Any]) -> None:
        fake = self.server.fake
        if self.path == "/pooling" and fake.kind == "vllm":
            self._reply(200, {"data": [{"data": [float(len(body["input"]))]}]})
        elif self.path != "/v1/completions":
            self._reply(404, {"detail": "Not Found"})
        elif isinstance(body["prompt"], list) and not fake.takes_ids:
            self._reply(422, {"error": "prompt must be a string"})
        else:
            self._reply(200, fake.complete(body))

    def _fail(self, fault: Fault) -> None:
        if fault.how == "hang":
            self.server.fake.stopped.wait()
        if fault.how == "answer":
            self._reply(fault.status, {"error": {"message": fault.message}}, fault.headers)
            return
        # With nothing to linger for, closing sends a reset.
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.close_connection = True

    def _note(self, body: dict[str, Any]) -> None:
        fake = self.server.fake
        with fake.lock:
            fake.asked.append(Asked(self.path, body, self.headers["Authorization"]))

    def _reply(self, status: int, data: Any, headers: dict[str, str] | None = None) -> None:
        payload = b"" if data is None else json.dumps(data).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)
