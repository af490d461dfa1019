"""HTTP with one server, and what may go wrong with it.

Traffic goes to the URL that was given and nowhere else: redirects are not followed, and a proxy
from the environment is not asked on the way to this machine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import httpx

_GATEWAY = (502, 503, 504)
_LONGEST_MESSAGE = 200


class Unreachable(Exception):
    """The server takes no connection."""


class Passing(Exception):
    """A failure that may be over at the next try, not before ``retry_after`` seconds."""

    def __init__(self, reason: str, retry_after: float = 0.0) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class Away(Passing):
    """A gateway answered that its server does not."""


class Refused(Exception):
    """The server will not do this, however often it is asked."""

    def __init__(self, reason: str, status: int = 0) -> None:
        super().__init__(reason)
        self.status = status


class Connection:
    """``key`` goes with every request, and into no message. ``timeout``: seconds until the whole
    answer is there."""

    def __init__(
        self, url: str, *, key: str | None, timeout: float, connect_timeout: float
    ) -> None:
        self._url = url
        self._key = key
        self._timeout = timeout
        self._connect_timeout = connect_timeout
        self._clients: list[httpx.AsyncClient] = []
        self._idle: list[httpx.AsyncClient] = []
        self._trust_env = not _is_loopback(url)
        self._ssl = httpx.create_ssl_context(trust_env=self._trust_env)

    async def close(self) -> None:
        for client in self._clients:
            await client.aclose()

    async def ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        lenient: bool = False,
    ) -> Any:  # noqa: ANN401 (what a server sent)
        """The JSON of the answer; None where there is none and ``lenient``. ``Unreachable``,
        ``Passing`` or ``Refused`` where the status is not 200."""
        client = self._idle.pop() if self._idle else self._client()
        try:
            # httpx's own limit is for each piece of an answer, this one for all of it.
            async with asyncio.timeout(self._timeout):
                response = await client.request(method, path, json=body)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise Unreachable("refuses connections") from error
        except (TimeoutError, httpx.TimeoutException) as error:
            raise Passing(f"did not answer within {self._timeout:g} s") from error
        except httpx.RequestError as error:
            raise Passing("broke the connection off") from error
        finally:
            self._idle.append(client)
        status = response.status_code
        if status == 429 or (status >= 500 and status != 501):
            kind = Away if status in _GATEWAY else Passing
            raise kind(f"answered {status}: {self._said(response)}", _retry_after(response))
        if status != 200:
            raise Refused(f"answered {status}: {self._said(response)}", status)
        try:
            return response.json()
        except ValueError as error:
            if lenient:
                return None
            raise Passing("answered with something that is not JSON") from error

    def _client(self) -> httpx.AsyncClient:
        # A client a connection: httpx's pool looks at all of its connections with each request,
        # measured at 5.9 ms of CPU a request with 64 of them, and at 1.4 ms this way.
        client = httpx.AsyncClient(
            base_url=self._url,
            headers={"Authorization": f"Bearer {self._key}"} if self._key else {},
            timeout=httpx.Timeout(self._timeout, connect=self._connect_timeout),
            # Servers drop idle connections after five seconds; ours must not be the one just then.
            limits=httpx.Limits(keepalive_expiry=2.0),
            verify=self._ssl,
            trust_env=self._trust_env,
        )
        self._clients.append(client)
        return client

    def _said(self, response: httpx.Response) -> str:
        """The server's own words, short, on one line and without our key."""
        try:
            data = response.json()
            error = data.get("error", data)
            text = error if isinstance(error, str) else error.get("message") or error.get("detail")
        except (ValueError, AttributeError):
            text = response.text
        text = " ".join(str(text or response.reason_phrase).split())
        if self._key:
            text = text.replace(self._key, "***")
        return text[:_LONGEST_MESSAGE].rstrip(".")


def _retry_after(response: httpx.Response) -> float:
    value = response.headers.get("Retry-After", "0")
    try:
        if value.isdigit():
            return float(value)
        return max((parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds(), 0.0)
    except (ValueError, TypeError):
        return 0.0


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
