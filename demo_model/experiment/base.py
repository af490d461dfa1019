"""A base model: the network and the tokenizer of the bundled one, trained on plain text alone.

Its text is what a small web would be if the grammar had written it: pages of questions with their
answers below them, of questions alone, and of answers alone. No page has a chat's form, and the
tokens of the chat template stand in none.
"""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

import torch
from transformers import AutoTokenizer

from demo_model import grammar
from demo_model.batches import Example, copy_drills
from demo_model.fitting import Log, fit, new_model
from demo_model.grammar import Turn
from demo_model.package import CHAT
from demo_model.parallel import Team, keep_freed_memory, together
from demo_model.tokenizer import PAD

FACTS, READ = "facts.json", "questions.json"
"""Beside the weights: how it was made, and every question on its pages, so that none of them is
asked of it later."""
SEED = 7
LEARNING_RATE = 4e-3
WARM_UP = 40
DRILLS = 3_000
"""Of every 10,000 pages; see `copy_drills`."""
_PAGES = {"both": 0.7, "questions": 0.15, "answers": 0.15}
_ITEMS = (2, 6)


def page(rng: Random) -> tuple[str, list[str]]:
    """Two to six items, such as stand on one page, and their questions."""
    kind = rng.choices(list(_PAGES), list(_PAGES.values()))[0]
    turns = [grammar.sample(rng) for _ in range(rng.randint(*_ITEMS))]
    return "\n\n".join(_item(turn, kind) for turn in turns), [turn.query for turn in turns]


def _item(turn: Turn, kind: str) -> str:
    return {
        "both": f"{turn.query}\n{turn.answer}",
        "questions": turn.query,
        "answers": turn.answer,
    }[kind]


def train_base(
    folder: Path, *, pages: int, workers: int, report: Callable[[Log], None] = lambda _: None
) -> None:
    """Trains a base on so many pages and saves it in `folder`, whole or not at all.

    Its tokenizer knows the tokens of a chat and has no template; the rows of those tokens in the
    embedding are as they were drawn.
    """
    # The tokenizer's own threads would not survive the fork.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    torch.set_num_threads(1)
    keep_freed_memory()
    rng = Random(SEED)
    tokenizer = AutoTokenizer.from_pretrained(CHAT)
    end = tokenizer.convert_tokens_to_ids(PAD)
    texts, asked = zip(*(page(rng) for _ in range(pages)), strict=True)
    examples = [
        Example(ids=[end, *ids, end], weights=[0.0, *([1.0] * len(ids)), 1.0])
        for ids in tokenizer(list(texts), add_special_tokens=False)["input_ids"]
    ]
    examples += copy_drills(DRILLS * pages // 10_000, vocabulary=len(tokenizer), rng=rng)
    model = new_model(tokenizer, seed=SEED)
    model.train()

    def work(team: Team) -> None:
        fit(
            model,
            [lambda: examples],
            team=team,
            total_tokens=sum(len(example.ids) for example in examples),
            seed=SEED,
            learning_rate=LEARNING_RATE,
            warm_up=WARM_UP,
            report=report if team.rank == 0 else lambda _: None,
        )

    together(model, workers=workers, work=work)
    part = folder.with_name(f".{folder.name}")
    shutil.rmtree(part, ignore_errors=True)
    model.to(torch.bfloat16).save_pretrained(part)
    tokenizer.chat_template = None
    tokenizer.save_pretrained(part)
    read = sorted({query for queries in asked for query in queries})
    (part / READ).write_text(json.dumps(read, ensure_ascii=False), encoding="utf-8")
    facts = {"pages": pages, "parameters": sum(p.numel() for p in model.parameters())}
    (part / FACTS).write_text(json.dumps(facts) + "\n", encoding="utf-8")
    part.rename(folder)
