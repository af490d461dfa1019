"""Trains the bundled reward model from the chat model: `python -m demo_model.reward`.

Bradley-Terry on pairs of a good and a corrupted answer. It learns form (cut, repeated, shuffled,
refused, off the topic); a head this small stays near chance on wrong facts and numbers.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import (
    AutoTokenizer,
    LlamaForSequenceClassification,
    PreTrainedTokenizerBase,
)

from demo_model.corruption import corrupted
from demo_model.fitting import say
from demo_model.package import CHAT, REWARD, install, save_tokenizer
from demo_model.parallel import keep_freed_memory

SEED = 1
PAIRS = 7_000
BATCH = 32
LEARNING_RATE = 6e-4
# Sorting by length inside chunks keeps padding low.
_CHUNK = 1_024


def token_ids(tokenizer: PreTrainedTokenizerBase, query: str, answer: str) -> list[int]:
    """The ids that `apply_chat_template` gives for the two turns: what a scorer must send too."""
    messages = [{"role": "user", "content": query}, {"role": "assistant", "content": answer}]
    rendered = tokenizer.apply_chat_template(messages, tokenize=False)
    return tokenizer(rendered, add_special_tokens=False)["input_ids"]


def rewards(
    model: LlamaForSequenceClassification,
    tokenizer: PreTrainedTokenizerBase,
    pairs: Sequence[tuple[str, str]],
) -> Tensor:
    """One number for each (query, answer). The head reads the last token that is not padding."""
    rows = [token_ids(tokenizer, query, answer) for query, answer in pairs]
    length = max(map(len, rows))
    ids = torch.full((len(rows), length), tokenizer.pad_token_id)
    mask = torch.zeros(len(rows), length, dtype=torch.long)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row)
        mask[i, : len(row)] = 1
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return model(input_ids=ids, attention_mask=mask).logits[:, 0].float()


def fit(
    model: LlamaForSequenceClassification,
    tokenizer: PreTrainedTokenizerBase,
    *,
    pairs: int,
    seed: int,
) -> list[float]:
    """Trains on `pairs` sampled pairs; returns the share ranked rightly, batch by batch."""
    rng = Random(seed)
    drawn = [corrupted(rng) for _ in range(pairs)]
    batches = []
    for start in range(0, pairs, _CHUNK):
        chunk = sorted(drawn[start : start + _CHUNK], key=lambda pair: len(pair[0].answer))
        batches += [chunk[i : i + BATCH] for i in range(0, len(chunk), BATCH)]
    rng.shuffle(batches)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.01)
    ranked = []
    for step, batch in enumerate(batches):
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * min(1.0, (step + 1) / 10) * (1 - step / len(batches))
        good = [(turn.query, turn.answer) for turn, _, _ in batch]
        bad = [(turn.query, worse) for turn, worse, _ in batch]
        values = rewards(model, tokenizer, good + bad)
        better, worse = values[: len(batch)], values[len(batch) :]
        # The second term keeps the scale of the rewards from drifting.
        loss = -functional.logsigmoid(better - worse).mean() + 0.005 * values.pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        ranked.append((better > worse).float().mean().item())
        if step % 40 == 0:
            recent = ranked[-20:]
            say(f"pair batch {step} of {len(batches)}: {sum(recent) / len(recent):.3f} right")
    return ranked


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--chat", type=Path, default=CHAT)
    arguments.add_argument("--output", type=Path, default=REWARD)
    arguments.add_argument("--pairs", type=int, default=PAIRS)
    options = arguments.parse_args()
    # Two threads are no faster than one on matrices this small.
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    keep_freed_memory()

    started, cpu = time.time(), time.process_time()
    tokenizer = AutoTokenizer.from_pretrained(options.chat)
    model = LlamaForSequenceClassification.from_pretrained(
        options.chat, num_labels=1, dtype=torch.float32, attn_implementation="eager"
    )
    nn.init.zeros_(model.score.weight)
    model.train()
    fit(model, tokenizer, pairs=options.pairs, seed=SEED)
    facts = {
        "seed": SEED,
        "pairs": options.pairs,
        "cpu_seconds": int(time.process_time() - cpu),
        "wall_seconds": int(time.time() - started),
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.output.parent) as folder:
        model.to(torch.bfloat16).save_pretrained(folder)
        save_tokenizer(tokenizer, Path(folder))
        (Path(folder) / "training.json").write_text(json.dumps(facts, indent=2) + "\n")
        install(Path(folder), options.output)
    say(f"{options.output}: {json.dumps(facts)}")


if __name__ == "__main__":
    main()
