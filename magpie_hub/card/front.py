"""The front matter of a card: what the Hub and ``load_dataset`` read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from magpie_hub import schema
from magpie_hub.release import ConfigEntry, Manifest, obligations
from magpie_hub.release.facts import Facts

if TYPE_CHECKING:
    from huggingface_hub import DatasetCardData

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (10**6, "100K<n<1M"))
_LARGER = ((10**7, "1M<n<10M"), (10**8, "10M<n<100M"), (10**9, "100M<n<1B"))
_TASKS = {"reasoning": ["text-generation", "question-answering"]}
_TAGS = {
    "multi_turn": ["multi-turn", "conversational"],
    "preference": ["preference", "dpo"],
    "reasoning": ["reasoning", "chain-of-thought"],
}
"""What people search for on the Hub, by kind."""


def front_matter(manifest: Manifest, known: Facts) -> DatasetCardData:
    from huggingface_hub import DatasetCardData

    thinking = any(c.name == "messages" and "thinking" in c.type for c in manifest.columns)
    arrow = schema.arrow_schema([column.name for column in manifest.columns], thinking=thinking)
    most = max(config.rows for config in manifest.configs.values())
    tags = ["synthetic", "magpie", manifest.builder, *_TAGS.get(manifest.builder, ())]
    return DatasetCardData(
        pretty_name=pretty(manifest.name),
        language=list(known.languages) or None,
        **obligations.front_matter(manifest),  # type: ignore[arg-type]
        annotations_creators=["machine-generated"],
        language_creators=["machine-generated"],
        size_categories=[next((s for n, s in _SIZES + _LARGER if most < n), "1B<n<10B")],
        task_categories=_TASKS.get(manifest.builder, ["text-generation"]),
        tags=list(dict.fromkeys([*tags, *sources(manifest)])),
        **(manifest.gating.front_matter() if manifest.gating else {}),
        configs=[_config(name, config) for name, config in manifest.configs.items()],
        dataset_info=[
            _info(name, config, arrow, manifest) for name, config in manifest.configs.items()
        ],
    )


def pretty(name: str) -> str:
    """A recipe's name as a title."""
    words = re.split(r"[-_]", name)
    return " ".join(word if any(map(str.isdigit, word)) else word.capitalize() for word in words)


def sources(manifest: Manifest) -> list[str]:
    """A tag for each model of the Hub whose words are published: its name without its owner."""
    models = [each.model for each in manifest.model_licenses]
    return [
        re.sub(r"[^a-z0-9.-]+", "-", model.partition("/")[2].lower())
        for model in models
        if re.fullmatch(r"[\w.-]+/[\w.-]+", model)
    ]


def _config(name: str, config: ConfigEntry) -> dict[str, Any]:
    data = [{"split": split, "path": f"data/{name}/{split}-*"} for split in config.splits]
    return {
        "config_name": name,
        **({"default": True} if config.default else {}),
        "data_files": data,
    }


def _info(name: str, config: ConfigEntry, arrow: pa.Schema, manifest: Manifest) -> dict[str, Any]:
    from datasets import Features

    published = pa.schema([arrow.field(column) for column in config.columns or arrow.names])
    splits = [
        {"name": split, "num_bytes": entry.num_bytes, "num_examples": entry.rows}
        for split, entry in config.splits.items()
    ]
    paths = [file for split in config.splits.values() for file in split.files]
    return {
        "config_name": name,
        "features": Features.from_arrow_schema(published)._to_yaml_list(),
        "splits": splits,
        "download_size": sum(manifest.files[path].size for path in paths),
        "dataset_size": sum(entry.num_bytes for entry in config.splits.values()),
    }
