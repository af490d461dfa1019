"""Tokenizers of the styles that chat models use, trained on the spot on ``corpus.txt``.

What matters for a chat template is how a tokenizer treats spaces and line ends beside a border and
beside special tokens, and in that these are like the real ones; their vocabularies are small.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    trainers,
)
from transformers import PreTrainedTokenizerFast

CORPUS = (Path(__file__).parent / "corpus.txt").read_text(encoding="utf-8")
SIZE = 700
_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
STYLES = {
    "bytes": "byte-level BPE, words and spaces split as GPT-2 did",
    "bytes-split": "byte-level BPE, split by a regular expression that keeps line ends apart",
    "pieces": "SentencePiece-like: a space before the first word, bytes for the unknown",
    "pieces-legacy": "the same, with a space behind every special token",
    "pieces-bare": "the same without any added space, line ends as tokens",
    "pieces-wild": "SentencePiece-like, with pieces that run over line ends",
}


def build(
    style: str,
    chat_template: Any,
    *,
    bos: str | None = None,
    eos: str | None = "<|end|>",
    special: tuple[str, ...] = (),
    plain: tuple[str, ...] = (),
    rstrip: tuple[str, ...] = (),
) -> PreTrainedTokenizerFast:
    """A tokenizer with that chat template. ``special`` are its control tokens, ``plain`` added
    tokens that are not special, ``rstrip`` those that swallow the white space behind them."""
    inner = Tokenizer.from_str(_trained(style))
    names = dict.fromkeys(name for name in (bos, eos, *special) if name)
    inner.add_special_tokens(
        [AddedToken(name, special=True, normalized=False, rstrip=name in rstrip) for name in names]
    )
    inner.add_tokens([AddedToken(name, normalized=False, special=False) for name in plain])
    made = PreTrainedTokenizerFast(
        tokenizer_object=inner,
        bos_token=bos,
        eos_token=eos,
        unk_token="<unk>" if style.startswith("pieces") else None,
        clean_up_tokenization_spaces=False,
    )
    made.chat_template = chat_template
    return made


def control_tokens(source: str) -> tuple[str, ...]:
    """What looks like a control token in a template's source."""
    shapes = r"<\|[^|<>\s{}'\"+]{1,60}\|>|<｜[^｜]{1,60}｜>|<\|\w+>|<\w+\|>|<(?:start|end)_of_\w+>"
    return tuple(dict.fromkeys(re.findall(shapes, source)))


def thinking_tokens(source: str) -> tuple[str, ...]:
    """Tags for thinking are added tokens, but not special ones."""
    return tuple(dict.fromkeys(re.findall(r"</?think>", source)))


@cache
def _trained(style: str) -> str:
    if style.startswith("bytes"):
        return _byte_level(style)
    return _pieces(style)


def _byte_level(style: str) -> str:
    made = Tokenizer(models.BPE())
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=style == "bytes")
    split = pre_tokenizers.Split(Regex(_SPLIT), "isolated")
    made.pre_tokenizer = (
        byte_level if style == "bytes" else pre_tokenizers.Sequence([split, byte_level])
    )
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=SIZE,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator([CORPUS], trainer)
    return made.to_str()


def _pieces(style: str) -> str:
    made = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    spaces = normalizers.Replace(" ", "▁")
    strip = [decoders.Strip(" ", 1, 0)]
    if style == "pieces":
        made.pre_tokenizer = pre_tokenizers.Metaspace("▁", prepend_scheme="first", split=True)
    elif style == "pieces-legacy":
        made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), spaces])
        made.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    else:
        made.normalizer, strip = spaces, []
        made.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    made.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), *strip]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=SIZE + 256, special_tokens=["<unk>", *_BYTES], show_progress=False
    )
    # Their pieces do not run over line ends, except where that is the point.
    lines = [CORPUS] * 3 if style == "pieces-wild" else CORPUS.splitlines()
    made.train_from_iterator(lines, trainer)
    described = json.loads(made.to_str())
    described["added_tokens"] = [t for t in described["added_tokens"] if t["content"] == "<unk>"]
    inner = Tokenizer.from_str(json.dumps(described))
    if style == "pieces-bare":
        ends = ["\n" * count for count in range(1, 8)]
        inner.add_tokens([AddedToken(end, normalized=False, special=False) for end in ends])
    return inner.to_str()
