"""Training on a handful of steps: the encoding is the template's, the loss falls, all is seeded."""

from random import Random

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from demo_model import parallel
from demo_model.batches import BATCH_TOKENS, Encoder, plan, tensors
from demo_model.conversation import Conversation, build
from demo_model.fitting import Log, fit, new_model
from demo_model.tokenizer import train_tokenizer


@pytest.fixture(scope="module")
def corpus() -> list[Conversation]:
    return build(400, seed=0)


@pytest.fixture(scope="module")
def tokenizer(corpus: list[Conversation]) -> PreTrainedTokenizerFast:
    return train_tokenizer(corpus)


def test_conversations_are_encoded_as_the_template_renders_them(
    corpus: list[Conversation], tokenizer: PreTrainedTokenizerFast
) -> None:
    encoder = Encoder(tokenizer)
    for conversation in corpus[:60]:
        messages = [{"role": "system", "content": conversation.system}] * bool(conversation.system)
        for query, answer in conversation.turns:
            messages += [
                {"role": "user", "content": query},
                {"role": "assistant", "content": answer},
            ]
        rendered = tokenizer.apply_chat_template(messages, tokenize=False)
        ids = tokenizer(rendered, add_special_tokens=False)["input_ids"]
        example = encoder.encode(conversation)
        assert example.ids == ids
        assert len(example.weights) == len(ids)


def test_the_prompt_of_a_judge_is_not_learned(
    corpus: list[Conversation], tokenizer: PreTrainedTokenizerFast
) -> None:
    judged = next(c for c in corpus if c.is_judge)
    example = Encoder(tokenizer).encode(judged)
    learned = [i for i, w in zip(example.ids, example.weights, strict=True) if w > 0]
    assert tokenizer.decode(learned) == judged.turns[0][1] + "<|im_end|>"


def test_batches_hold_every_example_once(
    corpus: list[Conversation], tokenizer: PreTrainedTokenizerFast
) -> None:
    examples = Encoder(tokenizer).encode_all(corpus)
    batches = plan(examples, rng=Random(0))
    assert sorted(len(e.ids) for b in batches for e in b) == sorted(len(e.ids) for e in examples)
    assert all(tensors(b)[0].numel() <= BATCH_TOKENS for b in batches)


def _train(corpus: list[Conversation], tokenizer: PreTrainedTokenizerFast) -> list[Log]:
    model = new_model(tokenizer, seed=0)
    examples = Encoder(tokenizer).encode_all(corpus[:200])
    logs: list[Log] = []
    fit(
        model,
        [lambda: examples],
        team=parallel.solo(model),
        total_tokens=sum(len(e.ids) for e in examples),
        seed=0,
        learning_rate=4e-3,
        warm_up=4,
        report=logs.append,
    )
    return logs


def test_the_loss_falls_and_a_seed_repeats_it(
    corpus: list[Conversation], tokenizer: PreTrainedTokenizerFast
) -> None:
    torch.set_num_threads(1)
    first, second = _train(corpus, tokenizer), _train(corpus, tokenizer)
    assert first[-1].loss < first[0].loss
    # Where a buffer comes to lie may change the last bit of a sum.
    assert [log.loss for log in first] == pytest.approx([log.loss for log in second], rel=1e-4)
