"""What all kinds of dataset share: the base that a builder's module declares a subclass of.

It is a builder of ``datasets`` like any other, and what :func:`magpie_hub.builder.build` asks.

``datasets`` swaps ``open``, ``os.path`` and ``pathlib.Path`` in a builder's module for versions
that read remote files; so paths are used here through their methods alone.
"""

from __future__ import annotations

import hashlib
import inspect
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import datasets
import pyarrow as pa
from pydantic import ValidationError

from magpie_hub import filters, schema
from magpie_hub.building import parquet
from magpie_hub.errors import InvalidData, RecipeError
from magpie_hub.filters import Filter, nearest
from magpie_hub.recipe import ConfigSpec, Recipe
from magpie_hub.recipe.configs import Pick, Quotas
from magpie_hub.release import Provenance
from magpie_hub.rows import cuts, selection, splits
from magpie_hub.rows.cuts import Cut, Decided
from magpie_hub.rows.pool import Pool
from magpie_hub.rows.splits import NEAR


@dataclass(eq=False)
class MagpieConfig(datasets.BuilderConfig):  # type: ignore[misc]
    """A named cut of the pool, with the keys of a recipe's config (see ``ConfigSpec``)."""

    where: str | None = None
    rows: int | None = None
    at_most: bool = False
    pick: Pick | None = None
    order: str | None = None
    seed: int = 0
    quotas: Quotas | None = None
    columns: tuple[str, ...] = ()
    splits: Mapping[str, float] = field(default_factory=dict)
    default: bool = False

    @property
    def spec(self) -> ConfigSpec:
        """``RecipeError`` where the keys do not go together."""
        try:
            return ConfigSpec(
                where=self.where,
                rows=self.rows,
                at_most=self.at_most,
                pick=self.pick,
                order=self.order,
                seed=self.seed,
                quotas=self.quotas,
                columns=tuple(self.columns),
                splits=dict(self.splits),
                description=self.description,
            )
        except ValidationError as error:
            reason = error.errors()[0]["msg"].removeprefix("Value error, ")
            raise RecipeError(f"the config {self.name!r}: {reason}.") from error


class MagpieBuilder(datasets.ArrowBasedBuilder):  # type: ignore[misc]
    """The base of every kind. A subclass declares; what it does not declare works."""

    BUILDER_CONFIG_CLASS = MagpieConfig

    required: ClassVar[tuple[str, ...]]
    optional: ClassVar[tuple[str, ...]] = ()
    always: ClassVar[tuple[MagpieConfig, ...]]
    template: ClassVar[str]
    thinking: ClassVar[bool] = False

    def __init__(
        self,
        pool: Pool,
        config_name: str | None = None,
        *,
        releases: Path | None = None,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        configs = {config.name: config for config in self.configs(pool)}
        if config_name is not None and config_name not in configs:
            raise RecipeError(
                f"there is no config {config_name!r}; {nearest(config_name, configs)}"
            )
        config = configs[config_name or next(iter(configs))]
        self.pool = pool
        self.releases = releases
        self.planned = self.plan(config, pool)
        # Both enter the path of the cache: the config's settings, given as keywords, and the hash,
        # which stands for the pool's rows and the code.
        provenance = pool.provenance()
        settings = config.spec.model_dump(mode="json")
        kwargs.setdefault("dataset_name", provenance.name)
        kwargs.setdefault("hash", self._fingerprint(pool, provenance, repr(settings), releases))
        super().__init__(config_name=config.name, default=config.default, **settings, **kwargs)

    @classmethod
    def check(cls, recipe: Recipe) -> None:
        """Refuse a recipe whose rows this kind cannot use, before a model is loaded:
        ``RecipeError`` with ``recipe.place(...)`` of the key."""

    @classmethod
    def columns(cls, pool: Pool) -> tuple[str, ...]:
        """The columns that this kind publishes of the pool's, in schema order."""
        there = pool.columns()
        if missing := [name for name in cls.required if name not in there]:
            raise InvalidData(
                f"the rows lack the column `{missing[0]}`; run the step that makes it."
            )
        return schema.in_order(name for name in there if name in cls.required + cls.optional)

    @classmethod
    def arrow(cls, pool: Pool) -> pa.Schema:
        """The one schema of every shard of every config."""
        return schema.arrow_schema(cls.columns(pool), thinking=cls.thinking)

    @classmethod
    def configs(cls, pool: Pool) -> tuple[MagpieConfig, ...]:
        """The recipe's configs in its order, the first one the default; then those of the kind."""
        found: dict[str, MagpieConfig] = {}
        for name, spec in pool.config_specs().items():
            if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name):
                raise RecipeError(f"the config name {name!r} may hold only letters, digits, . _ -")
            found[name] = _config(name, spec)
        for own in cls.always:
            config = found.setdefault(own.name, own)
            if (config.where, config.rows) != (own.where, own.rows):
                raise RecipeError(
                    f"the config {own.name!r} is {own.description}; it has no filter of yours."
                )
        return tuple(_config(c.name, c.spec, default=i == 0) for i, c in enumerate(found.values()))

    @classmethod
    def cut(cls, config: MagpieConfig, pool: Pool) -> Filter | None:
        """The config's filter, checked; ``None`` keeps all rows."""
        return None if config.where is None else Filter.parse(config.where, cls.columns(pool))

    @classmethod
    def plan(cls, config: MagpieConfig, pool: Pool) -> Cut:
        """All that the config does with the pool, checked. The required columns are published
        whether it names them or not."""
        spec, there = config.spec, cls.columns(pool)
        cuts.check(spec, there, lambda key: f"the config {config.name!r}, {key}")
        wanted = {*cls.required, *(spec.columns or there)}
        return Cut(
            config.name,
            tuple(name for name in there if name in wanted),
            cls.cut(config, pool),
            cuts.selection(spec, there),
            spec.splits,
        )

    @classmethod
    def rows(cls, table: pa.Table, columns: tuple[str, ...]) -> pa.Table:
        """The kind's rows from one table of the pool; the pool's own where not overridden."""
        return table.select(columns)

    @classmethod
    def tables(cls, pool: Pool) -> Iterator[pa.Table]:
        """The kind's rows of the whole pool. Messages lose the place for thinking, or get one, as
        the kind has it."""
        columns, arrow = cls.columns(pool), cls.arrow(pool)
        for shard in pool.shards():
            table = cls.rows(shard, columns)
            if "messages" in columns and table.column_names == arrow.names:
                place = columns.index("messages")
                wanted = arrow.field("messages")
                table = table.set_column(place, wanted, table["messages"].cast(wanted.type))
            yield table

    @classmethod
    def decide(
        cls, pool: Pool, planned: Sequence[Cut], releases: Path | None = None
    ) -> dict[str, Decided]:
        """Which rows each of these cuts takes, by name; the pool is gone through where one of them
        must be decided ahead. Rows of ``releases`` stay in their splits."""
        ahead = [cut for cut in planned if cut.ahead]
        known: dict[str, Decided] = {}
        if ahead:
            near = _near(pool) if any(cut.shares for cut in ahead) else NEAR
            tables = cls._deciding(pool, ahead)
            known = cuts.decide(tables, ahead, near=near, releases=releases)
        return {cut.name: known.get(cut.name) or Decided(cut) for cut in planned}

    @classmethod
    def _deciding(cls, pool: Pool, ahead: Sequence[Cut]) -> Iterator[pa.Table]:
        """The kind's rows in the few columns that decide, where the kind does not need all columns
        to tell its rows."""
        columns = cls.columns(pool)
        reads = {name for cut in ahead for name in cut.reads}
        wanted = tuple(name for name in columns if name in reads)
        own = cls.rows.__func__ is not MagpieBuilder.rows.__func__  # type: ignore[attr-defined]
        for shard in pool.shards(None if own else wanted):
            yield (cls.rows(shard, columns) if own else shard).select(wanted)

    def _info(self) -> datasets.DatasetInfo:
        arrow = self.arrow(self.pool)
        published = pa.schema([arrow.field(name) for name in self.planned.columns])
        features = datasets.Features.from_arrow_schema(published)
        return datasets.DatasetInfo(description=self.config.description or "", features=features)

    def _split_generators(self, dl_manager: object) -> list[datasets.SplitGenerator]:
        return [
            datasets.SplitGenerator(name=name, gen_kwargs={"split": name})
            for name in splits.names(self.planned.shares)
        ]

    def _generate_tables(self, split: str) -> Iterator[tuple[datasets.builder.Key, pa.Table]]:
        decided = self.decide(self.pool, [self.planned], self.releases)[self.planned.name]
        first = 0
        for index, table in enumerate(self.tables(self.pool)):
            for name, rows in decided.take(table, first):
                if name == split:
                    yield datasets.builder.Key(index, 0), rows
            first += table.num_rows

    @classmethod
    def _fingerprint(
        cls, pool: Pool, provenance: Provenance, settings: str, releases: Path | None
    ) -> str:
        """Changes with the rows, with what is asked of them, with the releases that settle their
        sides and with the code, so that no cache serves what would not be made now."""
        asked = (settings, sorted(provenance.fingerprints.items()))
        digest = hashlib.sha256(repr(asked).encode())
        for table in pool.shards():
            for batch in table.combine_chunks().to_batches():
                digest.update(batch.serialize())
        for file in sorted(releases.glob("*/manifest.json")) if releases else ():
            digest.update(file.read_bytes())
        sources = [sys.modules[c.__module__] for c in cls.__mro__ if issubclass(c, MagpieBuilder)]
        for module in (*sources, cuts, filters, parquet, schema, selection, splits):
            digest.update(inspect.getsource(module).encode())
        return digest.hexdigest()[:32]


def _config(name: str, spec: ConfigSpec, *, default: bool = False) -> MagpieConfig:
    given = {key: getattr(spec, key) for key in ConfigSpec.model_fields if key != "preset"}
    return MagpieConfig(name, default=default, **given)


def _near(pool: Pool) -> float:
    """The threshold of the recipe's neighbours, in squared L2."""
    made = (each for each in pool.provenance().made if each.stage == "neighbors")
    return next((float(each.settings["threshold"]) for each in made), NEAR)
