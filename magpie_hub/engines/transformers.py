"""The embedded engine: Hugging Face transformers, on a CPU, one GPU or Apple silicon.

Own decoding loop instead of ``model.generate``: every row brings its own seed, temperature, length
limit and grammar, finished rows leave the batch, and what is submitted in one call is computed by
itself, so that a shard's bytes do not depend on which other shards are in flight.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from magpie_hub.engines import Completion, EngineFacts, FinishReason, Request, Task
from magpie_hub.engines.grammars import Grammars
from magpie_hub.engines.sampling import choose, penalise, uniforms
from magpie_hub.errors import EngineError, UsageError
from magpie_hub.models import Model

if TYPE_CHECKING:
    from transformers import DynamicCache, PreTrainedModel

_MAX_ROWS = 256
_MAX_TOKENS = 1 << 17
"""Key-value cache slots of one batch: rows x (prompt + new tokens)."""
_ONE_THREAD_BELOW = 50_000_000
"""Parameters. The products of a smaller model are too small to share between threads: measured
with 2 M parameters on two busy cores, two threads waited for each other and wrote 400-900 tokens a
CPU second, one thread 4,650."""
_SHARED_FROM = 8
"""Common prompt tokens from which reading them once pays for repeating the cache."""
_COMPACT_AT = 0.75
"""Finished rows are dropped from the batch once no more than this share is still writing: copying
the cache costs about one step."""


def open_engine(model: Model, task: Task, options: Mapping[str, Any]) -> _Batched:
    """The options are none: what there is to choose, this engine measures or derives."""
    if options:
        raise UsageError(
            f"the transformers engine has no option '{next(iter(options))}'; leave --engine-arg "
            "out, or choose another --engine."
        )
    return TransformersScorer(model) if task == "score" else TransformersEngine(model)


class _Batched:
    """Works through what was submitted, one submission after the other."""

    capacity = _MAX_ROWS
    batched = True
    exclusive = False

    def __init__(self, auto: Any, model: Model) -> None:  # noqa: ANN401 (one of the Auto classes)
        self._source = model
        self._model = _load(auto, model)
        self._waiting: deque[list[Request]] = deque()
        self._running: Iterator[Completion] = iter(())

    @property
    def facts(self) -> EngineFacts:
        device = self._model.device
        on_cuda = device.type == "cuda"
        return EngineFacts(
            name="transformers",
            version=metadata.version("transformers"),
            device=torch.cuda.get_device_name(device) if on_cuda else device.type,
            devices=1,
            # On a GPU the kernels that a batch gets may differ from run to run.
            determinism="bits" if device.type == "cpu" else "seeds",
        )

    def submit(self, requests: Sequence[Request]) -> None:
        self._waiting.append(list(requests))

    def poll(self) -> list[Completion]:
        while True:
            # Not in the generators: the mode would stay on for whoever polls.
            with torch.inference_mode():
                completion = next(self._running, None)
            if completion is not None:
                return [completion]
            if not self._waiting:
                return []
            self._running = self._compute(self._waiting.popleft())

    def close(self) -> None:
        self._waiting.clear()
        self._running = iter(())
        del self._model
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _compute(self, requests: list[Request]) -> Iterator[Completion]:
        raise NotImplementedError

    @property
    def _context(self) -> int:
        return int(getattr(self._model.config, "max_position_embeddings", 1 << 30))


class TransformersEngine(_Batched):
    """One causal language model. Float32 on a CPU, the model's own type on a GPU."""

    def __init__(self, model: Model) -> None:
        from transformers import AutoModelForCausalLM

        super().__init__(AutoModelForCausalLM, model)
        self._grammars: Grammars | None = None

    def _compute(self, requests: list[Request]) -> Iterator[Completion]:
        # Rows with a common beginning stand together, then neighbours in length, which pad little.
        for batch in _batches(sorted(requests, key=lambda r: (r.prompt[: r.shared], _length(r)))):
            yield from self._decode(batch)

    def _decode(self, requests: list[Request]) -> Iterator[Completion]:
        fitting = [r for r in requests if len(r.prompt) < self._context]
        for request in requests:
            if len(request.prompt) >= self._context:
                yield Completion(request, finish_reason="length")
        if not fitting:
            return
        rows = [_Row(request, self._matcher(request)) for request in fitting]
        try:
            yield from self._steps(rows)
        except torch.OutOfMemoryError as error:
            raise EngineError(
                f"{self._source.ref} ran out of memory with {len(rows)} rows of up to "
                f"{max(len(r.request.prompt) for r in rows)} prompt tokens; lower max_tokens or "
                "use a smaller model."
            ) from error

    def _steps(self, rows: list[_Row]) -> Iterator[Completion]:
        from transformers import DynamicCache

        device = self._model.device
        cache = DynamicCache(config=self._model.config)
        shared = self._prefill_shared([row.request for row in rows], cache)
        width = max(len(row.request.prompt) for row in rows)
        steps = max(row.decoding.max_tokens for row in rows)
        ids = torch.zeros((len(rows), width), dtype=torch.long)
        mask = torch.zeros((len(rows), width + steps), dtype=torch.long)
        mask[:, :shared] = 1
        for i, row in enumerate(rows):
            own = row.request.prompt[shared:]
            ids[i, width - len(own) :] = torch.tensor(own)
            mask[i, width - len(own) :] = 1
        mask = mask.to(device)
        ids = ids[:, shared:].to(device)
        position = (mask[:, :width].cumsum(dim=1) - 1).clamp(min=0)[:, shared:]
        # Drawing needs double precision, which Apple's GPUs do not have.
        draws = torch.device("cpu") if device.type == "mps" else device
        settings = _Settings(rows, draws)
        seen: torch.Tensor | None = None
        for step in range(steps):
            output = self._model(
                input_ids=ids,
                attention_mask=mask[:, : width + step],
                position_ids=position,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
            logits = output.logits[:, -1].to(draws).float()
            if settings.penalised:
                seen = _prompt_tokens(rows, logits) if seen is None else seen
                logits = penalise(logits, seen, settings.penalty)
            self._constrain(logits, rows)
            uniform = torch.from_numpy(uniforms(settings.seeds, step)).to(draws)
            tokens = choose(logits, settings.temperature, settings.top_p, uniform)
            for row, token in zip(rows, tokens.tolist(), strict=True):
                if row.finish is None:
                    row.take(token, room=self._context - len(row.request.prompt))
                    if row.finish is not None:
                        yield Completion(row.request, tuple(row.tokens), row.finish)
            if seen is not None:
                seen.scatter_(1, tokens[:, None], True)
            writing = [i for i, row in enumerate(rows) if row.finish is None]
            if not writing:
                return
            position = position[:, -1:] + 1
            ids = tokens[:, None].to(device)
            if len(writing) <= _COMPACT_AT * len(rows):
                index = torch.tensor(writing, device=device)
                cache.batch_select_indices(index)
                ids, mask, position = ids[index], mask[index], position[index]
                seen = None if seen is None else seen[index.to(draws)]
                rows = [rows[i] for i in writing]
                settings = _Settings(rows, draws)

    def _prefill_shared(self, requests: list[Request], cache: DynamicCache) -> int:
        """Read the tokens that all prompts begin with once instead of once a row; how many."""
        shared = min(min(r.shared, len(r.prompt) - 1) for r in requests)
        if shared < _SHARED_FROM or len(requests) == 1:
            return 0
        ids = torch.tensor([requests[0].prompt[:shared]], device=self._model.device)
        self._model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
        cache.batch_repeat_interleave(len(requests))
        return shared

    def _constrain(self, logits: torch.Tensor, rows: list[_Row]) -> None:
        bound = [i for i, row in enumerate(rows) if row.matcher is not None and row.finish is None]
        if bound and self._grammars is not None:
            allowed = self._grammars.allowed([rows[i].matcher for i in bound], logits.shape[1])
            index = torch.tensor(bound, device=logits.device)
            logits[index] = logits[index].masked_fill(
                ~torch.from_numpy(allowed).to(logits.device), float("-inf")
            )

    def _matcher(self, request: Request) -> Any | None:  # noqa: ANN401 (llguidance has no stubs)
        if request.schema is None:
            return None
        if self._grammars is None:
            self._grammars = Grammars(self._source, sorted(request.stop_ids))
        return self._grammars.matcher(request.schema)


class _Row:
    """A request while it is being decoded."""

    def __init__(self, request: Request, matcher: Any | None) -> None:  # noqa: ANN401
        assert request.decoding is not None, "a causal model scores nothing"
        self.request = request
        self.decoding = request.decoding
        self.matcher = matcher
        self.tokens: list[int] = []
        self.finish: FinishReason | None = None

    def take(self, token: int, *, room: int) -> None:
        if token in self.request.stop_ids:
            self.finish = "stop"
            return
        self.tokens.append(token)
        if self.matcher is not None:
            self.matcher.consume_token(token)
            if self.matcher.is_stopped():
                self.finish = "stop"
                return
        if len(self.tokens) >= min(self.decoding.max_tokens, room):
            self.finish = "length"


class _Settings:
    """The rows' decoding settings as vectors."""

    def __init__(self, rows: list[_Row], device: torch.device) -> None:
        decoding = [row.decoding for row in rows]
        self.temperature = torch.tensor([d.temperature for d in decoding], device=device)
        self.top_p = torch.tensor([d.top_p for d in decoding], device=device)
        self.penalty = torch.tensor([d.repetition_penalty for d in decoding], device=device)
        self.penalised = any(d.repetition_penalty != 1 for d in decoding)
        self.seeds = np.array([row.request.seed for row in rows], dtype=np.uint64)


def _prompt_tokens(rows: list[_Row], logits: torch.Tensor) -> torch.Tensor:
    """(rows, vocabulary), as ``logits``: the tokens of each row's prompt."""
    seen = torch.zeros_like(logits, dtype=torch.bool)
    for i, row in enumerate(rows):
        seen[i, list(row.request.prompt)] = True
    return seen


class TransformersScorer(_Batched):
    """One sequence-classification model, such as a reward model."""

    def __init__(self, model: Model) -> None:
        from transformers import AutoModelForSequenceClassification

        super().__init__(AutoModelForSequenceClassification, model)

    def _compute(self, requests: list[Request]) -> Iterator[Completion]:
        fitting = [request for request in requests if len(request.prompt) <= self._context]
        for request in requests:
            if len(request.prompt) > self._context:
                why = f"{len(request.prompt)} tokens; {self._source.ref} reads {self._context}"
                yield Completion(request, finish_reason="error", error=why)
        for batch in _batches(sorted(fitting, key=_length)):
            yield from self._scores(batch)

    def _scores(self, batch: list[Request]) -> Iterator[Completion]:
        pad = self._model.config.pad_token_id or 0
        ids = torch.full((len(batch), max(len(r.prompt) for r in batch)), pad, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for i, request in enumerate(batch):
            ids[i, : len(request.prompt)] = torch.tensor(request.prompt)
            mask[i, : len(request.prompt)] = 1
        device = self._model.device
        output = self._model(input_ids=ids.to(device), attention_mask=mask.to(device))
        for request, values in zip(batch, output.logits.float().tolist(), strict=True):
            yield Completion(request, scores=tuple(values))


def _length(request: Request) -> int:
    return len(request.prompt) + (request.decoding.max_tokens if request.decoding else 0)


def _batches(rows: list[Request]) -> Iterator[list[Request]]:
    batch: list[Request] = []
    for row in rows:
        full = len(batch) == _MAX_ROWS or (len(batch) + 1) * _length(row) > _MAX_TOKENS
        if batch and (full or row.prompt[: row.shared] != batch[0].prompt[: batch[0].shared]):
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def _load(auto: Any, model: Model) -> PreTrainedModel:  # noqa: ANN401 (one of the Auto classes)
    from safetensors import SafetensorError
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    device = _device()
    try:
        loaded = auto.from_pretrained(
            model.path,
            dtype=torch.float32 if device == "cpu" else "auto",
            trust_remote_code=False,
        )
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise EngineError(f"the model {model.ref} does not load: {reason}") from error
    small = sum(p.numel() for p in loaded.parameters()) < _ONE_THREAD_BELOW
    if small and device == "cpu" and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)
    return cast("PreTrainedModel", loaded.to(device).eval())


def _device() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
