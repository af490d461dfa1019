"""The files for Axolotl and LLaMA-Factory against what their documentation says of each key."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from magpie_hub.evidence.train.frameworks import AXOLOTL, DATASET_INFO, LLAMA_FACTORY, documents
from magpie_hub.evidence.train.presets import METHODS, Method, Settings, settings
from magpie_hub.evidence.train.template import OWN, READY, Template

SCHEDULES = {"cosine", "linear", "constant_with_warmup"}
# https://docs.axolotl.ai/docs/config-reference.html
AXOLOTL_KEYS: dict[str, object] = {
    "base_model": str,
    "chat_template": {"tokenizer_default", "jinja"},
    "chat_template_jinja": str,
    "tokens": list,
    "special_tokens": dict,
    "eot_tokens": list,
    "datasets": list,
    "val_set_size": float,
    "sequence_len": int,
    "sample_packing": bool,
    "pad_to_sequence_len": bool,
    "micro_batch_size": int,
    "gradient_accumulation_steps": int,
    "num_epochs": float,
    "max_steps": int,
    "learning_rate": float,
    "lr_scheduler": SCHEDULES,
    "optimizer": str,
    "weight_decay": float,
    "warmup_steps": int,
    "warmup_ratio": float,
    "bf16": {"auto", True, False},
    "gradient_checkpointing": bool,
    "seed": int,
    "logging_steps": int,
    "save_steps": int,
    "save_total_limit": int,
    "output_dir": str,
    "train_on_inputs": bool,
    "attn_implementation": str,
    "rl": {"dpo"},
    "rl_beta": float,
    "adapter": {"lora"},
    "lora_r": int,
    "lora_alpha": int,
    "lora_dropout": float,
    "lora_target_linear": bool,
}
AXOLOTL_ROWS: dict[str, object] = {
    "path": str,
    "ds_type": {"json"},
    "type": {"chat_template", "chat_template.default"},
    "split": str,
    "field_messages": str,
    "field_chosen": str,
    "field_rejected": str,
    "message_property_mappings": dict,
    "roles_to_train": list,
    "train_on_eos": {"all", "turn", "last", "none"},
}
# https://github.com/hiyouga/LLaMA-Factory: src/llamafactory/hparams, and TrainingArguments
FACTORY_KEYS: dict[str, object] = {
    "model_name_or_path": str,
    "stage": {"sft", "dpo"},
    "do_train": bool,
    "finetuning_type": {"full", "lora"},
    "dataset": str,
    "dataset_dir": str,
    "template": {"chatml", "llama3"},
    "resize_vocab": bool,
    "cutoff_len": int,
    "packing": bool,
    "neat_packing": bool,
    "train_on_prompt": bool,
    "mask_history": bool,
    "per_device_train_batch_size": int,
    "gradient_accumulation_steps": int,
    "num_train_epochs": float,
    "max_steps": int,
    "learning_rate": float,
    "lr_scheduler_type": SCHEDULES,
    "optim": str,
    "weight_decay": float,
    "warmup_steps": int,
    "warmup_ratio": float,
    "bf16": bool,
    "disable_gradient_checkpointing": bool,
    "seed": int,
    "logging_steps": int,
    "save_steps": int,
    "save_total_limit": int,
    "output_dir": str,
    "report_to": {"none"},
    "pref_loss": {"sigmoid", "hinge", "ipo", "kto_pair", "orpo", "simpo"},
    "pref_beta": float,
    "lora_rank": int,
    "lora_alpha": int,
    "lora_dropout": float,
    "lora_target": str,
}
FACTORY_ROWS: dict[str, object] = {
    "file_name": str,
    "formatting": {"alpaca", "sharegpt"},
    "ranking": bool,
    "columns": dict,
    "tags": dict,
}
FACTORY_TAGS = {"role_tag", "content_tag", "user_tag", "assistant_tag", "system_tag"}


def check(found: dict[str, Any], keys: dict[str, object]) -> None:
    for key, value in found.items():
        allowed = keys[key]
        if isinstance(allowed, set):
            assert value in allowed, key
        else:
            assert type(value) is allowed, key


def written(
    method: Method, chosen: Settings, template: Template, **how: Any
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    new = tuple(how.get("new", ()))
    files = documents(
        method, "org/base", chosen, template, new, "<|eot_id|>", accumulation=8, processes=4
    )
    return (
        yaml.safe_load(files[AXOLOTL]),
        yaml.safe_load(files[LLAMA_FACTORY]),
        json.loads(files[DATASET_INFO]),
    )


OWNS = Template(OWN, "{{ messages }}")
LLAMA3 = Template("llama3", *READY["llama3"])


@pytest.mark.parametrize("lora", [False, True])
@pytest.mark.parametrize("template", [OWNS, LLAMA3, Template("my.jinja", "{{ messages }}")])
@pytest.mark.parametrize("method", METHODS)
def test_every_key_and_value_is_one_of_theirs(
    method: Method, template: Template, lora: bool
) -> None:
    chosen = settings(method, "paper", ["steps=7", "attention=sdpa"], lora=lora)
    axolotl, factory, info = written(method, chosen, template, new=template.tokens)
    check(axolotl, AXOLOTL_KEYS)
    (rows,) = axolotl["datasets"]
    check(rows, AXOLOTL_ROWS)
    check(factory, FACTORY_KEYS)
    (entry,) = info.values()
    check(entry, FACTORY_ROWS)
    assert factory["dataset"] in info and set(entry["tags"]) == FACTORY_TAGS
    assert rows["path"] == entry["file_name"] == "rows.jsonl"
    assert ("warmup_steps" in axolotl) != ("warmup_ratio" in axolotl)
    assert (axolotl["chat_template"] == "jinja") == ("chat_template_jinja" in axolotl)


def test_the_paper_is_what_they_say() -> None:
    axolotl, factory, _ = written("sft", settings("sft", "paper"), LLAMA3)
    batch = axolotl["micro_batch_size"] * axolotl["gradient_accumulation_steps"] * 4
    assert (batch, axolotl["learning_rate"], axolotl["lr_scheduler"]) == (32, 2e-5, "cosine")
    assert (axolotl["num_epochs"], axolotl["warmup_steps"]) == (2, 100)
    assert (axolotl["sequence_len"], axolotl["sample_packing"]) == (8192, True)
    assert axolotl["train_on_inputs"] is factory["train_on_prompt"] is False
    assert factory["template"] == "llama3" and factory["cutoff_len"] == 8192
    axolotl, factory, info = written("dpo", settings("dpo", "paper"), OWNS)
    assert (axolotl["rl_beta"], factory["pref_beta"]) == (0.01, 0.01)
    assert axolotl["learning_rate"] == factory["learning_rate"] == 5e-7
    assert info["rows"]["ranking"] is True and info["rows"]["columns"]["messages"] == "prompt"
