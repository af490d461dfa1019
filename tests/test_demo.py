"""The whole story as a stranger lives it: demo, load, push, load from the Hub at the tag."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from magpie_hub import schema
from tests.hub.server import Hub

LOAD = """
import json, sys
from datasets import load_dataset
name, *arguments = json.loads(sys.argv[1])
keywords = json.loads(sys.argv[2])
rows = load_dataset(name, *arguments, split="train", **keywords)
print(json.dumps({"rows": rows.to_list(), "columns": rows.column_names}))
"""


def run(*line: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(line, env=env, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return done


def load(env: dict[str, str], *arguments: str, **keywords: str) -> list[dict[str, object]]:
    line = [sys.executable, "-c", LOAD, json.dumps(arguments), json.dumps(keywords)]
    got = json.loads(run(*line, env=env).stdout)
    assert got["columns"] == list(schema.in_order(got["columns"]))
    rows: list[dict[str, object]] = got["rows"]
    return rows


@pytest.mark.slow
def test_from_nothing_to_a_dataset_at_a_tag(hub: Hub, tmp_path: Path) -> None:
    # No Hub at all: a dead port in its place, and an empty home.
    offline = {
        **{name: value for name, value in os.environ.items() if not name.startswith("HF_")},
        "HF_HOME": str(tmp_path / "home"),
        "HF_ENDPOINT": "http://127.0.0.1:9",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_UPDATE_DOWNLOAD_COUNTS": "0",
    }
    command = [sys.executable, "-m", "magpie_hub"]
    out = tmp_path / "magpie-demo"
    demo = run(*command, "demo", "--rows", "120", "--out", str(out), "--json", env=offline)
    folder = json.loads(demo.stdout)["release"]
    assert folder in demo.stderr

    everything, filtered = load(offline, folder, "all"), load(offline, folder, "filtered")
    assert 0 < len(filtered) < len(everything) <= 120
    for row in everything:
        assert row["category"] in schema.CATEGORIES
        assert row["difficulty"] in schema.DIFFICULTIES
        assert row["quality"] in schema.QUALITIES
        assert isinstance(row["reward"], float)
        assert row["language"] in ("en", "es", "fr", "de", "zh")
    assert len({row["category"] for row in everything}) >= 6
    assert len({row["reward"] for row in everything}) > len(everything) / 2

    online = {**offline, **hub.env(tmp_path / "pusher")}
    pushed = run(*command, "push", folder, "org/magpie-demo", "--json", env=online)
    result = json.loads(pushed.stdout)
    assert (result["tag"], result["already"]) == ("v1.0.0", False)

    reader = {**offline, **hub.env(tmp_path / "reader")}
    assert load(reader, "org/magpie-demo", "filtered", revision="v1.0.0") == filtered
    assert load(reader, "org/magpie-demo", "all", revision="v1.0.0") == everything

    again = run(*command, "demo", "--rows", "120", "--out", str(out), "--json", env=offline)
    assert json.loads(again.stdout)["release"] == folder

    # More rows are the next version: the old rows stand in it as they were.
    more = run(*command, "demo", "--rows", "150", "--out", str(out), "--json", env=offline)
    grown = json.loads(more.stdout)["release"]
    assert grown == folder.replace("1.0.0", "1.1.0")
    assert load(offline, grown, "all")[: len(everything)] == everything
