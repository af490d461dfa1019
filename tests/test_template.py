import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from magpie_hub import models, template
from magpie_hub.errors import UsageError

PATH = models.resolve("bundled:chat").path
CHATML = template.load(PATH)


def changed(folder: Path, chat_template: str | None) -> Path:
    """The bundled tokenizer with another chat template."""
    shutil.copytree(PATH, folder)
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    config = json.loads((folder / "tokenizer_config.json").read_text())
    config.pop("chat_template", None)
    if chat_template is not None:
        config["chat_template"] = chat_template
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


def test_the_bundled_prefix_is_the_bare_left_side() -> None:
    assert CHATML.prefix == "<|im_start|>user\n"
    assert CHATML.post_query.startswith("<|im_end|>")
    tokenizer = CHATML.tokenizer
    assert CHATML.stop_ids == {tokenizer.convert_tokens_to_ids("<|im_end|>")}
    assert set(CHATML.special_tokens) >= {"<|im_start|>", "<|im_end|>"}


def test_a_system_prompt_stands_before_the_user() -> None:
    ids = CHATML.query_prompt("You answer in German.")
    assert CHATML.decode(ids).endswith("You answer in German.<|im_end|>\n<|im_start|>user\n")


@given(st.text(min_size=1).filter(lambda text: text.strip() == text))
def test_any_query_survives_the_round_trip(query: str) -> None:
    whole = CHATML.answer_prompt(query)
    direct = CHATML.tokenizer.apply_chat_template(
        [{"role": "user", "content": query}], add_generation_prompt=True, return_dict=False
    )
    assert list(whole) == list(direct)
    assert whole[: len(CHATML.prefix_ids)] == CHATML.prefix_ids


def test_bos_comes_once(tmp_path: Path) -> None:
    with_bos = (
        "<|endoftext|>{% for m in messages %}<|im_start|>{{ m.content }}<|im_end|>{% endfor %}"
    )
    derived = template.load(changed(tmp_path / "m", with_bos))
    assert list(derived.answer_prompt("hi")).count(0) == 1


def test_stops_come_from_the_generation_config_and_from_behind_the_query(tmp_path: Path) -> None:
    ends = "{% for m in messages %}[{{ m.role }}]{{ m.content }}<|im_start|>{% endfor %}"
    folder = changed(tmp_path / "m", ends)
    (folder / "generation_config.json").write_text('{"eos_token_id": [2, 0]}')
    assert template.load(folder).stop_ids == {0, 1, 2}


@pytest.mark.parametrize(
    ("chat_template", "sentence"),
    [
        (None, "has no chat template, so this is no chat model"),
        ("{% for m in messages %}x{% endfor %}", "shows the user's message 0 times"),
        ("{% for m in messages %}{{ m.content }}{{ m.content }}{% endfor %}", "2 times"),
        ("{{ raise_exception('no users here') }}", "refuses this conversation: no users here"),
        ("a{% for m in messages %}{{ m.content | upper }}{% endfor %}", "round trip|0 times"),
    ],
)
def test_templates_that_cannot_be_used_are_refused(
    tmp_path: Path, chat_template: str | None, sentence: str
) -> None:
    with pytest.raises(UsageError, match=sentence):
        template.load(changed(tmp_path / "m", chat_template))


def test_a_prefix_that_merges_with_the_query_is_refused(tmp_path: Path) -> None:
    # A prefix that ends in a letter becomes one token with the query's first letters.
    merging = (
        "{% for m in messages %}<|im_start|>Wh"
        "{{ m.content if '\ue000' in m.content else m.content[2:] }}<|im_end|>{% endfor %}"
    )
    with pytest.raises(UsageError, match="does not survive a round trip"):
        template.load(changed(tmp_path / "m", merging))


def test_a_conversation_is_what_the_tokenizer_makes_of_it() -> None:
    tokenizer = AutoTokenizer.from_pretrained(PATH)
    messages = [{"role": "user", "content": "a?"}, {"role": "assistant", "content": "b."}]
    direct = tokenizer.apply_chat_template(messages, return_dict=False)
    assert list(CHATML.conversation("a?", "b.")) == list(direct)
