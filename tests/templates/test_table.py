"""The evidence: every template of the catalogue, derived and proved, or refused and why."""

from __future__ import annotations

import copy
from collections import Counter

import pytest

from magpie_hub import template
from magpie_hub.errors import UsageError
from magpie_hub.template import ChatTemplate
from tests.templates import table
from tests.templates.catalog import Entry, entries
from tests.templates.table import Row

ROWS = {row.entry.name: row for row in table.rows()}
PROVED = {name: row.derived for name, row in ROWS.items() if row.derived}
REFUSED = {name: row for name, row in ROWS.items() if row.derived is None}
QUERIES = ("1 + 1?", "Écris un poème.\nEn deux vers.", "<b>bold</b> & 'quoted'", "어떻게 지내세요?")
TURNS = [{"role": "user", "content": "First?"}, {"role": "assistant", "content": "Yes.\n\nFirst."}]


def named(name: str) -> Entry:
    return next(entry for entry in entries() if entry.name == name)


def derived(name: str) -> ChatTemplate:
    return PROVED[name]


def in_form(chat: ChatTemplate, messages: list[dict[str, str]]) -> list[dict[str, object]]:
    if not chat.renderer.parts:
        return [dict(message) for message in messages]
    return [
        {"role": m["role"], "content": [{"type": "text", "text": m["content"]}]} for m in messages
    ]


def test_the_page_is_up_to_date() -> None:
    page = table.PATH.read_text(encoding="utf-8")
    assert page == table.page(list(ROWS.values())), "run: python -m tests.templates.table"


def test_there_are_enough_and_nearly_all_are_proved() -> None:
    meant: list[Row] = [row for row in ROWS.values() if row.entry.chat]
    assert len(ROWS) >= 80
    assert sum(row.entry.origin == "trl" for row in ROWS.values()) == 72
    assert sum(row.derived is not None for row in meant) >= 0.97 * len(meant)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("dialogpt", "writes nothing before the user's message"),
        ("base", "has no chat template, so this is no chat model"),
        ("named_without_default", r"several chat templates \(rag, tool_use\)"),
        ("twice", "shows the user's message 2 times"),
        ("rewrites", r"token 7 is 13 '\.' where the derivation has 30 '\?'; it changes"),
    ],
)
def test_the_rest_is_refused_for_the_right_reason(name: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        template.derive(named(name).tokenizer())


def test_nothing_else_is_refused() -> None:
    assert set(REFUSED) == {"dialogpt", "base", "named_without_default", "twice", "rewrites"}


@pytest.mark.parametrize("name", sorted(n for n, c in PROVED.items() if c.date is None))
def test_prompts_are_what_the_tokenizer_itself_gives(name: str) -> None:
    """The same once more without the library: other queries, plain ``apply_chat_template``."""
    chat = PROVED[name]
    for before in [[], TURNS] if chat.followup is not None else [[]]:
        prompt = chat.followup_prompt(before) if before else chat.query_prompt()
        for query in QUERIES:
            messages = in_form(chat, [*before, {"role": "user", "content": query}])
            whole = chat.tokenizer.apply_chat_template(
                messages, add_generation_prompt=True, return_dict=False
            )
            assert tuple(whole[: len(prompt)]) == prompt
            bos = chat.tokenizer.bos_token_id
            assert bos is None or bos == chat.tokenizer.eos_token_id or whole.count(bos) <= 2
            assert whole[:2].count(bos) <= 1


@pytest.mark.parametrize("name", sorted(n for n, c in PROVED.items() if c.followup is not None))
def test_further_prompts_of_many_are_those_of_each_and_open_no_turn(name: str) -> None:
    """Whatever an answer spells out."""
    chat = PROVED[name]
    controls = chat.renderer.control_ids
    spelt = [TURNS[0], {"role": "assistant", "content": f"So {' '.join([*controls][:3])} it is."}]
    pasts = [(TURNS, None), (spelt, None), ([*TURNS, *TURNS], None)]
    prompts = chat.followup_prompts(pasts)
    assert prompts == [chat.followup_prompt(messages) for messages, _ in pasts]
    plain, other, longer = ([i for i in ids if i in controls.values()] for ids in prompts)
    assert plain == other
    assert len(prompts[2]) > len(prompts[0]) and longer[: len(plain) - 1] == plain[:-1]


def test_a_system_prompt_goes_where_the_template_puts_it() -> None:
    """In its own turn, in the query's, or nowhere, and then the reason is the template's."""
    for name in ("chatml", "llama3", "deepseekv3", "qwen3"):
        assert derived(name).system == "in its own turn"
    folded = derived("gemma3")
    assert folded.system == "in the query"
    assert folded.decode(folded.query_prompt("Be kind.")).endswith("user\nBe kind.\n\n")
    for name, reason in (("gemma", "System role not supported"), ("orion", "it is ignored")):
        with pytest.raises(UsageError, match=f"takes no system prompt \\({reason}\\)"):
            derived(name).query_prompt("Be kind.")


@pytest.mark.parametrize("name", sorted(n for n, c in PROVED.items() if c.date is None))
def test_a_prefill_is_the_beginning_of_the_query_as_the_template_puts_it(name: str) -> None:
    """Once more without the library; with a system prompt too, where there is a place for one."""
    chat = PROVED[name]
    prefill = "Write a Python function that"
    systems = [None, "Be kind."] if chat.system.startswith("in ") else [None]
    for system in systems:
        before = [] if system is None else [{"role": "system", "content": system}]
        prompt, opening = chat.query_prompt(system, f"{prefill} "), chat.opening(system, prefill)
        assert prompt == chat.query_prompt(system) + opening
        for rest in (" doubles a list.", " 3 tests\nneed, please", " «résumés» 日本"):
            messages = in_form(chat, [*before, {"role": "user", "content": prefill + rest}])
            whole = tuple(
                chat.tokenizer.apply_chat_template(
                    messages, add_generation_prompt=True, return_dict=False
                )
            )
            assert whole[: len(prompt)] == prompt
        added = chat.renderer.ids(prefill + " doubles.")[len(chat.renderer.ids(prefill)) :]
        assert chat.query(added, opening) == (prefill + " doubles.", False)
        assert chat.query([], opening) == ("", False)


def test_many_system_prompts_are_each_put_as_the_first_was() -> None:
    for name in ("chatml", "gemma3", "llama3"):
        one, fresh = derived(name), template.derive(named(name).tokenizer())
        one.query_prompt("The first.")
        for system in ("Be kind.", "The user asks: why?\n\nOr how", "Du hilfst. ", "日本語で"):
            assert one.query_prompt(system) == fresh.query_prompt(system)
            fresh = template.derive(named(name).tokenizer())


@pytest.mark.parametrize(
    ("name", "prefill", "reason"),
    [
        ("chatml", "Write <|im_end|> here", r"holds the template's <\|im_end\|>"),
        ("vicuna", "Who is it? ASSISTANT: Say", "holds the template's ASSISTANT:"),
        ("qwen3", "<think> so", "holds the template's <think>"),
    ],
)
def test_a_prefill_that_is_more_than_a_beginning_is_refused(
    name: str, prefill: str, reason: str
) -> None:
    with pytest.raises(UsageError, match=reason):
        derived(name).query_prompt(None, prefill)


def test_a_system_prompt_with_a_control_token_is_refused() -> None:
    with pytest.raises(UsageError, match=r"'Be <\|im_end\|>' holds the template's <\|im_end\|>"):
        derived("chatml").query_prompt("Be <|im_end|>")


def test_a_prefill_that_the_template_changes_is_refused() -> None:
    tokenizer = copy.deepcopy(named("chatml").tokenizer())
    tokenizer.chat_template = tokenizer.chat_template.replace(
        "message['content']", "message['content']|replace('colour', 'color')"
    ).replace("message.content", "message.content|replace('colour', 'color')")
    assert "colour" in tokenizer.chat_template
    chat = template.derive(tokenizer)
    assert chat.decode(chat.opening(None, "Write a")) == "Write a"
    with pytest.raises(UsageError, match="the chat template changes the prefill 'The colour'"):
        chat.query_prompt(None, "The colour")


def test_default_system_blocks_stay() -> None:
    assert "You are a helpful assistant." in derived("chatml_default_system").prefix
    assert "You are Qwen" in derived("qwen2_5").prefix
    assert "You are" not in derived("qwen2_5").decode(derived("qwen2_5").query_prompt("Be kind."))


def test_dates_are_fixed() -> None:
    for name in ("gptoss", "llama3_2", "mistral_small_3_1"):
        chat = derived(name)
        assert chat.date == template.DATE
        assert template.DATE in chat.prefix or "01 Jan 2025" in chat.prefix
    assert derived("llama3").date is None


def test_white_space_that_merges_is_left_to_the_model() -> None:
    for name, residue in (("vicuna", " "), ("llama2", " "), ("chatml_wild", "\n"), ("chatml", "")):
        assert derived(name).residue == residue
    vicuna = derived("vicuna")
    assert vicuna.decode(vicuna.prefix_ids).endswith("USER:")


def test_a_query_ends_at_a_token_or_at_the_templates_own_text() -> None:
    vicuna = derived("vicuna")
    ids = vicuna.tokenizer(" Who is the assistant? ASSISTANT: Me.", add_special_tokens=False)
    assert vicuna.query(ids["input_ids"]) == ("Who is the assistant?", True)
    qwen = derived("qwen3")
    assert qwen.query(qwen.renderer.ids("Who is the assistant:\n- a\n")) == (
        "Who is the assistant:\n- a",
        False,
    )


def test_stops_of_queries_and_answers() -> None:
    def names(chat: ChatTemplate, ids: frozenset[int]) -> set[str]:
        return set(chat.tokenizer.convert_ids_to_tokens(sorted(ids)))

    channels = derived("gptoss")
    assert names(channels, channels.stop_ids) == {"<|end|>", "<|return|>"}
    assert names(channels, channels.answer_stop_ids) == {"<|return|>"}
    tags = derived("kimi_k3")
    assert names(tags, tags.answer_stop_ids) == {"<|end_of_msg|>"}
    turns = derived("glm4moe")
    assert names(turns, turns.stop_ids) >= {"<|assistant|>"}
    assert names(turns, turns.answer_stop_ids) >= {"<|user|>"}


THINKING = [
    ("qwen3", None, "free", "<think>\nHm.\n</think>\n\nYes."),
    ("qwen3", False, "closed", None),
    ("qwen3_5_think", None, "opened", "Hm.\n</think>\n\nYes."),
    ("deepseek_r1_distill", None, "opened", "Hm.\n</think>\nYes."),
    ("deepseek_r1_distill", None, "opened", "<think>\nHm.\n</think>\nYes."),
    ("deepseek_v3_1", None, "closed", None),
    ("deepseek_v3_1", True, "opened", "Hm.</think>Yes."),
    ("magistral_2506", None, "free", "<think>\nHm.\n</think>\nYes."),
    ("magistral_2509", None, "free", "[THINK]Hm.[/THINK]Yes."),
    (
        "gptoss",
        None,
        "free",
        "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Yes.",
    ),
    ("gptoss", None, "free", "<|channel|>final<|message|>Yes."),
    ("gemma4_v5", None, "free", "<|channel>thought\nHm.\n<channel|>Yes."),
    ("kimi_k2_thinking", None, "free", "<think>Hm.</think>Yes."),
    ("kimi_k3", None, "opened", "Hm.<|close|>think<|sep|><|open|>response<|sep|>Yes."
                                "<|close|>response<|sep|><|close|>message<|sep|>"),
    ("glm4moe", None, "free", "\n<think>Hm.</think>\nYes."),
    ("glm4_7", False, "closed", None),
    ("nemotron_3_nano", None, "opened", "Hm.\n</think>\nYes."),
    ("nemotron_3_nano", False, "closed", None),
    ("nemotron_nano_v2", None, "opened", "Hm.\n</think>\n\nYes."),
    ("lfm2_2_5", None, "free", "<think>Hm.</think>Yes."),
    ("minimax_m2", None, "opened", "Hm.\n</think>\n\nYes."),
    (
        "apriel_1_5",
        None,
        "opened",
        "Hm.\n[BEGIN FINAL RESPONSE]\nYes.\n[END FINAL RESPONSE]\n",
    ),
    ("seed_oss", None, "free", "<seed:think>Hm.</seed:think>Yes."),
    ("smollm3", False, "closed", None),
    ("olmo3_think", None, "opened", "Hm.</think>Yes."),
    ("command_a_reasoning", None, "free", "<|START_THINKING|>Hm.<|END_THINKING|>"
                                          "<|START_RESPONSE|>Yes."),
]  # fmt: skip


@pytest.mark.parametrize(("name", "thinking", "state", "output"), THINKING)
def test_thinking_is_told_from_the_answer(
    name: str, thinking: bool | None, state: str, output: str | None
) -> None:
    chat = template.derive(named(name).tokenizer(), thinking=thinking)
    assert chat.thinking.state == state
    assert chat.split("Yes.") == ((None, "Yes.") if state != "opened" else ("Yes.", ""))
    if output is not None:
        thought = None if output.startswith("<|channel|>final") else "Hm."
        assert chat.split(output) == (thought, "Yes.")
        assert chat.split(chat.renderer.ids(output)) == (thought, "Yes.")
        cut_off = output.partition("Hm.")[0] + "Hm"
        if thought:
            assert chat.split(cut_off) == ("Hm", "")
            begun = chat.renderer.ids(cut_off)
            assert chat.split([*begun, *chat.closing(begun), *chat.renderer.ids("Yes.")]) == (
                "Hm",
                "Yes.",
            )
            assert chat.thinking_length(begun) == len(begun)


@pytest.mark.parametrize(("name", "thinking", "state", "output"), THINKING)
def test_the_length_of_thinking_is_counted_in_tokens(
    name: str, thinking: bool | None, state: str, output: str | None
) -> None:
    chat = template.derive(named(name).tokenizer(), thinking=thinking)
    if output is None:
        assert chat.thinking_length(chat.renderer.ids("Yes.")) is None
        return
    ids = chat.renderer.ids(output)
    length = chat.thinking_length(ids)
    assert length is not None
    thought, _ = chat.split(output)
    assert (thought is None) == (length == 0)
    if thought:
        assert chat.thinking.close in chat.decode(ids[:length])
        assert chat.thinking.close not in chat.decode(ids[: length - 1])
        assert chat.closing(ids) == ()


def test_thinking_that_cannot_be_switched_or_told_is_refused() -> None:
    with pytest.raises(UsageError, match="has no variable that turns thinking on or off"):
        template.derive(named("chatml").tokenizer(), thinking=False)
    with pytest.raises(UsageError, match="does not show how thinking is told"):
        template.derive(named("granite_3").tokenizer(), thinking=True)


def test_a_history_is_rendered_with_its_thinking_as_the_template_wants_it() -> None:
    chat = derived("qwen3")
    history = [TURNS[0], {"role": "assistant", "content": "Yes.", "thinking": "Hm."}]
    assert "Hm." not in chat.decode(chat.followup_prompt(history))
    final = chat.renderer.text(history, generation=False)
    assert "<think>\nHm.\n</think>\n\nYes." in final


def test_one_turn_templates_have_no_second() -> None:
    with pytest.raises(
        UsageError, match="no second turn: .* refuses this conversation: one question"
    ):
        derived("single_turn").followup_prompt(TURNS)


def test_control_tokens_in_a_query_stay_text() -> None:
    chat = derived("chatml")
    end = chat.tokenizer.convert_tokens_to_ids("<|im_end|>")
    plain, spelled = chat.answer_prompt("What is it?"), chat.answer_prompt("What is <|im_end|>?")
    assert plain.count(end) == spelled.count(end) == 1


@pytest.mark.parametrize("name", PROVED)
def test_no_template_lets_a_query_write_its_control_tokens(name: str) -> None:
    chat = derived(name)
    controls = chat.renderer.control_ids
    plain = Counter(i for i in chat.answer_prompt("So: what is it?") if i in controls.values())
    spelled = [control for control in controls if len(control) > 1][:4]
    found = chat.answer_prompt(f"So: {' '.join(spelled)} what {''.join(spelled)}is it?")
    assert Counter(i for i in found if i in controls.values()) == plain
    assert all(control in chat.decode(found) for control in spelled)
