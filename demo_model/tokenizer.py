"""A byte-level BPE of 2,048 tokens with the ChatML template."""

from collections.abc import Iterable, Iterator

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaForCausalLM, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from demo_model.conversation import Conversation

VOCABULARY = 2048
PAD, START, END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
OPEN, CLOSE = "<think>", "</think>"
MAX_LENGTH = 1024

# No default system prompt: the left side of the user's turn is the template's own and no more. With
# enable_thinking the prompt for an answer opens the thinking, a last answer shows its own, and past
# answers none; without it nothing of this is written.
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' }}"
    "{% if enable_thinking and message['role'] == 'assistant' and not loop.last %}"
    "{{ message['content'].split('</think>')[-1].lstrip('\\n') }}"
    "{% else %}"
    "{% if enable_thinking and message['reasoning_content'] %}"
    "{{ '<think>\\n' + message['reasoning_content'] + '\\n</think>\\n' }}"
    "{% endif %}"
    "{{ message['content'] }}"
    "{% endif %}"
    "{{ '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}"
    "{{ '<|im_start|>assistant\\n' }}"
    "{% if enable_thinking %}{{ '<think>\\n' }}{% endif %}"
    "{% endif %}"
)


def train_tokenizer(conversations: Iterable[Conversation]) -> PreTrainedTokenizerFast:
    """Digits stay single tokens, because sums are learned digit by digit."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[PAD, START, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        min_frequency=2,
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(conversations), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=[START],
        chat_template=CHAT_TEMPLATE,
        model_max_length=MAX_LENGTH,
        clean_up_tokenization_spaces=False,
    )


def add_thinking(tokenizer: PreTrainedTokenizerBase, model: LlamaForCausalLM) -> None:
    """Gives both the tokens that stand around thinking, and the template that writes them.

    They are no special tokens, so that decoding keeps them. Each begins as the mean of the tokens
    that spelled it before.
    """
    tokenizer.chat_template = CHAT_TEMPLATE
    spelled = [tokenizer(mark, add_special_tokens=False)["input_ids"] for mark in (OPEN, CLOSE)]
    marks = [AddedToken(mark, normalized=False, special=False) for mark in (OPEN, CLOSE)]
    if not tokenizer.add_tokens(marks):
        return
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    rows = model.get_input_embeddings().weight
    with torch.no_grad():
        for mark, pieces in zip(marks, spelled, strict=True):
            rows[tokenizer.convert_tokens_to_ids(mark.content)] = rows[pieces].mean(0)


def _texts(conversations: Iterable[Conversation]) -> Iterator[str]:
    for conversation in conversations:
        yield "system\nuser\nassistant\n"
        if conversation.system:
            yield conversation.system
        for query, answer in conversation.turns:
            yield query
            yield answer
