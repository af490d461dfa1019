"""The chat template that a model is trained or asked with: its own, a ready one, or one from a
file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magpie_hub.errors import UsageError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
_LLAMA3 = (
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' }}"
    "{{ message['content'] | trim }}{{ '<|eot_id|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}"
    "{% endif %}"
)
READY = {
    "chatml": (_CHATML, ("<|im_start|>", "<|im_end|>")),
    "llama3": (_LLAMA3, ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")),
}
"""Templates by name, and the tokens that they are written with."""
DEFAULT = "chatml"
OWN = "own"


@dataclass(frozen=True)
class Template:
    """``name`` is ``own``, one of ``READY``, or that of a file. ``tokens`` are those that the model
    has to know."""

    name: str
    text: str
    tokens: tuple[str, ...] = ()


def choose(tokenizer: PreTrainedTokenizerBase, given: str | None) -> Template:
    """``given``, or else the tokenizer's own, or else the default one."""
    if given in READY or (given is None and not tokenizer.chat_template):
        name = given or DEFAULT
        return Template(name, *READY[name])
    if given is None:
        return Template(OWN, tokenizer.get_chat_template())
    try:
        text = Path(given).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"--chat-template {given} is no file that can be read; give a Jinja template, or "
            f"{' or '.join(READY)}."
        ) from error
    return Template(Path(given).name, text)


def unknown(tokenizer: PreTrainedTokenizerBase, template: Template) -> tuple[str, ...]:
    """The tokens of ``template`` that the model lacks."""
    known = tokenizer.get_vocab()
    return tuple(token for token in template.tokens if token not in known)


def prepare(
    tokenizer: PreTrainedTokenizerBase, template: Template, base: str, *, lora: bool
) -> tuple[str, ...]:
    """Give ``tokenizer`` the template, its tokens, and the token that ends an answer; the tokens
    that were added. ``UsageError`` where the template cannot be rendered, or a token is new and
    LoRA would not learn it."""
    new = unknown(tokenizer, template)
    if new and lora:
        raise UsageError(
            f"{base} does not know {', '.join(new)} of the template {template.name}, and LoRA "
            "would not learn them; leave out --lora, or give a --chat-template of tokens that it "
            "knows."
        )
    if new:
        tokenizer.add_special_tokens({"extra_special_tokens": list(new)})
    tokenizer.chat_template = template.text
    if (end := _end(tokenizer, template)) is not None:
        tokenizer.eos_token = end
    return new


def fit(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """The model's embeddings and the token at which it stops are those of the tokenizer."""
    config: Any = model.config
    embeddings: Any = model.get_input_embeddings()
    if len(tokenizer) > embeddings.weight.shape[0]:
        model.resize_token_embeddings(len(tokenizer))
    generation: Any = model.generation_config
    before = generation.eos_token_id
    ends = before if isinstance(before, list) else [] if before is None else [before]
    end = tokenizer.eos_token_id
    config.eos_token_id = end
    generation.eos_token_id = [end, *(each for each in ends if each != end)]


def _end(tokenizer: PreTrainedTokenizerBase, template: Template) -> str | None:
    """The token behind an answer, where it is one of the tokenizer's added ones."""
    from jinja2 import TemplateError

    answer = "Yes, it is."
    turns = [{"role": "user", "content": "Is it?"}, {"role": "assistant", "content": answer}]
    try:
        text = str(tokenizer.apply_chat_template(turns, tokenize=False))
    except (TemplateError, TypeError, KeyError, ValueError) as error:
        raise UsageError(
            f"the chat template {template.name} cannot be rendered ({error}); mend it, or give "
            "another --chat-template."
        ) from error
    _, found, behind = text.rpartition(answer)
    if not found:
        raise UsageError(
            f"the chat template {template.name} does not write what the assistant says; give "
            "another --chat-template."
        )
    ids = tokenizer.encode(behind, add_special_tokens=False)
    added = tokenizer.added_tokens_decoder
    return added[ids[0]].content if ids and ids[0] in added else None
