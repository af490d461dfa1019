"""Where a conversation ends: what the model wrote in the user's place, and is no further question.

A model that is asked for the user's next message sometimes forgets whose turn it is. What can be
told from the words alone is told here, by rules that name what they look for; they leave alone what
a person may well write (quotes with a request, thanks with a question, "let me know if you need
more details").
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from magpie_hub.stages.screen import malformed
from magpie_hub.template import ChatTemplate
from magpie_hub.words import normal_form, text_key

NOTHING, CUT, GARBLED, LEAKED = "no further question", "cut off", "garbled", "leaked"
DRIFT, REPEATED = "role drift", "repeated question"
REASONS = (NOTHING, CUT, GARBLED, LEAKED, DRIFT, REPEATED)
"""Why a sampled question is not asked."""
RULES = "1"
"""Enters fingerprints: a rule that changes makes other conversations."""

_ALIKE = 0.8
"""The Jaccard similarity of their runs of three words from which two questions are one."""
_RUN = 3
_ECHO_WORDS = 8
_CLOSING_CHARACTERS = 160

# What only an assistant says, by language.
_SPOKEN: dict[str, tuple[str, ...]] = {
    "en": (
        r"^(?:sure|certainly|of course|absolutely)[!,.]\s+(?:here|i|let)\b",
        r"\bhow (?:else )?(?:can|may|could) i (?:best )?(?:help|assist) you\b",
        r"\bwhat (?:else )?can i do for you\b",
        r"\bis there anything (?:else |more )?(?:i can (?:help|assist) you|i can help with\b"
        r"|i can do for you|you(?:['’]d| would) like (?:me|help)|you need help)",
        r"\bif you (?:have|need) any (?:other|more|further|additional) "
        r"(?:questions|help|assistance)",
        r"\bfeel free to (?:ask|reach out)[.!]*$",
        r"\bi(?:['’]m| am) (?:always )?here to (?:help|assist)\b",
        r"^you(?:['’]re| are) (?:very |most |always )?welcome\b(?! to\b)",
        r"^(?:i(?:['’]m| am) )?(?:glad|happy) (?:i could|to) (?:help|assist|be of)\b",
        r"\bi(?:['’]m| am) (?:just |only )?an? (?:ai|artificial intelligence"
        r"|(?:large )?language model|virtual assistant)\b",
        r"\bi (?:can['’]?t|cannot|am unable to|am not able to) (?:help you|assist you|assist with"
        r"|help with (?:that|this)|fulfil+ (?:this|that|your)|comply with)",
    ),
    "es": (
        r"\b(?:en qué|cómo) (?:más )?(?:te |le )?puedo ayudar(?:te|le)?\b",
        r"\bhay algo más en lo que (?:te |le )?pueda\b",
        r"^¡?de nada\b",
        r"\bsoy (?:solo )?(?:una? )?(?:ia|inteligencia artificial|modelo de lenguaje)\b",
        r"^¡?(?:claro(?: que sí)?|por supuesto|con gusto|desde luego)[!,.]+ ?¡?"
        r"(?:aquí (?:tienes|tiene|está|están|te|va)|a continuación)",
        r"\bno dudes en (?:preguntar|contactar)",
    ),
    "fr": (
        r"\b(?:comment|en quoi) puis-je (?:vous|t['’])\s?aider\b",
        r"\by a-t-il autre chose\b.{0,30}\bpuis(?:se)?\b",
        r"^(?:de rien|je vous en prie|je t['’]en prie)\b",
        r"\bje suis (?:une? )?(?:ia|intelligence artificielle|modèle de langage)\b",
        r"^(?:bien sûr|certainement|avec plaisir|volontiers) ?[!,.]+ ?(?:voici|voilà)\b",
        r"\bn['’]hésitez pas à (?:demander|me poser|me contacter)",
    ),
    "de": (
        r"\b(?:wie|womit|wobei) kann ich (?:dir|ihnen|euch) (?:noch |sonst |weiter)?helfen\b",
        r"\bkann ich (?:dir|ihnen|euch) sonst noch\b",
        r"^(?:gern geschehen|nichts zu danken|gerne wieder)\b",
        r"\bich bin (?:nur |bloß )?(?:eine? )?(?:ki|künstliche intelligenz|sprachmodell)\b",
        r"^(?:natürlich|gerne?|selbstverständlich|klar|sicher)[!,.]+ ?hier (?:ist|sind|kommt)\b",
    ),
    "it": (
        r"\bcome posso (?:aiutarti|aiutarla|esserti utile)\b",
        r"^(?:prego[!.]|di niente\b|di nulla\b)",
        r"\bsono (?:solo )?(?:un['’ ]?)?\s?(?:ia|intelligenza artificiale|modello linguistico)\b",
        r"^(?:certo|certamente|volentieri)[!,.]+ ?ecco\b",
    ),
    "pt": (
        r"\b(?:como|em que) posso (?:te |lhe )?ajudar\b",
        r"^de nada\b",
        r"\bsou (?:apenas )?(?:uma? )?(?:ia|inteligência artificial|modelo de linguagem)\b",
        r"^(?:claro|com certeza|certamente)[!,.]+ ?(?:aqui (?:está|estão|vai|vão)|segue)",
    ),
    "ru": (
        r"\b(?:чем|как) (?:я )?(?:ещё |еще )?(?:могу|смогу) (?:вам |тебе )?помочь\b",
        r"^не за что\b",
        r"\bя (?:всего лишь )?(?:искусственный интеллект|языковая модель)\b",
    ),
    "zh": (
        r"(?:我能|我可以|有什么(?:我)?(?:可以|能)).{0,6}(?:帮(?:助)?(?:你|您)|为(?:你|您)(?:做|服务))",
        r"^(?:不客气|不用谢|别客气)",
        r"我是(?:一个|一名|一款)?(?:AI|人工智能|语言模型)",
        r"^(?:好的|当然(?:可以)?|没问题)[，,！!。]\s?(?:以下|下面|这是)",
    ),
    "ja": (
        r"(?:何か|他に)(?:お手伝い|ご質問|ご不明).{0,16}(?:ますか|でしょうか|ください)",
        r"^どういたしまして",
        r"私は(?:AI|人工知能|言語モデル)",
        r"^(?:もちろん(?:です)?|承知しました|かしこまりました)[、，,！!。].{0,20}(?:以下|こちら)",
    ),
    "ko": (
        r"(?:무엇을|어떻게|더) 도와(?:드릴까요|드리겠습니다)",
        r"^천만에요",
        r"저는 (?:AI|인공지능|언어 모델)",
    ),
}
_ASSISTANT = re.compile(
    "|".join(pattern for patterns in _SPOKEN.values() for pattern in patterns), re.IGNORECASE
)
# A question, and behind it on a line of its own what calls itself its answer. English has its rule
# among the leaks.
_OWN_ANSWER = re.compile(
    r"[?？][^\n]*\n\s*\W{0,3}(?:respuesta|réponse|antwort|risposta|resposta|ответ|答案|回答|答|解答|답)"
    r"\W{0,2}[:：]\s*\S",
    re.IGNORECASE,
)
# Thanks, praise and goodbyes, by language, as they stand without punctuation.
_CLOSINGS: dict[str, tuple[str, ...]] = {
    "en": (
        r"(?:thank you|thanks|thx|cheers|many thanks)(?: so much| very much| a lot| a million"
        r"| again| anyway)?(?: for (?:the|your|all your|all the|everything)"
        r"(?: (?:help|information|info|explanation|answer|advice|tips|ideas))?)?",
        r"(?:great|perfect|awesome|wonderful|excellent|amazing|cool|nice|ok|okay|alright|good|fine"
        r"|brilliant|fantastic|lovely|understood|got it|i see|makes sense|sounds (?:good|great))"
        r"(?: (?:job|work|answer|idea))?",
        r"(?:that|this|it)(?:s| is| was) (?:all|it|great|perfect|good|enough|fine|awesome|amazing"
        r"|wonderful|excellent|(?:very |really |so )?helpful)"
        r"(?: (?:for (?:now|today)|i need(?:ed)?|thanks|thank you))*",
        r"(?:that|this) (?:really )?(?:helps|helped)(?: me)?(?: a lot)?",
        r"i (?:really )?appreciate (?:it|that|this|your help)|much appreciated",
        r"(?:i have )?no (?:(?:more|further|other) )?(?:questions|thanks|thank you)",
        r"(?:good ?)?bye(?: bye)?|see you(?: later| soon)?|take care|you too|will do",
        r"have a (?:great|nice|good|wonderful) (?:day|one|evening|weekend|time)",
        r"you(?:re| are) (?:great|awesome|the best)",
    ),
    "es": (
        r"(?:muchas |mil |muchísimas )?gracias(?: por (?:todo|tu ayuda|su ayuda|la ayuda"
        r"|la información|la respuesta))?",
        r"perfecto|genial|excelente|vale|entendido|de acuerdo|muy bien|muy amable|estupendo",
        r"eso es todo(?: por (?:ahora|hoy))?|nada más",
        r"adiós|hasta (?:luego|pronto|la próxima)|chao|que tengas (?:un )?buen día",
    ),
    "fr": (
        r"(?:un grand )?merci(?: beaucoup| bien| infiniment)?"
        r"(?: (?:pour|de) (?:tout|votre aide|ton aide|l aide|votre réponse|ta réponse))?",
        r"parfait|super|génial|très bien|d accord|compris|excellent|c est (?:parfait|super|noté)",
        r"c est tout(?: pour (?:aujourd hui|le moment))?",
        r"au revoir|à bientôt|bonne (?:journée|soirée)",
    ),
    "de": (
        r"(?:vielen|herzlichen|besten|tausend) dank|danke(?: schön| sehr| dir| ihnen| euch)?",
        r"für (?:deine|ihre|eure|die) (?:hilfe|antwort|informationen|infos)",
        r"super|perfekt|toll|prima|klasse|alles klar|verstanden|gut|sehr gut|wunderbar",
        r"das (?:ist|war|wäre) (?:dann )?alles(?: für (?:heute|jetzt))?",
        r"tschüss|auf wiedersehen|bis (?:bald|später|dann)|(?:einen )?schönen tag(?: noch)?",
    ),
    "it": (
        r"(?:molte )?grazie(?: mille| tante)?(?: per (?:tutto|l aiuto|la risposta))?",
        r"perfetto|ottimo|capito|va bene|è tutto|arrivederci|ciao",
    ),
    "pt": (
        r"(?:muito )?obrigad[oa](?: por tudo| pela (?:ajuda|resposta))?",
        r"perfeito|ótimo|entendi|é (?:só )?isso|tchau|até (?:logo|mais)",
    ),
    "ru": (
        r"(?:большое )?спасибо(?: большое| за (?:помощь|ответ))?",
        r"отлично|понятно|хорошо|это всё|до свидания|пока",
    ),
    "zh": (
        r"(?:非常|十分|太)?(?:谢谢|感谢|多谢)(?:你|您|大家)?(?:了|啦)?(?:的(?:帮助|解答|回答|建议))?",
        r"好的|好吧|明白了|知道了|太好了|太棒了|很好|没有(?:其他|别的)?(?:问题)?了|再见|拜拜",
    ),
    "ja": (
        r"(?:どうも|本当に)?ありがとう(?:ございます|ございました)?|助かりました",
        r"わかりました|分かりました|了解(?:です|しました)?|以上です|さようなら|なるほど",
    ),
    "ko": (r"(?:정말 |대단히 )?(?:감사합니다|고맙습니다|고마워요?)|알겠습니다|안녕히 계세요",),
}
_CLOSING = re.compile(
    r"(?:(?:"
    + "|".join(pattern for patterns in _CLOSINGS.values() for pattern in patterns)
    + r")(?: |$))+"
)
_NUMBER = re.compile(r"\d+")
_UNSPACED = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff"
_WORD = re.compile(rf"[{_UNSPACED}]|(?:(?![{_UNSPACED}])\w)+")


def ending(
    query: str,
    *,
    ended: bool,
    messages: Sequence[dict[str, str]],
    templates: Sequence[ChatTemplate],
    max_tokens: int,
) -> str | None:
    """Which of ``REASONS`` there is not to ask ``query`` behind ``messages``; None for a good one.

    ``ended``: the model stopped, it was not cut at ``max_tokens``. ``templates`` are those of the
    models that read it."""
    wrong = malformed(query, ended=ended, templates=templates, max_tokens=max_tokens)
    if wrong is not None and wrong[0] != LEAKED:
        return NOTHING if wrong[0] == "empty" else wrong[0]
    if drifts(query, [m["content"] for m in messages if m["role"] == "assistant"]):
        return DRIFT
    if wrong is not None:
        return LEAKED
    if closes(query):
        return NOTHING
    questions = (m["content"] for m in messages if m["role"] == "user")
    return REPEATED if any(repeats(query, before) for before in questions) else None


def drifts(query: str, answers: Sequence[str]) -> bool:
    """Whether it is the assistant that speaks: it offers help, says what only it says, answers its
    own question, or says again from beginning to end what stands in one of ``answers``."""
    if _ASSISTANT.search(query) or _OWN_ANSWER.search(query):
        return True
    words = _words(query)
    if len(words) < _ECHO_WORDS:
        return False
    first, *_, last = own = _runs(words)
    for answer in answers:
        said = set(_runs(_words(answer)))
        if first in said and last in said and sum(run in said for run in own) >= _ALIKE * len(own):
            return True
    return False


def closes(query: str) -> bool:
    """Whether it is nothing but thanks, praise or a goodbye."""
    if len(query) > _CLOSING_CHARACTERS or "?" in query or "？" in query:
        return False
    plain = re.sub(r"(?<=\w)['’](?=s\b|re\b)", "", normal_form(query))
    plain = " ".join(re.sub(r"[\W_]+", " ", plain).split())
    # A message of signs alone, an emoji, says nothing further.
    return not plain or _CLOSING.fullmatch(plain) is not None


def repeats(query: str, before: str) -> bool:
    """Whether it asks what ``before`` asked: in the same words, or with the same numbers in nearly
    the same ones."""
    if text_key(query) == text_key(before):
        return True
    one, other = _words(query), _words(before)
    if one == other:
        return bool(one)
    if _NUMBER.findall(query) != _NUMBER.findall(before):
        return False
    these, those = set(_runs(one)), set(_runs(other))
    return len(these & those) >= _ALIKE * len(these | those) > 0


def _words(text: str) -> list[str]:
    """As in ``words.py``, which is made for many texts at once."""
    return _WORD.findall(normal_form(text))


def _runs(words: Sequence[str]) -> list[tuple[str, ...]]:
    return [tuple(words[at : at + _RUN]) for at in range(len(words) - _RUN + 1)]
