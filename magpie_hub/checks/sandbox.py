"""A model's Python code, run in a process of its own with bounds on all that it can use up.

What it protects against: loops, memory, floods of output, full disks, fork bombs, processes left
behind, a look at this process's environment. Where the kernel lets it (``Outcome.isolated``: Linux
5.12 or later with user namespaces) also against the network, against writing or deleting any file
and against signals to other processes.

What it does not: the code reads every file that this user can read, and memory is bounded for each
of its processes (16 at most), not for all together. Where it is not isolated it has this user's
rights in all else too (nobody's, where this user is root); no fork succeeds there for a user who
has 16 processes already, and on macOS a process that leaves its group outlives it. It holds
careless code, not an attacker with a hole in the kernel: against that, start magpie-hub itself in
a virtual machine.
"""

from __future__ import annotations

import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from dataclasses import dataclass
from math import ceil
from typing import IO, Literal

from magpie_hub.checks import cage, watch
from magpie_hub.errors import UsageError

State = Literal["ok", "timeout", "memory", "error"]
_FENCE = re.compile(r"\s{0,12}(`{3,}|~{3,})\s*([^\s`]*)[^`]*$")
_PYTHON = ("python", "python3", "py")


@dataclass(frozen=True)
class Outcome:
    """``stdout`` is the beginning, ``stderr`` the end of what was written; bytes that are no UTF-8
    are replaced. ``error``: a status other than 0, or more output than allowed. ``seconds`` is wall
    time. ``isolated``: without network and with every folder read-only."""

    state: State
    stdout: str
    stderr: str
    seconds: float
    isolated: bool

    @property
    def ok(self) -> bool:
        return self.state == "ok"


def run(
    code: str,
    *,
    stdin: str = "",
    seconds: float = 5,
    megabytes: int = 512,
    output_bytes: int = 65536,
) -> Outcome:
    """The outcome of ``code`` as a script, with the standard library alone, in an empty folder.
    ``megabytes`` bounds each process, except on macOS. ``UsageError`` on other systems than Linux
    and macOS, and where the code would have root's rights."""
    return _run(code, "__main__", stdin, seconds, megabytes, output_bytes)


def passes(code: str, tests: str, *, seconds: float = 5, megabytes: int = 512) -> bool:
    """Whether ``code`` followed by ``tests`` (assert statements) runs to the end. It is run as a
    module, so what stands under ``if __name__ == "__main__"`` is not; to stop early is to fail."""
    end = secrets.token_hex(16)
    whole = f"{code}\n\n{tests}\n\n__import__('sys').stdout.write({end!r})\n"
    outcome = _run(whole, "answer", "", seconds, megabytes, 1 << 20)
    return outcome.ok and end in outcome.stdout


def code_of(answer: str) -> str | None:
    """The last fenced block of Python, or of no language where none is said to be Python; a block
    that is cut off is none."""
    blocks: dict[bool, str] = {}
    fence, named, lines = "", False, list[str]()
    for line in answer.splitlines():
        match = _FENCE.match(line)
        if not fence:
            if match:
                language = match[2].lower().strip("{}.")
                fence, named, lines = match[1], language in _PYTHON, []
                wanted = named or not language
        elif match and not match[2] and match[1].startswith(fence):
            if wanted:
                blocks[named] = textwrap.dedent("\n".join(lines)) + "\n"
            fence = ""
        else:
            lines.append(line)
    return blocks.get(True, blocks.get(False))


def _run(code: str, name: str, stdin: str, seconds: float, megabytes: int, most: int) -> Outcome:
    if sys.platform not in ("linux", "darwin"):
        raise UsageError(f"code runs in the sandbox on Linux and macOS, not on {sys.platform}.")
    begin = time.monotonic()
    report, reported = os.pipe()
    try:
        with (
            tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
            _file(code) as source,
            _file(stdin) as given,
        ):
            limits = [str(ceil(seconds)), str(megabytes)]
            files = source.fileno(), reported
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", cage.__file__, *map(str, files), *limits, name],
                cwd=folder,
                env={"PATH": "/usr/bin:/bin", "HOME": folder, "LANG": "C.UTF-8"},
                stdin=given,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=files,
                start_new_session=True,
            )
            try:
                os.close(reported)
                reported = -1
                stdout, stderr, late = watch.output(process, begin + seconds, most)
            finally:
                watch.end(process)
            found = os.read(report, 16)
    finally:
        for file in (report, reported):
            if file >= 0:
                os.close(file)
    if found == b"root":
        raise UsageError(
            "code of a model does not run as root without isolation: start magpie-hub as another "
            "user, or where the kernel allows user namespaces."
        )
    if len(stdout) > most:
        stderr += b"\nstopped: more than %d bytes of output" % most
    return Outcome(
        _state(process.returncode, late, stderr, len(stdout) > most),
        stdout[:most].decode(errors="replace"),
        stderr[-most:].decode(errors="replace"),
        time.monotonic() - begin,
        found == b"isolated",
    )


def _state(status: int, late: bool, stderr: bytes, flooded: bool) -> State:
    if late or status == 128 + signal.SIGXCPU:
        return "timeout"
    if flooded or status != 0:
        memory = not flooded and stderr.rstrip().rpartition(b"\n")[2].startswith(b"MemoryError")
        return "memory" if memory else "error"
    return "ok"


def _file(text: str) -> IO[bytes]:
    file = tempfile.TemporaryFile()
    file.write(text.encode(errors="surrogatepass"))
    file.seek(0)
    return file
