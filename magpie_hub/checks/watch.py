"""A process from outside: what it writes, within bounds, and its end with all that it started."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time

_GRACE = 2.0
"""Seconds that the first process has to end all others before the group is killed."""


def output(
    process: subprocess.Popen[bytes], deadline: float, most: int
) -> tuple[bytes, bytes, bool]:
    """What it writes until it ends, the deadline, or more than ``most`` bytes: (standard output,
    the last ``most`` bytes of standard error, whether it was the deadline)."""
    assert process.stdout is not None and process.stderr is not None
    stdout, stderr = bytearray(), bytearray()
    with selectors.DefaultSelector() as ready:
        ready.register(process.stdout, selectors.EVENT_READ, stdout)
        ready.register(process.stderr, selectors.EVENT_READ, stderr)
        while ready.get_map() and len(stdout) <= most:
            ended = process.poll() is not None
            left = deadline - time.monotonic()
            if left <= 0:
                return bytes(stdout), bytes(stderr), not ended
            events = ready.select(min(left, 0.05))
            # One that left the group may hold the pipes for ever.
            if ended and not events:
                break
            for key, _ in events:
                if chunk := os.read(key.fd, 1 << 16):
                    key.data.extend(chunk)
                    del stderr[: -most or None]
                else:
                    ready.unregister(key.fileobj)
    late = False
    if len(stdout) <= most:
        try:
            process.wait(max(deadline - time.monotonic(), 0))
        except subprocess.TimeoutExpired:
            late = True
    return bytes(stdout), bytes(stderr), late


def end(process: subprocess.Popen[bytes]) -> None:
    """Of all its processes: its first one ends the others and reaps them."""
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
