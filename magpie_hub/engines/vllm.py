"""vLLM in this process: requests are added while it steps, so that its queue never runs empty.

On a GPU vLLM is left as it comes. On a CPU it gets the defaults that it has for no machine that
does something else too: float32 as on the transformers engine, no compilation, a key-value cache no
larger than what can be in flight. Options go to vLLM's ``EngineArgs`` by their names there.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import logging
import os
import signal
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING, Any

from magpie_hub.engines import Completion, EngineFacts, Request, Task
from magpie_hub.errors import EngineError, UsageError
from magpie_hub.models import Model

if TYPE_CHECKING:
    from vllm.config import VllmConfig
    from vllm.outputs import RequestOutput
    from vllm.v1.engine.llm_engine import LLMEngine

_ENVIRONMENT = {
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_DO_NOT_TRACK": "1",
    # A healthy start on a CPU brings ten warnings, which would tear the progress panel.
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",
    "TORCH_CPP_LOG_LEVEL": "ERROR",
    # An engine in a process of its own outlives a killed run and keeps the memory, and a run whose
    # engine process is killed waits for ever.
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
}
_CPU_ENVIRONMENT = {
    # It would reserve a core for others and keep to one core.
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
}
_CPU_OPTIONS = {
    "dtype": "float32",
    "enforce_eager": True,
    # vLLM's own blocks on a CPU hold 128 tokens, and only whole blocks of a prompt can be reused.
    "block_size": 32,
    # vLLM 0.32 dies on a CPU where it reads the prompt of a seeded request in two pieces.
    "enable_chunked_prefill": False,
}
_ONE_THREAD_BELOW = 100_000_000
"""Bytes of weights: see the transformers engine."""
_OWN = {"model", "tokenizer", "runner", "generation_config", "disable_log_stats"}
"""Arguments that are settled by the recipe or by this module."""


def open_engine(model: Model, task: Task, options: Mapping[str, Any]) -> VllmEngine:
    """``options``: arguments of vLLM's ``EngineArgs``, such as ``tensor_parallel_size``,
    ``max_num_seqs`` or ``quantization``; and ``row_seeds: false`` for draws from the engine's one
    stream, which is faster for small models and repeats nothing. ``UsageError`` for one that it
    does not know, ``EngineError`` where vLLM does not start with the model."""
    options = dict(options)
    row_seeds = bool(options.pop("row_seeds", True))
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    with _undisturbed():
        _check(options)
        try:
            engine = _start(model, task, options)
        except Exception as error:
            _clean_up()
            raise EngineError(
                f"vLLM does not start with the model {model.ref}: {_reason(error)}"
            ) from error
        return VllmEngine(model, task, engine, row_seeds=row_seeds)


class VllmEngine:
    """One model, for text or, with ``task`` "score", for a classification model's raw outputs."""

    batched = False
    exclusive = True

    def __init__(self, model: Model, task: Task, engine: LLMEngine, *, row_seeds: bool) -> None:
        self._row_seeds = row_seeds
        self._model = model
        self._task = task
        self._engine = engine
        self._flying: dict[str, Request] = {}
        self._done: list[Completion] = []
        self._count = 0
        config = engine.vllm_config
        self._devices = int(config.parallel_config.world_size)
        self._context = int(config.model_config.max_model_len)
        # As many again wait in vLLM's queue, so that a finished sequence is replaced at once.
        self.capacity = 2 * int(config.scheduler_config.max_num_seqs)
        tokenizer = engine.renderer.tokenizer
        self._end = None if tokenizer is None else tokenizer.eos_token_id

    @property
    def facts(self) -> EngineFacts:
        import vllm
        from vllm.platforms import current_platform

        return EngineFacts(
            name="vllm",
            version=vllm.__version__,
            device=current_platform.get_device_name(),
            devices=self._devices,
            determinism="seeds" if self._row_seeds else "plan",
        )

    def submit(self, requests: Sequence[Request]) -> None:
        for request in requests:
            completion = self._too_long(request) or self._add(request)
            if completion is not None:
                self._done.append(completion)

    def poll(self) -> list[Completion]:
        while not self._done and self._flying:
            try:
                outputs = self._engine.step()
            except Exception as error:
                raise self._lost(error) from error
            for output in outputs:
                if output.finished:
                    request = self._flying.pop(output.request_id)
                    self._done.append(self._completion(request, output))
        done, self._done = self._done, []
        return done

    def close(self) -> None:
        self._flying.clear()
        self._done.clear()
        self._engine.engine_core.shutdown()
        del self._engine
        _clean_up()

    def _lost(self, error: Exception) -> EngineError:
        return EngineError(f"vLLM broke down with the model {self._model.ref}: {_reason(error)}")

    def _too_long(self, request: Request) -> Completion | None:
        size = len(request.prompt)
        if self._task == "generate" and size >= self._context:
            return Completion(request, finish_reason="length")
        if self._task == "score" and size > self._context:
            why = f"{size} tokens; {self._model.ref} reads {self._context}"
            return Completion(request, finish_reason="error", error=why)
        return None

    def _add(self, request: Request) -> Completion | None:
        """Send ``request`` on its way; what became of it where vLLM refuses it."""
        from vllm.inputs.engine import tokens_input
        from vllm.v1.engine.exceptions import EngineDeadError

        name = str(self._count)
        self._count += 1
        try:
            prompt = tokens_input(list(request.prompt))
            self._engine.add_request(name, prompt, self._parameters(request))
        except EngineDeadError as error:
            raise self._lost(error) from error
        except Exception as error:
            return Completion(request, finish_reason="error", error=_reason(error))
        self._flying[name] = request
        return None

    def _parameters(self, request: Request) -> Any:  # noqa: ANN401 (sampling or pooling)
        from vllm import PoolingParams, SamplingParams
        from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

        if request.decoding is None:
            return PoolingParams(task="classify", use_activation=False)
        stops = set(request.stop_ids)
        grammar = None
        if request.schema is not None:
            grammar = StructuredOutputsParams(json=_one_spelling(request.schema))
            # The token by which vLLM's grammars end, whatever the chat template stops at.
            if self._end is not None:
                stops.add(self._end)
        return SamplingParams(
            temperature=request.decoding.temperature,
            top_p=request.decoding.top_p,
            repetition_penalty=request.decoding.repetition_penalty,
            max_tokens=request.decoding.max_tokens,
            seed=request.seed if self._row_seeds else None,
            stop_token_ids=sorted(stops),
            ignore_eos=True,
            structured_outputs=grammar,
            detokenize=False,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )

    def _completion(self, request: Request, output: RequestOutput) -> Completion:
        if request.decoding is None:
            return Completion(request, scores=tuple(output.outputs.data.flatten().tolist()))
        (written,) = output.outputs
        tokens = tuple(written.token_ids)
        if written.finish_reason == "stop":
            return Completion(request, tokens[:-1])
        if written.finish_reason == "length":
            return Completion(request, tokens, "length")
        why = f"vLLM gave the request up: {written.finish_reason}"
        return Completion(request, finish_reason="error", error=why)


def _check(options: Mapping[str, Any]) -> None:
    try:
        from vllm.engine.arg_utils import EngineArgs
    except (ImportError, OSError, RuntimeError) as error:
        raise EngineError(f"vLLM is installed but does not load: {_reason(error)}") from error

    known = {field.name for field in dataclasses.fields(EngineArgs)} - _OWN
    for name in options:
        if name not in known:
            nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
            raise UsageError(f"the vllm engine takes no option '{name}'; the nearest is {nearest}.")
    if options.get("data_parallel_size", 1) != 1:
        raise UsageError(
            "the vllm engine runs one copy of the model, so leave data_parallel_size out; for "
            "several, use --ray, or vLLM's own server with --engine server."
        )


def _start(model: Model, task: Task, options: Mapping[str, Any]) -> LLMEngine:
    from vllm.config import StructuredOutputsConfig
    from vllm.engine.arg_utils import EngineArgs
    from vllm.platforms import current_platform
    from vllm.usage.usage_lib import UsageContext
    from vllm.v1.engine.llm_engine import LLMEngine

    on_cpu = current_platform.is_cpu()
    if on_cpu:
        for name, value in _CPU_ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        _choose_threads(model)
    structured = options.get("structured_outputs_config", {"backend": "guidance"})
    settings: dict[str, Any] = {
        "use_tqdm_on_load": False,
        "enable_prefix_caching": True,
        **(_CPU_OPTIONS if on_cpu else {}),
        **options,
        "structured_outputs_config": StructuredOutputsConfig(**structured),
        "model": str(model.path),
        "runner": "pooling" if task == "score" else "generate",
        # The model's own file would bring sampling defaults.
        "generation_config": "vllm",
    }
    context = UsageContext.LLM_CLASS
    config = EngineArgs(**settings).create_engine_config(context)
    if on_cpu and config.cache_config.kv_cache_memory_bytes is None:
        config.cache_config.kv_cache_memory_bytes = _cache_bytes(config)
    return LLMEngine.from_vllm_config(config, usage_context=context, disable_log_stats=True)


def _cache_bytes(config: VllmConfig) -> int:
    """A key-value cache in which all sequences fit at a quarter of the context, and two at the
    whole; no more than a quarter of the memory. vLLM would take nearly all of it."""
    model, parallel = config.model_config, config.parallel_config
    token = (
        2
        * model.get_num_layers(parallel)
        * model.get_num_kv_heads(parallel)
        * model.get_head_size()
        * model.dtype.itemsize
    )
    tokens = model.max_model_len * max(2, config.scheduler_config.max_num_seqs // 4)
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return int(min(token * tokens, memory // 4))


def _choose_threads(model: Model) -> None:
    import torch

    weights = sum(file.stat().st_size for file in model.path.glob("*.safetensors"))
    if weights < _ONE_THREAD_BELOW and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """While vLLM starts: its deprecation warnings are not the caller's business, its workers do
    not hear a Ctrl-C that is for this process to answer, and on a CPU it must not keep the right
    to set the number of threads from everybody else."""
    import torch

    set_num_threads = torch.set_num_threads
    # Started while SIGINT is blocked, multiprocessing's tracker would unblock it.
    resource_tracker.ensure_running()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            logging.disable(logging.WARNING)
            yield
    finally:
        logging.disable(logging.NOTSET)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        torch.set_num_threads = set_num_threads


def _clean_up() -> None:
    """Without this the next engine of the process finds the last one's process groups."""
    from vllm.distributed import cleanup_dist_env_and_memory

    cleanup_dist_env_and_memory()


@cache
def _one_spelling(schema: str) -> str:
    """``schema`` with one way to write each value, the one that the transformers engine allows: a
    small model would otherwise pad with white space."""
    spelling = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
    return json.dumps({**json.loads(schema), "x-guidance": spelling})


def _reason(error: Exception) -> str:
    """The first sentence of what a library says, and what to do where memory was short."""
    from pydantic import ValidationError

    text = str(error)
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        text = ".".join(map(str, first["loc"])) + ": " + first["msg"]
    lines = text.strip().splitlines()
    reason = lines[0].split(". ")[0].rstrip(".") if lines else type(error).__name__
    if "memory" in text.lower():
        reason += "; lower max_num_seqs, max_model_len or gpu_memory_utilization by --engine-arg"
    return reason + "."
