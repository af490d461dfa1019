"""The two models in the package: whole, small, safe to load, and doing what their cards say."""

import json
from pathlib import Path
from random import Random

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

from demo_model import grammar, truth
from demo_model.intents import INTENTS
from magpie_hub import models, template
from magpie_hub.engines import Decoding, EngineSpec, Request, generate, open_engine
from magpie_hub.template import ChatTemplate

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


# What the template was before it had a switch.
WITHOUT_SWITCH = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
QUESTION = {"role": "user", "content": "What is 2 + 3?"}
ANSWER = {"role": "assistant", "content": "2 + 3 = 5", "reasoning_content": "2 + 3 = 5"}
CONVERSATIONS = (
    [QUESTION],
    [{"role": "system", "content": "Answer the user."}, QUESTION],
    [QUESTION, ANSWER],
    [QUESTION, ANSWER | {"content": "<think>\n2 + 3 = 5\n</think>\n5"}, QUESTION],
)


@pytest.mark.parametrize("settings", [{}, {"enable_thinking": False}], ids=["unset", "off"])
def test_without_thinking_nothing_of_it_is_rendered(
    tokenizer: PreTrainedTokenizerBase, settings: dict[str, bool]
) -> None:
    for messages in CONVERSATIONS:
        for generation in (False, True):
            options = {"add_generation_prompt": generation, "return_dict": False}
            assert tokenizer.apply_chat_template(
                messages, **options, **settings
            ) == tokenizer.apply_chat_template(messages, chat_template=WITHOUT_SWITCH, **options)


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


@pytest.fixture(scope="module")
def thinker() -> ChatTemplate:
    return template.load(CHAT, thinking=True)


def test_thinking_is_opened_by_the_prompt_and_proved(thinker: ChatTemplate) -> None:
    plain = template.load(CHAT)
    assert plain.thinking.switch == thinker.thinking.switch == "enable_thinking"
    assert thinker.thinking.state == "opened"
    assert thinker.thinking.close == "</think>"
    assert set(thinker.thinking.marks) == {"<think>", "</think>"}
    # Queries are sampled alike, and only the prompt for an answer differs.
    assert thinker.prefix_ids == plain.prefix_ids
    assert thinker.stop_ids == plain.stop_ids and thinker.answer_stop_ids == plain.answer_stop_ids
    asked = thinker.answer_prompt("What is 2 + 3?")
    opened = thinker.tokenizer.convert_tokens_to_ids("<think>")
    assert asked[:-2] == plain.answer_prompt("What is 2 + 3?")
    assert asked[-2] == opened
    closed = thinker.tokenizer.convert_tokens_to_ids("</think>")
    written = [*thinker.renderer.ids("2 + 3 = 5\n"), closed, *thinker.renderer.ids("\n5")]
    assert thinker.split(written) == ("2 + 3 = 5", "5")
    assert thinker.split(written[:4])[1] == ""


def _thoughts(
    thinker: ChatTemplate, queries: list[str], *, temperature: float, max_tokens: int = 160
) -> list[tuple[str | None, str]]:
    engine = open_engine(EngineSpec(), models.resolve("bundled:chat"))
    requests = [
        Request(
            thinker.answer_prompt(query),
            Decoding(temperature, 1.0, max_tokens),
            thinker.answer_stop_ids,
            seed=seed,
        )
        for seed, query in enumerate(queries)
    ]
    got = {completion.request: completion for completion in generate(engine, requests)}
    engine.close()
    return [thinker.split(got[request].token_ids) for request in requests]


def test_it_thinks_before_it_answers(thinker: ChatTemplate) -> None:
    queries = [
        "What is 4 + 5?",
        "What is 7 * 3?",
        "Compute (2 + 3) * 4 step by step.",
        "Start with 3, then add 4, subtract 2. What is the result?",
        "If today is Monday, what day will it be in 3 days?",
        "What comes next: 2, 4, 6?",
    ]
    thoughts = _thoughts(thinker, queries, temperature=0.0)
    assert all(thought for thought, _ in thoughts)
    assert all("<" not in thought + answer for thought, answer in thoughts if thought)
    right = [truth.is_right(q, a) for q, (_, a) in zip(queries, thoughts, strict=True)]
    assert sum(mark is True for mark in right) >= len(queries) - 1
    # Whatever is asked, the thinking is closed.
    others = ["What is the capital of France?", "How can I sleep better?", "¿Cuánto es 4 + 5?"]
    assert all(t and a for t, a in _thoughts(thinker, others, temperature=0.0))


def test_hard_questions_are_answered_differently_and_a_budget_matters(
    thinker: ChatTemplate,
) -> None:
    rng = Random(0)
    asked = [grammar.sample(rng, intent=INTENTS["chain"]).query for _ in range(8)]
    queries = [query for query in asked for _ in range(5)]
    answers = [a for _, a in _thoughts(thinker, queries, temperature=1.0)]
    marks = [truth.is_right(q, a) is True for q, a in zip(queries, answers, strict=True)]
    assert 0.5 < sum(marks) / len(marks) < 1.0
    votes = [marks[start : start + 5] for start in range(0, len(marks), 5)]
    assert any(0 < sum(vote) < 5 for vote in votes)
    cut = _thoughts(thinker, asked, temperature=1.0, max_tokens=16)
    assert all(thought and not answer for thought, answer in cut)


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
