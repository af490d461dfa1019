"""Batched completion with `transformers`, for the scores and for mining malformed queries."""

from collections.abc import Sequence

import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerBase

from demo_model.tokenizer import END, START

USER = f"{START}user\n"
ASSISTANT = f"{END}\n{START}assistant\n"
NEXT_USER = f"{END}\n{USER}"


def system(text: str | None) -> str:
    return f"{START}system\n{text}{END}\n" if text else ""


def complete(
    prompts: Sequence[str],
    *,
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerBase,
    temperature: float = 0.0,
    top_p: float = 1.0,
    max_tokens: int = 96,
    seed: int = 0,
    batch: int = 160,
) -> list[tuple[str, bool]]:
    """The text after each prompt up to `<|im_end|>`, and whether that token was reached."""
    torch.manual_seed(seed)
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    out: list[tuple[str, bool]] = [("", False)] * len(prompts)
    choice = (
        {"do_sample": True, "temperature": temperature, "top_p": top_p, "top_k": 0}
        if temperature > 0
        else {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
    )
    for start in range(0, len(prompts), batch):
        chosen = order[start : start + batch]
        inputs = tokenizer(
            [prompts[i] for i in chosen],
            return_tensors="pt",
            padding=True,
            padding_side="left",
            add_special_tokens=False,
            return_token_type_ids=False,
        )
        with torch.inference_mode():
            rows = model.generate(**inputs, max_new_tokens=max_tokens, **choice)
        for i, row in zip(chosen, rows[:, inputs["input_ids"].shape[1] :].tolist(), strict=True):
            stopped = tokenizer.eos_token_id in row
            ids = row[: row.index(tokenizer.eos_token_id)] if stopped else row
            out[i] = tokenizer.decode(ids, skip_special_tokens=False), stopped
    return out
