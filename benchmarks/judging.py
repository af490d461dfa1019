"""The share of queries with a valid label: our judge, and the reference's way, on the same queries.

Both ask the bundled model (``bundled:chat``) our three prompts about each query, greedily; a query
counts where all three answers are valid, labels inside their sets.

* **ours**: the output is bound to a JSON schema, and what is not valid is asked once more.
* **the reference's way** (magpie-align/magpie, exp/unitag.py): "{" is put in the judge's mouth, it
  writes until the first "}", what stands before the last "}" goes through ``json.loads``; any error
  leaves the row without its label. Labels are checked as its notebook does when it joins the sets.
  The bundled tokenizer writes the two characters {" as one token, and after a lone "{" this small
  model is lost; so the way is measured with {" in its mouth, which is kinder, and **as written**.
* **free**: the same prompts without "{", schema or stop; the whole answer goes through
  ``json.loads``. It says how much of the reference's loss is its "{" and its "}".

The reference stops at "}" in the engine; here greedy text is cut there, which gives the same.
Queries are the model's own, sampled at temperature 1 (those that the grammar reads, and the
malformed), and a fixed set: code, mathematics and hostile ones, most with braces
(``data/judging.jsonl``). Where the grammar knows the labels, agreement with it stands beside. The
model has seen nothing like the fixed set, so its labels there are valid or not, and no more.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

# Before anything is imported: children have it from here.
os.environ.update(HF_HUB_OFFLINE="1", PYTHONWARNINGS="ignore", TOKENIZERS_PARALLELISM="false")

from harness import Meter, Run, Side, alternate, digest
from report import arguments, finish, show

from magpie_hub import models, template
from magpie_hub.annotate.judge import Question, label, prompts, read_labels
from magpie_hub.engines import Decoding, Engine, EngineSpec, Request, generate, open_engine
from magpie_hub.stages import Silent, Steps
from magpie_hub.stages.driver import Driver
from magpie_hub.template import ChatTemplate

ROOT = Path(__file__).parents[1]
FIXED = Path(__file__).parent / "data" / "judging.jsonl"
MODEL = "bundled:chat"
ROWS, QUICK_ROWS = 1000, 40
LIBRARIES = ("torch", "transformers", "llguidance")
WAYS = ("ours", "the reference's way", "the same as written", "free")
LABELS = ("category", "difficulty", "quality")
READ, MALFORMED = "sampled, the grammar reads it", "sampled, malformed"
_GREEDY = Decoding(temperature=0.0, top_p=1.0, max_tokens=512)
_SUBMITTED = 128
Labelled = dict[str, Any]


def sampling(meter: Meter, *, file: str, rows: int, every: int) -> None:
    """Leave the queries in ``file``: ``rows`` sampled ones, and each ``every``-th of the fixed."""
    chat, engine = _opened()
    sys.path.insert(0, str(ROOT))
    from demo_model.grammar import parse

    decoding = Decoding(temperature=1.0, top_p=1.0, max_tokens=96)
    for _ in meter.rounds():
        with meter.part() as part:
            asked = [
                Request(chat.query_prompt(), decoding, chat.stop_ids, seed) for seed in range(rows)
            ]
            done = {each.request: each.token_ids for each in generate(engine, asked)}
        part.work = rows
        found = []
        for request in asked:
            query, _ = chat.query(done[request], "")
            read = parse(query)
            truth = {name: getattr(read, name) for name in LABELS} if read else None
            kind = READ if read else MALFORMED
            found.append({"kind": kind, "query": query, "truth": truth})
        lines = FIXED.read_text(encoding="utf-8").splitlines()
        found += [{**json.loads(line), "truth": None} for line in lines[::every]]
        Path(file).write_text(json.dumps(found), encoding="utf-8")


def judging(meter: Meter, *, file: str, way: str) -> None:
    """Label the queries of ``file``."""
    chat, engine = _opened()
    steps = dict(zip(WAYS, (ours, reference, as_written, free), strict=True))[way]
    for _ in meter.rounds():
        rows = json.loads(Path(file).read_text(encoding="utf-8"))
        with meter.part() as part:
            made = _made(engine, chat, steps, [row["query"] for row in rows])
        part.work, part.digest = len(rows), digest(str(each) for each in made)
        meter.facts["labels"] = made


def ours(chat: ChatTemplate, query: str) -> Steps:
    """``asked``: how many requests it took; three where nothing was asked again."""
    steps = label([Question.of(prompt, chat) for prompt in prompts("three")], chat, query)
    asked, answers = 0, None
    while True:
        try:
            requests = next(steps) if answers is None else steps.send(answers)
        except StopIteration as end:
            return {**end.value, "asked": asked}
        asked += len(requests)
        answers = yield requests


def reference(chat: ChatTemplate, query: str) -> Steps:
    return (yield from _cut(chat, query, '{"'))


def as_written(chat: ChatTemplate, query: str) -> Steps:
    return (yield from _cut(chat, query, "{"))


def _cut(chat: ChatTemplate, query: str, opening: str) -> Steps:
    def cut(text: str) -> str:
        text = opening + text
        return text[: text.index("}") + 1] if "}" in text else text

    ids = tuple(chat.tokenizer.encode(opening, add_special_tokens=False))
    return (yield from _unbound(chat, query, ids, cut))


def free(chat: ChatTemplate, query: str) -> Steps:
    return (yield from _unbound(chat, query, (), str))


def _unbound(
    chat: ChatTemplate, query: str, opening: tuple[int, ...], cut: Callable[[str], str]
) -> Steps:
    asked = prompts("three")
    completions = yield [
        Request(chat.answer_prompt(prompt.about(query)) + opening, _GREEDY, chat.answer_stop_ids)
        for prompt in asked
    ]
    labels: Labelled = {}
    for prompt, completion in zip(asked, completions, strict=True):
        labels |= read_labels(cut(chat.decode(completion.token_ids)), prompt.columns) or {}
    lacking = [name for name in LABELS if name not in labels]
    return {**labels, "asked": len(asked), "error": ", ".join(lacking) or None}


def _opened() -> tuple[ChatTemplate, Engine]:
    import torch

    torch.set_num_threads(1)
    model = models.resolve(MODEL)
    return template.load(model.path), open_engine(EngineSpec("transformers"), model)


def _made(
    engine: Engine,
    chat: ChatTemplate,
    steps: Callable[[ChatTemplate, str], Steps],
    queries: Sequence[str],
) -> list[Labelled]:
    """The labels of each query, in their order."""
    driver = Driver(engine, Silent())
    found: dict[str, Labelled] = {}
    for start in range(0, len(queries), _SUBMITTED):
        part = enumerate(queries[start : start + _SUBMITTED], start)
        batch = driver.begin("judge", {str(at): steps(chat, query) for at, query in part})
        while not driver.idle:
            driver.poll()
        found |= batch.made
    return [found[str(at)] for at in range(len(queries))]


def shares(rows: Sequence[Labelled], runs: Sequence[Run]) -> dict[str, dict[str, float]]:
    """By way and kind, and of all: the share with all three labels valid."""
    kinds = list(dict.fromkeys(row["kind"] for row in rows))
    found = {}
    for run in runs:
        valid = [made["error"] is None for made in run.facts["labels"]]
        each = {
            kind: [ok for row, ok in zip(rows, valid, strict=True) if row["kind"] == kind]
            for kind in kinds
        }
        found[run.side] = {k: sum(v) / len(v) for k, v in {**each, "all": valid}.items()}
    return found


def agreement(rows: Sequence[Labelled], made: Sequence[Labelled], name: str) -> float:
    """Of the rows that the grammar reads, the share with its label; one that lacks it counts as
    wrong."""
    pairs = [(row["truth"], each) for row, each in zip(rows, made, strict=True) if row["truth"]]
    return sum(truth[name] == each.get(name) for truth, each in pairs) / len(pairs)


def main() -> None:
    args = arguments(__doc__)
    with tempfile.TemporaryDirectory() as scratch:
        file = str(Path(scratch, "queries.json"))
        size = {"rows": QUICK_ROWS, "every": 4} if args.quick else {"rows": ROWS, "every": 1}
        sides = [Side("queries", sampling, {"file": file, **size})]
        ways = WAYS[:2] if args.quick else WAYS
        sides += [Side(way, judging, {"file": file, "way": way}) for way in ways]
        runs = alternate(sides, preload=("torch", "transformers", "magpie_hub.pipeline.plan"))[1:]
        rows = json.loads(Path(file).read_text(encoding="utf-8"))
    found = shares(rows, runs)
    kinds = list(found["ours"])
    count = {kind: sum(row["kind"] == kind for row in rows) for kind in kinds} | {"all": len(rows)}
    show(
        f"queries with all three labels valid, {MODEL}",
        ("queries", "number", *ways),
        [(kind, count[kind], *(f"{found[way][kind]:.2%}" for way in ways)) for kind in kinds],
    )
    again = sum(made["asked"] > 3 for made in runs[0].facts["labels"])
    show(
        "agreement with the grammar, where it reads the query",
        ("way", *LABELS, "asked again"),
        [
            (
                run.side,
                *(f"{agreement(rows, run.facts['labels'], name):.1%}" for name in LABELS),
                again if run.side == "ours" else "",
            )
            for run in runs
        ],
    )
    for run in runs:
        del run.facts["labels"]
    finish(
        "judging",
        ratio=found["ours"]["all"] / (found[WAYS[1]]["all"] or 1 / len(rows)),
        ours={"valid": found["ours"], "asked again": again},
        theirs={"valid": found[WAYS[1]]},
        runs=runs,
        libraries=LIBRARIES,
        as_json=args.json,
    )


if __name__ == "__main__":
    main()
