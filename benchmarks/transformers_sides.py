"""Three ways to write with transformers, each with the same recorded requests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from harness import Meter
from lines import written
from vllm_sides import recorded

from magpie_hub import models
from magpie_hub.engines import EngineSpec, Request, generate, open_engine

PRELOAD = ("magpie_hub.engines.transformers", "transformers.models.llama.modeling_llama")
STATIC_BATCH = 64
_PAD = 0


def ours(meter: Meter, *, model: str, requests: str) -> None:
    """The house's engine: batches of neighbours in length, from which finished rows are dropped."""
    engine = open_engine(EngineSpec("transformers"), models.resolve(model))
    list(generate(engine, recorded(requests, "sample", 0)[:8]))
    for number in meter.rounds():
        for stage in ("sample", "respond"):
            asked = recorded(requests, stage, number)
            with meter.part(stage) as part:
                done = list(generate(engine, asked))
            part.work, part.digest = written((each.request, each.token_ids) for each in done)


def continuous(meter: Meter, *, model: str, requests: str) -> None:
    """``generate_batch``, transformers' continuous batching."""
    from transformers import ContinuousBatchingConfig

    loaded = _loaded(model)
    config = ContinuousBatchingConfig(page_size=32, num_blocks=2048, max_batch_tokens=1024, seed=0)

    def write(asked: Sequence[Request]) -> list[Sequence[int]]:
        done = loaded.generate_batch(
            inputs=[list(request.prompt) for request in asked],
            generation_config=_settings(asked),
            continuous_batching_config=config,
        )
        by_number = sorted(done.values(), key=lambda each: int(each.request_id.split("_")[-1]))
        return [each.generated_tokens for each in by_number]

    _measure(meter, requests, write)


def static(meter: Meter, *, model: str, requests: str) -> None:
    """``generate`` in batches in the order of arrival, each as long as its longest row."""
    import torch

    loaded = _loaded(model)

    def write(asked: Sequence[Request]) -> Iterator[Sequence[int]]:
        for start in range(0, len(asked), STATIC_BATCH):
            batch = asked[start : start + STATIC_BATCH]
            width = max(len(request.prompt) for request in batch)
            ids = torch.full((len(batch), width), _PAD)
            mask = torch.zeros_like(ids)
            for row, request in enumerate(batch):
                ids[row, width - len(request.prompt) :] = torch.tensor(request.prompt)
                mask[row, width - len(request.prompt) :] = 1
            torch.manual_seed(start)
            with torch.inference_mode():
                yield from loaded.generate(
                    input_ids=ids, attention_mask=mask, generation_config=_settings(batch)
                )[:, width:].tolist()

    _measure(meter, requests, lambda asked: list(write(asked)))


def _measure(meter: Meter, requests: str, write: Any) -> None:  # noqa: ANN401 (a function)
    write(recorded(requests, "sample", 0)[:8])
    for number in meter.rounds():
        for stage in ("sample", "respond"):
            asked = recorded(requests, stage, number)
            with meter.part(stage) as part:
                rows = write(asked)
            cut = [_until_stop(row, request) for row, request in zip(rows, asked, strict=True)]
            part.work, part.digest = written(zip(asked, cut, strict=True))


def _until_stop(tokens: Sequence[int], request: Request) -> Sequence[int]:
    return next(
        (tokens[:end] for end, token in enumerate(tokens) if token in request.stop_ids), tokens
    )


def _loaded(model: str) -> Any:  # noqa: ANN401 (an AutoModel)
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    path = models.resolve(model).path
    return AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()


def _settings(asked: Sequence[Request]) -> Any:  # noqa: ANN401 (a GenerationConfig)
    """Of one stage all requests have the same, but for the seed, which transformers has not."""
    from transformers import GenerationConfig

    decoding = asked[0].decoding
    assert decoding is not None
    sampling = decoding.temperature > 0
    return GenerationConfig(
        max_new_tokens=decoding.max_tokens,
        do_sample=sampling,
        temperature=decoding.temperature if sampling else None,
        top_k=0 if sampling else None,
        top_p=decoding.top_p if sampling else None,
        eos_token_id=sorted(asked[0].stop_ids),
        pad_token_id=_PAD,
        bos_token_id=None,
    )
