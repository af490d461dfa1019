"""Processes that cost little: forks of one that has imported the client libraries.

The libraries read the environment when they are imported, so all forks share what they read: the
Hub's port, and a home that is a link, which each fork lets point to its own before it begins. What
they read later, such as the token, is each fork's. One difference to `python -c` is wanted:
``time.sleep`` takes a fortieth of what it is told.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import random
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from tests.hub.server import Hub

ADDRESS = "WARM_ADDRESS"  # where a fork finds the process that is forked: in its environment
HOME = "WARM_HOME"
FASTER = 40
AHEAD = (
    *("magpie_hub.hub", "huggingface_hub", "huggingface_hub.hf_api", "datasets"),
    *("pyarrow.dataset", "pyarrow.parquet", "datasets.packaged_modules.parquet.parquet"),
)
LATER = ("aiohttp", "charset_normalizer", "fsspec.implementations.http", "numpy.f2py", "scipy.io")
"""What streaming imports where it is installed."""
OWN = {"HF_HOME", "HF_TOKEN", "HOME", "TMPDIR", "PYTHONPATH", "HF_XET_CLIENT_RETRY_MAX_DURATION"}
"""What a fork may have of its own: it is read when it is used."""


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    said: str


class Process:
    """A fork that runs; what it prints is in files of its folder."""

    def __init__(
        self, address: str, code: str, given: str, *, env: Mapping[str, str], folder: Path
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._line = socket.socket(socket.AF_UNIX)
        self._line.connect(address)
        self._words = self._line.makefile("rw")
        asked = {"code": code, "given": given, "env": dict(env), "folder": str(folder)}
        self._words.write(json.dumps(asked) + "\n")
        self._words.flush()
        self.pid = int(self._words.readline())

    def kill(self) -> None:
        """SIGKILL, to it alone."""
        os.kill(self.pid, signal.SIGKILL)

    def wait(self, seconds: float = 240.0) -> Ended:
        """To its end; what takes longer than ``seconds`` is killed."""
        self._line.settimeout(seconds)
        try:
            status = int(self._words.readline())
        except TimeoutError:
            raise subprocess.TimeoutExpired("a fork", seconds) from None
        finally:
            self._words.close()
            self._line.close()
        out, said = ((self.folder / name).read_text() for name in ("stdout", "stderr"))
        return Ended(os.waitstatus_to_exitcode(status), out, said)


class Warm:
    """The process that is forked. Its clients talk to ``port`` alone; a server for them is
    ``Hub(folder, warm.port)``, one after the other. So is a fork that has a home: one that it
    starts itself may have another, until it ends."""

    def __init__(self, folder: Path, port: int | None = None) -> None:
        folder.mkdir()
        self.port = port or _free_port()
        self._address = str(folder / "door")
        self._home = folder / "home"
        self._home.mkdir()
        with Hub(folder / "hub", self.port) as hub:
            self._env = hub.env(self._home, None) | {ADDRESS: self._address, HOME: str(self._home)}
        self._env["USE_TORCH"] = "0"
        self._process = subprocess.Popen(
            [sys.executable, "-c", "from tests.hub import warm; warm.serve()"],
            env=self._env,
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"

    def start(
        self, code: str, given: str, *, folder: Path, token: str | None = "hf_write"
    ) -> Process:
        """Run ``code`` with its home in ``folder``; ``given`` is its stdin."""
        own = {"HOME": str(folder), "TMPDIR": str(folder), "HF_HOME": str(folder / "hf")}
        env = self._env | own | ({"HF_TOKEN": token} if token else {})
        return Process(self._address, code, given, env=env, folder=folder)

    def stop(self) -> None:
        self._process.communicate()
        assert self._process.returncode == 0


@contextmanager
def warm(folder: Path, port: int | None = None) -> Iterator[Warm]:
    made = Warm(folder, port)
    try:
        yield made
    finally:
        made.stop()


class Subprocess:
    """Stands for the module ``subprocess`` in a fork, so that what it starts is a fork too."""

    TimeoutExpired = subprocess.TimeoutExpired

    @staticmethod
    def run(
        command: list[str], *, input: str, env: dict[str, str], cwd: Path, timeout: float, **_: bool
    ) -> subprocess.CompletedProcess[str]:
        python, flag, code = command
        assert (python, flag) == (sys.executable, "-c")
        address = os.environ[ADDRESS]
        ended = Process(address, code, input, env=env, folder=Path(cwd)).wait(timeout)
        _let_point(Path(os.environ[HOME], "hf"), os.environ["HF_HOME"])
        return subprocess.CompletedProcess(command, ended.code, ended.out, ended.said)


def _free_port() -> int:
    """One that no connection of others is given by the system meanwhile."""
    for port in random.sample(range(20_000, 32_000), 100):
        with socket.socket() as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                tried.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("there is no free port")


# In the process that is forked


def serve() -> None:
    for name in AHEAD:
        importlib.import_module(name)
    for name in LATER:
        with suppress(ImportError):
            importlib.import_module(name)
    gc.freeze()  # or each fork's collections would copy all of it
    assert threading.active_count() == 1
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(os.environ[ADDRESS])
        door.listen()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while sys.stdin not in select.select([door, sys.stdin], [], [])[0]:
            line, _ = door.accept()
            if os.fork() == 0:
                door.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                _watch(line)
            line.close()


def _watch(line: socket.socket) -> NoReturn:
    """Fork what is asked for, and kill it where nobody waits for it any more."""
    with line.makefile("rw") as words:
        asked = json.loads(words.readline())
        if (pid := os.fork()) == 0:
            _run(**asked)
        words.write(f"{pid}\n")
        words.flush()
        ended = os.pidfd_open(pid)
        if ended not in select.select([line, ended], [], [])[0]:
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        try:
            words.write(f"{status}\n")
            words.flush()
        except OSError:
            os._exit(0)  # nobody waits
    os._exit(0)


def _run(code: str, given: str, env: dict[str, str], folder: str) -> NoReturn:
    for name in env.keys() - OWN:
        assert env[name] == os.environ.get(name), f"{name} was read before the fork"
    os.environ.update(env)
    _let_point(Path(os.environ[HOME], "hf"), env["HF_HOME"])
    os.chdir(folder)
    Path("stdin").write_text(given)
    flags = os.O_CREAT | os.O_TRUNC | os.O_WRONLY
    for stream, name in enumerate(("stdin", "stdout", "stderr")):
        os.dup2(os.open(name, flags if stream else os.O_RDONLY), stream)
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115
    sleep = time.sleep
    time.sleep = lambda seconds: sleep(seconds / FASTER)
    status = 0
    try:
        exec(compile(code, "<string>", "exec"), {"__name__": "__main__"})
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            sys.stderr.write(f"{end.code}\n")
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _let_point(link: Path, target: str) -> None:
    made = link.with_name(f"{os.getpid()}")
    made.symlink_to(target)
    made.replace(link)
