"""The card of a release: its README.md, rendered from the manifest and the data files alone.

Text that a model wrote is shown, never obeyed: what a template prints is escaped unless it passed
one of the filters here, which are the only makers of :class:`Markdown`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import polars as pl
import pyarrow as pa

from magpie_hub import obligations, schema
from magpie_hub.release import ConfigEntry, Manifest, Producer, Yield
from magpie_hub.samples import Balance, Sample, balance, samples

if TYPE_CHECKING:
    from huggingface_hub import DatasetCardData

SHARES = ("category", "difficulty", "quality", "language", "safety")
SPREADS = (
    *("reward", "margin", "pass_rate", "turns"),
    *("query_tokens", "response_tokens", "thinking_tokens"),
)
TURNS = ("turns", "ended")
LANGUAGE_SHARE = 0.01
"""A language is named in the front matter from this share of the largest config on."""
SHOWN_CONFIGS = 6
SHOWN_YIELDS = 50
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (10**6, "100K<n<1M"))
_LARGER = ((10**7, "1M<n<10M"), (10**8, "10M<n<100M"), (10**9, "100M<n<1B"))
# Controls, bidirectional overrides, invisible separators and tags: text that is not what it seems.
_HIDDEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    r"\ufeff\ufff9-\ufffb\U000e0000-\U000e0fff]"
)


class Markdown(str):
    """Markdown that is printed as it is."""


@dataclass(frozen=True)
class Share:
    """A label, and its rows and share in each config."""

    label: str
    rows: tuple[int, ...]
    parts: tuple[float, ...]


@dataclass(frozen=True)
class Facts:
    """What the data files say. ``configs`` are those described, the default one first; ``spreads``
    hold the 11 deciles from minimum to maximum for each of them; ``turns`` say how far
    conversations go and why they end, where they may go on."""

    configs: tuple[str, ...]
    shares: dict[str, tuple[Share, ...]]
    spreads: dict[str, tuple[tuple[float, ...] | None, ...]]
    truncated: float | None
    unlabelled: dict[str, float]
    languages: tuple[str, ...]
    samples: tuple[Sample, ...]
    turns: dict[str, tuple[Share, ...]]
    balance: Balance | None


def facts(folder: Path, manifest: Manifest) -> Facts:
    """Read the small columns of each config, and the few rows that are shown."""
    default = next(name for name, config in manifest.configs.items() if config.default)
    shown = (default, *(name for name in manifest.configs if name != default))[:SHOWN_CONFIGS]
    there = [column.name for column in manifest.columns]
    small = [name for name in (*SHARES, *SPREADS, "finish_reason", "ended") if name in there]
    tables = [_small(_scan(folder, manifest.configs[name]), small) for name in shown]
    own = manifest.configs[default].columns or there
    cut = tables[0]["finish_reason"] == "length" if "finish_reason" in {*small} & {*own} else None
    labels = [name for name in SHARES if name in small]
    first = tables[0].select(name for name in small if name in own)
    widest = max(tables, key=len)
    return Facts(
        configs=shown,
        shares={name: tuple(_shares(name, tables)) for name in labels},
        spreads={n: tuple(_deciles(t[n]) for t in tables) for n in SPREADS if n in small},
        truncated=None if cut is None else int(cut.sum()) / len(cut),
        unlabelled={n: first[n].null_count() / len(first) for n in first.columns if n in labels},
        languages=_languages(widest) if "language" in small else (),
        samples=tuple(samples(_scan(folder, manifest.configs[default]), first)),
        turns={n: tuple(_shares(n, tables)) for n in TURNS if "ended" in small},
        balance=balance(_scan(folder, manifest.configs[default])),
    )


def render(manifest: Manifest, known: Facts, template: str, repo: str | None = None) -> str:
    """The card; ``repo`` is its place on the Hub, where that is known already."""
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_source),
        undefined=jinja2.StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(code=code, fence=fence, percent=percent, number=number)
    default = manifest.configs[known.configs[0]]
    return environment.get_template(template).render(
        manifest=manifest,
        facts=known,
        default=known.configs[0],
        default_rows=default.rows,
        front_matter=Markdown(front_matter(manifest, known).to_yaml()),
        columns=tuple(_columns(manifest)),
        yields=tuple(_yields(manifest)),
        licence=obligations.named(manifest.license, manifest.license_name),
        duties=obligations.duties(manifest.model_licenses),
        # A stage that was not run has no model; a template may ask for any.
        models=defaultdict(str, {each.stage: each.model for each in manifest.made if each.model}),
        usage=_usage(manifest, repo or f"ORG/{manifest.name}"),
    )


def front_matter(manifest: Manifest, known: Facts) -> DatasetCardData:
    """What the Hub and ``load_dataset`` read."""
    from huggingface_hub import DatasetCardData

    thinking = any(c.name == "messages" and "thinking" in c.type for c in manifest.columns)
    arrow = schema.arrow_schema([column.name for column in manifest.columns], thinking=thinking)
    most = max(config.rows for config in manifest.configs.values())
    return DatasetCardData(
        pretty_name=manifest.name,
        language=list(known.languages) or None,
        **obligations.front_matter(manifest),  # type: ignore[arg-type]
        annotations_creators=["machine-generated"],
        language_creators=["machine-generated"],
        size_categories=[next((s for n, s in _SIZES + _LARGER if most < n), "1B<n<10B")],
        task_categories=["text-generation"],
        tags=["synthetic", "magpie", manifest.builder],
        configs=[_config(name, config) for name, config in manifest.configs.items()],
        dataset_info=[
            _info(name, config, arrow, manifest) for name, config in manifest.configs.items()
        ],
    )


def visible(value: str) -> str:
    """Hidden and direction-changing characters as their escapes."""
    value = value.replace("\r\n", "\n")
    return _HIDDEN.sub(lambda m: m.group().encode("unicode_escape").decode(), value)


def text(value: str) -> Markdown:
    """Any text as plain words within a line: no markup, no link, no new line."""
    value = " ".join(visible(value).split())
    value = re.sub(r"&(?=#?\w+;)", "&amp;", re.sub(r"([\\`*_\[\]|~$])", r"\\\1", value))
    value = re.sub(r"<(?=[A-Za-z/!?])", "&lt;", value)
    return Markdown(value.replace("://", r":\/\/").replace("www.", r"www\."))


def code(value: str) -> Markdown:
    """Any text as a code span that also stands in a table's cell."""
    value = " ".join(visible(value).split()).replace("|", r"\|")
    ticks = "`" * (_longest_run("`", value) + 1)
    space = " " if value.startswith("`") or value.endswith("`") or not value else ""
    return Markdown(f"{ticks}{space}{value}{space}{ticks}")


def fence(value: str, language: str = "text") -> Markdown:
    """Any text as a block that nothing in it can close."""
    value = visible(value).rstrip("\n")
    ticks = "`" * max(3, _longest_run("`", value) + 1)
    return Markdown(f"{ticks}{language}\n{value}\n{ticks}")


def percent(part: float) -> Markdown:
    return Markdown(f"{100 * part:.1f} %")


def number(value: float, column: str) -> Markdown:
    """As exact as the column's type."""
    whole = pa.types.is_integer(schema.column(column).type)
    return Markdown(f"{value:,.0f}" if whole else f"{value:,.2f}")


def _finalize(value: object) -> str:
    if isinstance(value, Markdown):
        return value
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, str):
        return text(value)
    raise TypeError(f"a card cannot print {value!r} without a filter")


def _source(name: str) -> str:
    return files("magpie_hub.dataset_cards").joinpath(name).read_text(encoding="utf-8")


def _longest_run(character: str, value: str) -> int:
    return max((len(run) for run in re.findall(f"{re.escape(character)}+", value)), default=0)


def _scan(folder: Path, config: ConfigEntry) -> pl.LazyFrame:
    paths = [folder / file for split in config.splits.values() for file in split.files]
    return pl.scan_parquet(paths, glob=False)  # a folder's name may hold [ or *


def _small(rows: pl.LazyFrame, names: list[str]) -> pl.DataFrame:
    """These columns; null where the config does not have one."""
    there = rows.collect_schema().names()
    wanted = []
    for name in names:
        none = pl.Series(pa.nulls(0, schema.column(name).type))
        wanted.append(pl.col(name) if name in there else pl.lit(None, none.dtype).alias(name))
    return rows.select(wanted).collect()


def _shares(name: str, tables: list[pl.DataFrame]) -> Iterator[Share]:
    """In the labels' own order where they have one, numbers ascending, else the most frequent
    first."""
    counts = [dict(t[name].drop_nulls().value_counts().iter_rows()) for t in tables]
    column = schema.column(name)
    labels = list(column.labels)
    if not column.ordered:
        labels = sorted({label for count in counts for label in count})
        if not pa.types.is_integer(column.type):
            labels.sort(key=lambda each: [-count.get(each, 0) for count in counts])
    for label in labels:
        rows = tuple(count.get(label, 0) for count in counts)
        totals = (sum(count.values()) for count in counts)
        parts = tuple(n / total if total else 0.0 for n, total in zip(rows, totals, strict=True))
        yield Share(str(label), rows, parts)


def _deciles(values: pl.Series) -> tuple[float, ...] | None:
    if values.null_count() == len(values):
        return None
    ranks = [values.quantile(tenth / 10, interpolation="linear") for tenth in range(11)]
    return tuple(rank for rank in ranks if rank is not None)


def _languages(frame: pl.DataFrame) -> tuple[str, ...]:
    counts = frame["language"].drop_nulls().value_counts(sort=True)
    return tuple(
        language
        for language, rows in counts.iter_rows()
        if language != "und" and rows >= LANGUAGE_SHARE * len(frame)
    )


@dataclass(frozen=True)
class _ColumnRow:
    name: str
    type: str
    meaning: str
    labels: str
    producer: str


def _columns(manifest: Manifest) -> Iterator[_ColumnRow]:
    for entry in manifest.columns:
        column = schema.column(entry.name)
        labels = (" < " if column.ordered else ", ").join(column.labels)
        yield _ColumnRow(
            column.name, _type(column.type), column.meaning, labels, _producer(entry.producer)
        )


def _yields(manifest: Manifest) -> Iterator[tuple[str, tuple[Yield, ...], int]]:
    """A table each for steering and decoding, where there is something to compare: its title, the
    rows shown, and how many are not."""
    for kind, title in (("steer", "steered by"), ("cell", "decoding")):
        found = tuple(each for each in manifest.yields if each.kind == kind)
        if len(found) > 1:
            yield title, found[:SHOWN_YIELDS], len(found[SHOWN_YIELDS:])


def _type(kind: pa.DataType) -> str:
    if pa.types.is_list(kind):
        return f"list of {_type(kind.value_type)}"
    if pa.types.is_struct(kind):
        return "{" + ", ".join(kind.field(i).name for i in range(kind.num_fields)) + "}"
    return "float64" if pa.types.is_float64(kind) else str(kind)


def _producer(producer: Producer) -> str:
    model = f", {producer.model}" if producer.model else ""
    return producer.by + model + (f" @ {producer.revision[:12]}" if producer.revision else "")


def _usage(manifest: Manifest, repo: str) -> str:
    revision = f'revision="v{manifest.version}"'
    lines = [
        f'load_dataset("{repo}", "{name}", split="{split}", {revision})  # {entry.rows:,} rows'
        for name, config in manifest.configs.items()
        for split, entry in config.splits.items()
    ]
    return "\n".join(["from datasets import load_dataset", "", *lines])


def _config(name: str, config: ConfigEntry) -> dict[str, Any]:
    data = [{"split": split, "path": f"data/{name}/{split}-*"} for split in config.splits]
    return {
        "config_name": name,
        **({"default": True} if config.default else {}),
        "data_files": data,
    }


def _info(name: str, config: ConfigEntry, arrow: pa.Schema, manifest: Manifest) -> dict[str, Any]:
    from datasets import Features

    published = pa.schema([arrow.field(column) for column in config.columns or arrow.names])
    splits = [
        {"name": split, "num_bytes": entry.num_bytes, "num_examples": entry.rows}
        for split, entry in config.splits.items()
    ]
    paths = [file for split in config.splits.values() for file in split.files]
    return {
        "config_name": name,
        "features": Features.from_arrow_schema(published)._to_yaml_list(),
        "splits": splits,
        "download_size": sum(manifest.files[path].size for path in paths),
        "dataset_size": sum(entry.num_bytes for entry in config.splits.values()),
    }
