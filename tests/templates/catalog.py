"""Every chat template that the derivation is tried on, and the tokenizer that it is tried with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerFast

from tests.templates.tokenizers import build, control_tokens, thinking_tokens

WRITTEN = Path(__file__).parent / "written"
HEADERS = ("<|begin_of_text|>", "<|eot_id|>")
INST = ("[INST]", "[/INST]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[THINK]", "[/THINK]")


@dataclass(frozen=True)
class Style:
    """How the tokenizer of a template is made. ``special`` adds to what its source shows."""

    tokenizer: str = "bytes-split"
    bos: str | None = None
    eos: str | None = "<|im_end|>"
    special: tuple[str, ...] = ()
    rstrip: tuple[str, ...] = ()
    plain: tuple[str, ...] = ()


@dataclass(frozen=True)
class Entry:
    """``chat``: meant for conversations, so that it should be proved."""

    name: str
    origin: str
    source: Any
    style: Style
    chat: bool = True

    def tokenizer(self) -> PreTrainedTokenizerFast:
        source = self.source if isinstance(self.source, str) else str(self.source or "")
        style = self.style
        thinking = tuple(t for t in thinking_tokens(source) if t not in style.special)
        return build(
            style.tokenizer,
            self.source,
            bos=style.bos,
            eos=style.eos,
            special=(*control_tokens(source), *style.special),
            plain=(*thinking, *style.plain),
            rstrip=style.rstrip,
        )


_HEADERS = Style(bos=HEADERS[0], eos=HEADERS[1])
_TURNS = Style("pieces-bare", bos="<bos>", eos="<eos>")
_BARS = Style(bos="<｜begin▁of▁sentence｜>", eos="<｜end▁of▁sentence｜>")
_COMMAND = Style("bytes", bos="<BOS_TOKEN>", eos="<|END_OF_TURN_TOKEN|>")
_SPM = Style("pieces", bos="<s>", eos="</s>")
_INST = Style("pieces", bos="<s>", eos="</s>", special=INST)
_TEKKEN = Style("bytes-split", bos="<s>", eos="</s>", special=INST)
_PHI = Style("pieces", bos="<s>", eos="<|endoftext|>", rstrip=("<|user|>", "<|end|>"))
_ROLES = Style("bytes", eos="<|end_of_text|>")
_BOS = Style(bos="<|startoftext|>")

# By how the name begins, the longest first; what has no line here is written in ChatML.
_TRL = {
    "cohere": _COMMAND,
    "deepseek": _BARS,
    "diffusion_gemma": _TURNS,
    "gemma": _TURNS,
    "glm4moe": Style(eos="<|endoftext|>", special=("[gMASK]", "<sop>")),
    "gptoss": Style(bos="<|startoftext|>", eos="<|return|>", special=("<|call|>",)),
    "idefics3": Style(bos="<|begin_of_text|>", eos="<end_of_utterance>"),
    "lfm2": _BOS,
    "llama3": _HEADERS,
    "llava_next": Style("pieces", bos="<s>", eos="</s>", special=("<image>",)),
    "muse_glimmer": Style(bos="<|begin_of_text|>", eos="<|eot|>"),
    "phi3": _PHI,
    "smolvlm": Style("bytes", eos="<end_of_utterance>"),
}
_BY_HAND = {
    "alpaca": _SPM,
    "apriel_1_5": Style(bos="<s>", eos="<|end|>"),
    "apriel_1_6": Style(bos="<s>", eos="<|end|>"),
    "baichuan2": Style("pieces-bare", eos="</s>", special=("<reserved_106>", "<reserved_107>")),
    "chatglm3": Style("pieces-legacy", eos="</s>", special=("[gMASK]", "sop")),
    "command_a_reasoning": _COMMAND,
    "command_r": _COMMAND,
    "deepseek_coder": Style("bytes", bos="<｜begin▁of▁sentence｜>", eos="<|EOT|>"),
    "deepseek_v2": _BARS,
    "deepseek_v3_1": _BARS,
    "dialogpt": Style("bytes", eos="<|endoftext|>"),
    "ernie_4_5": Style("pieces-bare", eos="</s>"),
    "exaone_3_5": Style(
        "bytes", eos="[|endofturn|]", special=("[|system|]", "[|user|]", "[|assistant|]")
    ),
    "falcon": Style("bytes", eos="<|endoftext|>"),
    "falcon3": Style(eos="<|endoftext|>", special=("<|user|>", "<|assistant|>")),
    "gemma1_2": _TURNS,
    "glm4": Style(eos="<|user|>", special=("[gMASK]", "<sop>", "<|system|>")),
    "glm4_7": Style(eos="<|user|>", special=("[gMASK]", "<sop>", "<|system|>")),
    "granite_3": _ROLES,
    "granite_4": _ROLES,
    "hunyuan": Style(bos="<|startoftext|>", eos="<|eos|>"),
    "internlm2": Style("pieces", bos="<s>", eos="<|im_end|>"),
    "jamba": Style("pieces-bare", bos="<|startoftext|>", eos="<|eom|>", special=("<|user|>",)),
    "kimi_k3": Style(eos="<|end_of_msg|>"),
    "llama2": _SPM,
    "magistral_2506": _TEKKEN,
    "magistral_2509": _TEKKEN,
    "minimax_m2": Style(bos="]~!b[", eos="[e~[", special=("]~b]",)),
    "mistral_small_3_1": _TEKKEN,
    "mistral_v1": _SPM,
    "mistral_v2": _INST,
    "mistral_v3": _INST,
    "mistral_v3_tekken": _TEKKEN,
    "mistral_v7": _INST,
    "nemotron_nano_v2": Style(
        bos="<s>", eos="<SPECIAL_12>", special=("<SPECIAL_10>", "<SPECIAL_11>")
    ),
    "nemotron_super_v1_5": _HEADERS,
    "olmo2": Style("bytes", bos="<|endoftext|>", eos="<|endoftext|>"),
    "openchat_3_5": Style("pieces", bos="<s>", eos="<|end_of_turn|>"),
    "orion": _SPM,
    "phi4_mini": Style(eos="<|end|>", special=("<|user|>", "<|assistant|>", "<|system|>")),
    "qwq": Style(),
    "seed_oss": Style(eos="<seed:eos>", special=("<seed:bos>", "<seed:think>", "</seed:think>")),
    "single_turn": Style(eos="<|endoftext|>"),
    "solar": _SPM,
    "tulu2": _SPM,
    "vicuna": _SPM,
    "yi_chat": Style("pieces", bos="<|startoftext|>", eos="<|im_end|>"),
    "zephyr": _SPM,
}
_NO_CHAT = {"dialogpt"}
"""Kept to show what is refused."""


@cache
def entries() -> tuple[Entry, ...]:
    found = [Entry(name, "trl", source, _style(name)) for name, source in sorted(_trl().items())]
    for file in sorted(WRITTEN.glob("*.jinja")):
        style = _BY_HAND.get(file.stem, Style())
        source = file.read_text(encoding="utf-8")
        found.append(Entry(file.stem, "by hand", source, style, file.stem not in _NO_CHAT))
    chatml = (WRITTEN / "chatml.jinja").read_text(encoding="utf-8")
    found += [
        Entry("chatml_bytes", "by hand", chatml, Style("bytes")),
        Entry("chatml_wild", "by hand", chatml, Style("pieces-wild")),
        Entry("base", "by hand", None, Style("bytes"), chat=False),
        Entry(
            "named_without_default",
            "by hand",
            {"rag": chatml, "tool_use": chatml},
            Style(),
            chat=False,
        ),
        Entry(
            "twice",
            "by hand",
            "{%- for m in messages %}{{- m.content + '<|im_end|>' + m.content }}{%- endfor %}",
            Style(),
            chat=False,
        ),
        Entry(
            "rewrites",
            "by hand",
            "{%- for m in messages %}{{- '<|im_start|>' + m.content | replace('?', '.') }}"
            "{{- '<|im_end|>' }}{%- endfor %}",
            Style(),
            chat=False,
        ),
    ]
    return tuple(found)


def _style(name: str) -> Style:
    return next((_TRL[key] for key in sorted(_TRL, reverse=True) if name.startswith(key)), Style())


def _trl() -> dict[str, str]:
    """The templates that travel in the wheel, read as data: nothing of the package is imported."""
    files = metadata.files("trl") or []
    return {
        Path(str(file)).stem: file.read_text(encoding="utf-8")
        for file in files
        if "chat_templates" in str(file) and str(file).endswith(".jinja")
    }
