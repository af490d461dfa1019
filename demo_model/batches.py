"""From conversations to padded batches with a loss weight per token."""

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from demo_model.conversation import Conversation
from demo_model.tokenizer import CLOSE, END, OPEN, START

USER_WEIGHT = 0.6
"""User text is what Magpie samples, but there is more of it to learn than it is worth."""
BATCH_TOKENS = 2048
# Sorting by length inside chunks of this size keeps padding low and batches mixed.
_CHUNK = 4000


@dataclass(frozen=True)
class Example:
    ids: list[int]
    weights: list[float]


class Encoder:
    """Conversations as the chat template renders them, with the pieces cached."""

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, *, user_weight: float = USER_WEIGHT
    ) -> None:
        self._tokenizer = tokenizer
        self._user_weight = user_weight
        self._cache: dict[str, list[int]] = {}
        start, self._end = tokenizer.convert_tokens_to_ids([START, END])
        self._newline = self._ids("\n")
        self._headers = {
            role: [start, *self._ids(f"{role}\n")] for role in ("system", "user", "assistant")
        }
        self._opened = self._ids(f"{OPEN}\n")
        self._closed = self._ids(f"\n{CLOSE}\n")

    def encode(self, conversation: Conversation) -> Example:
        ids: list[int] = []
        weights: list[float] = []

        def add(role: str, text: str, *, weight: float, thought: str | None = None) -> None:
            header, body = self._headers[role], [*self._ids(text), self._end]
            if thought is not None:
                header = [*header, *self._opened]
                body = [*self._ids(thought), *self._closed, *body]
            ids.extend([*header, *body, *self._newline])
            weights.extend([0.0] * len(header) + [weight] * len(body) + [0.0])

        if conversation.system:
            add("system", conversation.system, weight=0.0)
        # A judge's prompt must not become something that a user is expected to write, nor the mix
        # of questions to think about the mix of those that are asked.
        asked = conversation.is_judge or conversation.thought is not None
        user_weight = 0.0 if asked else self._user_weight
        *past, last = conversation.turns
        for query, answer in past:
            add("user", query, weight=user_weight)
            add("assistant", answer, weight=1.0)
        add("user", last[0], weight=user_weight)
        add("assistant", last[1], weight=1.0, thought=conversation.thought)
        return Example(ids=ids, weights=weights)

    def encode_all(self, conversations: Iterable[Conversation]) -> list[Example]:
        return [self.encode(conversation) for conversation in conversations]

    def _ids(self, text: str) -> list[int]:
        if text not in self._cache:
            self._cache[text] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return self._cache[text]


def copy_drills(count: int, *, vocabulary: int, rng: Random) -> list[Example]:
    """Random tokens twice in a row; only the second time is learned.

    Byte tokens and special tokens come first in the vocabulary and are left out.
    """
    drills = []
    for _ in range(count):
        tokens = [rng.randrange(260, vocabulary) for _ in range(rng.randint(4, 24))]
        weights = [0.0] * (len(tokens) + 1) + [0.5] * (len(tokens) - 1)
        drills.append(Example(ids=tokens * 2, weights=weights))
    return drills


def plan(
    examples: list[Example], *, rng: Random, tokens: int = BATCH_TOKENS
) -> list[list[Example]]:
    """Batches of at most `tokens` with their padding, in random order."""
    order = list(examples)
    rng.shuffle(order)
    planned: list[list[Example]] = []
    for start in range(0, len(order), _CHUNK):
        batch: list[Example] = []
        for example in sorted(order[start : start + _CHUNK], key=lambda e: len(e.ids)):
            if batch and len(example.ids) * (len(batch) + 1) > tokens:
                planned.append(batch)
                batch = []
            batch.append(example)
        if batch:
            planned.append(batch)
    rng.shuffle(planned)
    return planned


def tensors(batch: list[Example]) -> tuple[Tensor, Tensor]:
    """Token ids and loss weights, both [examples, longest], padded on the right with zeros.

    No attention mask goes with them: attention is causal, and padding stands after the text.
    """
    length = max(len(example.ids) for example in batch)
    ids = torch.zeros(len(batch), length, dtype=torch.long)
    weights = torch.zeros(len(batch), length)
    for row, example in enumerate(batch):
        ids[row, : len(example.ids)] = torch.tensor(example.ids)
        weights[row, : len(example.ids)] = torch.tensor(example.weights)
    return ids, weights
