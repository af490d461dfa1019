"""Screen: which queries are worth an answer, and why the others are not.

Answers are 97-98 % of the compute (arXiv 2406.08464, section 3.4), so a query is judged before it
is answered. Nothing is deleted: each query keeps a verdict, with the reason in words.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property

import polars as pl
import pyarrow as pa

from magpie_hub import schema
from magpie_hub.filters import Filter
from magpie_hub.pool import joined, store
from magpie_hub.recipe import Recipe
from magpie_hub.run import Run, StageInfo
from magpie_hub.stage import Progress, compute
from magpie_hub.template import ChatTemplate, leaks

Reason = tuple[str, str]


def rules_keys(recipe: Recipe) -> dict[str, str]:
    """The rules that need nothing but the query and its language."""
    return {
        "rules": "empty, cut off, garbled, leaked",
        "dedup": recipe.screen.dedup,
        "languages": ", ".join(recipe.screen.languages) or "any",
    }


def info(recipe: Recipe, sample: StageInfo, labels: list[StageInfo]) -> StageInfo:
    """``labels`` are the annotators of queries; the gate may ask for their columns."""
    keys = rules_keys(recipe) | {"where": recipe.screen.where or "none"}
    keys["labels"] = ", ".join(f"{stage.name} {stage.fingerprint[:8]}" for stage in labels)
    return StageInfo(
        name="screen",
        folder="screen",
        keys=keys,
        after=sample.fingerprint,
        cheap=True,
        columns=(),
    )


def screen(run: Run, rules: Rules, labels: tuple[str, ...], progress: Progress) -> None:
    """Write a verdict for every query. ``labels`` are the names of annotate stages whose columns
    the gate asks for."""
    where = run.recipe.screen.where

    def make(shard: int, _: set[str]) -> pa.Table:
        verdicts = rules.verdicts(shard)
        if where is not None:
            _gate(run, shard, where, labels, verdicts)
        return pa.Table.from_pylist(
            [
                {
                    "id": name,
                    "kept": reason is None,
                    "reason": reason and reason[0],
                    "detail": reason and reason[1],
                }
                for name, reason in verdicts.items()
            ],
            schema=schema.VERDICTS,
        )

    compute(run, "screen", make, progress)


class Rules:
    """The rules in their order; the first that a query breaks is its reason. ``templates`` are
    those of all models that read the query."""

    def __init__(self, run: Run, templates: Sequence[ChatTemplate]) -> None:
        self._run = run
        self._templates = templates
        self._rules: tuple[Callable[[dict[str, str]], Reason | None], ...] = (
            self._malformed,
            self._duplicate,
            self._language,
        )

    def verdicts(self, shard: int) -> dict[str, Reason | None]:
        """By id, in slot order: why the query is turned away, or None."""
        rows = store(self._run, "sample").read(shard).select(["id", "query", "query_finish"])
        table = rows.to_pylist()
        if any(stage.name == "language" for stage in self._run.info.stages):
            languages = store(self._run, "language").read(shard)["language"].to_pylist()
            for row, language in zip(table, languages, strict=True):
                row["language"] = language
        return {row["id"]: self._reason(row) for row in table}

    def survivors(self, shard: int) -> list[tuple[str, str]]:
        """(id, query) of those that break no rule: the ones worth a judge."""
        verdicts = self.verdicts(shard)
        rows = store(self._run, "sample").read(shard).select(["id", "query"]).to_pylist()
        return [(row["id"], row["query"]) for row in rows if verdicts[row["id"]] is None]

    def _reason(self, row: dict[str, str]) -> Reason | None:
        return next((reason for rule in self._rules if (reason := rule(row))), None)

    def _malformed(self, row: dict[str, str]) -> Reason | None:
        return malformed(
            row["query"],
            ended=row["query_finish"] == "stop",
            templates=self._templates,
            max_tokens=self._run.recipe.sample.max_tokens,
        )

    def _duplicate(self, row: dict[str, str]) -> Reason | None:
        if self._run.recipe.screen.dedup == "none":
            return None
        first = self._first[text_key(row["query"])]
        return None if first == row["id"] else ("duplicate", f"the same as {first}")

    def _language(self, row: dict[str, str]) -> Reason | None:
        wanted = self._run.recipe.screen.languages
        if not wanted or row["language"] in wanted:
            return None
        return ("language", f"{row['language']} is not wanted")

    @cached_property
    def _first(self) -> dict[bytes, str]:
        """The id of the first slot with a text, by the text's key. Only the first slot counts, so
        a verdict never changes when rows are added behind."""
        first: dict[bytes, str] = {}
        for shard in range(self._run.shard_count):
            queries = store(self._run, "sample").read(shard).select(["id", "query", "query_finish"])
            for row in queries.to_pylist():
                # What is turned away anyway must not take a good query with it.
                if row["query_finish"] == "stop":
                    first.setdefault(text_key(row["query"]), row["id"])
        return first


def malformed(
    query: str, *, ended: bool, templates: Iterable[ChatTemplate], max_tokens: int
) -> Reason | None:
    """What is wrong with a sampled query by itself; ``ended``: the model stopped, it was not cut
    at ``max_tokens``. ``templates`` are those of the models that read it."""
    if not query:
        return ("empty", "the model ended the turn at once")
    if not ended:
        return ("cut off", f"not ended after {max_tokens} tokens")
    if "\ufffd" in query:
        return ("garbled", "holds bytes that are no text")
    found = (leaks(query, template) for template in templates)
    detail = next((reason for reason in found if reason), None)
    return ("leaked", detail) if detail else None


def text_key(query: str) -> bytes:
    """Equal for texts that differ in case, white space or Unicode form alone."""
    text = " ".join(unicodedata.normalize("NFKC", query).casefold().split())
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _gate(
    run: Run,
    shard: int,
    where: str,
    labels: tuple[str, ...],
    verdicts: dict[str, Reason | None],
) -> None:
    """Turn away, in ``verdicts``, what breaks a clause of ``where``; the first that it breaks is
    the reason."""
    columns = [column for stage in ("sample", *labels) for column in run.stage(stage).columns]
    ids = pa.chunked_array([pa.array(verdicts, pa.string())])
    frame = pl.DataFrame(joined(run, shard, ids, ["sample", *labels]).select(columns))
    for clause in Filter.parse(where, columns).clauses:
        keep = Filter.parse(clause, columns).keep(frame)
        for name, passed in zip(frame["id"], keep, strict=True):
            if not passed and verdicts[name] is None:
                verdicts[name] = (clause, "the screen's where")
