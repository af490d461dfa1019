"""A training as it is written for Axolotl and for LLaMA-Factory, over the same file of rows.

Axolotl's keys are those of its ``docs/config-reference`` and ``docs/rlhf``, LLaMA-Factory's those
of its ``hparams`` and ``data/README.md``; tests hold them against the schemas of both packages.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import yaml

from magpie_hub.evidence.templates import OWN, READY, Template
from magpie_hub.evidence.train.presets import Method, Settings
from magpie_hub.evidence.train.rows import FILE

AXOLOTL, LLAMA_FACTORY, DATASET_INFO = "axolotl.yaml", "llamafactory.yaml", "dataset_info.json"
_NAME = "rows"


def documents(
    method: Method,
    base: str,
    settings: Settings,
    template: Template,
    new_tokens: tuple[str, ...],
    end: str | None,
    *,
    accumulation: int,
    processes: int,
) -> dict[str, str]:
    """Each file's text by its name. ``base``: a Hub id or a folder; ``new_tokens`` are added to its
    vocabulary, and ``end`` ends an answer."""
    first = axolotl(method, base, settings, template, new_tokens, end, accumulation=accumulation)
    second = llama_factory(method, base, settings, template, new_tokens, accumulation=accumulation)
    note = f"of {processes} process{'es' if processes > 1 else ''}: {settings.batch} rows a step"
    head = f"# The accumulation is that {note}.\n"
    if settings.packing:
        head = f"# The accumulation is that {note}, where a row is a pack.\n"
    return {
        AXOLOTL: f"# axolotl train {AXOLOTL}\n{head}{_yaml(first)}",
        LLAMA_FACTORY: f"# llamafactory-cli train {LLAMA_FACTORY}\n{head}{_yaml(second)}",
        DATASET_INFO: json.dumps(dataset_info(method), indent=2) + "\n",
    }


def axolotl(
    method: Method,
    base: str,
    settings: Settings,
    template: Template,
    new_tokens: tuple[str, ...],
    end: str | None,
    *,
    accumulation: int,
) -> dict[str, Any]:
    rows: dict[str, Any] = {"path": FILE}
    if method == "sft":
        rows |= {
            "ds_type": "json",
            "type": "chat_template",
            "field_messages": "messages",
            "message_property_mappings": {"role": "role", "content": "content"},
            "roles_to_train": ["assistant"],
            "train_on_eos": "turn",
        }
    else:
        rows |= {
            "type": "chat_template.default",
            "split": "train",
            "field_messages": "prompt",
            "field_chosen": "chosen",
            "field_rejected": "rejected",
        }
    own = template.name == OWN
    found: dict[str, Any] = {
        "base_model": base,
        "chat_template": "tokenizer_default" if own else "jinja",
        **({} if own else {"chat_template_jinja": template.text}),
        **({"tokens": list(new_tokens)} if new_tokens else {}),
        **({"special_tokens": {"eos_token": end}} if end and not own else {}),
        "datasets": [rows],
        "val_set_size": 0.0,
        "sequence_len": settings.max_tokens,
        "micro_batch_size": settings.per_device,
        "gradient_accumulation_steps": accumulation,
        "num_epochs": settings.epochs,
        **({"max_steps": settings.steps} if settings.steps else {}),
        "learning_rate": settings.learning_rate,
        "lr_scheduler": settings.schedule,
        "optimizer": settings.optimizer,
        "weight_decay": settings.weight_decay,
        **_warmup(settings),
        "bf16": "auto",
        "gradient_checkpointing": settings.recompute,
        "seed": settings.seed,
        "logging_steps": settings.log_steps,
        "save_steps": settings.save_steps,
        "save_total_limit": 2,
        "output_dir": "axolotl-out",
    }
    if settings.attention or settings.packing:
        # With its own choice it lets the rows of a pack see each other.
        found["attn_implementation"] = settings.attention or "sdpa"
    if method == "sft":
        found |= {"train_on_inputs": False, "sample_packing": settings.packing}
        found |= {"eot_tokens": [end]} if end else {}
        found |= {"pad_to_sequence_len": True} if settings.packing else {}
    else:
        found |= {"rl": "dpo", "rl_beta": settings.beta}
    if settings.lora:
        found |= {
            "adapter": "lora",
            "lora_r": settings.lora_rank,
            "lora_alpha": settings.lora_alpha,
            "lora_dropout": settings.lora_dropout,
            "lora_target_linear": True,
        }
    return found


def llama_factory(
    method: Method,
    base: str,
    settings: Settings,
    template: Template,
    new_tokens: tuple[str, ...],
    *,
    accumulation: int,
) -> dict[str, Any]:
    """Without ``template`` it takes the one of the base's tokenizer; it has none from files."""
    found: dict[str, Any] = {
        "model_name_or_path": base,
        "stage": method,
        "do_train": True,
        "finetuning_type": "lora" if settings.lora else "full",
        "dataset": _NAME,
        "dataset_dir": ".",
        **({"template": template.name} if template.name in READY else {}),
        **({"resize_vocab": True} if new_tokens else {}),
        "cutoff_len": settings.max_tokens,
        "per_device_train_batch_size": settings.per_device,
        "gradient_accumulation_steps": accumulation,
        "num_train_epochs": settings.epochs,
        **({"max_steps": settings.steps} if settings.steps else {}),
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": settings.schedule,
        "optim": settings.optimizer,
        "weight_decay": settings.weight_decay,
        **_warmup(settings),
        "bf16": True,
        "disable_gradient_checkpointing": not settings.recompute,
        "seed": settings.seed,
        "logging_steps": settings.log_steps,
        "save_steps": settings.save_steps,
        "save_total_limit": 2,
        "output_dir": "llamafactory-out",
        "report_to": "none",
    }
    if method == "sft":
        found |= {"train_on_prompt": False, "mask_history": False}
        found |= {"packing": True, "neat_packing": True} if settings.packing else {}
    else:
        found |= {"pref_loss": "sigmoid", "pref_beta": settings.beta}
    if settings.lora:
        found |= {
            "lora_rank": settings.lora_rank,
            "lora_alpha": settings.lora_alpha,
            "lora_dropout": settings.lora_dropout,
            "lora_target": "all",
        }
    return found


def dataset_info(method: Method) -> dict[str, Any]:
    columns = {"messages": "messages"}
    if method == "dpo":
        columns = {"messages": "prompt", "chosen": "chosen", "rejected": "rejected"}
    entry: dict[str, Any] = {
        "file_name": FILE,
        "formatting": "sharegpt",
        **({"ranking": True} if method == "dpo" else {}),
        "columns": columns,
        "tags": {
            "role_tag": "role",
            "content_tag": "content",
            "user_tag": "user",
            "assistant_tag": "assistant",
            "system_tag": "system",
        },
    }
    return {_NAME: entry}


def _warmup(settings: Settings) -> dict[str, float]:
    if settings.warmup < 1:
        return {"warmup_ratio": settings.warmup}
    return {"warmup_steps": int(settings.warmup)}


def _yaml(document: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(document), sort_keys=False, allow_unicode=True)
