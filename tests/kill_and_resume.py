"""Run a recipe in children that are killed with -9, until one ends by itself.

    python kill_and_resume.py RECIPE OUT DELAY...

Prints, for each child, "killed" or its exit code. Children are forked from one process that has
imported everything and started no thread, so that a kill falls into the work and not into imports.
"""

import os
import signal
import sys
import time

import datasets  # noqa: F401
import torch
import transformers  # noqa: F401

from magpie_hub import pipeline
from magpie_hub.engines import transformers as engine  # noqa: F401
from magpie_hub.recipe import Recipe


class Silent:
    def begin(self, stage: str, *, total: int, done: int) -> None:
        pass

    def advance(self, *, rows: int, tokens: int = 0, rejected: int = 0) -> None:
        pass

    def end(self) -> None:
        pass


def attempt(recipe: str, out: str, delay: float | None) -> str:
    child = os.fork()
    if child == 0:
        torch.set_num_threads(1)
        pipeline.run(Recipe.load(recipe), out, progress=Silent())
        os._exit(0)
    if delay is not None:
        deadline = time.monotonic() + delay
        while time.monotonic() < deadline:
            done, code = os.waitpid(child, os.WNOHANG)
            if done:
                return str(os.waitstatus_to_exitcode(code))
            time.sleep(0.002)
        os.kill(child, signal.SIGKILL)
    _, code = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(code)
    return "killed" if code == -signal.SIGKILL else str(code)


if __name__ == "__main__":
    recipe, out, *delays = sys.argv[1:]
    for delay in [*map(float, delays), None]:
        sys.stdout.write(attempt(recipe, out, delay) + "\n")
        sys.stdout.flush()
