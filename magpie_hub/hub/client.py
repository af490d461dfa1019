"""The client libraries, their waits and their errors: every request ends, what passes by itself is
waited for, and what does not leaves as one sentence."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from magpie_hub.errors import HubError

if TYPE_CHECKING:
    from httpx2 import Client, Request, Response
    from huggingface_hub import HfApi

Report = Callable[[str], None]
T = TypeVar("T")

DEFAULT_ENDPOINT = "https://huggingface.co"
HIDDEN = "hf_***"  # stands where a token stood
TIMEOUT = 120.0  # seconds without a byte; the libraries would wait for ever
WAITS = (1.0, 2.0, 4.0, 8.0)  # seconds before each try after the first
LONGEST_WAIT = 60.0  # seconds that the Hub may ask us to wait; more is an error
XET_WAITS = ("HF_XET_CLIENT_RETRY_MAX_DURATION", "10s")  # its own would be six minutes, unseen
PASSING = (408, 409, 412, 429, 500, 502, 503, 504)  # looking again shows what to do


@contextmanager
def connect(
    repo_id: str, token: str | None, *, reading: bool = False
) -> Iterator[tuple[HfApi, str]]:
    """A client and the token that it uses; what it raises leaves as one ``HubError``. ``reading``
    needs no token; where there is none it is the empty string."""
    from huggingface_hub import HfApi, get_token

    secret = ""
    try:
        with bounded(bars=reading or sys.stderr.isatty()):
            secret = (token or get_token() or "").strip()
            if not secret and not reading:
                raise HubError(
                    "There is no token for the Hub; set HF_TOKEN or run `hf auth login`."
                )
            yield HfApi(token=secret or False), secret
    except failures() as error:
        sentence = _sentence(error, repo_id, reading)
        raise HubError(sentence.replace(secret, HIDDEN) if secret else sentence) from error


@contextmanager
def bounded(*, bars: bool) -> Iterator[None]:
    """The libraries as they should be: they do not wait for ever, and their log shows no address
    that lets others in. ``bars``: they may show progress in their own way, which floods a log."""
    from huggingface_hub import constants, file_download, set_client_factory
    from huggingface_hub.utils import _http
    from huggingface_hub.utils.tqdm import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    def client() -> Client:
        made = before()
        hooks = made.event_hooks
        made.event_hooks = {
            "request": [*hooks["request"], _bound],
            "response": [*hooks["response"], _refuse_long_waits],
        }
        return made

    os.environ.setdefault(*XET_WAITS)
    logs = [logging.getLogger(each.__name__) for each in (_http, file_download)]
    told = constants.HF_HUB_DISABLE_PROGRESS_BARS is not None
    quiet = not (bars or told or are_progress_bars_disabled())
    before = _http._GLOBAL_CLIENT_FACTORY  # a caller's proxies and certificates stay in force
    set_client_factory(client)
    for log in logs:
        log.addFilter(_unsigned)
    if quiet:
        disable_progress_bars()
    try:
        yield
    finally:
        if quiet:
            enable_progress_bars()
        for log in logs:
            log.removeFilter(_unsigned)
        set_client_factory(before)


def _unsigned(record: logging.LogRecord) -> bool:
    """An address of the storage is signed in its query."""
    record.msg, record.args = re.sub(r"\?\S*", "", record.getMessage()), None
    return True


def _bound(request: Request) -> None:
    """Some calls of the libraries have no timeout, whatever the client's is."""
    given = request.extensions.get("timeout", {})
    kinds = ("connect", "read", "write", "pool")
    request.extensions["timeout"] = {
        kind: TIMEOUT if given.get(kind) is None else given[kind] for kind in kinds
    }


def _asked_wait(response: Response) -> float:
    """Seconds that the Hub asks to wait; 0 where it does not say."""
    used_up = re.search(r"\br=0;\s*t=(\d+)", response.headers.get("ratelimit", ""))
    asked = used_up[1] if used_up else response.headers.get("retry-after", "")
    return float(asked) if asked.isdigit() and response.status_code in PASSING else 0.0


def _refuse_long_waits(response: Response) -> None:
    """The libraries would sleep for as long as they are told."""
    if (wait := _asked_wait(response)) > LONGEST_WAIT:
        raise HubError(
            f"The Hub asks to wait {wait:.0f} s ({response.status_code}); run this again after "
            "that. What is done stays done, and a push goes on from it."
        )


def patiently(call: Callable[[], T], report: Report) -> T:
    """``call``, again after what passes by itself. It must look at the Hub first each time."""
    for wait in WAITS:
        try:
            return call()
        except failures() as error:
            found = _behind(error)
            if (why := _passing(found)) is None:
                raise
            wait = max(wait, _asked_wait(found.response) if hasattr(found, "response") else 0)
            report(f"{why}; looking again in {wait:.0f} s.")
            time.sleep(wait)
    return call()


def _behind(error: BaseException) -> BaseException:
    """The answer, or what became of the connection, where the libraries wrap it: that a file could
    not be sent or fetched says no more."""
    from huggingface_hub.errors import LocalEntryNotFoundError

    chain = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(cause)
    wraps = isinstance(error, (RuntimeError, LocalEntryNotFoundError))
    kinds = (HubError, _http_error()) if wraps else (HubError,)
    return next((each for each in chain if isinstance(each, kinds)), error)


def _passing(error: BaseException) -> str | None:
    """What happened, where trying again may help."""
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        if _of_storage(error.response):
            return f"The storage behind the Hub answered {status}"
        if status in (409, 412):
            return "Someone else changed the repository meanwhile"
        return f"The Hub answered {status}" if status in PASSING else None
    if isinstance(error, _http_error()):
        return f"The connection to the Hub failed ({type(error).__name__})"
    if isinstance(error, ConnectionError) and not isinstance(error, OfflineModeIsEnabled):
        if _refused_by_xet(error):
            return None
        return "The connection to the storage behind the Hub failed"
    if isinstance(error, json.JSONDecodeError):
        return "Something that is not the Hub answered"
    return None


def _of_storage(response: Response) -> bool:
    """Its addresses run out after a while; looking again brings new ones."""
    from huggingface_hub import constants

    return not str(response.request.url).startswith(f"{constants.ENDPOINT}/")


def _refused_by_xet(error: BaseException) -> str | None:
    """The status and its name, which xet gives in words alone."""
    found = re.search(r"HTTP status client error \((?!408|429)([^)]+)\)", str(error))
    return found[1] if found else None


def _http_error() -> type[Exception]:
    """The root of the HTTP library's errors: httpx or httpx2, by the line of huggingface_hub."""
    from huggingface_hub.errors import HfHubHTTPError

    return HfHubHTTPError.__bases__[0]


def failures() -> tuple[type[Exception], ...]:
    """All that the libraries raise; xet raises the builtin ``ConnectionError``, an ``OSError``."""
    from huggingface_hub import errors

    login = (getattr(errors, name, OSError) for name in ("OIDCError", "DeviceCodeError"))
    return (_http_error(), OSError, ValueError, RuntimeError, *login)


def _sentence(error: BaseException, repo_id: str, reading: bool) -> str:
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
    )

    again = "try again" if reading else "push again"
    goes_on = "" if reading else " What is there stays, and the push goes on from it."
    error = _behind(error)
    if isinstance(error, HubError):
        return str(error)
    if isinstance(error, HfHubHTTPError) and not isinstance(error, ValueError):
        said = f" ({error.server_message})" if error.server_message else ""
        status = error.response.status_code
        if isinstance(error, GatedRepoError):
            return (
                f"{repo_id} is gated, and the account of this token was not let in; ask for "
                "access on its page, or use another token."
            )
        if reading and isinstance(error, RepositoryNotFoundError) and status != 403:
            return (
                f"{repo_id} cannot be fetched from the Hub (it is not there, or the token may not "
                "see it); check the name and HF_TOKEN."
            )
        if status in PASSING or _of_storage(error.response):
            who = "storage behind the Hub" if _of_storage(error.response) else "Hub"
            return (
                f"The {who} still answers {status} after {len(WAITS) + 1} tries{said}; {again} "
                f"later.{goes_on}"
            )
        if status == 401:
            return (
                "The Hub does not accept the token: it is wrong, expired or revoked; set HF_TOKEN "
                "to a valid one or run `hf auth login`."
            )
        if status == 403 and reading:
            return (
                f"The token may not read {repo_id}{said}; ask for access on its page, or use "
                "another token."
            )
        if status == 403:
            return (
                f"The token may not write to {repo_id}{said}; use one with write access to "
                f"{repo_id.split('/')[0]}, or push to a name of your own."
            )
        return f"The Hub refused with {status}{said}; nothing more was changed in {repo_id}."
    if isinstance(error, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set, so the Hub cannot be reached; unset it."
    if refused := _refused_by_xet(error):
        return (
            f"The storage of {repo_id} does not let this token in ({refused}); use another token, "
            f"or set HF_HUB_DISABLE_XET=1 to go without xet, then {again}.{goes_on}"
        )
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename} on this machine: {error.strerror}; mend that, then {again}."
    text = " ".join(str(error).split()).rstrip(".")
    if text.startswith("LFS batch API returned errors"):  # one for each file, all the same
        text = "; ".join(dict.fromkeys(re.findall("`(.*?)[.]?`", f"{text}`"))) or text
    if isinstance(error, (_http_error(), OSError, json.JSONDecodeError)):
        return (
            f"The Hub could not be reached ({text or type(error).__name__}); check the network and "
            f"HF_ENDPOINT, then {again}.{goes_on}"
        )
    if reading:
        return f"{repo_id} cannot be read: {text}."
    return f"The Hub refused: {text}. Nothing was released; mend that and push again."


def check_card(api: HfApi, text: str) -> None:
    """Have the Hub look at a card. ``HubError`` says what it does not accept."""
    from huggingface_hub.utils._headers import build_hf_headers
    from huggingface_hub.utils._http import get_session, hf_raise_for_status

    answer = get_session().post(
        f"{api.endpoint}/api/validate-yaml",
        json={"content": text, "repoType": "dataset"},
        headers=build_hf_headers(token=api.token),
    )
    if answer.status_code == 400:
        wrong = [str(each.get("message")) for each in answer.json().get("errors", [])]
        raise HubError(
            f"The Hub does not accept the card: {'; '.join(wrong).rstrip('.')}. Nothing was "
            "released; mend README.md on the Hub where that is not the release's, or build again."
        )
    hf_raise_for_status(answer)
