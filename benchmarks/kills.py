"""kill -9 at random moments over all stages, resume, compare with a run that nobody disturbed.

``ours`` counts the rows that are lost, doubled and changed in all runs that were killed, stage by
stage; ``ratio`` is their share of the rows. How the children are killed stands in
``tests/kill_and_resume.py``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
from harness import note
from report import arguments, finish, show

SCRIPT = Path(__file__).parents[1] / "tests" / "kill_and_resume.py"
KILLS, QUICK_KILLS, BATCH = 1000, 6, 100
RECIPE = """
name: kills
model: bundled:chat
rows: 8
shard_rows: 4
sample: {grid: [{temperature: 1.0, top_p: 0.95}], max_tokens: 32}
screen: {languages: [en, es, fr, de, zh]}
respond: {max_tokens: 32}
annotate:
  language: {among: [en, es, fr, de, zh]}
  judge: {passes: three}
  reward: {model: "bundled:reward"}
"""
Rows = Mapping[str, object]
LIBRARIES = ("torch", "transformers", "pyarrow")


def shards(run: Path) -> dict[str, bytes]:
    """Every shard of a run, by its place in it."""
    return {str(f.relative_to(run)): f.read_bytes() for f in sorted(run.rglob("*.arrow"))}


def compare(whole: dict[str, bytes], killed: dict[str, bytes]) -> Counter[str]:
    """How many rows of ``killed`` are lost, doubled (or should not be there) and changed, and how
    many shards differ in anything at all."""
    found: Counter[str] = Counter(lost=0, doubled=0, changed=0, different=0)
    for name in {*whole, *killed}:
        if whole.get(name) == killed.get(name):
            continue
        found["different"] += 1
        wanted, there = (_rows(made.get(name)) for made in (whole, killed))
        rows = {row["id"]: row for row in wanted}
        ids = Counter(row["id"] for row in there)
        found["lost"] += sum(key not in ids for key in rows)
        found["doubled"] += sum(count - (key in rows) for key, count in ids.items())
        found["changed"] += sum(row["id"] in rows and row != rows[row["id"]] for row in there)
    return found


def _rows(shard: bytes | None) -> list[Rows]:
    rows: list[Rows] = pa.ipc.open_file(shard).read_all().to_pylist() if shard else []
    return rows


def batch(kills: int, seed: int) -> tuple[dict[str, list[str]], Counter[str]]:
    """Runs that are killed ``kills`` times in all: how their children ended, and what was found."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
        given = [str(folder / "recipe.yaml"), str(folder), str(kills), str(seed)]
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
        command = [sys.executable, str(SCRIPT), *given]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment)
        if done.returncode:
            raise SystemExit(f"{SCRIPT.name} ended with {done.returncode}.")
        ends: dict[str, list[str]] = json.loads(done.stdout)
        broken = {name: each for name, each in ends.items() if each[-1] != "0"}
        if broken:
            raise SystemExit(f"runs that did not end by themselves: {broken}.")
        whole = shards(folder / "whole")
        del ends["whole"]
        found: Counter[str] = Counter()
        for name in ends:
            found.update(compare(whole, shards(folder / name)))
            left = len(list((folder / name).rglob("*.tmp")))
            rows = sum(len(_rows(shard)) for shard in whole.values())
            found.update(runs=1, rows=rows, shards=len(whole), left=left)
    return ends, found


def main() -> None:
    args = arguments(__doc__)
    kills = QUICK_KILLS if args.quick else KILLS
    started = time.monotonic()
    total: Counter[str] = Counter()
    runs = []
    while total["kills"] < kills:
        number = len(runs)
        ends, found = batch(min(BATCH, kills - total["kills"]), seed=number)
        total += found
        total["kills"] += sum(each.count("killed") for each in ends.values())
        runs.append({"seed": number, "ends": list(ends.values())})
        counts = {kind: total[kind] for kind in ("lost", "doubled", "changed")}
        note(f"{total['kills']} of {kills} kills, {time.monotonic() - started:.0f} s: {counts}")
    table = [(f"rows {kind}", count) for kind, count in counts.items()]
    table += [
        ("rows compared", total["rows"]),
        ("shards that differ by a byte", total["different"]),
        ("shards compared", total["shards"]),
        ("temporary files left", total["left"]),
        ("kills that hit", total["kills"]),
        ("runs", total["runs"]),
    ]
    show("kill -9 and resume, transformers engine", ("what", "count"), table)
    finish(
        "kills",
        ratio=sum(counts.values()) / total["rows"],
        ours=counts,
        theirs=dict.fromkeys(counts, 0),
        runs=runs,
        libraries=LIBRARIES,
        as_json=args.json,
    )


if __name__ == "__main__":
    main()
