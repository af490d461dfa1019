"""The card of a release: its README.md, rendered from the manifest, the data files and
``evidence.json`` alone.

Text that a model wrote is shown, never obeyed; see ``markdown.py``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files

import jinja2
import pyarrow as pa

from magpie_hub import plots, schema
from magpie_hub.card import measured
from magpie_hub.card.edits import BEGIN, END, harmless
from magpie_hub.card.evidence import SHOWN_RECORDS, findings
from magpie_hub.card.front import front_matter, pretty
from magpie_hub.card.making import steps
from magpie_hub.card.markdown import (
    Markdown,
    attribute,
    code,
    fence,
    finalize,
    number,
    percent,
    text,
)
from magpie_hub.card.wording import chosen
from magpie_hub.evidence.record import Record
from magpie_hub.release import Manifest, Producer, Yield, obligations
from magpie_hub.release.facts import Facts

__all__ = ["front_matter", "render", "text"]

SHOWN_YIELDS = 50
WIDTH = "720"
"""Pixels of a picture on the page."""


def render(
    manifest: Manifest,
    known: Facts,
    template: str,
    repo: str | None = None,
    *,
    evidence: Sequence[Record] = (),
) -> str:
    """The card; ``repo`` is its place on the Hub, where that is known already. The pictures that
    the manifest names are shown, and so is the ``evidence``, where there is some."""
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_source),
        undefined=jinja2.StrictUndefined,
        finalize=finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        chosen=chosen, code=code, fence=fence, number=number, percent=percent, picture=_html
    )
    default = manifest.configs[known.configs[0]]
    body = environment.get_template(template).render(
        manifest=manifest,
        title=pretty(manifest.name),
        facts=known,
        default=known.configs[0],
        default_rows=default.rows,
        parted=any(len(config.splits) > 1 for config in manifest.configs.values()),
        columns=tuple(_columns(manifest)),
        steps=tuple(steps(manifest)),
        yields=tuple(_yields(manifest)),
        spreads=_spreads(known),
        pictures=_pictures(manifest, known),
        measured=tuple(measured.measured(manifest, known)),
        not_measured=measured.not_measured(manifest),
        findings=tuple(findings(evidence)),
        more_findings=max(0, len(evidence) - SHOWN_RECORDS),
        determinism=measured.determinism(manifest),
        licence=obligations.named(manifest.license, manifest.license_name),
        duties=obligations.duties(manifest.model_licenses),
        # A stage that was not run has no model; a template may ask for any.
        models=defaultdict(str, {each.stage: each.model for each in manifest.made if each.model}),
        usage=_usage(manifest, repo or f"ORG/{manifest.name}"),
        cite=_cite(manifest, repo or f"ORG/{manifest.name}"),
    )
    front = front_matter(manifest, known).to_yaml()
    return f"---\n{front}\n---\n\n{BEGIN}\n\n{harmless(body).strip()}\n\n{END}\n"


@dataclass(frozen=True)
class _Picture:
    """``png`` and ``svg`` are files of the release."""

    png: str
    svg: str
    alt: str


def _pictures(manifest: Manifest, known: Facts) -> dict[str, _Picture]:
    alts = plots.alts(manifest, known)
    return {
        key: _Picture(png, png.removesuffix("png") + "svg", alts.get(key, key))
        for key, png in plots.shown(manifest).items()
    }


def _source(name: str) -> str:
    return files("magpie_hub.dataset_cards").joinpath(name).read_text(encoding="utf-8")


def _html(picture: _Picture) -> Markdown:
    """At half its dots, so that it is sharp on every screen."""
    return Markdown(
        f"<img src={attribute(picture.png)} alt={attribute(picture.alt)} width={attribute(WIDTH)}>"
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
            column.name,
            _type(column.type),
            Markdown(column.meaning),
            labels,
            _producer(entry.producer),
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
    return producer.by + (f", {producer.model}" if producer.model else "")


def _spreads(known: Facts) -> dict[str, tuple[tuple[float, ...] | None, ...]]:
    """Without the columns that are the same in every row."""
    return {
        name: spreads
        for name, spreads in known.spreads.items()
        if any(each and each[0] < each[-1] for each in spreads)
    }


def _usage(manifest: Manifest, repo: str) -> str:
    revision = f'revision="v{manifest.version}"'
    lines = [
        f'load_dataset("{repo}", "{name}", split="{split}", {revision})  # {entry.rows:,} rows'
        for name, config in manifest.configs.items()
        for split, entry in config.splits.items()
    ]
    return "\n".join(["from datasets import load_dataset", "", *lines])


def _cite(manifest: Manifest, repo: str) -> str:
    """BibTeX of the dataset and of what made it."""
    year, (made_with, _, version) = manifest.created[:4], manifest.generator.partition(" ")
    return f"""@misc{{{manifest.name.replace("_", "-")},
  title        = {{{pretty(manifest.name)}}},
  year         = {{{year}}},
  version      = {{{manifest.version}}},
  howpublished = {{\\url{{https://huggingface.co/datasets/{repo}}}}}
}}

@software{{{made_with},
  title   = {{{made_with}: from an open-weight chat model to a versioned dataset}},
  version = {{{version}}},
  year    = {{{year}}}
}}"""
