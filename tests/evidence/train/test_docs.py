"""The page on training names each setting with the paper's values, and each file."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from magpie_hub.evidence.train.presets import METHODS, Settings, settings
from magpie_hub.evidence.train.rows import FILE

PAGE = (Path(__file__).parents[3] / "docs" / "train.md").read_text(encoding="utf-8")


def test_each_setting_stands_there_with_its_values() -> None:
    rows = re.findall(r"^\| (`.*?`) \| (.*?) ?\| (.*?) ?\| .*\|$", PAGE, re.M)
    keys = [key for names, *_ in rows for key in re.findall(r"`(\w+)`", names)]
    assert keys == [key for key in Settings.model_fields if key != "lora"]
    for place, method in enumerate(METHODS):
        paper = settings(method, "paper")
        for names, *values in rows:
            found = re.findall(r"`(\w+)`", names)
            given = [each.strip() for each in values[place].split(",")]
            for key, value in zip(found, given, strict=True):
                if (method, key) != ("sft", "beta"):
                    assert yaml.safe_load(value or "null") == plain(getattr(paper, key)), key


def plain(value: object) -> object:
    """As YAML reads it: 2e-05 is a text there."""
    return yaml.safe_load(f"{value:g}") if isinstance(value, float) else value


def test_each_file_stands_there() -> None:
    assert all(f"`{name}`" in PAGE for name in (FILE, "model/", "summary.json", "settings.json"))
