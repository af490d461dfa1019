"""What a benchmark takes on its command line, and what it prints: tables in Markdown, the machine,
the versions and, with ``--json``, all of it as one last line."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

from harness import Ratio, Run


def arguments(description: str | None, *options: str) -> argparse.Namespace:
    """``--quick`` and ``--json``, which every benchmark has, and flags of its own."""
    parser = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small sizes; under 50 seconds")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    for option in options:
        parser.add_argument(f"--{option}", action="store_true")
    return parser.parse_args()


def show(title: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table, in Markdown."""
    cells = [list(header), *([_cell(value) for value in row] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(header))]
    aligned = ((line, widths) for line in cells)
    padded = [[cell.ljust(width) for cell, width in zip(*each, strict=True)] for each in aligned]
    lines = [f"| {' | '.join(line)} |" for line in padded]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    sys.stdout.write("\n".join(["", title, "", *lines, ""]))
    sys.stdout.flush()


def show_ratios(title: str, unit: str, found: Iterable[Ratio]) -> None:
    header = ("what", f"ours, {unit}", f"theirs, {unit}", "min", "median", "max", "best ÷ best")
    rows = [(r.name, r.ours, r.theirs, *_spread(r.rounds), r.best) for r in found]
    show(title, header, rows)


def _spread(values: Sequence[float]) -> tuple[float, float, float]:
    return min(values), statistics.median(values), max(values)


def finish(
    name: str,
    *,
    ratio: float | None,
    ours: object,
    theirs: object,
    runs: Sequence[Run | Mapping[str, Any]],
    libraries: Sequence[str],
    as_json: bool,
) -> None:
    """The machine and the versions and, where wanted, all of it as one last line of JSON."""
    here, found = machine(), versions(libraries)
    sys.stdout.write(f"\nmachine: {', '.join(f'{k} {v}' for k, v in here.items())}\n")
    sys.stdout.write(f"versions: {', '.join(f'{k} {v}' for k, v in found.items())}\n")
    if as_json:
        record = {
            "name": name,
            "ratio": ratio,
            "ours": ours,
            "theirs": theirs,
            "runs": [asdict(run) if isinstance(run, Run) else run for run in runs],
            "machine": here,
            "versions": found,
        }
        sys.stdout.write(f"{json.dumps(record, ensure_ascii=False)}\n")
    sys.stdout.flush()


def machine() -> dict[str, str]:
    """In words, without its name."""
    found = {
        "CPU": _processor(),
        "cores": str(os.cpu_count()),
        "memory": f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 1e9:.0f} GB",
        "load": f"{os.getloadavg()[0]:.1f}",
        "system": f"{platform.system()} {platform.machine()}",
    }
    if shutil.which("nvidia-smi"):
        command = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
        listed = subprocess.run(command, capture_output=True, text=True).stdout.strip()
        if listed:
            found["GPU"] = "; ".join(listed.splitlines())
    return found


def versions(libraries: Sequence[str]) -> dict[str, str]:
    """Of Python, of ours, and of those among ``libraries`` that are installed."""
    found = {"python": platform.python_version()}
    for library in ("magpie-hub", *libraries):
        try:
            found[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    flags = next((line for line in lines if line.startswith("flags")), "")
    wide = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if f" {flag}" in flags]
    return " ".join([names[0] if names else platform.processor(), *wide])


def _cell(value: object) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
