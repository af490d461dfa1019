"""The house's stages on vLLM, and vLLM alone with the same requests."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness import Meter
from lines import WARM, Ragged, Recorder, bring, recipe, warm, written

from magpie_hub import models
from magpie_hub.engines import EngineSpec, Request, open_engine
from magpie_hub.pipeline.plan import Plan

PRELOAD = (
    "magpie_hub.pipeline",
    "vllm.entrypoints.llm",
    "vllm.v1.engine.llm_engine",
    "vllm.v1.worker.cpu_worker",
    "vllm.model_executor.models.llama",
)


def stages(
    meter: Meter,
    *,
    options: Mapping[str, Any],
    line: Mapping[str, Any],
    requests: str,
    lengths: tuple[int, int] | None = None,
) -> None:
    """The stages one after the other, the screen with the answers; every round has a seed of its
    own. ``line`` are arguments of :func:`lines.recipe`; what was asked of the engine is left in the
    folder ``requests``. ``lengths``: see :class:`lines.Ragged`, for models that never stop."""
    engine = _opened(options, line)
    asks = Ragged(engine, *lengths) if lengths else engine
    for number in meter.rounds():
        plan = Plan(recipe(**line, seed=number))
        with tempfile.TemporaryDirectory() as folder:
            for stage in ("sample", "respond"):
                engine.inside = 0.0
                with meter.part(stage) as part:
                    bring(plan, Path(folder) / "run", stage, asks)
                meter.facts[f"{stage}, share of the CPU seconds in vLLM"] = engine.inside / part.cpu
                asked, part.work, part.digest = engine.take()
                meter.facts[f"{stage}, requests"] = len(asked)
                (Path(requests) / f"{stage}-{number}").write_bytes(pickle.dumps(asked))
    engine.inner.close()


def one_go(meter: Meter, *, options: Mapping[str, Any], line: Mapping[str, Any]) -> None:
    """All stages at once, as a run does them: one queue, which drains once."""
    engine = _opened(options, line)
    for number in meter.rounds():
        plan = Plan(recipe(**line, seed=number))
        with tempfile.TemporaryDirectory() as folder, meter.part() as part:
            bring(plan, Path(folder) / "run", "respond", engine)
        _, part.work, part.digest = engine.take()
    engine.inner.close()


def bare(
    meter: Meter,
    *,
    options: Mapping[str, Any],
    model: str,
    requests: str,
    batch: int | None = None,
    seeded: bool = True,
) -> None:
    """``LLM.generate`` with all recorded prompts of a stage in one call, or with ``batch`` of them
    a call. No text is made of the tokens."""
    from vllm import LLM

    llm = LLM(
        model=str(models.resolve(model).path),
        seed=0,
        generation_config="vllm",
        disable_log_stats=True,
        use_tqdm_on_load=False,
        **options,
    )
    _generate(llm, recorded(requests, "sample", 0)[:WARM], seeded)
    for number in meter.rounds():
        for stage in ("sample", "respond"):
            asked = recorded(requests, stage, number)
            step = batch or len(asked)
            outputs: list[Any] = []
            with meter.part(stage) as part:
                for start in range(0, len(asked), step):
                    outputs += _generate(llm, asked[start : start + step], seeded)
            tokens = [
                out.outputs[0].token_ids[: -1 if out.outputs[0].finish_reason == "stop" else None]
                for out in outputs
            ]
            part.work, part.digest = written(zip(asked, tokens, strict=True))
            hits = sum(out.num_cached_tokens for out in outputs)
            prompts = sum(len(request.prompt) for request in asked)
            meter.facts[f"{stage}, prompt tokens from the prefix cache"] = hits / prompts
    llm.llm_engine.engine_core.shutdown()


def recorded(requests: str, stage: str, number: int) -> list[Request]:
    """What a stage asked in a round."""
    found: list[Request] = pickle.loads((Path(requests) / f"{stage}-{number}").read_bytes())
    return found


def _opened(options: Mapping[str, Any], line: Mapping[str, Any]) -> Recorder:
    """The engine of the asker, who also answers, warm."""
    plan = Plan(recipe(**line))
    engine = open_engine(EngineSpec("vllm", options), plan.sources.asker.model)
    warm(plan, engine)
    return Recorder(engine)


def _generate(llm: Any, requests: Sequence[Request], seeded: bool) -> list[Any]:  # noqa: ANN401
    from vllm import SamplingParams
    from vllm.inputs import TokensPrompt

    prompts = [TokensPrompt(prompt_token_ids=list(request.prompt)) for request in requests]
    wanted = [
        SamplingParams(
            temperature=request.decoding.temperature,
            top_p=request.decoding.top_p,
            max_tokens=request.decoding.max_tokens,
            seed=request.seed if seeded else None,
            stop_token_ids=sorted(request.stop_ids),
            ignore_eos=True,
            detokenize=False,
        )
        for request in requests
        if request.decoding
    ]
    done: list[Any] = llm.generate(prompts, wanted, use_tqdm=False)
    return done
