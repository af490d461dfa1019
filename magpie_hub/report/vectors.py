"""The embeddings that a run has stored, for rows that the report shows, and what made them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from magpie_hub.annotate.compare import place
from magpie_hub.annotate.map import embedded_by
from magpie_hub.neighbors.block import Vectors
from magpie_hub.neighbors.pieces import Pieces
from magpie_hub.recipe import Neighbors
from magpie_hub.run import Run
from magpie_hub.run.info import StageInfo
from magpie_hub.storage import Folder


class Embedded(NamedTuple):
    """``vectors`` (ids, dimensions) have length 1; ``model`` is the name of what made them, and
    ``identity`` tells its weights from others."""

    ids: list[str]
    vectors: Vectors
    model: str
    identity: str


def vectors(run: Run, ids: Collection[str]) -> Embedded | None:
    """Those of ``ids`` that have been embedded; None where the run has stored none."""
    for stage, settings in embedders(run):
        folder, fingerprint = place(run, stage, settings)
        if found := _read(folder, fingerprint, set(ids)):
            return Embedded(*found, stage.model or settings.model, stage.keys["model"])
    return None


def embedders(run: Run) -> Iterator[tuple[StageInfo, Neighbors]]:
    """The finished stages for which a run has embedded its questions, and with what."""
    annotate = run.recipe.annotate
    for name in ("neighbors", "map"):
        if not run.has(name) or run.missing(name):
            continue
        settings = annotate.neighbors
        if name == "map" and annotate.map is not None:
            settings = embedded_by(run.recipe, annotate.map)
        if settings is not None:
            yield run.stage(name), settings


def _read(folder: Folder, fingerprint: str, ids: set[str]) -> tuple[list[str], Vectors] | None:
    """Piece by piece: all of them may not fit into memory."""
    folder = folder.child("pieces")
    first = next((name for name in sorted(folder.names()) if name.endswith(".arrow")), None)
    if first is None or folder.remote:
        return None
    with pa.OSFile(str(folder.path / first)) as file:
        dimensions = pa.ipc.open_file(file).schema.field("vector").type.list_size
    pieces = Pieces(folder, dimensions=dimensions, fingerprint=fingerprint)
    names: list[str] = []
    parts: list[Vectors] = []
    for number in pieces.numbers():
        rows = pieces.read([number])
        wanted = [at for at, name in enumerate(rows.ids) if name in ids]
        names += [rows.ids[at] for at in wanted]
        parts.append(rows.vectors[wanted])
    return (names, np.concatenate(parts)) if names else None
