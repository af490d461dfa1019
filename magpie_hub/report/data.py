"""All that a report shows, collected from a run or a release as one JSON document.

Counts are of all rows; texts, labels and places are those of a sample, which says how it was drawn.
What a run or a release cannot tell stands in ``missing``, with why.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from magpie_hub.annotate.map import Layout
from magpie_hub.errors import UsageError
from magpie_hub.evidence.sources import of_pool, of_release, open_sources
from magpie_hub.hub.client import Report
from magpie_hub.release import MANIFEST, Release, numbers
from magpie_hub.report import costs, history, overview, shown
from magpie_hub.report.coverage import coverage
from magpie_hub.report.judges import judges, unlabelled
from magpie_hub.report.page import as_data
from magpie_hub.report.pairs import pairs
from magpie_hub.report.rows import Fate, Walk, walk
from magpie_hub.report.sources import ReleaseRows, RunRows, Source
from magpie_hub.report.vectors import Embedded, vectors
from magpie_hub.run import Run
from magpie_hub.run.accounts import accounts, total
from magpie_hub.run.info import INFO
from magpie_hub.run.maps import coordinates
from magpie_hub.run.stored import is_further_reward

BYTES = 8_000_000
"""Of the document, as UTF-8."""
_SHORTEST = 50
_REST: Fate = ("release", "not in the release")
_NO_MAP = (
    "The run has no map of its questions; add `map: {}` under `annotate`, install "
    "'magpie-hub[map]' and run it again."
)
_ALONE = "The release stands alone; the report of its run, or of the release inside it, has "


def collect(
    place: str | Path, over: Sequence[str] = (), *, say: Report = lambda line: None
) -> dict[str, Any]:
    """The document of the run or the release in the folder ``place``, over other sets (sources of
    ``evidence/sources``) where they are given; ``say`` hears how it goes with those.

    ``UsageError`` where it is neither, or one of ``over`` is no source; ``HubError`` where the Hub
    does not give it; ``InvalidData`` where files are damaged."""
    path = Path(place)
    if (path / MANIFEST).is_file():
        release = Release.open(path)
        run = _behind(release)
        beside = _beside(release, run, over, say)
        data, source = _of_run(run, release, "release") if run else _of_release(release)
    elif (path / INFO).is_file():
        run = _opened(path)
        beside = _beside(None, run, over, say)
        made = Release.beside(path / "releases")
        newest = max(made, key=lambda each: numbers(each.version), default=None)
        data, source = _of_run(run, newest, "run")
    else:
        raise UsageError(f"{path} is neither a run nor a release; give a folder with one of them.")
    return _fitted(data | beside, source)


def _beside(
    release: Release | None, run: Run | None, over: Sequence[str], say: Report
) -> dict[str, Any]:
    """The release, or the run where there is none, beside the sets ``over``."""
    if not over:
        return {}
    others = open_sources(over, report=say)
    if release is not None:
        ours, called = of_release(release), "this release"
    else:
        assert run is not None
        ours, called = of_pool(RunRows(run).pool(), run.path), "this run"
    return {"coverage": coverage(ours, called, others, run=run, release=release, say=say)}


def _behind(release: Release) -> Run | None:
    """The run that a release stands in, where it still is what was released."""
    folder = release.path.resolve().parent.parent
    if release.path.resolve().parent.name != "releases" or not (folder / INFO).is_file():
        return None
    run = _opened(folder)
    now = {stage.name: stage.fingerprint for stage in run.info.stages}
    same = release.manifest.fingerprints.items() <= now.items()
    return run if same and run.info.rows == release.manifest.slots else None


def _opened(folder: Path) -> Run:
    """The run; personal data that would block a release blocks no report of it."""
    run = Run.open(folder)
    annotate = run.recipe.annotate
    if annotate.pii and annotate.pii.action == "block":
        pii = annotate.pii.model_copy(update={"action": "keep"})
        annotate = annotate.model_copy(update={"pii": pii})
        run.recipe = run.recipe.model_copy(update={"annotate": annotate})
    return run


def _of_run(run: Run, release: Release | None, kind: str) -> tuple[dict[str, Any], Source]:
    source = RunRows(run)
    found = walk(source)
    ids = _ids(found)
    spent = accounts(run)
    told = overview.of_run(
        run, total(spent.values()), finished=not any(run.missing(s.name) for s in run.info.stages)
    )
    missing: dict[str, str] = {}
    embedded = vectors(run, ids)
    at, how = _placed(run, set(ids), embedded)
    if not at:
        missing["map"] = _NO_MAP
    rewards = [s.model or s.name for s in run.info.stages if _is_reward(s.name)]
    data = _document(
        found,
        source,
        at=at,
        told=told | {"configs": overview.configs(release.manifest if release else None)},
        further={},
        embedded=embedded,
        compared=judges(found, ids, models=rewards, unlabelled=unlabelled(run)),
        missing=missing,
    )
    data["rows"]["map_how"] = how
    data["stages"] = costs.stages(run, spent, found.kept)
    if data["stages"] is None:
        missing["stages"] = "Nothing has been accounted for yet."
    data["changes"] = history.changes(release) if release else None
    if data["changes"] is None:
        missing["changes"] = (
            "The run has no release yet."
            if release is None
            else f"There is no release before {release.version}."
        )
    version = release.version if release and kind == "release" else None
    return _head(run.recipe.name, kind, version, _ended(run)) | data, source


def _placed(
    run: Run, ids: set[str], embedded: Embedded | None
) -> tuple[dict[str, tuple[float, float]], str | None]:
    """Where the rows shown stand on the run's map, and how that was made; of a run without one, on
    a map of those that have embeddings."""
    if (found := coordinates(run)) is not None:
        places = zip(*(found[name].to_pylist() for name in ("id", "x", "y")), strict=True)
        at = {name: (x, y) for name, x, y in places if name in ids}
        seed = run.recipe.annotate.map.seed if run.recipe.annotate.map else 0
        return at, f"t-SNE of the questions' embeddings ({run.stage('map').model}), seed {seed}."
    if embedded is None or find_spec("openTSNE") is None:
        return {}, None
    made = Layout(embedded.vectors, seed=0).of(embedded.vectors, np.arange(len(embedded.ids)))
    both = zip(embedded.ids, made.tolist(), strict=True)
    at = {name: (x, y) for name, (x, y) in both if x == x}
    said = f"t-SNE of the embeddings ({embedded.model}) of the questions shown alone, seed 0."
    return at, said if at else None


def _of_release(release: Release) -> tuple[dict[str, Any], Source]:
    manifest = release.manifest
    source = ReleaseRows(release)
    found = walk(source)
    further: dict[Fate, int] = {
        (_stage(reason), reason): count for reason, count in manifest.rejected.items()
    }
    if (rest := manifest.slots - found.rows - sum(further.values())) > 0:
        further[_REST] = rest
    missing = {
        "map": f"{_ALONE}the map, where `map` is among its annotators.",
        "rejected": f"{_ALONE}the rows that were rejected; here they are only counted.",
        "stages": f"{_ALONE}what its stages took.",
    }
    data = _document(
        found,
        source,
        at={},
        told=overview.of_release(manifest) | {"configs": overview.configs(manifest)},
        further=further,
        embedded=None,
        compared=judges(found, _ids(found)),
        missing=missing,
    )
    data["stages"] = None
    data["changes"] = history.changes(release)
    if data["changes"] is None:
        missing["changes"] = f"There is no release before {release.version}."
    head = _head(manifest.name, "release", release.version, manifest.created)
    return head | data, source


def _document(
    found: Walk,
    source: Source,
    *,
    at: dict[str, tuple[float, float]],
    told: dict[str, Any],
    further: dict[Fate, int],
    embedded: Embedded | None,
    compared: dict[str, Any] | None,
    missing: dict[str, str],
) -> dict[str, Any]:
    """What runs and releases have alike; ``missing`` gets what is not there, with why."""
    fates = shown.fates(found, further)
    codes: dict[Fate, int] = {
        (each["stage"], each["reason"]): code for code, each in enumerate(fates)
    }
    ids = _ids(found)
    rows = shown.rows(found, source.there, fates)
    rows["x"], rows["y"] = shown.places(ids, at)
    rows["map_how"] = None
    near = pairs(found, source, codes, embedded)
    sampled = sum(each["of"] for each in fates)
    ended = found.counts.get("finish_reason", {}).get(True)
    cut = ended["length"] / max(ended.total(), 1) if ended else None
    behind = ("pending", "screen", "respond", "release")
    answered = sum(each["of"] for each in fates if each["stage"] not in behind)
    data = {
        "overview": told
        | {
            "sampled": sampled,
            "kept": found.kept,
            "answered": answered,
            "truncated": shown.short(cut),
        },
        "flow": overview.flow(fates),
        "rows": rows,
        "pairs": near,
        "judges": compared,
    }
    if not sampled:
        missing["flow"] = "Nothing has been sampled yet."
    if not rows["labels"]:
        missing["labels"] = "The rows have no labels; `annotate` in a recipe gives them some."
    if not rows["numbers"]:
        missing["numbers"] = "The rows have no measures."
    if near is None:
        missing["pairs"] = (
            "No question repeats another, and there are no embeddings to tell which are alike; "
            "`neighbors: {}` or `map: {}` under `annotate` makes them."
        )
    if compared is None:
        missing["judges"] = (
            "There are no two judges to compare; a judge with a reward model, two reward models, "
            "or a judge of conversations would be."
        )
    if sampled == found.kept:
        missing["rejected"] = "No query was rejected."
    return data | {"missing": missing}


def _fitted(data: dict[str, Any], source: Source) -> dict[str, Any]:
    """With the texts, cut so far that all of it fits."""
    rows, limit = data["rows"], shown.TEXT
    said = source.texts(rows["ids"])
    while True:
        rows["text_limit"], rows["texts"] = limit, shown.texts(rows["ids"], said, limit)
        for each in data["coverage"]["map"] if "coverage" in data else ():
            each["texts"] = [text[:limit] for text in each["texts"]]
        if limit < _SHORTEST or _size(data) <= BYTES:
            return data
        limit //= 2


def _size(data: dict[str, Any]) -> int:
    return len(as_data(data).encode())


def _ended(run: Run) -> str:
    """When its newest shard was made, so that the same run gives the same report."""
    records = (each for stage in run.info.stages for each in run.accounts(stage.name).values())
    begun = (run.path / INFO).stat().st_mtime
    newest = max((record["ended"] for record in records), default=begun)
    return datetime.fromtimestamp(newest, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _head(name: str, kind: str, version: str | None, created: str) -> dict[str, Any]:
    return {
        "format": 1,
        "title": name,
        "kind": kind,
        "version": version,
        "generator": f"magpie-hub {metadata.version('magpie-hub')}",
        "created": created,
    }


def _ids(found: Walk) -> list[str]:
    return found.sample["id"].to_list()


def _is_reward(stage: str) -> bool:
    return stage == "reward" or is_further_reward(stage)


def _stage(reason: str) -> str:
    """The stage that turns away for this reason; the manifest names the reason alone."""
    known = {"no answer": "respond", "unsafe": "safety", "pii": "pii"}
    if reason in known:
        return known[reason]
    if reason.startswith("one turn: "):
        return "extend"
    pairs_ = ("margin", "equal scores", "identical answers", "one answer")
    late = (*pairs_, "better one cut off", "models disagree")
    return "choose" if reason in late else "screen"
