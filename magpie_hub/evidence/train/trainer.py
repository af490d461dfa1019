"""TRL's trainers for a model and its rows: what of the settings goes where."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magpie_hub.errors import EngineError, UsageError
from magpie_hub.evidence import templates
from magpie_hub.evidence.train.presets import Method, Settings

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_KEPT = 2
"""Checkpoints: where one was cut off, the one before is there."""


def accumulation(settings: Settings, world: int) -> int:
    """Batches of a device that make a step. ``UsageError`` where they do not come out even."""
    together = settings.per_device * world
    if settings.batch % together:
        raise UsageError(
            f"a batch of {settings.batch} does not come from {world} process"
            f"{'es' if world > 1 else ''} of {settings.per_device} rows; set per_device or batch, "
            "such as --set per_device=1."
        )
    return settings.batch // together


def load(base: Path, tokenizer: PreTrainedTokenizerBase, settings: Settings) -> PreTrainedModel:
    from transformers import AutoModelForCausalLM, set_seed

    set_seed(settings.seed)
    kind = {"attn_implementation": settings.attention} if settings.attention else {}
    try:
        model = AutoModelForCausalLM.from_pretrained(base, dtype=settings.weights, **kind)
    except (ValueError, OSError, ImportError) as error:
        said = " ".join(str(error).split())[:300].rstrip(".")
        raise EngineError(f"{base} cannot be loaded to be trained: {said}.") from error
    templates.fit(model, tokenizer)
    return model


def trainer(
    method: Method,
    model: PreTrainedModel,
    base: Path,
    tokenizer: PreTrainedTokenizerBase,
    rows: Path,
    settings: Settings,
    *,
    checkpoints: Path,
    cache: Path,
    world: int,
) -> object:
    """TRL's, for the batches that ``world`` processes make together."""
    import torch
    from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

    common: dict[str, Any] = {
        "output_dir": str(checkpoints),
        "per_device_train_batch_size": settings.per_device,
        "gradient_accumulation_steps": accumulation(settings, world),
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": settings.schedule,
        "warmup_steps": settings.warmup,
        "num_train_epochs": settings.epochs,
        "max_steps": settings.steps or -1,
        "weight_decay": settings.weight_decay,
        "optim": settings.optimizer,
        "max_length": settings.max_tokens,
        "seed": settings.seed,
        "bf16": torch.cuda.is_available() and torch.cuda.is_bf16_supported(),
        "gradient_checkpointing": settings.recompute,
        "logging_steps": settings.log_steps,
        "logging_first_step": True,
        "save_steps": settings.save_steps,
        "save_total_limit": _KEPT,
        "dataloader_pin_memory": torch.cuda.is_available(),
        "report_to": "none",
        "disable_tqdm": True,
    }
    shared: dict[str, Any] = {
        "train_dataset": dataset(method, rows, cache),
        "processing_class": tokenizer,
        "peft_config": _lora(settings) if settings.lora else None,
    }
    if method == "sft":
        return SFTTrainer(model, SFTConfig(**common, packing=settings.packing), **shared)
    # With LoRA the model without its adapter is the reference.
    reference = None if settings.lora else load(base, tokenizer, settings)
    return DPOTrainer(model, reference, DPOConfig(**common, beta=settings.beta), **shared)


def dataset(method: Method, rows: Path, cache: Path) -> Dataset:
    """The rows as TRL takes them: for sft each answer is an example, the turns before it are its
    prompt; so the loss is on answers alone, whatever the chat template."""
    from datasets import Dataset

    found = Dataset.from_json(str(rows), cache_dir=str(cache))
    if method == "dpo":
        return found.map(_pair)
    return found.map(_answers, batched=True, remove_columns=found.column_names)


def _answers(batch: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    prompts, completions = [], []
    for messages in batch["messages"]:
        for place, message in enumerate(messages):
            if message["role"] == "assistant":
                prompts.append(messages[:place])
                completions.append([message])
    return {"prompt": prompts, "completion": completions}


def _pair(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"chosen": [row["chosen"]], "rejected": [row["rejected"]]}


def _lora(settings: Settings) -> object:
    from peft import LoraConfig

    return LoraConfig(
        r=settings.lora_rank,
        lora_alpha=settings.lora_alpha,
        lora_dropout=settings.lora_dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )


def counted(rows: Dataset) -> tuple[int, int, int]:
    """Examples before packing, their tokens, and those that carry the loss."""
    import numpy as np
    import pyarrow.compute as pc

    names = rows.column_names
    examples = tokens = learned = 0
    for table in rows.with_format("arrow").iter(batch_size=1000):
        size = {
            name: int(pc.sum(pc.list_value_length(table[name])).as_py() or 0)
            for name in names
            if name.endswith("_ids")
        }
        if "input_ids" in names:
            tokens += size["input_ids"]
            labels = pc.list_flatten(table["labels"]).to_numpy()
            learned += int(np.count_nonzero(labels != -100))
            packs = table["seq_lengths"] if "seq_lengths" in names else None
            examples += table.num_rows if packs is None else len(pc.list_flatten(packs))
        else:
            answers = size["chosen_ids"] + size["rejected_ids"]
            tokens += answers + 2 * size["prompt_ids"]
            learned += answers
            examples += table.num_rows
    return examples, tokens, learned
