"""Imports point one way. The rows below are the house, top to bottom; a module may import what
stands in a lower row, or in its own where that row is a group of equals that says so."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]

LAYERS = [
    {"__main__"},
    {"cli"},
    {"arguments"},
    {"verbs"},
    {"verbs.judging", "verbs.running"},
    {"verbs.releasing"},
    {"verbs.shared"},
    {"terminal.live"},
    {
        "terminal.comparison",
        "terminal.evaluation",
        "terminal.preview",
        "terminal.releases",
        "terminal.runs",
    },
    {"terminal"},
    {"report"},
    {"report.data"},
    {"report.costs", "report.coverage", "report.history", "report.judges", "report.pairs"},
    {"report.overview"},
    {"report.shown"},
    {"report.rows"},
    {"report.sources", "report.vectors"},
    {"report.columns"},
    {"cluster"},
    {"cluster.crew"},
    {"cluster.worker"},
    {"hub.withdrawal"},
    {"pipeline", "hub", "run.status", "probe", "hub.verification"},
    {"evidence.compare", "evidence.compare.page", "evidence.evaluate", "evidence.train"},
    {"evidence.evaluate.numbers", "evidence.evaluate.record"},
    {
        "evidence.evaluate.answers",
        "evidence.compare.judged",
        "evidence.evaluate.judging",
        "evidence.evaluate.tasks",
        "evidence.evaluate.truth",
    },
    {"evidence.asking", "evidence.evaluate.opponents", "evidence.evaluate.winrates"},
    {"evidence.evaluate.evaluation", "evidence.evaluate.logistic", "evidence.evaluate.prompts"},
    {
        "evidence.command",
        "evidence.compare.record",
        "evidence.train.frameworks",
        "evidence.train.record",
        "evidence.train.run",
    },
    {"evidence.train.rows", "evidence.train.trainer"},
    {"evidence.templates"},
    {"evidence.train.presets"},
    {"evidence.compare.coverage"},
    {"evidence.compare.measures", "evidence.compare.sampling"},
    {"evidence.sources"},
    {"evidence.sources.files", "evidence.sources.labels", "evidence.compare.result"},
    {"evidence.sources.pairs"},
    {"evidence.compare.diversity", "evidence.sources.shapes"},
    {"pipeline.plan"},
    {"health", "runfile"},
    {"hub.standing"},
    {"hub.fresh_load"},
    {"hub.reading"},
    {"hub.front_matter", "hub.loading"},
    {"export"},
    {"export.magpie"},
    {"export.formats"},
    {"builders.multi_turn", "builders.preference", "builders.reasoning", "builders.sft"},
    {"starters.own"},
    {"builder", "building.reduced"},
    {"building.plugins", "building.pools", "building.folder"},
    {"hub.versions"},
    {"hub.client"},
    {"rows.without"},
    {"release.withdrawn"},
    {"changes"},
    {"changes.statements"},
    {"changes.manifests"},
    {"changes.result"},
    {"changes.rows"},
    {"building.kind"},
    {"release.checks"},
    {"building.croissant"},
    {
        "card",
        "building.overlap",
        "building.parquet",
        "validation",
        "validation.files",
        "validation.splits",
    },
    {"card.evidence", "card.front", "card.making", "card.measured", "card.wording"},
    {"card.markdown"},
    {"release.obligations"},
    {"plots"},
    {"plots.drawing"},
    {"plots.shapes"},
    {"release.facts"},
    {"validation.columns", "validation.messages"},
    {"validation.texts"},
    {"validation.report"},
    {"rows.cuts", "release.samples"},
    {"rows.selection", "rows.splits"},
    {"pipeline.scheduler"},
    {"stages.driver", "pipeline.places"},
    {"annotate.map"},
    {"annotate.compare", "annotate.looks", "annotate.safety", "annotate.turns"},
    {"annotate.judge", "annotate.language", "annotate.reward"},
    {"stages.choose", "stages.extend", "stages.sources"},
    {"stages.endings"},
    {"stages.respond", "stages.sample", "stages.screen"},
    {"annotate.duplicates", "annotate.meaning", "annotate.pii", "annotate.text"},
    {"annotate.contamination", "annotate.near", "annotate.refusals", "annotate.specimens"},
    {"annotate.items"},
    {"stages.decoding"},
    {"stages"},
    {"stages.quotas"},
    {"rows.pool"},
    {"run.rejections"},
    {"run.published"},
    {"rows.conversations"},
    {"run.answered", "run.maps"},
    {"run.stored"},
    {"run.accounts", "run.yields"},
    {"run", "filters", "engines.transformers", "engines.server", "engines.vllm"},
    {"run.info", "run.slots"},
    {"checks.sandbox", "checks.vote"},
    {"checks.cage", "checks.values", "checks.watch"},
    {"checks.expressions"},
    {"checks.numbers", "checks.typeset"},
    {"neighbors.index"},
    {"neighbors.blocks"},
    {"neighbors.exact", "neighbors.pieces"},
    {"storage.claims", "evidence.record", "storage.locks", "storage.shards"},
    {"storage.owner", "storage"},
    {"engines.grammars", "engines.sampling", "engines.server.crew", "neighbors.embedding"},
    {"engines.server.client"},
    {"engines.server.dialects", "engines.server.http"},
    {"engines"},
    {"recipe", "template", "models", "release"},
    {"recipe.configs", "recipe.gating", "recipe.labels", "recipe.steps", "recipe.presets"},
    {"recipe.part"},
    {"recipe.filter_presets", "recipe.layout", "neighbors.block", "recipe.origin", "steering"},
    {"template.chat", "template.derive", "template.leaks"},
    {"template.thinking"},
    {"template.proof"},
    {"template.rendering"},
    {"card.edits", "licences", "schema", "starters", "visible", "words"},
    {"evidence.resampling", "report.page"},
    {"errors"},
    {
        "",
        "annotate",
        "building",
        "builders",
        "checks",
        "dataset_cards",
        "evidence",
        "neighbors",
        "recipes",
    },
]
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}


def modules() -> dict[str, Path]:
    found = {}
    for top, prefix in ((ROOT / "magpie_hub", ""), (ROOT / "builders", "builders.")):
        for file in top.rglob("*.py"):
            parts = list(file.relative_to(top).with_suffix("").parts)
            if parts[-1] == "__init__":
                parts.pop()
            found[(prefix + ".".join(parts)).rstrip(".")] = file
    return found


def imported(file: Path, known: set[str]) -> set[str]:
    """The package's modules that a file imports, wherever in it. TYPE_CHECKING imports count too:
    a name that a module needs for its types is one that it knows of."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            # `from package import module` needs the module; of the package only what it must.
            names |= inner if _paths(inner) <= known else inner | {node.module}
    ours = {n.removeprefix("magpie_hub").removeprefix(".") for n in names if n.startswith("magpie")}
    return ours & known


def _paths(names: set[str]) -> set[str]:
    return {name.removeprefix("magpie_hub").removeprefix(".") for name in names}


def test_every_module_has_its_place() -> None:
    assert set(modules()) == set(RANK) - {"dataset_cards", "recipes"}


def test_imports_point_down() -> None:
    known = set(RANK)
    wrong = [
        f"{name} imports {other}"
        for name, file in modules().items()
        for other in imported(file, known) - {name, ""}
        # The lazy front door names what it leads to.
        if name != "" and RANK[other] < RANK[name]
    ]
    assert wrong == []


def test_equals_that_import_each_other_are_named() -> None:
    """Within a row: the wiring of an annotator to the screen's rules, and nothing mutual."""
    pairs = {
        (name, other)
        for name, file in modules().items()
        for other in imported(file, set(RANK)) - {name}
        if RANK[other] == RANK[name]
    }
    assert not {(a, b) for a, b in pairs if (b, a) in pairs}
