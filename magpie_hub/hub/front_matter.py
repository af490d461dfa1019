"""The front matter of a card against the manifest: what `datasets` and the Hub's viewer go by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import yaml

from magpie_hub.release import ConfigEntry, Manifest


def card_faults(text: str, manifest: Manifest, files: Sequence[str]) -> Iterator[str]:
    """What in the card does not agree with ``manifest`` and the ``files`` at its side; each reads
    on from "The card"."""
    front = _front(text)
    if front is None:
        yield "has no front matter that can be read"
        return
    configs, infos = _named(front.get("configs")), _named(front.get("dataset_info"))
    if list(configs) != list(manifest.configs):
        yield f"has the configs {_list(configs)}, but the manifest {_list(manifest.configs)}"
    for name, entry in manifest.configs.items():
        if name in configs:
            yield from _config(name, configs[name], entry, files)
            columns = entry.columns or tuple(column.name for column in manifest.columns)
            yield from _info(name, infos.get(name, {}), entry, columns)


def _front(text: str) -> dict[str, Any] | None:
    parts = text.split("---\n", 2)
    if len(parts) < 3 or parts[0].strip():
        return None
    try:
        front = yaml.safe_load(parts[1])
    except yaml.YAMLError:
        return None
    return front if isinstance(front, dict) else None


def _named(entries: object) -> dict[str, dict[str, Any]]:
    """By ``config_name``; a single one need not be a list."""
    listed = entries if isinstance(entries, list) else [entries]
    return {str(e.get("config_name", "default")): e for e in listed if isinstance(e, dict)}


def _config(
    name: str, config: Mapping[str, Any], entry: ConfigEntry, files: Sequence[str]
) -> Iterator[str]:
    if bool(config.get("default")) != entry.default:
        yield f"{'lacks' if entry.default else 'sets'} `default: true` for {name}"
    splits = {each.get("split"): each.get("path") for each in _maps(config.get("data_files"))}
    if set(splits) != set(entry.splits):
        yield f"has the splits {_list(splits)} for {name}, but the manifest {_list(entry.splits)}"
    for split, paths in splits.items():
        wanted = paths if isinstance(paths, list) else [paths]
        named = {file for file in files if any(fnmatchcase(file, str(path)) for path in wanted)}
        if split in entry.splits and named != set(entry.splits[split].files):
            yield f"names other files for {split} of {name} than the manifest"


def _info(
    name: str, info: Mapping[str, Any], entry: ConfigEntry, columns: Sequence[str]
) -> Iterator[str]:
    counts = {each.get("name"): each.get("num_examples") for each in _maps(info.get("splits"))}
    for split, each in entry.splits.items():
        if counts.get(split) != each.rows:
            said = "nothing" if counts.get(split) is None else counts[split]
            yield f"says {said} for num_examples of {split} of {name}, but there are {each.rows}"
    named = [each.get("name") for each in _maps(info.get("features"))]
    if named != list(columns):
        yield f"has the features {_list(named)} for {name}, but the manifest {_list(columns)}"


def _maps(entries: object) -> list[dict[str, Any]]:
    return [each for each in entries if isinstance(each, dict)] if isinstance(entries, list) else []


def _list(names: Iterable[object]) -> str:
    return ", ".join(map(str, names)) or "none"
