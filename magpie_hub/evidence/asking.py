"""Models asked about prompts: rows in shards that are complete or absent, so that what was done
stays when the work is stopped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from magpie_hub import models, template
from magpie_hub.engines import EngineSpec, Task, open_engine
from magpie_hub.errors import UsageError
from magpie_hub.evidence.templates import OWN, choose, unknown
from magpie_hub.models import Model
from magpie_hub.stages import Progress, Source, Steps
from magpie_hub.stages.driver import Driver
from magpie_hub.storage.shards import ShardStore

SHARD = 64
"""Prompts that are kept together: what a kill costs, at most, for each shard in flight."""


def speaker(ref: str, role: str = "asked", source: str | None = None) -> Source:
    """A model that answers, without thinking where it can be told so; ``source`` is a chat template
    in the place of its own. ``UsageError`` where it has none, or one that takes no questions, so
    that it cannot be ``role``."""
    model = models.resolve(ref)
    found = template.load(model.path, source=source)
    if found.thinking.switch is not None:
        found = template.load(model.path, source=source, thinking=False)
    if found.no_answer:
        raise UsageError(f"{ref} cannot be {role}: {found.no_answer}")
    return Source(model, found)


def answerer(ref: str, given: str | None, *, spare: bool = False) -> tuple[Source, str]:
    """A model that answers, which may be a base model: (it, the name of the chat template that it
    is asked with), as ``choose`` has it; what is ``given`` to ``spare`` is for one that has none.
    ``UsageError`` where it does not know the tokens of that template, so that it could only spell
    them out."""
    tokenizer = template.load_tokenizer(models.resolve(ref).path)
    if spare and tokenizer.chat_template:
        given = None
    chosen = choose(tokenizer, given)
    if new := unknown(tokenizer, chosen):
        has = "has no chat template and " if given is None else ""
        raise UsageError(
            f"{ref} {has}does not know {', '.join(new)} of the template {chosen.name}; give a "
            "--chat-template of tokens that it knows, such as the one that it was trained with."
        )
    return speaker(ref, source=None if chosen.name == OWN else chosen.text), chosen.name


def fingerprint(*facts: object) -> str:
    """Of what a stage's rows depend on."""
    text = json.dumps(facts, ensure_ascii=False, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


@dataclass(frozen=True)
class Stage:
    """``steps`` makes the row of a prompt, by its place; rows are ``schema`` without id and
    error. ``keys`` are what they depend on: others lie in another folder."""

    title: str
    folder: Path
    schema: pa.Schema
    keys: str
    model: Model
    steps: Callable[[int], Steps]
    task: Task = "generate"


def rows(
    stage: Stage, ids: Sequence[str], *, engine: EngineSpec, progress: Progress
) -> list[dict[str, Any]]:
    """The row of each of ``ids``: those that are stored, and the others as the model makes them.

    ``EngineError`` where the engine is lost; the shards that were finished stay."""
    schema = pa.schema([("id", pa.string()), *stage.schema, ("error", pa.string())])
    store = ShardStore(stage.folder / stage.keys, schema, stage.keys)
    shards = range(-(-len(ids) // SHARD))
    absent = [shard for shard in shards if store.coverage(shard) is None]
    progress.begin(stage.title, total=len(ids), done=len(ids) - sum(map(len, _of(ids, absent))))
    if absent:
        _make(stage, ids, absent, store, engine, progress)
    progress.end(stage.title)
    return [row for table in store.read_each(shards) for row in table.to_pylist()]


def _make(
    stage: Stage,
    ids: Sequence[str],
    absent: Sequence[int],
    store: ShardStore,
    spec: EngineSpec,
    progress: Progress,
) -> None:
    engine = open_engine(spec, stage.model, stage.task)
    try:
        driver, left = Driver(engine, progress), iter(absent)
        flying: dict[str, int] = {}
        while True:
            while driver.room and (shard := next(left, None)) is not None:
                places = range(shard * SHARD, min((shard + 1) * SHARD, len(ids)))
                driver.begin(stage.title, {ids[place]: stage.steps(place) for place in places})
                flying[ids[places[0]]] = shard
            if driver.idle:
                return
            for batch in driver.poll():
                made: Mapping[str, dict[str, Any]] = batch.made
                table = pa.Table.from_pylist(list(made.values()), schema=store.schema)
                store.write(flying[next(iter(made))], table, stage.keys)
                progress.advance(stage.title, rows=len(made), failed=batch.failed)
    finally:
        engine.close()


def _of(ids: Sequence[str], shards: Sequence[int]) -> list[Sequence[str]]:
    return [ids[shard * SHARD : (shard + 1) * SHARD] for shard in shards]
