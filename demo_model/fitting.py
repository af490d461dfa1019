"""The training loop: Muon for the hidden matrices, AdamW for the rest, bf16 on the CPU."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerBase

from demo_model.batches import Example, plan, tensors
from demo_model.parallel import Team
from demo_model.tokenizer import MAX_LENGTH

CONSTANT_UNTIL = 0.3
"""The share of the tokens after which the rate starts to fall."""


@dataclass(frozen=True)
class Log:
    step: int
    loss: float
    tokens: int
    cpu_seconds: int
    wall_seconds: int


def new_model(tokenizer: PreTrainedTokenizerBase, *, seed: int) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=192,
            intermediate_size=512,
            num_hidden_layers=4,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=64,
            max_position_embeddings=MAX_LENGTH,
            tie_word_embeddings=True,
            # Faster than SDPA for sequences this short on a CPU.
            attn_implementation="eager",
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            initializer_range=0.03,
        )
    )


def weighted_loss(model: LlamaForCausalLM, ids: Tensor, weights: Tensor, *, total: float) -> Tensor:
    """Cross entropy over the weighted positions, as a share of the whole batch's `total` weight.

    Only the weighted positions go through the output layer.
    """
    with torch.autocast("cpu", dtype=torch.bfloat16):
        hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state
        chosen = weights[:, 1:] > 0
        logits = model.lm_head(hidden[:, :-1][chosen])
    loss = functional.cross_entropy(logits.float(), ids[:, 1:][chosen], reduction="none")
    return (loss * weights[:, 1:][chosen]).sum() / total


def fit(
    model: LlamaForCausalLM,
    phases: Sequence[Callable[[], list[Example]]],
    *,
    team: Team,
    total_tokens: int,
    seed: int,
    report: Callable[[Log], None] = lambda _: None,
    learning_rate: float,
    warm_up: int,
) -> list[Log]:
    """Trains over the examples of each phase in turn; the rate falls as `total_tokens` is used up.

    A phase is asked for its examples when it starts, so that it may look at the model so far.
    """
    matrices, others = (team.share(part) for part in _parameters(model))
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.Muon(
            matrices,
            lr=learning_rate,
            momentum=0.95,
            weight_decay=0.05,
            adjust_lr_fn="match_rms_adamw",
        ),
        torch.optim.AdamW(others, lr=learning_rate, betas=(0.9, 0.95), weight_decay=0.0),
    ]
    started, cpu = time.time(), time.process_time()
    done, smooth, logs = 0, None, []

    def note() -> None:
        used = int(time.process_time() - cpu)
        logs.append(Log(step, round(smooth or 0.0, 4), done, used, int(time.time() - started)))
        report(logs[-1])

    for step, batch in enumerate(_in_turn(phases, rng=Random(seed))):
        rate = learning_rate * _schedule(step, done / total_tokens, warm_up=warm_up)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
        loss = 0.0
        model.zero_grad(set_to_none=True)
        if mine := team.share(batch):
            total = sum(sum(example.weights) for example in batch)
            local = weighted_loss(model, *tensors(mine), total=total)
            local.backward()
            loss = local.item()
        loss = team.exchange(model, loss)
        nn.utils.clip_grad_norm_(_parameters(model)[1], 1.0)
        for optimizer in optimizers:
            optimizer.step()
        team.wait()
        done += sum(len(example.ids) for example in batch)
        smooth = loss if smooth is None else 0.98 * smooth + 0.02 * loss
        if step % 100 == 0:
            note()
    note()
    return logs


def _parameters(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    matrices, others = [], []
    for name, parameter in model.named_parameters():
        hidden = parameter.ndim == 2 and "embed" not in name
        (matrices if hidden else others).append(parameter)
    return matrices, others


def _in_turn(
    phases: Sequence[Callable[[], list[Example]]], *, rng: Random
) -> Iterator[list[Example]]:
    for phase in phases:
        yield from plan(phase(), rng=rng)


def _schedule(step: int, progress: float, *, warm_up: int) -> float:
    warming = min(1.0, (step + 1) / warm_up)
    falling = max(0.02, min(1.0, (1.0 - progress) / (1.0 - CONSTANT_UNTIL)))
    return warming * falling


def report(log: Log) -> None:
    """For whoever watches a training."""
    say(
        f"step {log.step}: loss {log.loss}, {log.tokens} tokens, "
        f"{log.cpu_seconds} CPU s, {log.wall_seconds} s"
    )


def say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
