"""Peak memory of the whole driver at 4 M slots: sample, screen (exact duplicates), respond.

The engine is scripted and costs next to nothing, so what is measured is the house: slots, prompts,
text, shards on a real disk, accounts. ``ours`` is the peak in bytes, ``theirs`` the 1 GB that it
must stay under.
"""

from __future__ import annotations

import os
import tempfile
from collections import deque
from collections.abc import Sequence
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false")

from harness import Meter, Run, Side, alternate
from lines import bring, recipe
from report import arguments, finish, show

from magpie_hub.engines import Completion, EngineFacts, Request
from magpie_hub.pipeline.plan import Plan
from magpie_hub.template import ChatTemplate

LIMIT = 1_000_000_000
PRELOAD = ("magpie_hub.pipeline", "transformers.models.auto.tokenization_auto")
_BITS = 7
_WORDS = 4
"""Words of a query: of 2 ** 28 queries, 4 M slots get the same one some 30,000 times."""
_ANSWER = 40


class Scripted:
    """Answers in the order of asking: a query of a few words that follow from the seed, and always
    the same answer."""

    capacity = 256
    batched = False
    exclusive = False

    def __init__(self, template: ChatTemplate) -> None:
        vocabulary = range(len(template.tokenizer))
        words = [t for t in vocabulary if (text := template.decode([t])) and text[1:].isalpha()]
        self._words = [t for t in words if template.decode([t])[0] == " "][: 1 << _BITS]
        self._prefix = template.query_prompt()
        self._answer = tuple(words[:_ANSWER])
        self._flying: deque[Request] = deque()

    @property
    def facts(self) -> EngineFacts:
        return EngineFacts("scripted", "1", "none", 1, "bits")

    def submit(self, requests: Sequence[Request]) -> None:
        self._flying += requests

    def poll(self) -> list[Completion]:
        """A few, as an engine has them after a step."""
        return [self._completion(self._flying.popleft()) for _ in range(min(8, len(self._flying)))]

    def close(self) -> None:
        pass

    def _completion(self, request: Request) -> Completion:
        if request.prompt != self._prefix:
            return Completion(request, self._answer)
        seed, mask = request.seed, (1 << _BITS) - 1
        return Completion(
            request, tuple(self._words[seed >> (_BITS * place) & mask] for place in range(_WORDS))
        )


def driver(meter: Meter, *, rows: int) -> None:
    plan = Plan(recipe("bundled:chat", rows, shard_rows=1000, dedup="exact"))
    engine = Scripted(plan.sources.asker.template)
    for _ in meter.rounds():
        with tempfile.TemporaryDirectory() as folder:
            with meter.part() as part:
                run = bring(plan, Path(folder) / "run", "respond", engine)
            part.work = rows
            if any(run.missing(stage.name) for stage in run.info.stages):
                raise RuntimeError("the run is not finished")


def main() -> None:
    args = arguments(__doc__)
    sizes = (2_000, 50_000) if args.quick else (100_000, 4_000_000)
    runs: list[Run] = []
    table = []
    for rows in sizes:
        (run,) = alternate([Side(f"{rows:,} slots", driver, {"rows": rows})], preload=PRELOAD)
        runs.append(run)
        table.append((f"{rows:,}", run.peak / 1e6, run.parts["all"].cpu, 1e6 / run.rate()))
    show("the whole driver", ("slots", "peak, MB", "CPU s", "CPU µs a slot"), table)
    finish(
        "driver_memory",
        ratio=runs[-1].peak / LIMIT,
        ours=runs[-1].peak,
        theirs=LIMIT,
        runs=runs,
        libraries=("transformers", "polars", "pyarrow"),
        as_json=args.json,
    )


if __name__ == "__main__":
    main()
