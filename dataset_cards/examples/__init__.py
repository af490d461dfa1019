"""A card of each kind, as the bundled model's demo gives it: to read, and to see in a diff what a
change of the templates does.

`python -m dataset_cards.examples RUNS` runs the demo of each kind into RUNS (what is there already
is not run again) and writes the cards here. Beside each stands the JSON that it is rendered from,
so that a test renders it again without a run.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from pydantic import TypeAdapter

from magpie_hub import card, plots
from magpie_hub.builder import builder_class
from magpie_hub.evidence.record import Record, of_release
from magpie_hub.release import Manifest, Release
from magpie_hub.release.facts import Facts, facts

HERE = Path(__file__).parent
RECIPES = {
    "sft": "demo",
    "multi_turn": "demo-multi-turn",
    "preference": "demo-preference",
    "reasoning": "demo-reasoning",
}
_FACTS = TypeAdapter(Facts)


def read(kind: str) -> tuple[Manifest, Facts, tuple[Record, ...]]:
    """What the card of the ``kind`` is rendered from."""
    document = json.loads((HERE / f"{kind}.json").read_text(encoding="utf-8"))
    return (
        Manifest.model_validate(document["manifest"]),
        _FACTS.validate_python(document["facts"]),
        tuple(map(Record.model_validate, document["evidence"])),
    )


def write(kind: str, release: Release) -> None:
    manifest, known = release.manifest, facts(release.path, release.manifest)
    evidence = of_release(release.path)
    document = {
        "manifest": manifest.model_dump(mode="json"),
        "facts": _FACTS.dump_python(known, mode="json"),
        "evidence": [each.model_dump(mode="json") for each in evidence],
    }
    text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    (HERE / f"{kind}.json").write_text(text, encoding="utf-8")
    (HERE / f"{kind}.md").write_text(render(kind, manifest, known, evidence), encoding="utf-8")
    shutil.copytree(release.path / plots.ASSETS, HERE / plots.ASSETS, dirs_exist_ok=True)


def render(kind: str, manifest: Manifest, known: Facts, evidence: Sequence[Record]) -> str:
    return card.render(manifest, known, builder_class(kind).template, evidence=evidence)
