"""The files for Axolotl and LLaMA-Factory against the schemas of both packages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from magpie_hub.evidence.templates import OWN, READY, Template
from magpie_hub.evidence.train.frameworks import AXOLOTL, DATASET_INFO, LLAMA_FACTORY, documents
from magpie_hub.evidence.train.presets import METHODS, Method, Settings, settings

SCHEMAS = Path(__file__).parent / "schemas"
AXOLOTLS = json.loads((SCHEMAS / "axolotl.json").read_text(encoding="utf-8"))
FACTORYS = json.loads((SCHEMAS / "llamafactory.json").read_text(encoding="utf-8"))
"""As ``make_schemas.py`` makes them of the packages."""


def refused(document: object, schema: dict[str, Any], part: str | None = None) -> list[str]:
    """What is wrong with it by the ``schema``, or by one of its definitions."""
    chosen = schema if part is None else {"$ref": f"#/$defs/{part}", "$defs": schema["$defs"]}
    errors = Draft202012Validator(chosen).iter_errors(document)
    return [f"{'.'.join(map(str, each.absolute_path))}: {each.message[:300]}" for each in errors]


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
    assert refused(axolotl, AXOLOTLS) == []
    assert refused(factory, FACTORYS) == []
    (entry,) = info.values()
    assert refused(entry, FACTORYS, "dataset_info") == []
    (rows,) = axolotl["datasets"]
    assert refused(rows, AXOLOTLS, "SFTDataset" if method == "sft" else "DPODataset") == []
    assert factory["dataset"] in info
    assert rows["path"] == entry["file_name"] == "rows.jsonl"
    assert ("warmup_steps" in axolotl) != ("warmup_ratio" in axolotl)
    assert (axolotl["chat_template"] == "jinja") == ("chat_template_jinja" in axolotl)


def test_what_they_do_not_know_is_refused() -> None:
    """So that the schemas say something."""
    axolotl, factory, info = written("sft", settings("sft", "paper"), LLAMA3)
    rows, entry = axolotl["datasets"][0], info["rows"]
    for change in ({"sequence_length": 1}, {"bf16": "yes"}, {"rl": "dqo"}, {"max_steps": 1.5}):
        assert len(refused(axolotl | change, AXOLOTLS)) == 1, change
    assert refused({**axolotl, "datasets": [rows | {"field_message": "x"}]}, AXOLOTLS)
    assert refused({key: axolotl[key] for key in axolotl if key != "base_model"}, AXOLOTLS)
    for change in ({"cutoff": 1}, {"stage": "sfd"}, {"template": "llama33"}, {"seed": "0"}):
        assert len(refused(factory | change, FACTORYS)) == 1, change
    assert refused(entry | {"formatting": "sharedgpt"}, FACTORYS, "dataset_info")
    assert refused(entry | {"tags": {"roles_tag": "role"}}, FACTORYS, "dataset_info")


def test_rows_that_share_a_pack_do_not_see_each_other() -> None:
    """Axolotl warns that without an attention of one's choice they do."""
    packed, *_ = written("sft", settings("sft", "paper"), LLAMA3)
    assert packed["sample_packing"] is True and packed["attn_implementation"] == "sdpa"
    apart, *_ = written("sft", settings("sft", "paper", ["packing=false"]), LLAMA3)
    assert "attn_implementation" not in apart
    chosen, *_ = written("sft", settings("sft", "paper", ["attention=flash_attention_2"]), LLAMA3)
    assert chosen["attn_implementation"] == "flash_attention_2"


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
