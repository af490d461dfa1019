"""What is compared: a run, a release, a dataset on the Hub or local files, as batches of rows.

    PLACE[:CONFIG][#KEY=VALUE,...]

PLACE is a folder, a file, or ``ORG/NAME[@REVISION]``, where vX.Y.Z is a release of ours. Keys:
``question``, ``answer``, ``system`` or ``messages`` name the columns of a shape that is not known,
``question``, ``chosen`` and ``rejected`` those of preferences;
``split`` is one of the source's; ``name`` is what the comparison calls it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa

from magpie_hub.building.pools import open_pool
from magpie_hub.errors import HubError, UsageError
from magpie_hub.evidence.sources import labels, pairs, shapes
from magpie_hub.evidence.sources.files import BATCH, ArrowTable, Table, open_files, parquet
from magpie_hub.evidence.sources.shapes import Shape
from magpie_hub.filters import nearest
from magpie_hub.hub.client import Report, connect, patiently
from magpie_hub.hub.versions import commit_of, config_named, manifest_file, tags
from magpie_hub.release import MANIFEST, Manifest, Release
from magpie_hub.rows.pool import Pool
from magpie_hub.run.info import INFO

if TYPE_CHECKING:
    from datasets import IterableDataset

_HUB = re.compile(r"(?P<repo>\w[\w.-]*/\w[\w.-]*)(?:@(?P<revision>[\w./-]+))?", re.ASCII)
_MAPPABLE = tuple(dict.fromkeys((*shapes.MAPPABLE, *pairs.MAPPABLE)))
_KEYS = (*_MAPPABLE, "split", "name")
_RELEASE = re.compile(r"\w[\w.-]*/\w[\w.-]*@v\d+\.\d+\.\d+", re.ASCII)
_VERSION = re.compile(r"v(\d+\.\d+\.\d+)", re.ASCII)


@dataclass(frozen=True)
class Place:
    """A source as it was written, taken apart."""

    text: str
    place: str
    config: str | None
    keys: Mapping[str, str]

    @classmethod
    def parse(cls, text: str) -> Place:
        """``UsageError`` where a key is none of ours."""
        rest, mark, written = text.rpartition("#")
        keys: dict[str, str] = {}
        if not mark or "=" not in written:
            rest, written = text, ""
        for part in filter(None, written.split(",")):
            key, _, value = part.partition("=")
            if key not in _KEYS or not value:
                raise UsageError(f"{text}: '{part}' is no KEY=VALUE; {nearest(key, _KEYS)}")
            keys[key] = value
        place, colon, config = rest.rpartition(":")
        if not colon or Path(rest).exists() or "/" in config:
            place, config = rest, ""
        return cls(text, place, config or None, keys)

    @property
    def name(self) -> str:
        """Short, for people."""
        if "name" in self.keys:
            return self.keys["name"]
        last = [part for part in self.place.rstrip("/").split("/") if part][-1:]
        return f"{''.join(last) or self.place}{f':{self.config}' if self.config else ''}"

    @property
    def is_release(self) -> bool:
        """A folder that holds one, or a version on the Hub."""
        path = Path(self.place).expanduser()
        if path.exists():
            return (path / MANIFEST).is_file()
        return _RELEASE.fullmatch(self.place) is not None

    @property
    def mapping(self) -> dict[str, str]:
        return {key: self.keys[key] for key in _MAPPABLE if key in self.keys}


@dataclass(frozen=True)
class Source:
    """An opened source. ``facts``: what it is and which of it is read, for people; ``makers``: the
    models behind its labels, where it says so."""

    name: str
    text: str
    facts: Mapping[str, str]
    makers: Mapping[str, str]
    labels: tuple[str, ...]
    _table: Table = field(repr=False)
    _shape: Shape = field(repr=False)

    def batches(self) -> Iterator[tuple[pl.DataFrame, dict[str, str]]]:
        """Rows by ``id``, ``messages`` and their labels, in the source's order; and the models that
        these rows name for their labels."""
        wanted = labels.columns(self._table.fits) | self._shape.columns(self._table.fits)
        start = 0
        for frame in self._table.batches(wanted):
            rows = shapes.conversations(frame, self._shape, start)
            yield rows.hstack(labels.labels(frame)), labels.makers(frame)
            start += len(frame)


@dataclass(frozen=True)
class Pairs:
    """An opened source of preferences; see :class:`Source`."""

    name: str
    facts: Mapping[str, str]
    _table: Table = field(repr=False)
    _shape: Shape = field(repr=False)

    def batches(self) -> Iterator[tuple[pl.DataFrame, int]]:
        """``prompt``, ``chosen`` and ``rejected``, in the source's order; and out of how many
        rows."""
        for frame in self._table.batches(self._shape.columns(self._table.fits)):
            yield pairs.preferences(frame, self._shape), len(frame)


def open_source(text: str, *, report: Report) -> Source:
    """``UsageError`` where there is no such place, config, split or shape; ``HubError`` where the
    Hub does not give it; ``InvalidData`` where its files cannot be read."""
    place = Place.parse(text)
    return _source(place, _opened(place, report))


def open_pairs(text: str, *, report: Report) -> Pairs:
    """A source that holds preferences; errors as of :func:`open_source`."""
    place = Place.parse(text)
    table, facts, _ = _opened(place, report)
    find = (place.mapping, table.fits, table.columns, place.place)
    shape = pairs.mapped(*find) if place.mapping else pairs.recognised(*find[1:])
    return Pairs(place.name, {**facts, "shape": shape.name}, table, shape)


def open_sources(texts: Sequence[str], *, report: Report) -> list[Source]:
    """Each of ``texts``, by a name of its own: those that would share a short one have their whole
    place. ``UsageError`` before any is opened where one is not a place, and where one is named
    twice; else as :func:`open_source`."""
    places = [Place.parse(text) for text in texts]
    sources = [_source(place, _opened(place, report)) for place in places]
    names = [source.name for source in sources]
    found = [
        replace(source, name=source.text) if names.count(source.name) > 1 else source
        for source in sources
    ]
    if len({source.name for source in found}) < len(found):
        raise UsageError(
            "a source is named twice; give each once, or #name=... to tell them apart."
        )
    return found


def of_release(release: Release) -> Source:
    """The default config of an opened release."""
    place = _folder(release.path)
    return _source(place, _release(release, place))


def of_pool(pool: Pool, folder: Path) -> Source:
    """The rows of a run's ``folder`` as ``pool`` gives them."""
    place = _folder(folder)
    return _source(place, _rows(pool, place))


_Opened = tuple[Table, dict[str, str], dict[str, str]]


def _folder(path: Path) -> Place:
    return Place(str(path), str(path), None, {})


def _source(place: Place, opened: _Opened) -> Source:
    table, facts, makers = opened
    if place.mapping:
        shape = shapes.mapped(place.mapping, table.fits, table.columns, place.place)
    else:
        shape = shapes.recognised(table.fits, table.columns, place.place)
    return Source(
        name=place.name,
        text=place.text,
        facts={**facts, "shape": shape.name},
        makers=makers,
        labels=labels.carried(labels.columns(table.fits)),
        _table=table,
        _shape=shape,
    )


def _opened(place: Place, report: Report) -> _Opened:
    path = Path(place.place).expanduser()
    if (path / MANIFEST).is_file():
        return _release(Release.open(path), place)
    if (path / INFO).is_file():
        _refuse(place, "config", "split")
        return _rows(open_pool([path]), place)
    if path.exists():
        _refuse(place, "config", "split")
        return open_files(path), {"kind": "files"}, {}
    if (named := _HUB.fullmatch(place.place)) is None:
        raise UsageError(
            f"there is no file or folder {place.place}; give one, or ORG/NAME of a dataset on the "
            "Hub."
        )
    return _of_hub(place, named["repo"], named["revision"], report)


def _refuse(place: Place, *keys: str) -> None:
    given = {"config": place.config, "split": place.keys.get("split")}
    for key in keys:
        if given[key]:
            raise UsageError(f"{place.place} has no {key}s, so '{given[key]}' is none of them.")


def _rows(pool: Pool, place: Place) -> _Opened:
    first = next((table for table in pool.shards() if table.num_rows), None)
    if first is None:
        raise UsageError(f"{place.place} has no row with an answer; there is nothing to compare.")
    makers = {name: made.model for name, made in pool.producers().items() if made.model}
    table = ArrowTable(first.schema, lambda wanted: pool.shards(wanted))
    return table, {"kind": "run"}, makers


def _release(release: Release, place: Place) -> _Opened:
    name = config_named(release.manifest, place.config, place.place)
    splits = release.manifest.configs[name].splits
    chosen = _chosen_splits(list(splits), place)
    files = [release.path / file for split in chosen for file in splits[split].files]
    facts = {"kind": "release", "version": release.version, "config": name}
    return parquet(files), facts | {"split": ", ".join(chosen)}, _makers(release.manifest)


def _makers(manifest: Manifest) -> dict[str, str]:
    return {each.name: each.producer.model for each in manifest.columns if each.producer.model}


def _chosen_splits(there: list[str], place: Place) -> list[str]:
    """The split that was asked for; or the first that is for training, or all."""
    if (asked := place.keys.get("split")) is not None:
        if asked not in there:
            raise UsageError(f"{place.place} has no split '{asked}'; {nearest(asked, there)}")
        return [asked]
    training = [name for name in there if name.startswith("train")]
    return training[:1] or there


def _of_hub(place: Place, repo: str, revision: str | None, report: Report) -> _Opened:
    """Streamed: nothing is kept on this machine."""
    makers: dict[str, str] = {}
    config = place.config
    with connect(repo, None, reading=True) as (api, token):
        facts = {"kind": "Hub"}
        if revision is not None and (version := _VERSION.fullmatch(revision)):
            commit = commit_of(patiently(lambda: tags(api, repo), report), repo, version[1])
            if (file := manifest_file(api, repo, commit)) is not None:
                manifest = Release.open(file.parent).manifest
                config = config_named(manifest, config, f"{repo} {revision}")
                makers, facts["kind"] = _makers(manifest), "release"
        else:
            info = patiently(lambda: api.dataset_info(repo, revision=revision), report)
            commit = info.sha or revision or "main"
        facts |= {"revision": commit[:12], **({"config": config} if config else {})}
        parts = _streams(repo, config, commit, token)
        chosen = _chosen_splits(list(parts), place)
        streams = [parts[name] for name in chosen]
        schema = _schema(streams[0], f"{repo}, {chosen[0]},")

    def read(columns: list[str]) -> Iterator[pa.Table]:
        with connect(repo, None, reading=True):
            for stream in streams:
                yield from _arrow(stream, columns)

    return ArrowTable(schema, read), facts | {"split": ", ".join(chosen)}, makers


def _streams(repo: str, config: str | None, commit: str, token: str) -> dict[str, IterableDataset]:
    from datasets import load_dataset

    try:
        found: Any = load_dataset(
            repo, config, revision=commit, streaming=True, token=token or False
        )
    except FileNotFoundError as error:
        said = " ".join(str(error).split()).rstrip(".")
        raise HubError(f"{repo} holds nothing that can be read as rows ({said[:200]}).") from error
    except ValueError as error:
        # It names the configs that there are.
        said = " ".join(str(error).split())
        if "onfig" in said:
            raise UsageError(
                f"{repo} has several configs or not this one; write {repo}:CONFIG ({said[:300]})."
            ) from error
        raise
    return dict(found)


def _schema(stream: IterableDataset, where: str) -> pa.Schema:
    if stream.features is not None:
        return stream.features.arrow_schema
    first = next(iter(_arrow(stream, None)), None)
    if first is None:
        raise HubError(f"{where} has no rows.")
    return first.schema


def _arrow(stream: IterableDataset, columns: list[str] | None) -> Iterable[pa.Table]:
    some: Any = stream if columns is None else stream.select_columns(columns)
    return some.with_format("arrow").iter(batch_size=BATCH)  # type: ignore[no-any-return]
