"""Screen: which queries are worth an answer, and why the others are not.

Answers are 97-98 % of the compute (arXiv 2406.08464, section 3.4), so a query is judged before it
is answered. Nothing is deleted: each query keeps a verdict, with the reason in words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from magpie_hub import schema
from magpie_hub.filters import Filter
from magpie_hub.recipe import Recipe
from magpie_hub.run import Run
from magpie_hub.run.info import StageInfo
from magpie_hub.run.stored import joined, store
from magpie_hub.stages import Local
from magpie_hub.stages.quotas import Quotas
from magpie_hub.template import ChatTemplate, leaks
from magpie_hub.words import text_key

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
    if recipe.screen.keep is not None:
        keys["keep"] = str(recipe.screen.keep)
        quotas = recipe.screen.quotas.items()
        keys["quotas"] = ", ".join(f"{name} {share:g}" for name, share in quotas) or "none"
    keys["labels"] = ", ".join(f"{stage.name} {stage.fingerprint[:8]}" for stage in labels)
    return StageInfo(
        name="screen",
        folder="screen",
        keys=keys,
        after=sample.fingerprint,
        cheap=True,
        columns=(),
    )


def screening(run: Run, rules: Rules, labels: tuple[str, ...]) -> Local:
    """A verdict for every query. ``labels`` are the names of annotate stages whose columns the
    gate asks for."""
    where = run.recipe.screen.where
    quotas = Quotas(run, run.recipe.screen) if run.recipe.screen.keep is not None else None

    def make(shard: int, _: set[str]) -> pa.Table:
        verdicts = rules.verdicts(shard)
        if run.has("overlap"):
            _part_from_items(run, shard, verdicts)
        if run.has("duplicates"):
            _thin_out(run, shard, verdicts)
        if where is not None:
            _gate(run, shard, where, labels, verdicts)
        if quotas is not None:
            _fill(run, shard, quotas, verdicts)
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

    return Local("screen", make, orderly=rules.orderly, in_order=quotas is not None)


def _part_from_items(run: Run, shard: int, verdicts: dict[str, Reason | None]) -> None:
    """Turn away, in ``verdicts``, what means an item of a benchmark."""
    for row in store(run, "overlap").read(shard).to_pylist():
        if row["item"] is not None:
            verdicts[row["id"]] = ("contaminated", f"means the same as {row['item']}")


def _thin_out(run: Run, shard: int, verdicts: dict[str, Reason | None]) -> None:
    """Turn away, in ``verdicts``, what nearly repeats a query that is kept."""
    for row in store(run, "duplicates").read(shard).to_pylist():
        if row["duplicate_of"] is not None:
            how = f"{row['duplicate_reason']}: {row['duplicate_of']}"
            verdicts[row["id"]] = ("near duplicate", how)


def _fill(run: Run, shard: int, quotas: Quotas, verdicts: dict[str, Reason | None]) -> None:
    """Turn away, in ``verdicts``, those for which there is no room any more."""
    quotas.count_up_to(shard)
    passed = [name for name, reason in verdicts.items() if reason is None]
    categories: list[str | None] = [None] * len(passed)
    if run.recipe.screen.quotas:
        ids = pa.chunked_array([pa.array(passed, pa.string())])
        categories = joined(run, shard, ids, ["judge"])["category"].to_pylist()
    for name, category in zip(passed, categories, strict=True):
        verdicts[name] = quotas.admit(category)
    quotas.close(shard)


class Rules:
    """The rules in their order; the first that a query breaks is its reason. ``templates`` are
    those of all models that read the query."""

    def __init__(self, run: Run, templates: Sequence[ChatTemplate]) -> None:
        self._run = run
        self._templates = templates
        self._firsts = Firsts()
        self._indexed = 0
        self._rules: tuple[Callable[[dict[str, Any]], Reason | None], ...] = (
            self._failed,
            self._malformed,
            self._contaminated,
            self._duplicate,
            self._language,
        )

    @property
    def orderly(self) -> bool:
        """Whether a verdict needs the queries of all shards before."""
        return self._run.recipe.screen.dedup == "exact"

    def verdicts(self, shard: int) -> dict[str, Reason | None]:
        """By id, in slot order: why the query is turned away, or None. The queries of all shards up
        to this one must be there."""
        columns = ["id", "query", "query_finish", "error"]
        table = store(self._run, "sample").read(shard).select(columns).to_pylist()
        if self._run.has("language"):
            languages = store(self._run, "language").read(shard)["language"].to_pylist()
            for row, language in zip(table, languages, strict=True):
                row["language"] = language
        if self._run.has("contamination"):
            found = store(self._run, "contamination").read(shard)["contaminated_by"].to_pylist()
            for row, item in zip(table, found, strict=True):
                row["contaminated_by"] = item
        if self.orderly:
            self._index(shard)
            start = shard * self._run.info.shard_rows
            firsts = self._firsts.of([text_key(row["query"]) for row in table])
            for slot, (row, first) in enumerate(zip(table, firsts, strict=True), start):
                row["first"] = None if first == slot else first
        return {row["id"]: self._reason(row) for row in table}

    def _index(self, upto: int) -> None:
        """Only the first slot with a text counts, so a verdict never changes when rows are added
        behind."""
        queries = store(self._run, "sample").read_each(range(self._indexed, upto + 1))
        for shard, table in enumerate(queries, self._indexed):
            rows = table.select(["query", "query_finish"])
            start = shard * self._run.info.shard_rows
            # What is turned away anyway must not take a good query with it.
            ended = [
                (text_key(row["query"]), slot)
                for slot, row in enumerate(rows.to_pylist(), start)
                if row["query_finish"] == "stop"
            ]
            self._firsts.add([key for key, _ in ended], [slot for _, slot in ended])
            self._indexed = shard + 1

    def survivors(self, shard: int) -> list[tuple[str, str]]:
        """(id, query) of those that break no rule: the ones worth a judge."""
        verdicts = self.verdicts(shard)
        rows = store(self._run, "sample").read(shard).select(["id", "query"]).to_pylist()
        return [(row["id"], row["query"]) for row in rows if verdicts[row["id"]] is None]

    def _reason(self, row: dict[str, Any]) -> Reason | None:
        return next((reason for rule in self._rules if (reason := rule(row))), None)

    def _failed(self, row: dict[str, Any]) -> Reason | None:
        return ("failed", row["error"]) if row["error"] else None

    def _malformed(self, row: dict[str, Any]) -> Reason | None:
        return malformed(
            row["query"],
            ended=row["query_finish"] == "stop",
            templates=self._templates,
            max_tokens=self._run.recipe.sample.max_tokens,
        )

    def _contaminated(self, row: dict[str, Any]) -> Reason | None:
        item = row.get("contaminated_by")
        return None if item is None else ("contaminated", f"shares words with {item}")

    def _duplicate(self, row: dict[str, Any]) -> Reason | None:
        first = row.get("first")
        return None if first is None else ("duplicate", f"the same as {self._run.slot_id(first)}")

    def _language(self, row: dict[str, Any]) -> Reason | None:
        wanted = self._run.recipe.screen.languages
        if not wanted or row["language"] in wanted:
            return None
        return ("language", f"{row['language']} is not wanted")


class Firsts:
    """For each text key the first slot that has it: sorted arrays, 16 bytes a key, merged as they
    grow, since a dictionary of 4 M queries would take most of a gigabyte."""

    def __init__(self) -> None:
        self._runs: list[tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]] = []

    def add(self, keys: Sequence[int], slots: Sequence[int]) -> None:
        """``slots`` ascend, and come after all that were added before."""
        key, index = np.unique(np.array(keys, dtype=np.uint64), return_index=True)
        slot = np.array(slots, dtype=np.int64)[index]
        new = self._look_up(key) < 0
        self._runs.append((key[new], slot[new]))
        while len(self._runs) > 1 and len(self._runs[-2][0]) <= 2 * len(self._runs[-1][0]):
            pair = [self._runs.pop(), self._runs.pop()]
            key, slot = (np.concatenate(arrays) for arrays in zip(*pair, strict=True))
            order = np.argsort(key)
            self._runs.append((key[order], slot[order]))

    def of(self, keys: Sequence[int]) -> list[int]:
        """The first slot with each key; -1 where no ended query has it."""
        return cast("list[int]", self._look_up(np.array(keys, dtype=np.uint64)).tolist())

    def _look_up(self, keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
        found = np.full(len(keys), -1, dtype=np.int64)
        for key, slot in self._runs:
            if len(key):
                place = np.minimum(np.searchsorted(key, keys), len(key) - 1)
                hit = key[place] == keys
                found[hit] = slot[place[hit]]
        return found


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
