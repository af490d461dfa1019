"""The verbs that ask whether the data is good."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from magpie_hub.errors import UsageError
from magpie_hub.verbs.shared import console, engine_of

if TYPE_CHECKING:
    from argparse import Namespace


def compare(options: Namespace) -> object:
    from magpie_hub.evidence.compare import Settings, compare
    from magpie_hub.evidence.compare.judged import forget
    from magpie_hub.evidence.compare.page import page
    from magpie_hub.storage import write_atomically
    from magpie_hub.terminal.comparison import show_comparison
    from magpie_hub.terminal.live import Watch

    out = Path(options.out) if options.out else None
    if out and out.is_dir():
        raise UsageError(f"-o {out} is a folder; name a file.")
    labels = out.with_name(f"{out.name}.labels") if out else None
    settings = Settings(
        where=options.where,
        rows=options.rows,
        scan=options.scan,
        seed=options.seed,
        tokenizer=options.tokenizer,
        embedder=options.embedder,
        benchmarks=tuple(options.benchmark),
        judge=options.judge,
        passes=options.passes,
        reward=options.reward,
        engine=engine_of(options),
    )
    with Watch(console(), "compare") as progress:
        found = compare(
            options.source,
            settings,
            progress=progress,
            report=progress.note,
            evidence=Path(options.evidence) if options.evidence else None,
            labels=labels,
        )
    show_comparison(console(), found)
    if out and labels:
        write_atomically(out, page(found).encode(), durable=False)
        forget(labels)
    return found.to_dict()


def train(options: Namespace) -> object:
    from magpie_hub.evidence.train import train
    from magpie_hub.evidence.train.presets import settings
    from magpie_hub.terminal import reporter

    done = train(
        options.source,
        options.base,
        method=options.method,
        settings=settings(options.method, options.preset, options.set, lora=options.lora),
        config=options.config,
        out=options.out,
        chat_template=options.chat_template,
        report=reporter(console()),
    )
    # Of several processes one tells what they did.
    options.json = options.json and done.first
    return done.to_dict()


def evaluate(options: Namespace) -> object:
    from magpie_hub.evidence.evaluate import Settings, evaluate, truth
    from magpie_hub.terminal.evaluation import show_evaluation
    from magpie_hub.terminal.live import Watch

    settings = Settings(
        against=options.against,
        judge=options.judge,
        second_judge=options.second_judge,
        max_tokens=options.max_tokens,
        repetition_penalty=options.repetition_penalty,
        chat_template=options.chat_template,
        seed=options.seed,
        gamed=options.gamed,
        truth=truth.load(options.truth) if options.truth else None,
        engine=engine_of(options),
    )
    with Watch(console(), "evaluate") as progress:
        found = evaluate(
            options.model, options.prompts, Path(options.out), settings, progress=progress
        )
    show_evaluation(console(), found)
    return found.to_dict()
