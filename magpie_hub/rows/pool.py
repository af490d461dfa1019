"""What a run has made, joined: the rows that a builder publishes, and what was turned away."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from magpie_hub import schema
from magpie_hub.errors import InvalidData, UsageError
from magpie_hub.licences import ModelLicense
from magpie_hub.recipe import ConfigSpec
from magpie_hub.release import Making, Producer, Provenance
from magpie_hub.rows.conversations import told
from magpie_hub.run import Run
from magpie_hub.run.accounts import accounts, total
from magpie_hub.run.info import RunInfo
from magpie_hub.run.published import recipe_text
from magpie_hub.run.rejections import SAFE, TURNS, guarded, rejections
from magpie_hub.run.stored import is_further_reward, joined, store
from magpie_hub.run.yields import yields

_UNPUBLISHED = {"screen", "baseline", "overlap", "duplicates", "map"}


class Pool(Protocol):
    """Answered rows and how they came to be; a run is one.

    ``shards`` gives the same rows in the same order each time; with ``columns`` those columns at
    least."""

    def columns(self) -> tuple[str, ...]: ...
    def shards(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]: ...
    def provenance(self) -> Provenance: ...
    def producers(self) -> dict[str, Producer]: ...
    def recipe_text(self) -> str: ...
    def config_specs(self) -> Mapping[str, ConfigSpec]: ...


class RunPool:
    """A finished run as the pool of rows that a builder reads.

    ``UsageError`` where a stage is not finished: half a run makes no release. ``only``: those
    shards alone, which must be finished, to look at what there is so far.
    """

    def __init__(self, run: Run, *, only: Sequence[int] | None = None) -> None:
        self._shards = range(run.shard_count) if only is None else only
        for stage in run.info.stages if only is None else ():
            if missing := run.missing(stage.name):
                raise UsageError(
                    f"{run.folder} is not finished: {stage.name} has {len(missing)} of "
                    f"{run.shard_count} shards to do; `magpie-hub run RECIPE --out {run.folder}` "
                    "goes on."
                )
        self.run = run
        self.thinking = "thinking_tokens" in run.stage("respond").columns
        names = [stage.name for stage in run.info.stages]
        self._further = [name for name in names if is_further_reward(name)]
        apart = {*_UNPUBLISHED, *self._further}
        self._joined = [n for n in names if n not in apart and not n.startswith(TURNS)]

    def columns(self) -> tuple[str, ...]:
        """The published columns, in the order of the schema."""
        return schema.in_order(c for stage in self.run.info.stages for c in stage.columns)

    def shards(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """The answered rows, one table a shard in the order of slots, with exactly the schema of
        :meth:`columns`, or those named; a conversation that could not be paired has no
        ``rejected``."""
        wanted = self.columns() if columns is None else schema.in_order(columns)
        for shard in self._shards:
            verdicts = store(self.run, "screen").read(shard)
            kept = verdicts.filter(verdicts["kept"])["id"]
            rows = joined(self.run, shard, kept, self._joined, only=self._needed(wanted))
            rows = told(self.run, shard, rows, thinking=self.thinking)
            if guarded(self.run):
                rows = rows.filter(pc.equal(rows["safety"], SAFE))
            rows = self._without_pii(rows)
            if self.run.has("choose"):
                rows = self._parted(_scored(rows))
            if self._further and "rewards" in wanted:
                rows = rows.append_column("rewards", self._rewards(shard, rows))
            arrow = schema.arrow_schema(wanted, thinking=self.thinking)
            yield rows.select(arrow.names).cast(arrow)

    def _needed(self, wanted: Sequence[str]) -> set[str] | None:
        """The stored columns of which the ``wanted`` ones are made, and those that say which rows
        there are; None for all."""
        if self.run.has("choose") or self.run.recipe.extend.turns > 1:
            return None
        texts = ("query", "thinking") if "messages" in wanted else ()
        return {*wanted, *texts, "response", "reward", "safety", "pii"}

    def _without_pii(self, rows: pa.Table) -> pa.Table:
        settings = self.run.recipe.annotate.pii
        if settings is None or settings.action == "keep":
            return rows
        found = pc.greater(pc.list_value_length(rows["pii"]), 0)
        if settings.action == "block" and pc.any(found).as_py():
            row = rows.filter(found).slice(0, 1).to_pylist()[0]
            raise InvalidData(
                f"row {row['id']} holds {', '.join(row['pii'])}, and nothing like it is released; "
                "set annotate.pii.action to drop, to leave such rows out, or to keep."
            )
        return rows.filter(pc.invert(found))

    def _parted(self, rows: pa.Table) -> pa.Table:
        """Without the rejected answer where its score is too near."""
        near = pc.less_equal(rows["margin"], self.run.recipe.choose.min_margin)
        places = pa.array(np.arange(len(rows)), mask=pc.fill_null(near, True).to_numpy())
        for name in ("rejected", "rejected_score", "margin"):
            at = rows.column_names.index(name)
            rows = rows.set_column(at, name, rows[name].take(places))
        return rows

    def _rewards(self, shard: int, rows: pa.Table) -> pa.Array:
        """Each row's scores, the first model's first."""
        scores = {self.run.stage("reward").model: rows["reward"].to_pylist()}
        for stage in self._further:
            found = joined(self.run, shard, rows["id"], [stage])
            if self.run.has("choose"):
                found = _scored(found.append_column("chosen_place", rows["chosen_place"]))
            scores[self.run.stage(stage).model] = found["reward"].to_pylist()
        made = [
            [{"model": model, "score": score} for model, score in zip(scores, each, strict=True)]
            for each in zip(*scores.values(), strict=True)
        ]
        return pa.array(made, schema.column("rewards").type)

    def producers(self) -> dict[str, Producer]:
        return {
            column: Producer(
                by=stage.name,
                model=stage.model,
                revision=stage.revision,
                prompt_sha256=stage.prompt_sha256,
            )
            for stage in self.run.info.stages
            for column in stage.columns
        }

    def provenance(self) -> Provenance:
        recipe, info = self.run.recipe, self.run.info
        whole = total(accounts(self.run).values())
        return Provenance(
            name=recipe.name,
            builder=recipe.builder,
            license=recipe.license,
            license_name=recipe.license_name,
            license_link=recipe.license_link,
            license_decision=recipe.license_decision,
            gating=recipe.gating,
            model_licenses=writers(info),
            fingerprints={stage.name: stage.fingerprint for stage in info.stages},
            versions=info.versions,
            engines=whole.engines,
            determinism=whole.determinism,
            slots=info.rows,
            rejected=rejections(self.run),
            yields=yields(self.run),
            made=tuple(
                Making(
                    stage=stage.name,
                    model=stage.model,
                    revision=stage.revision,
                    settings={k: v for k, v in stage.keys.items() if k != "model"},
                )
                for stage in info.stages
            ),
        )

    def recipe_text(self) -> str:
        return recipe_text(self.run)

    def config_specs(self) -> Mapping[str, ConfigSpec]:
        return self.run.recipe.configs


def writers(info: RunInfo) -> tuple[ModelLicense, ...]:
    """The models whose words are published; of a run from before their licences were noted, their
    names."""
    found: dict[ModelLicense, None] = {}
    for stage in info.stages:
        if stage.name in ("sample", "respond"):
            named = [ModelLicense(model=each) for each in (stage.model or "").split(", ") if each]
            found |= dict.fromkeys(stage.writers or named)
    return tuple(found)


def _scored(rows: pa.Table) -> pa.Table:
    """With the score of the chosen answer as the ``reward``, which so far is the first one's."""
    if "scores" not in rows.column_names:
        return rows
    reward = _at(rows["scores"], rows["chosen_place"])
    return rows.set_column(rows.column_names.index("reward"), "reward", reward)


def _at(scores: pa.ChunkedArray, places: pa.ChunkedArray) -> pa.Array:
    """Of each list the item at its place."""
    pairs = zip(scores.to_pylist(), places.to_pylist(), strict=True)
    return pa.array([None if each is None else each[at] for each, at in pairs], pa.float64())
