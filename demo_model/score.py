"""Measures the bundled models and writes the scores down: `python -m demo_model.score`.

The whole table goes between the two markers of `demo_model/README.md`, the headline rows into both
model cards. Every figure is of the weights that lie in the package now.
"""

import argparse
import json
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import (
    AutoTokenizer,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
)

from demo_model import measure, measure_thinking
from demo_model.conversation import Conversation, build
from demo_model.measure import Bench, Score
from demo_model.package import CHAT, REWARD
from demo_model.train import THIRD_LAP

README = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- scores: begin -->", "<!-- scores: end -->"
HEADLINES = {
    CHAT: (
        "queries that stop by themselves",
        "queries well-formed",
        "queries novel",
        "answers right, own queries",
        "judge: category, own well-formed queries",
        "judge: difficulty, own well-formed queries",
        "judge: quality, own well-formed queries",
        "own queries well-formed after the filter",
        "domain follows a taught system prompt",
    ),
    REWARD: ("reward prefers the good answer:",),
}


def load(chat: Path, reward: Path) -> Bench:
    """The models in fp32: what a CPU runs fastest without autocast."""
    return Bench(
        chat=LlamaForCausalLM.from_pretrained(chat, dtype=torch.float32).eval(),
        reward=LlamaForSequenceClassification.from_pretrained(reward, dtype=torch.float32).eval(),
        tokenizer=AutoTokenizer.from_pretrained(chat),
    )


def measure_all(bench: Bench, *, facts: dict[str, int], n: int) -> list[Score]:
    sampled = bench.queries([measure.left_side()] * n)
    rows: list[Score] = []
    for name, part in (
        (
            "queries",
            lambda: measure.query_scores(sampled, corpus=corpus(facts)),
        ),
        ("settings", lambda: measure.setting_scores(bench, n=n // 2)),
        ("answers", lambda: measure.answer_scores(bench, sampled, fresh=n)),
        (
            "thinking",
            lambda: measure_thinking.thinking_scores(bench, sampled, each=n // 5),
        ),
        ("judge", lambda: measure.judge_scores(bench, sampled, fresh=n // 2)),
        ("control", lambda: measure.control_scores(bench, each=max(1, n // 100))),
        ("follow-ups", lambda: measure.follow_up_scores(bench, sampled, n=n // 3)),
        ("reward", lambda: measure.reward_scores(bench, each=n // 3)),
    ):
        started = time.time()
        rows += part()
        sys.stderr.write(f"{name}: {time.time() - started:.0f} s\n")
    return rows


def corpus(facts: dict[str, int]) -> list[Conversation]:
    """Every conversation that the model was trained on, but for those of a judge."""
    taught = build(facts["conversations"], seed=facts["seed"])
    for part in THIRD_LAP:
        taught += part.corpus(facts["conversations"])
    return [conversation for conversation in taught if not conversation.is_judge]


def table(scores: Sequence[Score]) -> str:
    lines = ["| measure | value | n | aim |", "|---|---:|---:|---:|"]
    for score in scores:
        aim = f"{score.target:.0%}" if score.target is not None else ""
        lines.append(f"| {score.name} | {score.value:.1%} | {score.n} | {aim} |")
    return "\n".join(lines)


def put(text: str, path: Path) -> None:
    """Replaces what stands between the markers of `path`."""
    old = path.read_text(encoding="utf-8")
    between = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    if not between.search(old):
        raise ValueError(f"{path} lacks the markers {BEGIN} and {END}")
    block = f"{BEGIN}\n{text}\n{END}"
    path.write_text(between.sub(lambda _: block, old), encoding="utf-8")


def training_facts(folder: Path) -> dict[str, int]:
    return json.loads((folder / "training.json").read_text(encoding="utf-8"))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--chat", type=Path, default=CHAT)
    arguments.add_argument("--reward", type=Path, default=REWARD)
    arguments.add_argument("--n", type=int, default=600, help="queries sampled")
    arguments.add_argument("--dry", action="store_true", help="print the table, write nothing")
    options = arguments.parse_args()

    facts = training_facts(options.chat)
    scores = measure_all(load(options.chat, options.reward), facts=facts, n=options.n)
    sys.stdout.write(table(scores) + "\n")
    if options.dry:
        return
    put(table(scores), README)
    for folder, names in HEADLINES.items():
        chosen = [score for score in scores if score.name.startswith(names)]
        put(table(chosen), folder / "README.md")


if __name__ == "__main__":
    main()
