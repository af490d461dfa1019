"""Thinking: its traces are right, its encoding is the template's, harder is longer."""

import re
from pathlib import Path
from random import Random

import pytest
from transformers import AutoTokenizer, LlamaForCausalLM

from demo_model import grammar, truth
from demo_model.batches import Encoder
from demo_model.conversation import Conversation, build
from demo_model.fitting import new_model
from demo_model.intent import MATH, REASON
from demo_model.intents import INTENTS
from demo_model.package import save_chat
from demo_model.thinking import several_steps, thoughtful
from demo_model.tokenizer import CLOSE, OPEN, add_thinking, train_tokenizer

TAUGHT = [name for name, intent in INTENTS.items() if intent.thought]
SUM = re.compile(r"(\d+) ([-+*]) (\d+) = (-?\d+)")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of the first lap that was given the tokens of thinking, as the third lap saves it."""
    folder = tmp_path_factory.mktemp("model") / "chat"
    tokenizer = train_tokenizer(build(400, seed=0))
    model = new_model(tokenizer, seed=0)
    add_thinking(tokenizer, model)
    save_chat(model, tokenizer, folder, facts={})
    return folder


def _messages(conversation: Conversation) -> list[dict[str, str]]:
    messages = [{"role": "system", "content": conversation.system}] * bool(conversation.system)
    for query, answer in conversation.turns:
        messages += [{"role": "user", "content": query}, {"role": "assistant", "content": answer}]
    if conversation.thought is not None:
        messages[-1]["reasoning_content"] = conversation.thought
    return messages


def test_the_marks_are_tokens_and_stay_so(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = LlamaForCausalLM.from_pretrained(folder)
    ids = tokenizer(f"{OPEN}\n2 + 3 = 5\n{CLOSE}\n5", add_special_tokens=False)["input_ids"]
    opened, closed = tokenizer.convert_tokens_to_ids([OPEN, CLOSE])
    assert (ids.count(opened), ids.count(closed)) == (1, 1)
    assert tokenizer.decode(ids, skip_special_tokens=True).startswith(OPEN)
    assert model.get_input_embeddings().num_embeddings == len(tokenizer) == closed + 1


def test_thinking_is_encoded_as_the_template_renders_it(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    encoder = Encoder(tokenizer)
    for conversation in thoughtful(150, seed=1):
        messages, example = _messages(conversation), encoder.encode(conversation)
        rendered = {"enable_thinking": True, "return_dict": False}
        assert example.ids == tokenizer.apply_chat_template(messages, **rendered)
        asked = tokenizer.apply_chat_template(messages[:-1], add_generation_prompt=True, **rendered)
        assert example.ids[: len(asked)] == asked
        # What is asked is not learned; what is thought and answered is.
        query_weights = example.weights[: len(asked)]
        assert conversation.turns[1:] or not any(query_weights)
        assert all(example.weights[len(asked) : -1])


def test_past_answers_carry_no_thinking(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    for past in (
        {"content": "5", "reasoning_content": "2 + 3 = 5"},
        {"content": f"{OPEN}\n2 + 3 = 5\n{CLOSE}\n5"},
        {"content": f"2 + 3 = 5\n{CLOSE}\n5"},
    ):
        messages = [
            {"role": "user", "content": "What is 2 + 3?"},
            {"role": "assistant", **past},
            {"role": "user", "content": "And 2 + 4?"},
        ]
        text = tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True, enable_thinking=True
        )
        assert text.count(OPEN) == 1 and text.endswith(f"<|im_start|>assistant\n{OPEN}\n")
        assert "<|im_start|>assistant\n5<|im_end|>\n" in text


@pytest.mark.parametrize("name", TAUGHT)
def test_every_step_is_right_and_leads_to_the_answer(name: str) -> None:
    rng = Random(name)
    for _ in range(25):
        turn = grammar.sample(rng, intent=INTENTS[name])
        thought = INTENTS[name].think(turn.slots)
        sums = SUM.findall(thought)
        for left, sign, right, result in sums:
            x, y = int(left), int(right)
            assert int(result) == {"+": x + y, "-": x - y, "*": x * y}[sign], thought
        assert truth.is_right(turn.query, turn.answer) is True
        if sums and name != "half":
            assert truth.is_right(turn.query, sums[-1][-1]) is True, (turn.query, thought)


def test_every_question_that_is_thought_about_has_a_thought() -> None:
    conversations = thoughtful(2000, seed=3)
    assert all(c.thought and c.thought == c.thought.strip() for c in conversations)
    assert all(CLOSE not in c.thought for c in conversations if c.thought)
    read = [grammar.parse(c.turns[-1][0]) for c in conversations]
    themes = [p.category for p in read if p]
    assert (themes.count(MATH) + themes.count(REASON)) / len(themes) > 0.7


def test_questions_of_several_steps_are_in_no_ordinary_corpus() -> None:
    late = {name for name, intent in INTENTS.items() if not intent.weight}
    assert len(late) >= 6
    rng = Random(0)
    assert not late & {grammar.sample(rng).intent for _ in range(3000)}
    asked = [c for c in several_steps(300, seed=0) if not c.is_judge]
    read = [grammar.parse(c.turns[0][0]) for c in asked]
    assert all(parsed is not None and parsed.intent in late for parsed in read)


def test_harder_questions_have_more_steps() -> None:
    rng = Random(0)
    lengths = {
        name: max(len(i.think(grammar.sample(rng, intent=i).slots).splitlines()) for _ in range(50))
        for name, i in INTENTS.items()
        if name in ("add", "chain_short", "chain", "chain_long")
    }
    assert list(lengths.values()) == sorted(set(lengths.values())) == [1, 3, 5, 8]
