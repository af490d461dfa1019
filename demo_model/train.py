"""Trains the bundled chat model from nothing: `python -m demo_model.train`.

Two laps. The first goes over the whole corpus; at two points the half-trained model samples
queries, and those that the grammar cannot read teach the judge. The second goes over a part of the
corpus again at a low rate, with many more broken queries to judge, and the weights before and
after it are averaged. Both are seeded.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import torch
from transformers import AutoTokenizer, LlamaForCausalLM

from demo_model.batches import Encoder, Example, copy_drills
from demo_model.conversation import Conversation, build
from demo_model.fitting import Log, fit, new_model
from demo_model.mining import judged, mine
from demo_model.package import CHAT, save_chat
from demo_model.parallel import Team, keep_freed_memory, together
from demo_model.tokenizer import train_tokenizer

SEED = 0
CONVERSATIONS = 48_000
EPOCHS = 2
LEARNING_RATE = 4e-3
WARM_UP = 40
WORKERS = 2
MINE_AT = (0.5, 0.75)
MINED = 500
"""Queries sampled at each mining of the first lap."""
COPY_DRILLS = 5_000
"""Sequences of random tokens to repeat, in the first half of the first lap. Without them a network
of this size needs millions of tokens more before it copies a name from the question."""

REPEATED = 18_000
"""Conversations that the second lap shows once more, so that nothing is forgotten."""
INTRUDED = 1_200
"""Queries with a wrong token in the second lap, and as many sound ones."""
LATE_MINED = ((1.0, 800), (1.25, 400))
"""Temperature and number of the queries sampled at the start of the second lap."""
LATE_LEARNING_RATE = 8e-4
LATE_WARM_UP = 20


def first_lap(folder: Path, *, conversations: int, epochs: int, workers: int) -> None:
    """Trains a new model and its tokenizer, and saves both in `folder`."""
    started, cpu = time.time(), time.process_time()
    corpus = build(conversations, seed=SEED)
    tokenizer = train_tokenizer(corpus[:14_000])
    encoder = Encoder(tokenizer)
    examples = encoder.encode_all(corpus) * epochs
    Random(SEED).shuffle(examples)
    model = new_model(tokenizer, seed=SEED)
    tokens = sum(len(example.ids) for example in examples)
    parameters = sum(p.numel() for p in model.parameters())
    _say(f"{parameters} parameters, {tokens} tokens, {int(time.time() - started)} s to prepare")

    def work(team: Team) -> None:
        mined: list[Example] = []

        def phase(start: float, end: float) -> Callable[[], list[Example]]:
            def load() -> list[Example]:
                n = len(examples)
                part = examples[int(start * n) : int(end * n)]
                if start == 0:
                    rng = Random(SEED)
                    return part + copy_drills(COPY_DRILLS, vocabulary=len(tokenizer), rng=rng)
                seed = int(start * 100) + team.rank
                found = mine(model, tokenizer, count=MINED // team.workers, seed=seed)
                mined.extend(encoder.encode_all(team.gather(found)))
                return part + mined

            return load

        bounds = (0.0, *MINE_AT, 1.0)
        model.train()
        logs = fit(
            model,
            [phase(start, end) for start, end in zip(bounds, bounds[1:], strict=False)],
            team=team,
            # Copy drills and mined judgements add about 4 % to the tokens.
            total_tokens=int(tokens * 1.04),
            seed=SEED,
            learning_rate=LEARNING_RATE,
            warm_up=WARM_UP,
            report=_report if team.rank == 0 else lambda _: None,
        )
        if team.rank == 0:
            facts = {
                "seed": SEED,
                "conversations": conversations,
                "epochs": epochs,
                "parameters": parameters,
                "tokens": logs[-1].tokens,
                "steps": logs[-1].step + 1,
                "workers": team.workers,
                "cpu_seconds_per_worker": int(time.process_time() - cpu),
                "wall_seconds": int(time.time() - started),
            }
            save_chat(model, tokenizer, folder, facts=facts)
            _say(f"{folder}: {json.dumps(facts)}")

    together(model, workers=workers, work=work)


def second_lap(folder: Path, *, workers: int) -> None:
    """Trains the model in `folder` further and replaces it."""
    started, cpu = time.time(), time.process_time()
    facts = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = LlamaForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    )
    before = [p.detach().clone() for p in model.parameters()]
    encoder = Encoder(tokenizer)
    repeated = build(facts["conversations"], seed=SEED)[:REPEATED]
    repeated += judged(tokenizer, count=INTRUDED, seed=SEED + 1)
    examples = encoder.encode_all(repeated)
    tokens = sum(len(example.ids) for example in examples)

    def work(team: Team) -> None:
        def load() -> list[Example]:
            found: list[Conversation] = []
            for temperature, count in LATE_MINED:
                found += mine(
                    model,
                    tokenizer,
                    count=count // team.workers,
                    seed=1_000 + team.rank,
                    temperature=temperature,
                )
            return examples + encoder.encode_all(team.gather(found))

        model.train()
        logs = fit(
            model,
            [load],
            team=team,
            # Mined judgements add about 7 % to the tokens.
            total_tokens=int(tokens * 1.07),
            seed=SEED + 1,
            learning_rate=LATE_LEARNING_RATE,
            warm_up=LATE_WARM_UP,
            report=_report if team.rank == 0 else lambda _: None,
        )
        if team.rank == 0:
            # The mean with the weights before the lap keeps the queries as well-formed as they
            # were, and most of what the judge has learned.
            with torch.no_grad():
                for parameter, old in zip(model.parameters(), before, strict=True):
                    parameter.copy_((parameter + old) / 2)
            more = {
                "second_lap_tokens": logs[-1].tokens,
                "second_lap_steps": logs[-1].step + 1,
                "second_lap_cpu_seconds_per_worker": int(time.process_time() - cpu),
                "second_lap_wall_seconds": int(time.time() - started),
            }
            save_chat(model, tokenizer, folder, facts=facts | more)

    together(model, workers=workers, work=work)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--output", type=Path, default=CHAT)
    arguments.add_argument("--conversations", type=int, default=CONVERSATIONS)
    arguments.add_argument("--epochs", type=int, default=EPOCHS)
    arguments.add_argument("--workers", type=int, default=WORKERS)
    options = arguments.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    # The tokenizer's own threads would not survive the fork.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    first_lap(
        options.output,
        conversations=options.conversations,
        epochs=options.epochs,
        workers=options.workers,
    )
    second_lap(options.output, workers=options.workers)


def _report(log: Log) -> None:
    _say(
        f"step {log.step}: loss {log.loss}, {log.tokens} tokens, "
        f"{log.cpu_seconds} CPU s, {log.wall_seconds} s"
    )


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
