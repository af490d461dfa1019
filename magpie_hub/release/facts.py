"""What the data files of a release say, for its card and its pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa

from magpie_hub import schema
from magpie_hub.release import ConfigEntry, Manifest
from magpie_hub.release.samples import Balance, Sample, balance, samples

SHARES = ("category", "difficulty", "quality", "conversation_quality", "language", "safety")
LENGTHS = ("query_tokens", "response_tokens", "thinking_tokens")
SPREADS = ("reward", "margin", "pass_rate", "turns", *LENGTHS, "min_neighbor_distance")
TURNS = ("turns", "ended")
TRAITS: Mapping[str, pl.Expr] = {
    "finish_reason": pl.col("finish_reason") == "length",
    "refusal": pl.col("refusal"),
    "loop": pl.col("loop"),
    "same_language": ~pl.col("same_language"),
    "leaked": pl.col("leaked").is_not_null(),
    "safety": pl.col("safety") != "safe",
    "pii": pl.col("pii").list.len() > 0,
    "contaminated_by": pl.col("contaminated_by").is_not_null(),
    "repeat_count": pl.col("repeat_count") > 0,
}
"""What a reader should know of rows, by the column that tells."""
LANGUAGE_SHARE = 0.01
"""A language is named in the front matter from this share of the largest config on."""
SHOWN_CONFIGS = 6
BARS = 40
"""The most in a histogram; by the rule of Rice fewer where there are few rows."""
_FEWEST = 8
_OUTERMOST = 0.001


@dataclass(frozen=True)
class Share:
    """A label, and its rows and share in each config."""

    label: str
    rows: tuple[int, ...]
    parts: tuple[float, ...]


@dataclass(frozen=True)
class Histogram:
    """Rows between each two ``edges``, for each of the configs that are ``compared``; without the
    outermost thousandths, where there are so many."""

    edges: tuple[float, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Facts:
    """``configs`` are those described, the default one first; ``compared`` are it and the widest
    one, where that is another. ``spreads`` hold the 11 deciles from minimum to maximum for each of
    ``configs``; ``traits`` are shares of the default config's rows, of those where it is known;
    ``turns`` say how far conversations go and why they end, where they may go on."""

    configs: tuple[str, ...]
    compared: tuple[str, ...]
    shares: dict[str, tuple[Share, ...]]
    spreads: dict[str, tuple[tuple[float, ...] | None, ...]]
    histograms: dict[str, Histogram]
    traits: dict[str, float]
    unlabelled: dict[str, float]
    languages: tuple[str, ...]
    samples: tuple[Sample, ...]
    turns: dict[str, tuple[Share, ...]]
    balance: Balance | None

    def index(self, config: str) -> int:
        return self.configs.index(config)


def facts(folder: Path, manifest: Manifest) -> Facts:
    """Read the small columns of each config, and the few rows that are shown."""
    shown, compared = _described(manifest)
    there = [column.name for column in manifest.columns]
    small = [name for name in (*SHARES, *SPREADS, "ended") if name in there]
    tables = [_small(scan(folder, manifest.configs[name]), small) for name in shown]
    default = manifest.configs[shown[0]]
    own = default.columns or there
    labels = [name for name in SHARES if name in small]
    first = tables[0].select(name for name in small if name in own)
    rows = scan(folder, default)
    both = [tables[shown.index(name)] for name in compared]
    return Facts(
        configs=shown,
        compared=compared,
        shares={name: tuple(_shares(name, tables)) for name in labels},
        spreads={n: tuple(_deciles(t[n]) for t in tables) for n in SPREADS if n in small},
        histograms=dict(_histograms(both)),
        traits=_traits(rows, own),
        unlabelled={n: first[n].null_count() / len(first) for n in first.columns if n in labels},
        languages=_languages(both[-1]) if "language" in small else (),
        samples=tuple(samples(rows, first)),
        turns={n: tuple(_shares(n, tables)) for n in TURNS if "ended" in small},
        balance=balance(rows),
    )


Point = tuple[float, float, str | None]
"""A question in the plane, with its category."""


def mapped(folder: Path, manifest: Manifest, plane: pa.Table, *, most: int) -> list[Point]:
    """The questions of the widest config by their coordinates (``id``, ``x``, ``y``), in the order
    of its rows; of more than ``most`` a sample, drawn with seed 0."""
    rows = scan(folder, max(manifest.configs.values(), key=lambda config: config.rows))
    there = rows.collect_schema().names()
    category = pl.col("category") if "category" in there else pl.lit(None, pl.String)
    own = rows.select("id", category.alias("category")).collect()
    found = own.join(pl.DataFrame(plane), on="id", how="inner", maintain_order="left")
    if len(found) > most:
        found = found.sample(most, seed=0)
    return list(found.select("x", "y", "category").iter_rows())


def scan(folder: Path, config: ConfigEntry) -> pl.LazyFrame:
    paths = [folder / file for split in config.splits.values() for file in split.files]
    return pl.scan_parquet(paths, glob=False)  # a folder's name may hold [ or *


def _described(manifest: Manifest) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The configs that are described, and those that are compared in pictures."""
    configs = manifest.configs
    default = next(name for name, config in configs.items() if config.default)
    widest = max(configs, key=lambda name: configs[name].rows)
    compared = (default, widest) if configs[widest].rows > configs[default].rows else (default,)
    others = [name for name in configs if name not in compared]
    chosen = {*compared, *others[: SHOWN_CONFIGS - len(compared)]}
    return (default, *(name for name in configs if name in chosen - {default})), compared


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
    values = values.drop_nulls().sort()  # once for all ranks
    ranks = [values.quantile(tenth / 10, interpolation="linear") for tenth in range(11)]
    return tuple(rank for rank in ranks if rank is not None)


def _histograms(tables: list[pl.DataFrame]) -> Iterator[tuple[str, Histogram]]:
    """Those of columns with more than one value."""
    for name in SPREADS:
        if name == "turns" or name not in tables[0].columns:
            continue
        values = [table[name].drop_nulls().to_numpy() for table in tables]
        if not all(map(len, values)):
            continue
        low = np.quantile(values[-1], _OUTERMOST, method="lower")
        high = np.quantile(values[-1], 1 - _OUTERMOST, method="higher")
        if low == high:
            continue
        bars = min(max(round(2 * len(values[0]) ** (1 / 3)), _FEWEST), BARS)
        edges = _edges(name, float(low), float(high), bars)
        counts = (tuple(np.histogram(each, edges)[0].tolist()) for each in values)
        yield name, Histogram(tuple(edges.tolist()), tuple(counts))


def _edges(name: str, low: float, high: float, bars: int) -> np.ndarray:
    """Lengths grow by ratios, and are whole: so do their bars."""
    if name in LENGTHS:
        grown = np.geomspace(max(low, 1), high + 1, bars + 1)
        return np.unique(np.round(grown)).astype(np.float64)
    if name == "pass_rate":
        return np.linspace(-0.05, 1.05, 12)  # around the tenths
    return np.linspace(low, high, bars + 1)


def _traits(rows: pl.LazyFrame, there: tuple[str, ...] | list[str]) -> dict[str, float]:
    wanted = [each.mean().alias(name) for name, each in TRAITS.items() if name in there]
    found = rows.select(wanted).collect().row(0, named=True) if wanted else {}
    return {name: part for name, part in found.items() if part is not None}


def _languages(frame: pl.DataFrame) -> tuple[str, ...]:
    counts = frame["language"].drop_nulls().value_counts(sort=True)
    return tuple(
        language
        for language, rows in counts.iter_rows()
        if language != "und" and rows >= LANGUAGE_SHARE * len(frame)
    )
