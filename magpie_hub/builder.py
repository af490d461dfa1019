"""From a pool of rows to a release.

A kind of dataset is a module of ``builders/`` that declares a :class:`MagpieBuilder`: its columns,
the configs that always exist, its card. The builder is used in two ways: as any ``datasets``
builder (:func:`load_builder`), and by :func:`build`, which writes the release folder in one pass
over the pool, after one ahead in the few columns that decide where rows hang on other rows; one row
group of each split is held in memory.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import magpie_hub
from magpie_hub import changes
from magpie_hub.building import overlap, plugins, pools
from magpie_hub.building.folder import appearing, describe, files
from magpie_hub.building.kind import MagpieBuilder, MagpieConfig
from magpie_hub.building.parquet import ConfigWriter, Ends, ends_before
from magpie_hub.building.plugins import blame, builder_class, kinds
from magpie_hub.errors import InvalidData, UsageError
from magpie_hub.evidence.record import collected, write_records
from magpie_hub.recipe import Recipe
from magpie_hub.release import (
    ColumnEntry,
    ConfigEntry,
    Manifest,
    Release,
    Since,
    obligations,
    withdrawn,
)
from magpie_hub.rows.cuts import Decided
from magpie_hub.rows.pool import Pool
from magpie_hub.rows.without import Without
from magpie_hub.validation import Validator
from magpie_hub.validation.files import check_counts

__all__ = [
    "MagpieBuilder",
    "MagpieConfig",
    "Pool",
    "build",
    "builder_class",
    "kinds",
    "load_builder",
]

REPORT_EVERY = 100_000


def load_builder(
    kind: str,
    pool: Pool | None = None,
    config_name: str | None = None,
    *,
    run: str | Path | None = None,
    runs: Sequence[str | Path] = (),
    release: str | Path | None = None,
    recipe: str | Path | Recipe | None = None,
    **kwargs: Any,  # noqa: ANN401
) -> MagpieBuilder:
    """A ``datasets`` builder over a ``run``, several ``runs`` as one pool, or the rows of a
    ``release``: a folder, or ``ORG/NAME`` on the Hub, with ``@vX.Y.Z`` behind it or the newest.
    Configs are those of the run's recipe (of the first run), or those of ``recipe``; ``kwargs``
    (``cache_dir``, …) are the builder's own.

    Use it with one process: polars and ``num_proc`` hang together."""
    if recipe is not None and not isinstance(recipe, Recipe):
        recipe = Recipe.load(recipe)
    given = [*([run] if run else []), *runs]
    if sum((pool is not None, bool(given), release is not None)) != 1:
        raise UsageError("name what to build from: a run, runs, a release or a pool, one of them.")
    releases = Path(given[0]) / "releases" if len(given) == 1 else None
    pool = pool or pools.open_pool(given, release=release, recipe=recipe)
    if releases:
        pool = Without(pool, withdrawn.beside(releases))
    builder = builder_class(kind, recipe.folder if recipe else Path())
    return builder(pool, config_name, releases=releases, **kwargs)


def build(
    pool: Pool,
    version: str,
    out: Path,
    *,
    kind: str | type[MagpieBuilder],
    report: Callable[[str], None],
    any_version: bool = False,
    evidence: Sequence[str | Path] = (),
) -> Release:
    """Write the release ``out``: complete, or not there at all. Bad rows are named in a file beside
    it. In the releases that stand beside it rows keep their splits, and the version fits what
    changed since the one before, unless it may be ``any_version``. What was measured with the rows
    before goes with them: the records in the files or folders of ``evidence``, see
    ``evidence/record.py``.

    ``UsageError`` on a version that is bad or too low or a folder that exists, ``RecipeError`` on a
    bad filter or a builder's failure, ``InvalidData`` on bad rows, an empty config or one that
    cannot be filled, ``StorageError`` where the disk refuses."""
    if not re.fullmatch(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)", version):
        raise UsageError(f"{version!r} is no version; write three numbers such as 1.0.0.")
    if out.exists():
        raise UsageError(f"{out} exists already and a release never changes; choose a new version.")
    records = collected(map(Path, evidence))
    builder = builder_class(kind) if isinstance(kind, str) else kind
    bad_rows = out.with_name(f"{out.name}.bad-rows.jsonl")
    texts, plane = pools.texts(pool), pools.plane(pool)
    down = withdrawn.beside(out.parent)
    pool = kept = Without(pool, down)
    with blame(builder):
        configs = builder.configs(pool)
        planned = [builder.plan(config, pool) for config in configs]
        decided = builder.decide(pool, planned, out.parent)
    with blame(builder), appearing(out) as folder:
        ends = ends_before(out.parent, version)
        writers = write(pool, builder, decided, folder, report=report, bad_rows=bad_rows, ends=ends)
        entries = {c.name: _entry(c, writers[c.name]) for c in configs}
        for name, entry in entries.items():
            report(f"{name}: {entry.rows:,} rows")
        if kept.left_out:
            report(f"left out, as they were withdrawn: {len(kept.left_out):,} rows")
        manifest = _manifest(pool, version, builder, entries)
        remarks = tuple(overlap.remarks(folder, manifest, out.parent))
        for remark in remarks:
            report(remark)
        if records:
            write_records(folder, records)
            failed = sum(not each.ok for each in records)
            lost = f", {failed:,} of runs that failed" if failed else ""
            report(f"evidence on the card: {len(records):,}{lost}")
        manifest = manifest.model_copy(update={"remarks": remarks, "files": files(folder)})
        if before := changes.earlier(out.parent, manifest):
            found = changes.diff(before, Release(folder, manifest))
            if not any_version:
                changes.enforce(found)
            said = tuple(each.text for each in found.statements)
            manifest = manifest.model_copy(
                update={"since": Since(version=before.version, changes=said)}
            )
        texts |= _own_source(builder) | obligations.files(manifest)
        if down:
            texts[withdrawn.FILE] = withdrawn.text(down)
        for line in obligations.unsettled(manifest):
            report(f"push will refuse: {line}")
        template = builder.template
        describe(
            folder,
            manifest,
            texts=texts,
            template=template,
            releases=out.parent,
            report=report,
            plane=plane,
        )
        check_counts(Release.open(folder))
    return Release.open(out)


def write(
    pool: Pool,
    builder: type[MagpieBuilder],
    decided: Mapping[str, Decided],
    folder: Path,
    *,
    report: Callable[[str], None],
    bad_rows: Path | None = None,
    check: bool = True,
    ends: Ends | None = None,
) -> dict[str, ConfigWriter]:
    """The pass over the pool that writes the Parquet files under ``folder``; a file ends at each
    of ``ends``. Unless ``check`` is off, all rows are validated, and after a bad one nothing more
    is written."""
    arrow = builder.arrow(pool)
    validator = Validator(arrow, bad_rows) if check else None
    writers = {name: ConfigWriter(folder, arrow, each, ends) for name, each in decided.items()}
    done = 0
    with ExitStack() as closing:
        for writer in writers.values():
            closing.callback(writer.close)
        for table in builder.tables(pool):
            if validator:
                validator.check(table)
            if validator is None or validator.ok:
                for writer in writers.values():
                    writer.add(table)
            if (done + table.num_rows) // REPORT_EVERY > done // REPORT_EVERY:
                report(f"{done + table.num_rows:,} rows written")
            done += table.num_rows
    if validator:
        validator.result().raise_if_bad()
    if not done:
        raise InvalidData("there is no answered row to build from; run the recipe first.")
    return writers


def _entry(config: MagpieConfig, writer: ConfigWriter) -> ConfigEntry:
    spec = config.spec.model_dump(
        mode="json", exclude={"where", "columns", "description"}, exclude_defaults=True
    )
    return ConfigEntry(
        default=config.default,
        where=config.where,
        description=config.description or "",
        splits=dict(writer.splits()),
        funnel=writer.decided.funnel,
        columns=writer.decided.cut.columns if config.columns else (),
        settings={key: str(value) for key, value in spec.items()},
    )


def _manifest(
    pool: Pool, version: str, builder: type[MagpieBuilder], configs: dict[str, ConfigEntry]
) -> Manifest:
    """All but the files, which are not written yet."""
    producers, arrow = pool.producers(), builder.arrow(pool)
    known = dict(pool.provenance())
    if known["builder"].endswith(".py"):
        known["builder"] = Path(known["builder"]).stem
    return Manifest(
        **known,
        version=version,
        generator=f"magpie-hub {magpie_hub.__version__}",
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        builder_sha256=plugins.digest(builder),
        columns=tuple(
            ColumnEntry(name=each.name, type=str(each.type), producer=producers[each.name])
            for each in arrow
        ),
        configs=configs,
        files={},
    )


def _own_source(builder: type[MagpieBuilder]) -> dict[str, str]:
    """A builder that stood in a file of its own goes with the release."""
    file = plugins.file(builder)
    return {} if file is None else {f"builders/{file.name}": plugins.source(builder)}
