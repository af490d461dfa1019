"""What a run has made, joined: the rows that a builder publishes, and what was turned away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from magpie_hub import schema
from magpie_hub.accounts import accounts, total
from magpie_hub.errors import InvalidData, UsageError
from magpie_hub.recipe import ConfigSpec
from magpie_hub.release import Making, Producer, Provenance
from magpie_hub.run import Run
from magpie_hub.shards import ShardStore
from magpie_hub.yields import yields

SAFE = "safe"

_STORED = {
    "sample": schema.QUERIES,
    "screen": schema.VERDICTS,
    "respond": schema.RESPONSES,
    "baseline": schema.RESPONSES,
    "duplicates": schema.DUPLICATES,
}
_UNPUBLISHED = {"screen", "baseline", "duplicates"}


def store(run: Run, stage: str) -> ShardStore:
    """The shards of a stage, with the schema that it stores."""
    columns = ("reward",) if _is_further_reward(stage) else run.stage(stage).columns
    return run.store(stage, _STORED.get(stage) or schema.annotation(columns))


def _is_further_reward(stage: str) -> bool:
    return stage.startswith("reward-")


def joined(run: Run, shard: int, ids: pa.ChunkedArray, stages: Iterable[str]) -> pa.Table:
    """What ``stages`` stored for ``ids``, side by side in that order; null where one has no row."""
    rows = pa.table({"id": ids})
    for stage in stages:
        found = store(run, stage).read(shard)
        places = pc.index_in(ids, value_set=found["id"].combine_chunks())
        for name in found.schema.names[1:]:
            if name == "error":
                continue
            rows = rows.append_column(name, found[name].take(places))
    return rows


def rejections(run: Run) -> dict[str, int]:
    """How many queries were turned away so far, by reason, most frequent first: by the screen, or
    because the model gave them no answer."""
    counts: Counter[str] = Counter()
    left = {stage.name: set(run.missing(stage.name)) for stage in run.info.stages}
    for shard in range(run.shard_count):
        if shard in left["screen"]:
            continue
        verdicts = store(run, "screen").read(shard)
        counts.update(verdicts["reason"].drop_null().to_pylist())
        if shard not in left.get("respond", {shard}):
            kept = verdicts.filter(verdicts["kept"])["id"]
            answers = joined(run, shard, kept, ["respond"])
            empty = pc.equal(answers["response"], "")
            counts["no answer"] += pc.sum(empty).as_py() or 0
            rest = answers.filter(pc.invert(empty))["id"]
            if _guarded(run) and shard not in left["safety"]:
                safe = pc.equal(joined(run, shard, rest, ["safety"])["safety"], SAFE)
                safe = pc.fill_null(safe, False)
                counts["unsafe"] += len(rest) - (pc.sum(safe).as_py() or 0)
                rest = rest.filter(safe)
            if _drops_pii(run) and shard not in left["pii"]:
                found = joined(run, shard, rest, ["pii"])["pii"].to_pylist()
                counts["pii"] += sum(map(bool, found))
    return {reason: count for reason, count in counts.most_common() if count}


def _guarded(run: Run) -> bool:
    """Whether what the guard does not call safe is kept back."""
    settings = run.recipe.annotate.safety
    return settings is not None and not settings.keep


def _drops_pii(run: Run) -> bool:
    settings = run.recipe.annotate.pii
    return settings is not None and settings.action == "drop"


class RunPool:
    """A finished run as the pool of rows that a builder reads.

    ``UsageError`` where a stage is not finished: half a run makes no release.
    """

    def __init__(self, run: Run) -> None:
        for stage in run.info.stages:
            if missing := run.missing(stage.name):
                raise UsageError(
                    f"{run.folder} is not finished: {stage.name} has {len(missing)} of "
                    f"{run.shard_count} shards to do; `magpie-hub run RECIPE --out {run.folder}` "
                    "goes on."
                )
        self._run = run
        names = [stage.name for stage in run.info.stages]
        self._further = [name for name in names if _is_further_reward(name)]
        self._joined = [name for name in names if name not in (*_UNPUBLISHED, *self._further)]

    def columns(self) -> tuple[str, ...]:
        """The published columns, in the order of the schema."""
        return schema.in_order(c for stage in self._run.info.stages for c in stage.columns)

    def shards(self) -> Iterator[pa.Table]:
        """The answered rows, one table a shard in the order of slots, with exactly the schema of
        :meth:`columns`."""
        for shard in range(self._run.shard_count):
            verdicts = store(self._run, "screen").read(shard)
            kept = verdicts.filter(verdicts["kept"])["id"]
            rows = joined(self._run, shard, kept, self._joined)
            rows = rows.filter(pc.not_equal(rows["response"], ""))
            if _guarded(self._run):
                rows = rows.filter(pc.equal(rows["safety"], SAFE))
            rows = self._without_pii(rows)
            if self._further:
                rows = rows.append_column("rewards", self._rewards(shard, rows))
            rows = rows.append_column("messages", _messages(rows))
            rows = rows.append_column("turns", pa.array([1] * len(rows), pa.int64()))
            yield rows.select(self.columns()).cast(schema.arrow_schema(self.columns()))

    def _without_pii(self, rows: pa.Table) -> pa.Table:
        settings = self._run.recipe.annotate.pii
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

    def _rewards(self, shard: int, rows: pa.Table) -> pa.Array:
        """Each row's scores, the first model's first."""
        scores = {self._run.stage("reward").model: rows["reward"].to_pylist()}
        for stage in self._further:
            found = joined(self._run, shard, rows["id"], [stage])["reward"].to_pylist()
            scores[self._run.stage(stage).model] = found
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
            for stage in self._run.info.stages
            for column in stage.columns
        }

    def provenance(self) -> Provenance:
        recipe, info = self._run.recipe, self._run.info
        whole = total(accounts(self._run).values())
        return Provenance(
            name=recipe.name,
            builder=recipe.builder,
            license=recipe.license,
            fingerprints={stage.name: stage.fingerprint for stage in info.stages},
            versions=info.versions,
            engines=whole.engines,
            determinism=whole.determinism,
            slots=info.rows,
            rejected=rejections(self._run),
            yields=yields(self._run),
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
        return self._run.recipe.to_yaml()

    def config_specs(self) -> Mapping[str, ConfigSpec]:
        return self._run.recipe.configs


def _messages(rows: pa.Table) -> pa.Array:
    return pa.array(
        [
            [{"role": "user", "content": query}, {"role": "assistant", "content": response}]
            for query, response in zip(
                rows["query"].to_pylist(), rows["response"].to_pylist(), strict=True
            )
        ],
        schema.MESSAGES,
    )
