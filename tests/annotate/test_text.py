from __future__ import annotations

import pytest

from magpie_hub.annotate.language import Identifier
from magpie_hub.annotate.refusals import REFUSALS, refusals
from magpie_hub.annotate.text import COLUMNS, LEAKS, columns, formats, leaked, loops, repetitions
from magpie_hub.recipe import Language

SAID = {
    "en": "I'm sorry, but I can't help with that.",
    "es": "Lo siento, pero no puedo ayudarte con eso.",
    "pt": "Sinto muito, mas não posso ajudar com isso.",
    "fr": "Je suis désolé, mais je ne peux pas vous aider.",
    "it": "Mi dispiace, ma non posso aiutarti.",
    "de": "Es tut mir leid, aber dabei kann ich nicht helfen.",
    "nl": "Het spijt me, maar daar kan ik niet bij helpen.",
    "sv": "Jag är ledsen, men jag kan inte hjälpa till med det.",
    "pl": "Przykro mi, ale nie mogę w tym pomóc.",
    "ru": "Извините, но я не могу помочь с этим.",
    "uk": "Вибачте, але я не можу допомогти з цим.",
    "tr": "Üzgünüm, ancak bu konuda yardımcı olamam.",
    "vi": "Tôi xin lỗi, nhưng tôi không thể giúp việc này.",
    "id": "Maaf, saya tidak dapat membantu dengan itu.",
    "zh": "抱歉，我无法提供这方面的帮助。",
    "ja": "申し訳ありませんが、その質問にはお答えできません。",
    "ko": "죄송하지만 그 요청은 도와드릴 수 없습니다.",
    "ar": "عذرًا، لا أستطيع مساعدتك في ذلك.",
    "hi": "क्षमा करें, मैं इसमें आपकी सहायता नहीं कर सकता।",
}
HELPFUL = [
    "Sorry to hear that! Here is how you can fix the boiler.",
    "Water cannot burn, since it is hydrogen that has burnt already.",
    "You can't help but admire the view.",
    "I can help with that. " + "First, open the lid. " * 20 + "I cannot help with the rest.",
    "Das Rad dreht sich nicht, weil die Kette fehlt.",
    "No puedo es la primera persona del verbo poder.",
    "我不能 is how you say that in Chinese.",
]


def test_refusals_in_every_language() -> None:
    assert set(SAID) == set(REFUSALS)
    found = dict(zip(SAID, refusals(SAID.values()), strict=True))
    assert [language for language, refuses in found.items() if not refuses] == []
    assert refusals(["As an AI language model, I don't have feelings.", None]) == [True, False]


@pytest.mark.parametrize("answer", HELPFUL)
def test_help_is_no_refusal(answer: str) -> None:
    assert refusals([answer]) == [False]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("Plain text, $5 for one and $6 for two - or not. 3. is a number.", []),
        ("# Title\n\nText.", ["markdown"]),
        ("Text with **weight** in it.", ["markdown"]),
        ("- one\n- two\n", ["list"]),
        ("1. one\n   goes on\n\n2. two", ["list"]),
        ("- only one", []),
        ("a | b\n---|---\n1 | 2", ["table"]),
        ("| a | b |\n|:--|--:|\n| 1 | 2 |", ["table"]),
        ("So $x^2 + 1 = 0$ has no root.", ["math"]),
        ("\\[ x = 1 \\]", ["math"]),
        ("```python\n# no heading\n- a\n- b\n```", ["code"]),
        ("Look:\n\n    for (;;) {\n    x = 1;\n", ["code"]),
        ("## Title\n\n- a\n- b\n\n```\nx\n```\n", ["code", "list", "markdown"]),
    ],
)
def test_formats(answer: str, expected: list[str]) -> None:
    assert formats(answer) == expected


LEAKING = {
    "control token": "Fine.<|im_end|>",
    "thinking": "<think>\nHm.\n</think>\nYes.",
    "role": "assistant\n\nHello there.",
    "instruction heading": "Yes.\n\n### Instruction:\nWrite more.",
    "step heading": "## Step 1: Look at it\nThen ...",
    "answer heading": "Answer: 42",
}


def test_every_leak_is_named() -> None:
    assert set(LEAKING) == set(LEAKS)
    assert {name: leaked(answer) for name, answer in LEAKING.items()} == {n: n for n in LEAKS}
    assert leaked("Yes.\nUser: and then?") == "role"


@pytest.mark.parametrize(
    "answer",
    [
        "The answer is: 42",
        "An assistant: one who helps.",
        "```\nuser:\n```",
        "Do this.\n\n## Step 2\nDo that.",
        "The assistant teacher said: no.",
        "",
    ],
)
def test_nothing_leaks(answer: str) -> None:
    assert leaked(answer) is None


@pytest.mark.parametrize(
    ("text", "loop"),
    [
        ("A beginning that is fine. " + "The cat sat on the mat. " * 10, True),
        ("a b c d " * 40 + "a b", True),
        ("哈哈" * 60, True),
        ("x" * 100, True),
        ("No, no, no, no!", False),
        ("One sentence that ends in a line.\n" + "-" * 40, False),
        ("The cat sat on the mat. " * 10 + "Then it went away for good, and nobody saw it.", False),
        ("", False),
    ],
)
def test_loops(text: str, loop: bool) -> None:
    assert loops(text) is loop


def test_repetition_is_a_share_of_runs() -> None:
    assert repetitions(["a b c d a b c d", "one two three four five", "x", ""]) == [0.2, 0, 0, 0]


def test_columns_are_typed_and_whole() -> None:
    queries = ["What is the capital of France?", "¿Cuál es la capital de Francia?", "x = 1"]
    answers = ["The capital of France is Paris, a big city.", "The capital of France is Paris.", ""]
    table = columns(queries, answers, identify=Identifier(Language()).identify)
    assert table.schema == COLUMNS
    assert table["same_language"].to_pylist() == [True, False, None]
    assert table["answer_language"].to_pylist() == ["en", "en", "und"]
    assert table["query_chars"].to_pylist() == [len(query) for query in queries]
    known = columns(
        queries, answers, identify=Identifier(Language()).identify, languages=["en", "en", "en"]
    )
    assert known["same_language"].to_pylist() == [True, True, None]


def test_no_rows() -> None:
    assert columns([], [], identify=str).schema == COLUMNS
