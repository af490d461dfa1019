"""What is seen by looking at the texts alone: the stages of text, pii and contamination.

``text`` and ``pii`` look at the question and its answer, ``contamination`` at the question, before
anything is spent on it.
"""

from __future__ import annotations

import hashlib
from functools import cache
from itertools import islice

import pyarrow as pa

from magpie_hub import schema
from magpie_hub.annotate import items, pii, text
from magpie_hub.annotate.contamination import Benchmarks
from magpie_hub.annotate.language import named, opened_when_needed
from magpie_hub.recipe import Contamination, Language, Pii
from magpie_hub.run import Run
from magpie_hub.run.answered import dialogues
from magpie_hub.run.info import StageInfo
from magpie_hub.run.stored import store
from magpie_hub.stages import Local
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
        rows = [row for row in dialogues(run, shard) if row.id not in have]
        names = [row.id for row in rows]
        found = text.columns(
            [row.queries[0] for row in rows],
            [row.answers[-1].response for row in rows],
            identify=identifier().identify,
        )
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
        rows = [row for row in dialogues(run, shard) if row.id not in have]
        found = iter(finder.find_each([text for row in rows for text in row.texts]))
        kinds = []
        for row in rows:
            hits = [h.kind for each in islice(found, len(row.texts)) for h in each if h.blocking]
            kinds.append(list(dict.fromkeys(hits)))
        column = pa.array(kinds, schema.column("pii").type)
        return _stored(run, "pii", [row.id for row in rows], pa.table({"pii": column}))

    return Local("pii", make)


def contamination_info(settings: Contamination, sample: StageInfo) -> StageInfo:
    keys = {f"benchmark {each.name}": items.identity(each) for each in settings.against}
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
        every = [item for each in settings.against for item in items.read(each)]
        return Benchmarks(every, size=settings.words)

    def make(shard: int, _: set[str]) -> pa.Table:
        queries = store(run, "sample").read(shard)
        hits = benchmarks().find(queries["query"].to_pylist())
        column = pa.array([hit and hit.item for hit in hits], pa.string())
        ids = queries["id"].to_pylist()
        return _stored(run, "contamination", ids, pa.table({"contaminated_by": column}))

    return Local("contamination", make)


def _stored(run: Run, stage: str, ids: list[str], columns: pa.Table) -> pa.Table:
    arrow = store(run, stage).schema
    whole = columns.append_column("id", pa.array(ids, pa.string()))
    whole = whole.append_column("error", pa.nulls(len(ids), pa.string()))
    return whole.select(arrow.names).cast(arrow)
