"""How assistants decline, by language: regular expressions (Rust's), whatever the case.

They name the speaker's own inability or policy ("I can't help", "as an AI"), never a fact about the
matter ("water cannot burn").
"""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from magpie_hub.words import series

REFUSALS: dict[str, tuple[str, ...]] = {
    "en": (
        r"\bi(?:['’]m| am) (?:really |very |truly )?sorry,? (?:but )?(?:i|as an ai|that|this)\b"
        r"[^.]{0,40}?\b(?:can['’]?t|cannot|can not|won['’]?t|unable|not able|don['’]?t)\b",
        r"\bi (?:can['’]?t|cannot|can not|won['’]?t|will not|am unable to|am not able to) "
        r"(?:help|assist|fulfil+|comply|provide|create|write|generate|engage|answer|do that"
        r"|support|discuss|participate|share|satisfy|recommend|offer|give)\b",
        r"\bi (?:must|have to) (?:respectfully |politely )?(?:decline|refuse)\b",
        r"\bi don['’]?t feel comfortable\b",
        r"\bi['’]m (?:unable|not able) to (?:help|assist|fulfil+|provide|create|answer|access)",
        r"\bas an? (?:ai|artificial intelligence|(?:large )?language model|virtual assistant)\b"
        r"[^.]{0,60}?\b(?:can['’]?t|cannot|don['’]?t|do not|unable|not able|not capable)\b",
        r"\bi apologi[sz]e,? but (?:i|as)\b",
    ),
    "es": (
        r"\blo siento,? (?:mucho,? )?pero\b",
        r"\bno puedo (?:ayudar|proporcionar|cumplir|asistir|responder|crear|generar)",
        r"\bcomo (?:una? )?(?:ia|modelo de lenguaje|inteligencia artificial)\b.{0,40}\bno\b",
    ),
    "pt": (
        r"\bnão posso (?:ajudar|te ajudar|fornecer|atender|criar|responder|gerar)",
        r"\b(?:sinto muito|desculpe|lamento),? mas\b",
        r"\bcomo (?:uma? )?(?:ia|modelo de linguagem|inteligência artificial)\b.{0,40}\bnão\b",
    ),
    "fr": (
        r"\bje (?:suis (?:vraiment )?désolée?|regrette),? mais\b",
        r"\bdésolée?,? (?:mais )?je ne\b",
        r"\bje ne (?:peux|suis) pas (?:en mesure de )?(?:vous )?(?:aider|fournir|répondre|créer)",
        r"\ben tant qu(?:e |['’])(?:ia|modèle de langage|intelligence artificielle)\b.{0,40}\bne\b",
    ),
    "it": (
        r"\bmi dispiace,? (?:ma|però)\b",
        r"\bnon posso (?:aiutar|fornir|soddisfar|creare|rispondere)",
        r"\bcome (?:ia|modello linguistico|intelligenza artificiale)\b.{0,40}\bnon\b",
    ),
    "de": (
        r"\b(?:es )?tut mir leid,? aber\b",
        r"\bich kann (?:dir |ihnen )?(?:dabei |damit |das |diese[rn]? )?(?:anfrage )?(?:leider )?"
        r"nicht (?:helfen|erfüllen|behilflich|beantworten|unterstützen)",
        r"\bals (?:ki|ai|sprachmodell|künstliche intelligenz)\b.{0,60}\b(?:nicht|keine?n?)\b",
    ),
    "nl": (
        r"\bhet spijt me,? maar\b",
        r"\bik kan (?:je |u )?(?:hier |daar )?(?:niet|geen) .{0,20}(?:helpen|mee)",
        r"\bals (?:ai|taalmodel)\b.{0,60}\b(?:niet|geen)\b",
    ),
    "sv": (r"\bjag (?:är ledsen|beklagar),? men\b", r"\bjag kan (?:tyvärr )?inte hjälpa"),
    "pl": (
        r"\bprzykro mi,? ale\b",
        r"\bprzepraszam,? ale nie\b",
        r"\bnie mogę (?:ci |panu |pani )?(?:w tym )?pomóc",
        r"\bjako (?:model językowy|sztuczna inteligencja|ai)\b.{0,60}\bnie\b",
    ),
    "ru": (
        r"\b(?:извините|простите|к сожалению),? (?:но )?я не (?:могу|смогу)",
        r"\bя не могу (?:помочь|выполнить|предоставить|ответить|создать)",
        r"\bкак (?:ии|искусственный интеллект|языковая модель)\b.{0,60}\bне\b",
    ),
    "uk": (
        r"\b(?:вибачте|на жаль),? (?:але )?я не (?:можу|зможу)",
        r"\bя не можу (?:допомогти|виконати|надати|відповісти|створити)",
    ),
    "tr": (r"\büzgünüm,? (?:ama|ancak|fakat|bu)\b", r"\byardımcı olamam\b"),
    "vi": (
        r"\btôi (?:rất )?xin lỗi,? nhưng\b",
        r"\btôi không thể (?:giúp|cung cấp|hỗ trợ|trả lời|đáp ứng)",
    ),
    "id": (
        r"\bmaaf,? (?:tetapi |tapi |namun )?saya tidak (?:dapat|bisa)\b",
        r"\bsaya tidak (?:dapat|bisa) membantu",
    ),
    "zh": (
        r"(?:抱歉|对不起|對不起|很遗憾)[，,]?(?:但是?)?我(?:不能|无法|無法|没有办法)",
        r"我(?:不能|无法|無法)(?:协助|帮助|提供|满足|回答|協助|幫助)",
        r"作为(?:一个|一名)?(?:AI|人工智能|语言模型).{0,30}(?:不能|无法|没有)",
    ),
    "ja": (
        r"(?:申し訳(?:ありません|ございません)|すみません|ごめんなさい).{0,40}"
        r"(?:できません|できかねます|いたしかねます)",
        r"お(?:手伝い|答え)(?:することは)?(?:できません|できかねます)",
    ),
    "ko": (r"(?:죄송하지만|죄송합니다|미안하지만).{0,60}(?:수 없|어렵습니다)", r"도와드릴 수 없"),
    "ar": (
        r"(?:عذرا|عذرًا|آسف|أعتذر|للأسف).{0,20}لا (?:أستطيع|يمكنني)",
        r"لا (?:أستطيع|يمكنني) (?:مساعدتك|المساعدة|تقديم)",
    ),
    "hi": (r"(?:क्षमा करें|माफ़ करें|माफ कीजिए|मुझे खेद है).{0,60}(?:नहीं|असमर्थ)",),
}
_ANY = "(?i)" + "|".join(pattern for patterns in REFUSALS.values() for pattern in patterns)
_OPENING = 240


def refusals(answers: Iterable[str | None] | pl.Series) -> list[bool]:
    """Whether each answer declines. Only its opening counts: a long answer may well speak of what
    cannot be done."""
    openings = series(answers).str.slice(0, _OPENING)
    return openings.str.contains(_ANY).fill_null(False).to_list()
