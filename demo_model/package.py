"""Where the bundled models lie in the package, and how a finished one gets there."""

import json
import os
import shutil
import tempfile
from pathlib import Path

import torch
from transformers import GenerationConfig, LlamaForCausalLM, PreTrainedTokenizerBase

from demo_model.tokenizer import CHAT_TEMPLATE, END, MAX_LENGTH, PAD, START

BUNDLED = Path(__file__).resolve().parents[1] / "magpie_hub" / "bundled"
CHAT = BUNDLED / "chat"
REWARD = BUNDLED / "reward"


def save_tokenizer(tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Writes what transformers 4 and 5 and vLLM all read.

    transformers 5 saves a tokenizer class and a list of special tokens that version 4 does not
    know, and no template inside the config; so the config is written here.
    """
    tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))
    added = sorted(tokenizer.added_tokens_decoder.items())
    fields = ("content", "special", "normalized", "lstrip", "rstrip", "single_word")
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "added_tokens_decoder": {
            str(i): {field: getattr(token, field) for field in fields} for i, token in added
        },
        "additional_special_tokens": [START],
        "bos_token": None,
        "eos_token": END,
        "pad_token": PAD,
        "clean_up_tokenization_spaces": False,
        "model_max_length": MAX_LENGTH,
        "chat_template": CHAT_TEMPLATE,
    }
    text = json.dumps(config, indent=2, ensure_ascii=False)
    (folder / "tokenizer_config.json").write_text(text + "\n", encoding="utf-8")


def install(source: Path, target: Path) -> None:
    """Puts the files of `source` at `target`, each whole or not at all; keeps the model card."""
    target.mkdir(parents=True, exist_ok=True)
    for file in sorted(source.iterdir()):
        staged = target / f".{file.name}.partial"
        shutil.copyfile(file, staged)
        os.replace(staged, target / file.name)


def save_chat(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerBase,
    target: Path,
    *,
    facts: dict[str, int],
) -> None:
    model.to(torch.bfloat16)
    model.generation_config = GenerationConfig(
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        do_sample=True,
        temperature=1.0,
        top_p=1.0,
        max_new_tokens=128,
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        model.save_pretrained(folder)
        save_tokenizer(tokenizer, Path(folder))
        (Path(folder) / "training.json").write_text(json.dumps(facts, indent=2) + "\n")
        install(Path(folder), target)
