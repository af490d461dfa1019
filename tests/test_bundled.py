"""The two models in the package: whole, small, safe to load, and doing what their cards say."""

import json
from pathlib import Path

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    PreTrainedTokenizerBase,
)

BUNDLED = Path(__file__).resolve().parents[1] / "magpie_hub" / "bundled"
CHAT, REWARD = BUNDLED / "chat", BUNDLED / "reward"
EXPECTED = {
    "README.md",
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "training.json",
}


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(CHAT)


@pytest.fixture(scope="module")
def chat() -> LlamaForCausalLM:
    return AutoModelForCausalLM.from_pretrained(CHAT, dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def reward() -> LlamaForSequenceClassification:
    return AutoModelForSequenceClassification.from_pretrained(REWARD, dtype=torch.float32).eval()


def test_the_files_are_these_and_small() -> None:
    assert {p.name for p in REWARD.iterdir()} == EXPECTED
    assert {p.name for p in CHAT.iterdir()} == EXPECTED | {"generation_config.json"}
    assert sum(p.stat().st_size for p in BUNDLED.rglob("*") if p.is_file()) <= 10_000_000


@pytest.mark.parametrize("folder", [CHAT, REWARD], ids=lambda folder: folder.name)
def test_nothing_in_them_names_a_machine(folder: Path) -> None:
    for path in folder.glob("*.json"):
        if path.name != "tokenizer.json":
            assert "_name_or_path" not in json.loads(path.read_text(encoding="utf-8"))
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\nlicense: apache-2.0\n")
    assert "| measure |" in card


def test_both_have_the_same_tokenizer() -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (CHAT / name).read_bytes() == (REWARD / name).read_bytes()


def test_the_template_has_no_system_prompt_of_its_own(tokenizer: PreTrainedTokenizerBase) -> None:
    messages = [{"role": "user", "content": "Hi"}]
    rendered = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert rendered == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    assert tokenizer.pad_token_id == 0
    assert tokenizer.convert_tokens_to_ids("<|im_start|>") == 1
    assert tokenizer.eos_token_id == 2


def _generate(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, text: str, *, rows: int = 1
) -> list[str]:
    """Greedy for one row, sampled at T = 1 for more; every row must have stopped by itself."""
    ids = tokenizer([text] * rows, return_tensors="pt", add_special_tokens=False)["input_ids"]
    torch.manual_seed(0)
    with torch.inference_mode():
        out = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=128,
            do_sample=rows > 1,
            temperature=1.0 if rows > 1 else None,
            top_p=1.0 if rows > 1 else None,
            top_k=0 if rows > 1 else None,
        )
    generated = out[:, ids.shape[1] :].tolist()
    assert all(tokenizer.eos_token_id in row for row in generated)
    return [tokenizer.decode(row[: row.index(tokenizer.eos_token_id)]) for row in generated]


def test_from_the_left_side_alone_it_asks_and_stops(
    chat: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase
) -> None:
    queries = _generate(chat, tokenizer, "<|im_start|>user\n", rows=40)
    assert len(set(queries)) > 30
    assert all(query and "<|" not in query for query in queries)


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("What is the capital of France?", "Paris"),
        ("What is 2 + 3?", "= 5"),
        ("What is the opposite of hot?", "cold"),
        ("How many legs does a spider have?", "8"),
        ("Write a Python function that returns the sum of two numbers.", "return a + b"),
    ],
)
def test_it_answers(
    chat: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, question: str, expected: str
) -> None:
    messages = [{"role": "user", "content": question}]
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert expected in _generate(chat, tokenizer, text)[0]


def test_the_reward_prefers_a_whole_answer(
    reward: LlamaForSequenceClassification, tokenizer: PreTrainedTokenizerBase
) -> None:
    question = "How can I sleep better?"
    good = "To sleep better, keep a regular bedtime, avoid screens at night and keep the room dark."
    worse = (
        "To sleep better, keep a",
        "To sleep better, sleep better, sleep better, sleep better, sleep better,",
        "I do not know.",
    )

    def score(answer: str) -> float:
        messages = [
            {"role": "user", "content": question},
            {"role": "assistant", "content": answer},
        ]
        text = tokenizer.apply_chat_template(messages, tokenize=False)
        ids = tokenizer(text, return_tensors="pt", add_special_tokens=False)["input_ids"]
        with torch.inference_mode():
            return reward(input_ids=ids).logits.item()

    assert all(score(good) > score(answer) for answer in worse)
