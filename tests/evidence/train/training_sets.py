"""Small releases of rows written here, and a small untrained model of the bundled one's family."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from magpie_hub import schema
from magpie_hub.release import MANIFEST, ConfigEntry, Manifest, Release, SplitEntry, file_entry

CITIES = "Bern Oslo Rome Lima Kyiv Riga Cairo Quito".split()


def said(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def conversations(count: int, *, turns: int = 1) -> list[dict[str, Any]]:
    rows = []
    for number in range(count):
        city = CITIES[number % len(CITIES)]
        turn = [said("user", f"Where is {city}?"), said("assistant", f"{city} is far away.")]
        rows.append({"id": f"row{number}", "messages": turn * turns})
    return rows


def preferences(count: int) -> list[dict[str, Any]]:
    return [
        {
            "id": f"row{number}",
            "prompt": [said("user", f"Where is {CITIES[number % len(CITIES)]}?")],
            "chosen": [said("assistant", "It is far away.")],
            "rejected": [said("assistant", "No.")],
        }
        for number in range(count)
    ]


def release(path: Path, **configs: list[dict[str, Any]]) -> Path:
    """The first config is the default one; its columns are those of its rows."""
    entries, files = {}, {}
    for name, rows in configs.items():
        file = f"data/{name}/train-00000-of-00001.parquet"
        pair = "pairs" in name
        columns = ("prompt", "chosen", "rejected") if pair else ("messages",)
        types = pa.schema([("id", pa.string()), *((each, schema.MESSAGES) for each in columns)])
        (path / file).parent.mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(rows, schema=types), path / file)
        files[file] = file_entry(path / file)
        split = SplitEntry(rows=len(rows), num_bytes=100, files=(file,))
        entries[name] = ConfigEntry(
            default=not entries, where=None, description="", funnel=(), splits={"train": split}
        )
    manifest = Manifest(
        name="cities",
        builder="sft",
        license=None,
        fingerprints={},
        versions={},
        slots=1,
        rejected={},
        made=(),
        version="1.2.3",
        generator="magpie-hub",
        created="2026-01-01T00:00:00+00:00",
        columns=(),
        configs=entries,
        files=files,
    )
    (path / MANIFEST).write_text(manifest.model_dump_json(), encoding="utf-8")
    return Release.open(path).path


def fresh_model(path: Path, *, chat_template: bool = True) -> Path:
    """Random weights under the bundled tokenizer."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    from magpie_hub import models

    tokenizer = AutoTokenizer.from_pretrained(models.resolve("bundled:chat").path)
    if not chat_template:
        tokenizer.chat_template = None
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=48,
            intermediate_size=96,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            max_position_embeddings=256,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path
