"""The transport under the server: HTTP/1.1 with keep-alive, HEAD and Range, a journal of every
request, and the faults that a test ordered."""

from __future__ import annotations

import json
import re
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.hub.faults import Fault
from tests.hub.store import Refusal

if TYPE_CHECKING:
    from tests.hub.server import Hub

MAX_BODY = 1 << 30


@dataclass
class Request:
    """``path`` as sent, without the query; ``token`` is what came in ``Authorization``."""

    host: str
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    token: str | None
    status: int | None = None

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Reply:
    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    file: Path | None = None


class Journal:
    """Every request in the order in which it came; ``status`` is ``None`` where no answer went
    out."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.requests: list[Request] = []

    def add(self, request: Request) -> None:
        with self._lock:
            self.requests.append(request)

    def find(self, pattern: str, host: str | None = None) -> list[Request]:
        return [
            r
            for r in self.requests
            if re.search(pattern, f"{r.method} {r.path}") and host in (None, r.host)
        ]

    def writes(self) -> list[Request]:
        return self.find(r"^(POST|PUT|PATCH|DELETE) ")

    def clear(self) -> None:
        with self._lock:
            self.requests.clear()


Handle = Callable[..., Reply]


class Routes:
    def __init__(self) -> None:
        self._table: list[tuple[str, re.Pattern[str], Handle]] = []

    def __add__(self, other: Routes) -> Routes:
        both = Routes()
        both._table = self._table + other._table
        return both

    def add(self, method: str, pattern: str) -> Callable[[Handle], Handle]:
        """``{name}`` is one path segment, ``{name:repo}`` is ``org/name``, ``{name:rest}`` the
        rest; each comes unquoted."""
        kinds = {"": "[^/]+", "repo": "[^/]+/[^/]+?", "rest": ".+"}
        regex = re.sub(
            r"\{(\w+)(?::(\w+))?\}", lambda m: f"(?P<{m[1]}>{kinds[m[2] or '']})", pattern
        )

        def register(handle: Handle) -> Handle:
            self._table.append((method, re.compile(regex), handle))
            return handle

        return register

    def find(self, method: str, path: str) -> tuple[Handle, dict[str, str]]:
        for known, regex, handle in self._table:
            match = regex.fullmatch(path)
            if match and known == ("GET" if method == "HEAD" else method):
                return handle, {name: unquote(value) for name, value in match.groupdict().items()}
        raise Refusal(404, f"No such endpoint: {method} {path}")


class Host(ThreadingHTTPServer):
    """One origin on loopback; ``port`` 0 is a free one. ``app`` is the first argument of each
    route, and has the journal and the faults; routes run one at a time where there is a
    ``guard``."""

    daemon_threads = False  # so that server_close() waits for the threads

    def __init__(
        self,
        name: str,
        routes: Routes,
        app: Hub,
        address: str = "127.0.0.1",
        guard: AbstractContextManager[Any] | None = None,
        port: int = 0,
    ) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.name, self.routes, self.app, self.address = name, routes, app, address
        self.guard = guard or nullcontext()
        self.errors: list[BaseException] = []
        self.closing = threading.Event()
        self._open: set[socket.socket] = set()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://{self.address}:{self.server_address[1]}"

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        self._open.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exc_info()[1]
        if error is not None and not isinstance(error, (ConnectionError, TimeoutError)):
            self.errors.append(error)

    def stop(self) -> None:
        self.closing.set()
        self.shutdown()
        for connection in list(self._open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # closed meanwhile
        self.server_close()
        self._thread.join()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or each body waits 40 ms for the client's word on the headers
    timeout = 60
    server: Host

    def log_message(self, format: str, *args: object) -> None:
        pass  # the journal has it

    def do_GET(self) -> None:
        host = self.server
        split = urlsplit(self.path)
        authorization = self.headers.get("authorization", "")
        request = Request(
            host.name,
            self.command,
            split.path,
            dict(parse_qsl(split.query)),
            {name.lower(): value for name, value in self.headers.items()},
            b"",
            authorization.removeprefix("Bearer ") or None,
        )
        host.app.journal.add(request)
        fault = host.app.faults.take(request.method, request.path)
        if fault and fault.act and fault.kind != "lost":
            fault.act()
        if fault and fault.kind == "reset":
            return self._hang_up()
        length = int(self.headers.get("content-length") or 0)
        if fault and fault.kind == "cut" and length:
            self.rfile.read(min(fault.after, length))
            return self._hang_up()
        if length > MAX_BODY or "chunked" in self.headers.get("transfer-encoding", ""):
            return self._hang_up()
        request.body = self.rfile.read(length)
        if len(request.body) < length:  # the client went away
            return self._hang_up()
        if fault and fault.kind == "delay":
            host.closing.wait(fault.seconds)
        reply = self._answer(request, fault)
        if fault and fault.kind == "lost":
            if fault.act:
                fault.act()
            if fault.after == 0:
                return self._hang_up()
        request.status = reply.status
        cut = fault.after if fault and fault.kind in ("cut", "lost") else None
        self._send(request, reply, cut)

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET

    def _answer(self, request: Request, fault: Fault | None) -> Reply:
        try:
            if fault and fault.kind == "status":
                raise Refusal(fault.status, fault.message)
            handle, arguments = self.server.routes.find(request.method, request.path)
            with self.server.guard:
                return handle(self.server.app, request, **arguments)
        except Refusal as refusal:
            headers = {"X-Error-Message": str(refusal), **refusal.headers}
            if fault:
                headers |= fault.headers
            return Reply(refusal.body, refusal.status, headers)

    def _send(self, request: Request, reply: Reply, cut: int | None) -> None:
        headers = dict(reply.headers)
        if reply.file is None:
            body = b"" if reply.body is None else json.dumps(reply.body).encode()
            first, length = 0, len(body)
            headers.setdefault("Content-Type", "application/json")
        else:
            body = b""
            size = reply.file.stat().st_size
            first, length = _range(request.headers.get("range"), size)
            headers["Accept-Ranges"] = "bytes"
            if length < size:
                reply.status = request.status = 206
                headers["Content-Range"] = f"bytes {first}-{first + length - 1}/{size}"
        self.send_response(reply.status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        if request.method == "HEAD":
            return
        if cut is not None and cut < length:
            length = cut
            self._hang_up()
        if reply.file is None:
            self.wfile.write(body[:length])
            return
        with reply.file.open("rb") as stream:
            stream.seek(first)
            while length > 0:
                length -= self.wfile.write(stream.read(min(length, 1 << 20)))

    def _hang_up(self) -> None:
        self.close_connection = True


def _range(header: str | None, size: int) -> tuple[int, int]:
    """The first byte and the number of bytes that a Range header asks for."""
    wanted = re.fullmatch(r"bytes=(?:(\d+)-(\d*)|-(\d+))", header or "")
    if wanted is None:
        return 0, size
    if wanted[3]:
        length = min(int(wanted[3]), size)
        return size - length, length
    first = int(wanted[1])
    if first >= size:
        raise Refusal(416, "Range Not Satisfiable")
    return first, min(int(wanted[2] or size), size - 1) - first + 1
