"""What a model may say in the user's place, and which of it is a further question."""

import pytest

from magpie_hub import models, template
from magpie_hub.stages.endings import (
    CUT,
    DRIFT,
    GARBLED,
    LEAKED,
    NOTHING,
    REPEATED,
    closes,
    drifts,
    ending,
    repeats,
)

CHAT = template.load(models.resolve("bundled:chat").path)
PAST = [
    {"role": "user", "content": "Which trees grow fast in a small garden?"},
    {
        "role": "assistant",
        "content": "Birch and rowan grow fast and stay small. Plant them in spring, water them in "
        "the first summer, and cut them back in autumn.",
    },
    {"role": "user", "content": "How much water does a young birch need in its first summer?"},
    {"role": "assistant", "content": "About 10 litres twice a week."},
]


def why(query: str, *, ended: bool = True) -> str | None:
    return ending(query, ended=ended, messages=PAST, templates=[CHAT], max_tokens=64)


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("", NOTHING),
        ("Thank you!", NOTHING),
        ("Is that \ufffd", GARBLED),
        ("And a rowan?<|im_end|>", LEAKED),
        ("User: And a rowan?", LEAKED),
        ("You're welcome! Let me know if you need anything else.", DRIFT),
        ("Sure! Here is a list of trees.", DRIFT),
        ("Answer: a birch.", LEAKED),
        ("how much water does a  young birch need in its first summer", REPEATED),
        ("And a rowan?", None),
        ("How much water does a young rowan need in its second summer?", None),
    ],
)
def test_each_reason_has_its_rule(query: str, reason: str | None) -> None:
    assert why(query) == reason


def test_what_was_cut_off_is_no_question() -> None:
    assert why("And a rowan", ended=False) == CUT


@pytest.mark.parametrize(
    "query",
    [
        "How can I help you today?",
        "Is there anything else I can help you with?",
        "I'm happy to help with that.",
        "I am an AI language model and have no garden.",
        "I cannot help with that request.",
        "¿En qué más puedo ayudarte hoy?",
        "¡Claro! Aquí tienes una lista de árboles.",
        "Comment puis-je vous aider ?",
        "Bien sûr ! Voici une liste.",
        "Wie kann ich Ihnen noch helfen?",
        "Gern geschehen! Viel Erfolg im Garten.",
        "Natürlich! Hier ist eine Liste.",
        "Come posso aiutarti?",
        "Como posso ajudar?",
        "Чем я могу вам помочь?",
        "不客气！祝你好运。",
        "我是一个人工智能助手。",
        "どういたしまして。",
        "무엇을 도와드릴까요?",
        "What is a birch?\nAntwort: Ein Baum mit weißer Rinde.",
        "¿Qué es un abedul?\nRespuesta: un árbol.",
        "什么是白桦？\n答案：一种树。",
    ],
)
def test_an_assistant_is_told_from_a_user(query: str) -> None:
    assert drifts(query, [])


@pytest.mark.parametrize(
    "query",
    [
        "How can I help my neighbour with his garden?",
        "Can you help me?",
        "I'm sorry, I don't understand. Can you explain it?",
        "Please plan my garden. Let me know if you need more details.",
        "Welcome the guests in a short speech.",
        "¿Puedes ayudarme con mi jardín?",
        "Pouvez-vous m'aider ?",
        "Gerne, und was kostet das?",
        "Kannst du mir noch helfen?",
        "Claro, ¿y cuánto cuesta?",
        "你可以帮我吗？",
        "我可以种白桦吗？",
        "Puoi aiutarmi?",
    ],
)
def test_a_user_is_no_assistant(query: str) -> None:
    assert not drifts(query, [])


ANSWER = PAST[1]["content"]


def test_an_answer_that_is_said_again_is_the_assistants() -> None:
    assert drifts(ANSWER, ["Something else.", ANSWER])
    assert drifts(ANSWER.partition(". ")[2].upper(), [ANSWER])
    assert not drifts(ANSWER, [])


@pytest.mark.parametrize(
    "query",
    [
        f"Translate this to French: {ANSWER}",
        f"{ANSWER}\n\nWhat do you mean by small?",
        "Birch and rowan grow fast?",
    ],
)
def test_an_answer_may_be_quoted(query: str) -> None:
    assert not drifts(query, [ANSWER])


@pytest.mark.parametrize(
    "query",
    [
        "Great, thanks.",
        "That helps a lot.",
        "Perfect!",
        "Thank you so much for your help! Have a great day! 🌞",
        "OK, that's all for today. Bye!",
        "No, thanks.",
        "¡Muchas gracias! Eso es todo.",
        "Merci beaucoup, c'est parfait !",
        "Vielen Dank für deine Hilfe!",
        "Grazie mille.",
        "Muito obrigada!",
        "Спасибо большое!",
        "谢谢你的帮助！再见。",
        "ありがとうございます。",
        "감사합니다!",
        "👍",
        "...",
    ],
)
def test_thanks_and_goodbyes_ask_nothing(query: str) -> None:
    assert closes(query)


@pytest.mark.parametrize(
    "query",
    [
        "Thanks! And in winter?",
        "Great, now write it in JavaScript.",
        "Perfect, make it shorter",
        "Okay, and for 5 days",
        "Yes please",
        "No",
        "3",
        "Thanks to whom did the war end?",
        "谢谢，还有别的树吗？",
        "Danke, jetzt auf Englisch bitte.",
    ],
)
def test_a_thanks_that_goes_on_is_a_question(query: str) -> None:
    assert not closes(query)


LONG = "Please write a short and friendly letter to my landlord about the broken heating in {}."


@pytest.mark.parametrize(
    ("query", "before", "same"),
    [
        ("What is 3 + 4?", "what is  3 + 4?", True),
        ("What is 3 + 4?", "What is 3 + 4", True),
        ("What is 3 + 4?", "What is 3 + 5?", False),
        ("And in Spain?", "And in France?", False),
        (LONG.format("flat 12"), LONG.format("flat 12") + " Thank you", True),
        (LONG.format("flat 12"), LONG.format("flat 13"), False),
        (LONG.format("the kitchen"), "Write a poem about spring.", False),
        ("春天种什么树好", "春天种什么树好？", True),
        ("春天种什么树好", "秋天种什么花好？", False),
        ("?", "!", False),
    ],
)
def test_the_same_question_in_other_dress(query: str, before: str, same: bool) -> None:
    assert repeats(query, before) == same


def test_a_long_message_costs_no_time() -> None:
    """No rule is a regular expression that runs away."""
    for text in ("thanks ok great " * 2000 + "x", "i can help " * 5000, "? \n" * 5000, "a " * 9999):
        assert ending(text, ended=True, messages=PAST, templates=[], max_tokens=64) is None
