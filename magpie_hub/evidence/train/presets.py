"""How a model is fine-tuned: the settings, and those of the paper by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from magpie_hub.errors import UsageError
from magpie_hub.filters import nearest

Method = Literal["sft", "dpo"]
METHODS: tuple[Method, ...] = ("sft", "dpo")
FREE = ("per_device", "recompute", "save_steps", "log_steps")
"""What may change when a training goes on, because it changes no result but in the last bits."""


class Settings(BaseModel):
    """``batch`` is the effective one, over all devices and accumulation; ``per_device`` how many of
    it a device holds at a time. ``max_tokens``: of a row, or of a pack of rows. ``warmup``: below 1
    a share of the steps, from 1 on their number. ``steps`` ends the training before its epochs do.
    ``recompute`` saves memory for time; ``weights`` is the type in which they are kept, ``None`` of
    ``attention`` the library's own choice. ``beta`` counts for dpo, ``packing`` for sft."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    learning_rate: float = Field(gt=0)
    schedule: Literal["cosine", "linear", "constant_with_warmup"] = "cosine"
    warmup: float = Field(ge=0)
    epochs: float = Field(gt=0)
    steps: int | None = Field(default=None, ge=1)
    batch: int = Field(ge=1)
    per_device: int = Field(default=1, ge=1)
    max_tokens: int = Field(ge=8)
    packing: bool = False
    beta: float = Field(default=0.01, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    optimizer: str = "adamw_torch"
    seed: int = Field(default=0, ge=0)
    recompute: bool = True
    weights: Literal["float32", "bfloat16"] = "float32"
    attention: str | None = None
    save_steps: int = Field(default=100, ge=1)
    log_steps: int = Field(default=10, ge=1)
    lora: bool = False
    lora_rank: int = Field(default=64, ge=1)
    lora_alpha: int = Field(default=128, ge=1)
    lora_dropout: float = Field(default=0.05, ge=0, lt=1)


PRESETS: Mapping[str, Mapping[Method, Mapping[str, Any]]] = {
    # arXiv 2406.08464, appendix; beta, and the tokens of a DPO row, from its recipes.
    "paper": {
        "sft": {
            "learning_rate": 2e-5,
            "warmup": 100,
            "epochs": 2,
            "batch": 32,
            "max_tokens": 8192,
            "packing": True,
        },
        "dpo": {
            "learning_rate": 5e-7,
            "warmup": 0.1,
            "epochs": 1,
            "batch": 128,
            "max_tokens": 2048,
            "beta": 0.01,
        },
    }
}


def settings(
    method: str, preset: str, overrides: Sequence[str] = (), *, lora: bool = False
) -> Settings:
    """Those of ``preset`` with ``overrides``, each KEY=VALUE. ``UsageError`` names what is none."""
    if preset not in PRESETS:
        raise UsageError(f"--preset {preset}: {nearest(preset, PRESETS)}")
    methods = PRESETS[preset]
    if method not in METHODS:
        raise UsageError(f"--method {method}: {nearest(method, METHODS)}")
    found: dict[str, Any] = {**methods[method], "lora": lora}
    for each in overrides:
        key, sign, value = each.partition("=")
        if not sign:
            raise UsageError(f"--set {each}: write KEY=VALUE, such as epochs=1.")
        if key not in Settings.model_fields:
            raise UsageError(f"--set {each}: {nearest(key, Settings.model_fields)}")
        found[key] = _value(each, value)
    try:
        made = Settings.model_validate(found)
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][0])
        raise UsageError(f"--set {key}={found[key]}: {first['msg']}.") from error
    if method == "dpo" and made.packing:
        raise UsageError("--set packing=true: pairs are not packed; leave it out with dpo.")
    return made


def _value(text: str, value: str) -> object:
    try:
        return yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise UsageError(f"--set {text}: the value cannot be read.") from error
