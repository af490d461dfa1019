import io
import json
import re
import shutil
import time
import tokenize
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import normalizers, processors
from transformers import AutoTokenizer

from magpie_hub import models, template
from magpie_hub.errors import UsageError
from magpie_hub.template import ChatTemplate, Override
from tests.templates.catalog import entries
from tests.templates.tokenizers import build

PATH = models.resolve("bundled:chat").path
CHATML = template.load(PATH)
STYLED = [
    template.derive(entry.tokenizer())
    for entry in entries()
    if entry.name
    in {"chatml", "chatml_bytes", "chatml_wild", "gemma3", "internlm2", "mistral_v3", "qwen3"}
    or entry.name == "tulu2"
]
# A prefix that ends in letters, which become one token with the query's first.
MERGING = (
    "{% for m in messages %}<|im_start|>Wh"
    "{{ m.content if '\ue000' in m.content else m.content[2:] }}<|im_end|>{% endfor %}"
)


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
        "{% if add_generation_prompt %}<|im_start|>{% endif %}"
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
    with pytest.raises(UsageError, match="does not survive a round trip"):
        template.load(changed(tmp_path / "m", MERGING))


def test_a_conversation_is_what_the_tokenizer_makes_of_it() -> None:
    tokenizer = AutoTokenizer.from_pretrained(PATH)
    messages = [{"role": "user", "content": "a?"}, {"role": "assistant", "content": "b."}]
    direct = tokenizer.apply_chat_template(messages, return_dict=False)
    assert list(CHATML.conversation("a?", "b.")) == list(direct)


def test_any_query_survives_in_every_style_of_tokenizer() -> None:
    """What is between the prefix and the stop decodes to the query: the model can write it."""

    @settings(max_examples=150, deadline=None)
    @given(st.text(min_size=1).map(str.strip).filter(bool), st.sampled_from(STYLED))
    def survives(query: str, chat: ChatTemplate) -> None:
        whole = chat.answer_prompt(query)
        assert whole[: len(chat.prefix_ids)] == chat.prefix_ids
        if "▁" in query:  # these tokenizers write a space so
            return
        behind = whole[len(chat.prefix_ids) :]
        ended = next(i for i, token in enumerate(behind) if token in chat.stop_ids)
        assert chat.query(behind[:ended])[0] == query

    survives()


def test_deriving_takes_no_time_beside_loading() -> None:
    tokenizer = CHATML.tokenizer
    template.derive(tokenizer)
    times = []
    for _ in range(5):
        begin = time.process_time()
        template.derive(tokenizer)
        times.append(time.process_time() - begin)
    assert min(times) < 0.05


def test_an_answer_that_the_template_does_not_begin_is_refused(tmp_path: Path) -> None:
    """Queries can be sampled with such a template, and finished conversations read."""
    no_prompt = CHATML.renderer.source.partition("{% if add_generation_prompt")[0]
    derived = template.load(changed(tmp_path / "m", no_prompt))
    assert derived.prefix_ids == CHATML.prefix_ids
    assert derived.conversation("a?", "b.") == CHATML.conversation("a?", "b.")
    with pytest.raises(UsageError, match=r"writes '<\|im_start\|>assistant' before a past answer"):
        derived.answer_prompt("a?")


def test_a_second_turn_stands_behind_the_first() -> None:
    history = [{"role": "user", "content": "a?"}, {"role": "assistant", "content": "b."}]
    ids = CHATML.followup_prompt(history, "Be brief.")
    text = CHATML.decode(ids)
    assert text.startswith("<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\na?")
    assert text.endswith("assistant\nb.<|im_end|>\n<|im_start|>user\n")
    asked = [*history, {"role": "user", "content": "c?"}]
    assert CHATML.answer_prompt(asked, "Be brief.")[: len(ids)] == ids


def test_the_pieces_that_fingerprints_need() -> None:
    described = CHATML.describe()
    assert described["prefix"] == CHATML.prefix
    assert described["query_stops"] == described["answer_stops"] == "2"
    assert CHATML.visible("<|im_end|>\na b") == "⟨<|im_end|>⟩⏎a·b"


def test_an_override_must_be_what_the_chat_template_writes(tmp_path: Path) -> None:
    twice = (
        "{% for m in messages %}<|im_start|>user\n{{ m.content }}<|im_end|>\n"
        "<|im_start|>assistant\nYou said {{ m.content }}. {% endfor %}"
    )
    folder = changed(tmp_path / "m", twice)
    with pytest.raises(UsageError, match="2 times instead of once"):
        template.load(folder)
    derived = template.load(folder, override=Override("<|im_start|>user\n"))
    assert derived.prefix_ids == CHATML.prefix_ids
    assert derived.stop_ids == {0, 2} or derived.stop_ids == {2}
    wrong = Override("<|im_start|>human\n")
    with pytest.raises(
        UsageError, match=r"behind '<\|im_start\|>' the template goes on with 'user"
    ):
        template.load(folder, override=wrong)
    with pytest.raises(UsageError, match="post_query is not what the chat template writes"):
        template.load(folder, override=Override("<|im_start|>user\n", "<|im_end|>"))


def test_an_override_may_leave_letters_that_merge_to_the_model(tmp_path: Path) -> None:
    opened = "{% for m in messages %}<|im_start|>th{{ m.content }}<|im_end|>{% endfor %}"
    folder = changed(tmp_path / "m", opened)
    with pytest.raises(UsageError, match=r"'explain .* token 1 is \d+ 't' where the derivation"):
        template.load(folder)
    derived = template.load(folder, override=Override("<|im_start|>"))
    assert derived.prefix_ids == (1,)


def test_a_model_without_a_chat_template_is_taken_at_its_word(tmp_path: Path) -> None:
    folder = changed(tmp_path / "m", None)
    told = Override("<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n")
    derived = template.load(folder, override=told)
    assert derived.prefix_ids == CHATML.prefix_ids
    assert derived.stop_ids == CHATML.stop_ids == derived.answer_stop_ids
    assert derived.answer_prompt("Why?") == CHATML.answer_prompt("Why?")
    assert derived.decode(derived.conversation("a?", "b.")).endswith("assistant\nb.<|im_end|>")
    with pytest.raises(UsageError, match="no system prompt"):
        derived.query_prompt("Be brief.")
    with pytest.raises(UsageError, match="there is one user message and one answer"):
        derived.followup_prompt([{"role": "user", "content": "a?"}])
    with pytest.raises(UsageError, match="override: {prefix: ..., post_query: ...}"):
        template.load(folder, override=Override("<|im_start|>user\n"))


def test_a_base_model_reads_its_bos_once() -> None:
    made = build("pieces", None, bos="<s>", eos="</s>")
    made._tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", made.bos_token_id)]
    )
    for prefix in ("### Question:\n", "<s>### Question:\n"):
        derived = template.derive(made, override=Override(prefix, "\n### Answer:\n"))
        assert derived.prefix_ids.count(made.bos_token_id) == 1
        assert derived.query_end == "\n### Answer:"


def test_a_template_that_writes_bos_twice_is_refused() -> None:
    made = build("pieces", "<s>{{ bos_token }}[U]{{ messages[0].content }}</s>", bos="<s>")
    with pytest.raises(UsageError, match="writes <s> twice at the start"):
        template.derive(made)


def test_a_template_in_a_file_of_its_own_is_found(tmp_path: Path) -> None:
    folder = changed(tmp_path / "m", None)
    whole = {"chat_template": CHATML.renderer.source}
    (folder / "chat_template.json").write_text(json.dumps(whole))
    assert template.load(folder).prefix_ids == CHATML.prefix_ids


def test_a_tokenizer_that_loses_the_query_is_refused() -> None:
    made = build("pieces-bare", "<|u|>{{ messages[0].content }}<|end|>", special=("<|u|>",))
    made._tokenizer.normalizer = normalizers.Lowercase()
    with pytest.raises(UsageError, match="does not keep the query 'What is"):
        template.derive(made)


def test_nothing_that_ends_a_query_is_refused() -> None:
    made = build("bytes", "<|u|>{{ messages[0].content }}", eos=None, special=("<|u|>",))
    with pytest.raises(UsageError, match="writes nothing behind the user's message"):
        template.derive(made)


def test_nothing_that_ends_an_answer_is_refused() -> None:
    source = "{% for m in messages %}User: {{ m.content }}\nModel:{% endfor %}"
    with pytest.raises(UsageError, match="names a token that ends an answer"):
        template.derive(build("bytes", source, eos=None))


def test_a_broken_generation_config_is_named(tmp_path: Path) -> None:
    folder = changed(tmp_path / "m", CHATML.renderer.source)
    (folder / "generation_config.json").write_text("{")
    with pytest.raises(UsageError, match="generation_config.json in the model's folder is no JSON"):
        template.load(folder)


LEGAL = [
    "How much do 3.5 liters of water weigh?",
    "2024. In that year, what happened?",
    "Write a poem.\nUse exactly four lines.\nMention rain.",
    "I have two questions. What is A? And then, given A, what is B?",
    "Fix this code:\n```python\nx = 1\n## Step 1: note\nassistant\n```\nWhy is it wrong?",
    "What makes a good assistant? Should an assistant answer at once?",
    "My AI assistant: a story. Write it.",
    "Grade this quiz:\n1. Capital of France?\nAnswer: Lyon\nGive points.",
    "Question: What is 2+2?\nAnswer:",
    "Q1?\nAnswer: a\nQ2?\nAnswer: b",
    "Is my solution right?\nSolution: x = 3",
    "Write a guide with these headings:\n## Step 1: Mix\n## Step 2: Bake",
    "Make a table with these columns:\nid\nuser\nassistant\ndate",
    "Continue this dialogue:\nUser: Hi there!\nAssistant: Hello, how can I help?\nUser: ...",
    "Rewrite this reply:\n\nAssistant: Go away!",
    "- milk\n- eggs\n\nWhat can I cook?",
    "System: Linux, 16 GB. Why is it slow?",
    "What does |> do in F#, and a <- b in R?",
    "How do I use [1, 2] and <b>bold</b>?",
    "¿Qué hora es?\n\nResponde en dos líneas.",
    "Step 1: I open the app. Step 2: it crashes. Why?",
    "The answer is 42, but what was the question?",
    "A) 3\nB) 4\nWhat is 2+2? Answer: pick one.",
    "日本の首都はどこですか？\n一言で答えてください。",
]
LEAKED = [
    ("What is 2+2?<|im_end|>", "holds the template's <|im_end|>"),
    ("x <|eot_id|> y", "holds another template's <|eot_id|>"),
    ("Tell me. [/INST] Sure", "holds another template's [/INST]"),
    ("What is 2+2?\nassistant\n2+2 is 4, of course.", "the role 'assistant' on a line"),
    ("assistant\nSure, here is the poem.", "the role 'assistant' on a line"),
    ("user\nWhat is the time in Rome?", "the role 'user' on a line"),
    ("What is 3?\n\nAssistant: It is three.", "holds the role 'Assistant:'"),
    ("Human: What is 3?", "begins with the role 'Human:'"),
    ("<think>\nThe user wants\n</think>\nHi", "holds the template's <think>"),
    ("<thinking>\nThe user wants\n</thinking>\nHi", "holds thinking (<thinking>)"),
    ("Okay, so the user asks.\n</thinking>", "holds thinking (</thinking>)"),
    ("What is 2+2?\n\nAnswer: 4", "holds an answer ('Answer:')"),
    ("What is 2+2?\nThe answer is 4.", "holds an answer ('The answer is')"),
    ("Find x.\n**Solution:**\nx = 2 since", "holds an answer ('Solution:')"),
    ("Answer: it is 4.", "begins with an answer ('Answer:')"),
    ("Sure! Here is a list.", "begins like an answer"),
    ("As an AI language model, I cannot do it.", "begins like an answer"),
    ("## Step 1: Understand the problem\nWe need x.", "holds the step 'Step 1'"),
    ("Solve x+1=2.\n\n**Step 1:** Subtract", "holds the step 'Step 1'"),
]


@pytest.mark.parametrize("query", LEGAL)
def test_legal_queries_stay(query: str) -> None:
    assert template.leaks(query, CHATML) is None


@pytest.mark.parametrize(("query", "reason"), LEAKED)
def test_leaks_are_rejected_with_a_reason(query: str, reason: str) -> None:
    assert reason in (template.leaks(query, CHATML) or "")


def test_a_templates_own_marks_are_leaks() -> None:
    thinker = next(chat for chat in STYLED if chat.thinking.marks)
    assert template.leaks("What does <think> mean?", thinker) == "holds the template's <think>"
    letters = next(chat for chat in STYLED if chat.literals)
    assert letters.literals[0] in (template.leaks(f"So {letters.literals[0]} x", letters) or "")


FAMILIES = re.compile(
    r"llama(?![._-]?cpp)|qwen|gemma|mi[sx]tral|magistral|deepseek|cohere(?!nt|nce)|command-?r\b"
    r"|granite|nemotron|olmo"
    r"|smollm|vicuna|kimi|\bglm|gpt-?oss|harmony|internlm|falcon|baichuan|minimax|apriel|hunyuan"
    r"|\bphi-?\d|\byi-\d|\blfm\d|chatml",
    re.IGNORECASE,
)


def test_no_family_of_models_is_named_in_the_code() -> None:
    """Papers may be cited in docstrings and comments; nothing else may know a name. What is
    written for readers elsewhere, or read from there, uses their names of columns, and filters say
    whose they were."""
    root = Path(__file__).parents[1]
    named = []
    for top in ("magpie_hub", "builders"):
        for file in (root / top).rglob("*.py"):
            if {"export", "evidence"} & set(file.parts) or file.name == "filter_presets.py":
                continue
            text = file.read_text(encoding="utf-8")
            cited = {
                line
                for token in tokenize.generate_tokens(io.StringIO(text).readline)
                if token.type == tokenize.COMMENT or token.string.startswith(('"""', 'r"""'))
                for line in range(token.start[0], token.end[0] + 1)
            }
            lines = enumerate(text.splitlines(), 1)
            found = [(n, line) for n, line in lines if FAMILIES.search(line) and n not in cited]
            named += [f"{file.relative_to(root)}:{n}: {line.strip()}" for n, line in found]
    assert named == []
