"""Texts as vectors, by any sentence-transformers model, with its own pooling and normalisation.

On a CPU the whole model, from token ids to vector, runs in OpenVINO where that is installed, and in
bfloat16 where the CPU has it; elsewhere it is sentence-transformers itself.
"""

from __future__ import annotations

import importlib.util
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from magpie_hub.errors import MissingExtra, UsageError, said
from magpie_hub.models import Model, resolve
from magpie_hub.neighbors.block import Vectors

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer

DEFAULT = "sentence-transformers/all-mpnet-base-v2"
"""What the paper embeds instructions with."""
Backend = Literal["openvino", "torch"]
_Features = dict[str, npt.NDArray[np.int64]]
_TOKENS = 1024
"""Of a batch, padding included, unless one text has more: what it works on stays in the caches."""
_STEP = 16
"""Texts are padded to a multiple of so many tokens: a width of their own, not of their batch."""
_CHUNK = 1024
"""Texts tokenized at a time."""


class Embedder:
    """A loaded model. ``backend`` None is the fastest that works here, ``device`` None a GPU where
    there is one. With OpenVINO a text's vector is the same to the bit in whatever batch; with torch
    batches change it by less than 1e-6 in cosine.

    ``MissingExtra`` where sentence-transformers is not installed, ``UsageError`` where it cannot
    open the model.
    """

    def __init__(
        self,
        model: str = DEFAULT,
        *,
        revision: str | None = None,
        backend: Backend | None = None,
        device: str | None = None,
    ) -> None:
        self.model = resolve(model, revision)
        self._inner = _open(self.model, device)
        self.backend: Backend = backend or _backend(self._inner)
        self._run = _Compiled(self._inner).run if self.backend == "openvino" else self._encode
        self.dimensions: int = self._run(["a text"]).shape[1]

    def embed(self, texts: Sequence[str]) -> Vectors:
        """(texts, dimensions), each of length 1. Equal texts are embedded once."""
        if not texts:
            return np.empty((0, self.dimensions), np.float32)
        places: dict[str, int] = {}
        order = [places.setdefault(text, len(places)) for text in texts]
        made = self._run(list(places)).astype(np.float64)
        unit: Vectors = (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)
        return unit[order]

    def _encode(self, texts: list[str]) -> Vectors:
        return np.asarray(self._inner.encode(texts, show_progress_bar=False), np.float32)


class _Compiled:
    """A model of sentence-transformers as one OpenVINO graph."""

    def __init__(self, model: SentenceTransformer) -> None:
        import openvino
        import torch

        self._model = model
        tokenizer: Any = model.tokenizer
        # Of two lengths, so that what is traced heeds the mask.
        example = _tensors(model.preprocess(["one text", "and a text that is longer"]))
        self._names = list(example)
        self._padding = {
            "input_ids": tokenizer.pad_token_id,
            "token_type_ids": tokenizer.pad_token_type_id,
        }
        core = openvino.Core()
        bfloat16 = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        threads = torch.get_num_threads()
        settings = {
            "INFERENCE_PRECISION_HINT": "bf16" if bfloat16 else "f32",
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": threads,
        }
        compiled = core.compile_model(_graph(model, example), "CPU", settings)
        self._queue = openvino.AsyncInferQueue(compiled, threads)

    def run(self, texts: list[str]) -> Vectors:
        made: dict[int, Vectors] = {}

        def keep(request: Any, rows: npt.NDArray[np.int64]) -> None:  # noqa: ANN401
            vectors = request.get_output_tensor(0).data
            made.update(zip(rows.tolist(), vectors.astype(np.float32), strict=True))

        self._queue.set_callback(keep)
        # Texts of a like length are tokenized together, the longest first.
        order = np.argsort([-len(text) for text in texts], kind="stable")
        for start in range(0, len(order), _CHUNK):
            rows = order[start : start + _CHUNK]
            features = _tensors(self._model.preprocess([texts[row] for row in rows]))
            arrays = {name: tensor.numpy() for name, tensor in features.items()}
            for part, batch in self._batches(arrays):
                self._queue.start_async([batch[name] for name in self._names], rows[part])
        self._queue.wait_all()
        return np.stack([made[row] for row in range(len(texts))])

    def _batches(self, features: _Features) -> Iterator[tuple[npt.NDArray[np.int64], _Features]]:
        """Rows of ``features`` and what they hold, as wide as they need."""
        widths = -(-features["attention_mask"].sum(axis=1) // _STEP) * _STEP
        for width in np.unique(widths).tolist():
            rows = np.flatnonzero(widths == width)
            step = max(_TOKENS // width, 1)
            for start in range(0, len(rows), step):
                part = rows[start : start + step]
                yield (
                    part,
                    {name: self._cut(name, features[name][part], width) for name in features},
                )

    def _cut(self, name: str, values: npt.NDArray[np.int64], width: int) -> npt.NDArray[np.int64]:
        missing = max(width - values.shape[1], 0)
        padding = self._padding.get(name, 0)
        return np.pad(values[:, :width], ((0, 0), (0, missing)), constant_values=padding)


def _open(model: Model, device: str | None) -> SentenceTransformer:
    try:
        from sentence_transformers import SentenceTransformer
    except ModuleNotFoundError as error:
        raise MissingExtra("sentence-transformers", "neighbors") from error
    try:
        with _quiet():
            return SentenceTransformer(str(model.path), device=device)
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(
            f"{model.ref} cannot be opened as an embedding model ({said(error)}); name one made "
            "for sentence-transformers."
        ) from error


def _backend(model: SentenceTransformer) -> Backend:
    """OpenVINO, where it is here and its graph would do what ``encode`` does."""
    tokenizer: Any = model.tokenizer
    plain = model.default_prompt_name is None and tokenizer.padding_side == "right"
    here = importlib.util.find_spec("openvino") is not None
    return "openvino" if here and plain and model.device.type == "cpu" else "torch"


def _tensors(features: dict[str, Any]) -> dict[str, torch.Tensor]:
    import torch

    return {name: each for name, each in features.items() if isinstance(each, torch.Tensor)}


def _graph(model: SentenceTransformer, example: dict[str, torch.Tensor]) -> Any:  # noqa: ANN401
    """By the frontend itself: ``openvino.convert_model`` reports its use to a server."""
    import torch
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    class Whole(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *values: torch.Tensor) -> torch.Tensor:
            made: torch.Tensor = self.model(dict(zip(example, values, strict=True)))[
                "sentence_embedding"
            ]
            return made

    with _quiet(), torch.inference_mode():
        decoder = TorchScriptPythonDecoder(Whole().eval(), example_input=tuple(example.values()))
        frontend = FrontEndManager().load_by_framework("pytorch")
        return frontend.convert(frontend.load(decoder))


@contextmanager
def _quiet() -> Iterator[None]:
    """What libraries say while they load or trace a model concerns nobody here."""
    from transformers.utils import logging as transformers_logging

    before, bars = logging.root.manager.disable, transformers_logging.is_progress_bar_enabled()
    # Also of giving bars back, which warns where the environment forbids them.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        try:
            yield
        finally:
            logging.disable(before)
            if bars:
                transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]
