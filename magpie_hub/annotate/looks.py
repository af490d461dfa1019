"""What is seen by looking at the texts alone: the stages of text, pii and contamination.

``text`` and ``pii`` look at the question and its answer, ``contamination`` at the question, before
anything is spent on it.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

import pyarrow as pa

from magpie_hub import schema
from magpie_hub.annotate import pii, text
from magpie_hub.annotate.contamination import Benchmarks, Item, read_file, read_hub
from magpie_hub.annotate.language import named, opened_when_needed
from magpie_hub.annotate.reward import answered
from magpie_hub.errors import HubError, UsageError
from magpie_hub.pool import store
from magpie_hub.recipe import Benchmark, Contamination, Language, Pii
from magpie_hub.run import Run, StageInfo
from magpie_hub.stage import Local
from magpie_hub.template import ChatTemplate

_TEXT = dict(
    zip(
        text.COLUMNS.names,
        (
            *("query_chars", "response_chars", "repetition", "loop", "refusal"),
            *("response_language", "same_language", "format", "leaked"),
        ),
        strict=True,
    )
)
"""The columns of ``text.py``, and what the schema calls them."""


TEXT = schema.in_order(_TEXT.values())


def text_info(language: Language, respond: StageInfo) -> StageInfo:
    return StageInfo(
        name="text",
        folder="annotations/text",
        keys={"rules": "1", "identifier": named(language)},
        after=respond.fingerprint,
        coverage=respond.coverage,
        columns=TEXT,
    )


def looking(run: Run, language: Language) -> Local:
    """Lengths, loops, refusals, languages and format of every answered row."""
    identifier = opened_when_needed(language)

    def make(shard: int, have: set[str]) -> pa.Table:
        rows = [row for row in answered(run, shard) if row[0] not in have]
        names, queries, answers = (
            (list(each) for each in zip(*rows, strict=True)) if rows else ([], [], [])
        )
        found = text.columns(queries, answers, identify=identifier().identify)
        found = found.rename_columns([_TEXT[name] for name in found.column_names])
        return _stored(run, "text", names, found)

    return Local("text", make)


def pii_info(settings: Pii, template: ChatTemplate, respond: StageInfo) -> StageInfo:
    controls = "\n".join(sorted(template.renderer.control_ids))
    return StageInfo(
        name="pii",
        folder="annotations/pii",
        keys={"rules": "1", "controls": hashlib.sha256(controls.encode()).hexdigest()[:16]},
        after=respond.fingerprint,
        coverage=respond.coverage,
        columns=("pii",),
    )


def searching(run: Run, template: ChatTemplate) -> Local:
    """The kinds of secrets and personal data in every answered row."""
    finder = pii.Finder(template.renderer.control_ids)

    def make(shard: int, have: set[str]) -> pa.Table:
        rows = [row for row in answered(run, shard) if row[0] not in have]
        found = zip(
            finder.find_each([query for _, query, _ in rows]),
            finder.find_each([answer for *_, answer in rows]),
            strict=True,
        )
        kinds = [
            list(dict.fromkeys(each.kind for each in (*one, *other) if each.blocking))
            for one, other in found
        ]
        column = pa.array(kinds, schema.column("pii").type)
        return _stored(run, "pii", [name for name, *_ in rows], pa.table({"pii": column}))

    return Local("pii", make)


def contamination_info(settings: Contamination, sample: StageInfo) -> StageInfo:
    keys = {f"benchmark {each.name}": _identity(each) for each in settings.against}
    return StageInfo(
        name="contamination",
        folder="annotations/contamination",
        keys={"words": str(settings.words), **keys},
        after=sample.fingerprint,
        cheap=True,
        columns=("contaminated_by",),
    )


def comparing(run: Run, settings: Contamination) -> Local:
    """The benchmark's item with which every query shares a run of words."""

    @cache
    def benchmarks() -> Benchmarks:
        items = [item for each in settings.against for item in _items(each)]
        return Benchmarks(items, size=settings.words)

    def make(shard: int, _: set[str]) -> pa.Table:
        queries = store(run, "sample").read(shard)
        hits = benchmarks().find(queries["query"].to_pylist())
        column = pa.array([hit and hit.item for hit in hits], pa.string())
        ids = queries["id"].to_pylist()
        return _stored(run, "contamination", ids, pa.table({"contaminated_by": column}))

    return Local("contamination", make)


def _items(benchmark: Benchmark) -> list[Item]:
    if benchmark.file is not None:
        return read_file(benchmark.name, Path(benchmark.file), benchmark.fields)
    assert benchmark.hub is not None
    try:
        return read_hub(
            benchmark.name,
            benchmark.hub,
            benchmark.fields,
            config=benchmark.config,
            split=benchmark.split,
            revision=benchmark.revision,
        )
    except (OSError, ValueError) as error:  # what datasets raises for what it cannot reach or find
        reason = " ".join(str(error).split()).rstrip(".")
        raise HubError(
            f"the benchmark {benchmark.name} cannot be loaded from {benchmark.hub} ({reason}); "
            "give its items as a file, or leave it out."
        ) from error


def _identity(benchmark: Benchmark) -> str:
    fields = ", ".join(benchmark.fields) or "all"
    if benchmark.file is None:
        at = benchmark.revision or "its newest"
        return f"{benchmark.hub} {benchmark.config or ''} {benchmark.split} at {at}: {fields}"
    try:
        content = Path(benchmark.file).read_bytes()
    except OSError as error:
        raise UsageError(f"{benchmark.file} cannot be read ({error.strerror}).") from error
    return f"sha256 {hashlib.sha256(content).hexdigest()[:16]}: {fields}"


def _stored(run: Run, stage: str, ids: list[str], columns: pa.Table) -> pa.Table:
    arrow = store(run, stage).schema
    whole = columns.append_column("id", pa.array(ids, pa.string()))
    whole = whole.append_column("error", pa.nulls(len(ids), pa.string()))
    return whole.select(arrow.names).cast(arrow)
