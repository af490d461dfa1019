"""Where the rows of a build come from: one run, several runs as one, or a release of ours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from magpie_hub import schema
from magpie_hub.errors import InvalidData, UsageError
from magpie_hub.hub.versions import open_release
from magpie_hub.recipe import ConfigSpec, Recipe
from magpie_hub.release import Producer, Provenance, Release, obligations
from magpie_hub.rows.pool import Pool, RunPool, writers
from magpie_hub.run import Run, maps

_ALL = "all"
_LICENSE = ("license", "license_name", "license_link", "license_decision")
_SAYS = ("configs", "builder", "name", "gating", *_LICENSE)
_LEVELS = (None, "plan", "seeds", "bits")


def open_pool(
    runs: Sequence[str | Path | Run] = (),
    *,
    release: str | Path | None = None,
    recipe: Recipe | None = None,
) -> Pool:
    """The rows of ``runs`` in that order, or of a ``release``: a folder or ``ORG/NAME[@vX.Y.Z]``.
    Of ``recipe`` its configs count, and with runs its builder, name and licence too.

    ``UsageError`` where a run is not finished, or two of them have the same rows; ``RecipeError``
    where the licence contradicts that of a model."""
    if release is not None:
        return ReleasePool(open_release(release), recipe.configs if recipe else None)
    found = [run if isinstance(run, Run) else Run.open(run) for run in runs]
    if recipe is not None:
        for run in found:
            given = {key: getattr(recipe, key) for key in _SAYS}
            run.recipe = run.recipe.model_copy(update=given)
    for run in found:
        obligations.check(recipe or run.recipe, writers(run.info))
    opened = [RunPool(run) for run in found]
    return opened[0] if len(opened) == 1 else Merged(opened)


def texts(pool: object) -> dict[str, str]:
    """The recipes behind a pool, by the file that holds each in a release."""
    parts = pool.parts if isinstance(pool, Merged) else (pool,)
    names = (f"recipe{f'-{number}' if number > 1 else ''}.yaml" for number in range(1, 1000))
    return {name: part.recipe_text() for name, part in zip(names, parts, strict=False)}  # type: ignore[attr-defined]


def plane(pool: Pool) -> pa.Table | None:
    """Where the questions of a run stand on its map (see ``maps.coordinates``). None of several
    runs, whose maps are not of one plane."""
    return maps.coordinates(pool.run) if isinstance(pool, RunPool) else None


class Merged:
    """Several pools as one, whose rows come one pool after the other. Name and configs are the
    first one's. A column that some of them lack is null there."""

    def __init__(self, parts: Sequence[Pool]) -> None:
        self.parts = tuple(parts)
        made = [part.provenance() for part in self.parts]
        firsts: dict[str, int] = {}
        for number, each in enumerate(made, 1):
            first = firsts.setdefault(each.fingerprints.get("sample", str(number)), number)
            if first != number:
                raise UsageError(
                    f"the runs {first} and {number} sampled the same slots, so their rows have the "
                    "same ids; build from one of them."
                )
        if len(licences := {(each.license, each.license_name) for each in made}) > 1:
            shown = " and ".join(sorted(name or str(license) for license, name in licences))
            raise UsageError(
                f"the runs have the licences {shown}; say which holds for all of them with "
                "`license` in a recipe, and build with --recipe FILE."
            )
        self._made = made

    def columns(self) -> tuple[str, ...]:
        return schema.in_order(name for part in self.parts for name in part.columns())

    def shards(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        wanted = schema.in_order(self.columns() if columns is None else columns)
        for part in self.parts:
            there = [name for name in wanted if name in part.columns()]
            for table in part.shards(there):
                arrays = [
                    table[name]
                    if name in there
                    else pa.nulls(table.num_rows, schema.column(name).type)
                    for name in wanted
                ]
                yield pa.table(arrays, names=list(wanted))

    def provenance(self) -> Provenance:
        first = self._made[0]
        rejected: Counter[str] = Counter()
        decided = [each.license_decision for each in self._made if each.license_decision]
        for each in self._made:
            rejected.update(each.rejected)
        return first.model_copy(
            update={
                "fingerprints": {
                    f"{number}: {stage}": fingerprint
                    for number, each in enumerate(self._made, 1)
                    for stage, fingerprint in each.fingerprints.items()
                },
                "versions": _together([each.versions for each in self._made]),
                "engines": tuple(dict.fromkeys(e for each in self._made for e in each.engines)),
                "determinism": min((each.determinism for each in self._made), key=_LEVELS.index),
                "slots": sum(each.slots for each in self._made),
                "rejected": dict(rejected.most_common()),
                "made": tuple(
                    making
                    for number, each in enumerate(self._made)
                    for making in each.made
                    if all(making not in before.made for before in self._made[:number])
                ),
                "yields": (),
                "license_decision": "; ".join(dict.fromkeys(decided)) or None,
                "model_licenses": tuple(
                    dict.fromkeys(model for each in self._made for model in each.model_licenses)
                ),
            }
        )

    def producers(self) -> dict[str, Producer]:
        """Where several models made a column, all of them are named."""
        found: dict[str, Producer] = {}
        for part in self.parts:
            for name, made in part.producers().items():
                there = found.setdefault(name, made)
                if there != made:
                    models = [each.model for each in (there, made) if each.model]
                    named = "; ".join(dict.fromkeys("; ".join(models).split("; "))) or None
                    found[name] = Producer(by=there.by, model=named)
        return found

    def recipe_text(self) -> str:
        return self.parts[0].recipe_text()

    def config_specs(self) -> Mapping[str, ConfigSpec]:
        return self.parts[0].config_specs()


class ReleasePool:
    """The rows of a release's config ``all``, or of its default config where it has no such."""

    def __init__(self, release: Release, specs: Mapping[str, ConfigSpec] | None = None) -> None:
        self._release = release
        configs = release.manifest.configs
        name = _ALL if _ALL in configs else next(n for n, c in configs.items() if c.default)
        self._config = configs[name]
        self._specs = specs

    def columns(self) -> tuple[str, ...]:
        return self._config.columns or tuple(c.name for c in self._release.manifest.columns)

    def shards(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """A row group each."""
        wanted = list(self.columns() if columns is None else schema.in_order(columns))
        for split in self._config.splits.values():
            for name in split.files:
                try:
                    file = pq.ParquetFile(self._release.path / name)
                    for group in range(file.num_row_groups):
                        yield file.read_row_group(group, columns=wanted).select(wanted)
                except (OSError, pa.ArrowException) as error:
                    raise InvalidData(
                        f"{self._release.path / name} cannot be read; fetch or build it again."
                    ) from error

    def provenance(self) -> Provenance:
        manifest = self._release.manifest
        files = {name: manifest.files[name].sha256 for name in self._files()}
        known = {key: getattr(manifest, key) for key in Provenance.model_fields}
        return Provenance(**{**known, "fingerprints": manifest.fingerprints | files})

    def _files(self) -> list[str]:
        return [name for split in self._config.splits.values() for name in split.files]

    def producers(self) -> dict[str, Producer]:
        return {column.name: column.producer for column in self._release.manifest.columns}

    def recipe_text(self) -> str:
        return (self._release.path / "recipe.yaml").read_text(encoding="utf-8")

    def config_specs(self) -> Mapping[str, ConfigSpec]:
        if self._specs is not None:
            return self._specs
        file = self._release.path / "recipe.yaml"
        return Recipe.parse(self.recipe_text(), name=str(file), folder=file.parent).configs


def _together(versions: Sequence[Mapping[str, str]]) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for each in versions:
        for library, version in each.items():
            found.setdefault(library, []).append(version)
    return {library: ", ".join(dict.fromkeys(all_)) for library, all_ in found.items()}
