"""The real clients as forks: what :class:`tests.hub.test_hub.Client` does, without its imports."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.hub.server import Hub
from tests.hub.test_hub import Client, Ran
from tests.hub.warm import Process, Warm

BEFORE = """
import sys
from magpie_hub.hub import reading
from tests.hub.warm import Subprocess
reading.subprocess = Subprocess
sys.argv[1:] = {!r}
"""


class Forked(Client):
    """``hub`` listens where ``forks`` look for it. What clients read when they are imported is the
    same for all of them; a test of that needs a :class:`Client`."""

    def __init__(self, hub: Hub, forks: Warm, folder: Path) -> None:
        super().__init__(hub, folder)
        self._forks = forks

    def run(
        self,
        code: str,
        *arguments: str,
        stdin: str = "",
        token: str | None = "hf_write",
        home: Path | None = None,
        started: Callable[[Process], None] = lambda process: None,
    ) -> Ran:
        self.runs += 1
        home = home or self.folder / f"home-{self.runs}"
        before = BEFORE.format(list(arguments))
        process = self._forks.start(before + code, stdin, folder=home, token=token)
        started(process)
        ended = process.wait()
        assert token is None or token not in ended.out + ended.said
        return Ran(ended.code, ended.out, ended.said)
