"""Llamas with random weights and a chat template that works, made on the spot.

The tokenizer and the template are those of the bundled model. A model of random weights would write
on until it is cut off; here one channel of the residual stream is kept constant and raises the
logit of the stop token, so that every token is the last one with about the same probability, and
lengths are ragged as in life: the longest is many times the mean.
"""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

from magpie_hub import models

_TOKENIZER = ("tokenizer.json", "tokenizer_config.json")
_CHANNEL = 4.0
"""What the constant channel of the embeddings holds; the others have a deviation of 1."""

SHAPE_100M = {
    "hidden_size": 768,
    "intermediate_size": 2304,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "num_key_value_heads": 4,
    "max_position_embeddings": 1024,
}
SHAPE_8B = {
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "max_position_embeddings": 8192,
}
SHAPE_TINY = {
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 8192,
}


def config_only(folder: Path, shape: dict[str, int], *, vocabulary: int = 0) -> Path:
    """A model folder without weights, for an engine that makes them up (vLLM's ``load_format``
    "dummy"). A larger ``vocabulary`` than the bundled one is filled up with words."""
    folder.mkdir(parents=True)
    bundled = models.resolve("bundled:chat").path
    for name in _TOKENIZER:
        shutil.copy(bundled / name, folder)
    size = json.loads((bundled / "config.json").read_text())["vocab_size"]
    if vocabulary > size:
        _add_words(folder / "tokenizer.json", vocabulary)
    _config(shape, max(vocabulary, size)).save_pretrained(folder)
    return folder


def random_weights(folder: Path, shape: dict[str, int], *, mean_tokens: int, seed: int) -> Path:
    """A model folder with random weights that stops after ``mean_tokens`` on average, at
    temperature 1 and without top-p, and writes words alone: no control tokens, no broken bytes."""
    import torch
    from transformers import AutoTokenizer, LlamaForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    config_only(folder, shape)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    torch.manual_seed(seed)
    model = LlamaForCausalLM(_config(shape, len(tokenizer))).eval()
    embedding, head = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    words = [token for token in range(len(tokenizer)) if _is_word(tokenizer.decode([token]))]
    with torch.no_grad():
        embedding.normal_()
        embedding[:, 0] = _CHANNEL
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight[0] = 0.0
            layer.mlp.down_proj.weight[0] = 0.0
        head[:, 0] = -30.0
        head[words, 0] = 0.0
        hidden = model.model(torch.randint(3, len(tokenizer), (8, 32))).last_hidden_state
        total = (hidden @ head[words].T).logsumexp(-1).mean()
        head[tokenizer.eos_token_id] = 0.0
        head[tokenizer.eos_token_id, 0] = (total - math.log(mean_tokens)) / hidden[..., 0].mean()
    model.save_pretrained(folder)
    return folder


def _config(shape: dict[str, int], vocabulary: int) -> Any:  # noqa: ANN401 (imported late)
    from transformers import LlamaConfig

    return LlamaConfig(
        vocab_size=vocabulary,
        bos_token_id=None,
        eos_token_id=2,
        pad_token_id=0,
        tie_word_embeddings=False,
        architectures=["LlamaForCausalLM"],
        dtype="float32",
        **shape,
    )


def _is_word(text: str) -> bool:
    return text.isascii() and text.strip(" ").isalpha()


def _add_words(file: Path, vocabulary: int) -> None:
    """New words of two tokens that the tokenizer writes side by side, each with its merge, so that
    text goes back to the tokens that it came from."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(file))
    written = json.loads(file.read_text(encoding="utf-8"))
    known, merges = written["model"]["vocab"], written["model"]["merges"]
    words = [token for token in known if token.isascii() and token.isalpha()]
    starts = [token for token in known if token[0] == "Ġ" and token[1:].isascii()]
    free = iter(range(len(known), vocabulary))
    for start in starts:
        for word in words if start[1:].isalpha() else ():
            pair = f"{start[1:]}{word}"
            if tokenizer.encode(f" {pair}").tokens == [start, word] and f"Ġ{pair}" not in known:
                if (number := next(free, None)) is None:
                    file.write_text(json.dumps(written, ensure_ascii=False), encoding="utf-8")
                    return
                known[f"Ġ{pair}"] = number
                merges.append([start, word])
    raise SystemExit(f"only {len(known)} words can be made, not {vocabulary}.")
