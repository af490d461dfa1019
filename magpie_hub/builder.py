"""From a pool of rows to a release: what all kinds of dataset share.

A kind is a module of ``builders/`` that declares a :class:`MagpieBuilder`: its columns, the configs
that always exist, its card. The builder is used in two ways: as any ``datasets`` builder
(:func:`load_builder`), and by :func:`build`, which writes the release folder in one pass over the
pool, holding one row group of each config in memory.

``datasets`` swaps ``open``, ``os.path`` and ``pathlib.Path`` in a builder's module for versions
that read remote files; so paths are used here through their methods alone.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import os
import pkgutil
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Protocol

import datasets
import pyarrow as pa

import magpie_hub
from magpie_hub import card, filters, parquet, schema
from magpie_hub.errors import InvalidData, RecipeError, StorageError, UsageError
from magpie_hub.filters import Filter, nearest
from magpie_hub.parquet import SPLIT, ConfigWriter, kept_rows
from magpie_hub.release import (
    MANIFEST,
    ColumnEntry,
    ConfigEntry,
    FileEntry,
    Manifest,
    Producer,
    Provenance,
    Release,
    file_entry,
)
from magpie_hub.validation import Validator

_HOME = "magpie_hub.builders"
REPORT_EVERY = 100_000


class ConfigSpec(Protocol):
    """A config as a recipe declares it."""

    @property
    def where(self) -> str | None: ...
    @property
    def description(self) -> str | None: ...


class Pool(Protocol):
    """Answered rows and how they came to be; a run is one."""

    def columns(self) -> tuple[str, ...]: ...
    def shards(self) -> Iterator[pa.Table]: ...
    def provenance(self) -> Provenance: ...
    def producers(self) -> dict[str, Producer]: ...
    def recipe_text(self) -> str: ...
    def config_specs(self) -> Mapping[str, ConfigSpec]: ...


@dataclass(eq=False)
class MagpieConfig(datasets.BuilderConfig):  # type: ignore[misc]
    """A named cut of the pool: the rows for which ``where`` holds, or all."""

    where: str | None = None
    default: bool = False


class MagpieBuilder(datasets.ArrowBasedBuilder):  # type: ignore[misc]
    """The base of every kind. A subclass declares; what it does not declare works."""

    BUILDER_CONFIG_CLASS = MagpieConfig

    required: ClassVar[tuple[str, ...]]
    optional: ClassVar[tuple[str, ...]] = ()
    always: ClassVar[tuple[MagpieConfig, ...]]
    template: ClassVar[str]
    thinking: ClassVar[bool] = False

    def __init__(self, pool: Pool, config_name: str | None = None, **kwargs: Any) -> None:  # noqa: ANN401
        configs = {config.name: config for config in self.configs(pool)}
        if config_name is not None and config_name not in configs:
            raise RecipeError(
                f"there is no config {config_name!r}; {nearest(config_name, configs)}"
            )
        config = configs[config_name or next(iter(configs))]
        self.pool = pool
        self.filter = self.cut(config, pool)
        # Both enter the path of the cache: the config's settings, given as keywords, and the hash,
        # which stands for the pool's rows and the code.
        provenance = pool.provenance()
        kwargs.setdefault("dataset_name", provenance.name)
        kwargs.setdefault("hash", self._fingerprint(pool, provenance))
        settings = {"where": config.where, "description": config.description}
        super().__init__(config_name=config.name, default=config.default, **settings, **kwargs)

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
            found[name] = MagpieConfig(name, description=spec.description, where=spec.where)
        for own in cls.always:
            config = found.setdefault(own.name, own)
            if config.where != own.where:
                raise RecipeError(
                    f"the config {own.name!r} is {own.description}; it has no filter."
                )
        return tuple(
            MagpieConfig(c.name, description=c.description, where=c.where, default=i == 0)
            for i, c in enumerate(found.values())
        )

    @classmethod
    def cut(cls, config: MagpieConfig, pool: Pool) -> Filter | None:
        """The config's filter, checked; ``None`` keeps all rows."""
        return None if config.where is None else Filter.parse(config.where, cls.columns(pool))

    @classmethod
    def rows(cls, table: pa.Table, columns: tuple[str, ...]) -> pa.Table:
        """The kind's rows from one table of the pool; the pool's own where not overridden."""
        return table.select(columns)

    def _info(self) -> datasets.DatasetInfo:
        features = datasets.Features.from_arrow_schema(self.arrow(self.pool))
        return datasets.DatasetInfo(description=self.config.description or "", features=features)

    def _split_generators(self, dl_manager: object) -> list[datasets.SplitGenerator]:
        return [datasets.SplitGenerator(name=SPLIT)]

    def _generate_tables(self) -> Iterator[tuple[datasets.builder.Key, pa.Table]]:
        columns = self.columns(self.pool)
        for index, shard in enumerate(self.pool.shards()):
            table, _ = kept_rows(self.rows(shard, columns), self.filter)
            yield datasets.builder.Key(index, 0), table

    @classmethod
    def _fingerprint(cls, pool: Pool, provenance: Provenance) -> str:
        """Changes with the rows (a run that went on has more of them, or fewer gaps) and with the
        code that turns them into a dataset, so that no cache serves what would not be made now."""
        digest = hashlib.sha256(repr(sorted(provenance.fingerprints.items())).encode())
        for table in pool.shards():
            gaps = [(name, table.column(name).null_count) for name in table.column_names]
            digest.update(repr((table.num_rows, gaps)).encode())
        sources = [sys.modules[c.__module__] for c in cls.__mro__ if issubclass(c, MagpieBuilder)]
        for module in (*sources, filters, parquet, schema):
            digest.update(inspect.getsource(module).encode())
        return digest.hexdigest()[:32]


def builder_class(kind: str) -> type[MagpieBuilder]:
    """The builder that the module of that name declares."""
    if kind not in kinds():
        raise RecipeError(f"there is no builder {kind!r}; {nearest(kind, kinds())}")
    module = importlib.import_module(f"{_HOME}.{kind}")
    for _, found in inspect.getmembers(module, inspect.isclass):
        if issubclass(found, MagpieBuilder) and found.__module__ == module.__name__:
            return found
    raise RecipeError(f"the module of the builder {kind!r} declares no MagpieBuilder.")


def kinds() -> tuple[str, ...]:
    """The kinds of dataset that can be built."""
    folder = importlib.import_module(_HOME).__path__
    return tuple(sorted(module.name for module in pkgutil.iter_modules(folder)))


def load_builder(
    kind: str,
    pool: Pool,
    config_name: str | None = None,
    **kwargs: Any,  # noqa: ANN401
) -> MagpieBuilder:
    """A ``datasets`` builder over the pool; ``kwargs`` (``cache_dir``, …) are its own.

    Use it with one process: polars and ``num_proc`` hang together."""
    return builder_class(kind)(pool, config_name, **kwargs)


def build(
    pool: Pool, version: str, out: Path, *, kind: str, report: Callable[[str], None]
) -> Release:
    """Write the release ``out``: complete, or not there at all.

    ``UsageError`` on a bad version or a folder that exists, ``RecipeError`` on a bad filter,
    ``InvalidData`` on bad rows or an empty config, ``StorageError`` where the disk refuses."""
    if not re.fullmatch(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)", version):
        raise UsageError(f"{version!r} is no version; write three numbers such as 1.0.0.")
    if out.exists():
        raise UsageError(f"{out} exists already and a release never changes; choose a new version.")
    builder = builder_class(kind)
    columns, configs = builder.columns(pool), builder.configs(pool)
    arrow = builder.arrow(pool)
    cuts = {config.name: builder.cut(config, pool) for config in configs}
    with _appearing(out) as folder:
        writers = {c.name: ConfigWriter(folder, c.name, arrow, cuts[c.name]) for c in configs}
        with ExitStack() as closing:
            for writer in writers.values():
                closing.callback(writer.close)
            _write(pool, builder, columns, writers, report)
        entries = {config.name: _entry(config, writers[config.name]) for config in configs}
        for name, entry in entries.items():
            report(f"{name}: {entry.rows:,} rows")
        _describe(pool, version, out, folder, builder, columns, entries)
    return Release.open(out)


def _write(
    pool: Pool,
    builder: type[MagpieBuilder],
    columns: tuple[str, ...],
    writers: Mapping[str, ConfigWriter],
    report: Callable[[str], None],
) -> None:
    """The pass over the pool. After a bad row nothing more is written, but all rows are checked."""
    validator = Validator(builder.arrow(pool))
    done = 0
    for shard in pool.shards():
        table = builder.rows(shard, columns)
        validator.check(table)
        if validator.ok:
            for writer in writers.values():
                writer.add(table)
        if (done + table.num_rows) // REPORT_EVERY > done // REPORT_EVERY:
            report(f"{done + table.num_rows:,} rows checked")
        done += table.num_rows
    verdict = validator.result()
    verdict.raise_if_bad()
    if not verdict.rows:
        raise InvalidData("there is no answered row to build from; run the recipe first.")


def _entry(config: MagpieConfig, writer: ConfigWriter) -> ConfigEntry:
    return ConfigEntry(
        default=config.default,
        where=config.where,
        description=config.description or "",
        funnel=writer.funnel,
        splits={SPLIT: writer.split()},
    )


def _describe(
    pool: Pool,
    version: str,
    out: Path,
    folder: Path,
    builder: type[MagpieBuilder],
    columns: tuple[str, ...],
    configs: dict[str, ConfigEntry],
) -> None:
    """Everything beside the data; the manifest last, since it names the other files."""
    producers = pool.producers()
    manifest = Manifest(
        **dict(pool.provenance()),
        version=version,
        generator=f"magpie-hub {magpie_hub.__version__}",
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        columns=tuple(
            ColumnEntry(name=n, type=str(schema.column(n).type), producer=producers[n])
            for n in columns
        ),
        configs=configs,
        files={},
    )
    (folder / "recipe.yaml").write_text(pool.recipe_text(), encoding="utf-8")
    (folder / "CHANGELOG.md").write_text(_changelog(manifest, out.parent), encoding="utf-8")
    manifest = manifest.model_copy(update={"files": _files(folder)})
    readme = card.render(manifest, card.facts(folder, manifest), builder.template)
    (folder / "README.md").write_text(readme, encoding="utf-8")
    manifest = manifest.model_copy(update={"files": _files(folder)})
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")


def _files(folder: Path) -> dict[str, FileEntry]:
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): file_entry(path) for path in found}


def _changelog(manifest: Manifest, releases: Path) -> str:
    """This version, and the earlier ones that stand beside it."""
    versions = {_key(manifest.version): manifest}
    for file in releases.glob(f"*/{MANIFEST}"):
        with suppress(InvalidData):
            earlier = Release.open(file.parent).manifest
            if _key(earlier.version) < _key(manifest.version):
                versions[_key(earlier.version)] = earlier
    parts = ["# Changelog\n"]
    for key in sorted(versions, reverse=True):
        each = versions[key]
        rows = "".join(f"- `{name}`: {c.rows:,} rows\n" for name, c in each.configs.items())
        parts.append(f"## {each.version} ({each.created[:10]})\n\n{rows}")
    return "\n".join(parts)


def _key(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


@contextmanager
def _appearing(out: Path) -> Iterator[Path]:
    """A folder beside ``out`` that becomes ``out`` when the block ends well, and goes otherwise."""
    part = out.with_name(f".{out.name}.part")
    try:
        shutil.rmtree(part, ignore_errors=True)  # of a build that was killed
        part.mkdir(parents=True)
        yield part
        for path in (*part.rglob("*"), part):
            _sync(path)
        part.rename(out)
        _sync(out.parent)
    except OSError as error:
        reason = error.strerror or str(error)
        raise StorageError(
            f"the release could not be written to {out.parent} ({reason}); "
            "mend that and build again: nothing was left behind."
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
