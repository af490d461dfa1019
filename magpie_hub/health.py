"""The health of sampled queries: what is wrong with how many, and what to try next."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from pydantic import BaseModel, ConfigDict

from magpie_hub.annotate.language import UNKNOWN, Identifier
from magpie_hub.engines import Completion, Decoding
from magpie_hub.errors import MissingExtra
from magpie_hub.recipe import Language
from magpie_hub.stages.screen import malformed
from magpie_hub.template import ChatTemplate
from magpie_hub.words import text_key

USABLE = 0.5
"""The share of queries without a fault from which a model is a source: below it, sampling costs
more than twice what it should, and faults that rules do not see are as frequent."""
NOTABLE = 0.1
"""The share from which a fault is worth a sentence."""
FAULTS = ("empty", "cut off", "leaked", "garbled", "fragment", "duplicate")
_CONTINUES = re.compile(r"^[,.;:!?)\]}%»…]|^['’]\w{1,2}\s")
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
# With these a person begins a question in lower case; another word there is the middle of one.
_OPENERS = frozenset(
    "a am an any are as can convert could create def describe did do does explain find for from "
    "generate get give has have help hello hey hi how i i'd i'm i've if import in is let list make "
    "my on please provide rewrite should show suggest summarize tell the there this translate use "
    "using was we were what what's when where which who whose why will with would write you "
    "pourquoi comment quel quelle est que qu'est-ce où cómo qué cuál dónde por para was wie wo wer "
    "warum wann können kannst".split()
)
_CONTINUERS = frozenset("and but nor of or than that to which whose y e und et de que".split())


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class Query(_Part):
    """A sampled query; ``fault`` is one of ``FAULTS`` and ``detail`` says more."""

    text: str
    tokens: int
    fault: str | None
    detail: str | None
    language: str | None


class Health(_Part):
    """Shares of the sampled queries; ``leaks`` counts the reasons for "leaked". ``languages`` is
    None without the extra that tells them, ``categories`` without a judge."""

    good: float
    faults: dict[str, float]
    leaks: dict[str, int]
    mean_tokens: float
    mean_characters: float
    languages: dict[str, float] | None
    categories: dict[str, float] | None


def measure(
    completions: Iterable[Completion], derived: ChatTemplate, max_tokens: int
) -> tuple[Query, ...]:
    """What was generated as queries, each with its first fault."""
    identify, seen = _identifier(), set[int]()
    queries = []
    for completion in completions:
        text, ended = derived.query(completion.token_ids)
        whole = ended or completion.finish_reason == "stop"
        fault, detail = _fault(text, whole, derived, seen, max_tokens)
        seen.add(text_key(text))
        queries.append(
            Query(
                text=text,
                tokens=len(completion.token_ids),
                fault=fault,
                detail=detail,
                language=identify(text) if identify and text else None,
            )
        )
    return tuple(queries)


def _fault(
    text: str, ended: bool, derived: ChatTemplate, seen: set[int], max_tokens: int
) -> tuple[str | None, str | None]:
    if reason := malformed(text, ended=ended, templates=[derived], max_tokens=max_tokens):
        return reason
    if is_fragment(text):
        return "fragment", "begins in the middle of a sentence"
    if text_key(text) in seen:
        return "duplicate", "the same as one before"
    return None, None


def is_fragment(text: str) -> bool:
    """Headless: it goes on with a sentence that is not there. Only scripts with case show it."""
    if _CONTINUES.match(text):
        return True
    word = text.split()[0].strip("\"'“‘(*_`").rstrip(",.:;?!")
    plain = _WORD.fullmatch(word) is not None and word.islower()
    casual = text.islower() and word not in _CONTINUERS  # who has no capitals writes like that
    return plain and word not in _OPENERS and not casual


def _identifier() -> Callable[[str], str] | None:
    try:
        return Identifier(Language()).identify
    except MissingExtra:
        return None


def health(queries: tuple[Query, ...], categories: dict[str, float] | None) -> Health:
    faults = Counter(query.fault for query in queries)
    leaks = Counter(query.detail for query in queries if query.detail and query.fault == "leaked")
    languages = Counter(query.language for query in queries if query.language)
    n = len(queries)
    return Health(
        good=faults[None] / n,
        faults={name: faults[name] / n for name in FAULTS},
        leaks=dict(leaks.most_common()),
        mean_tokens=sum(query.tokens for query in queries) / n,
        mean_characters=sum(len(query.text) for query in queries) / n,
        languages=shares(languages),
        categories=categories,
    )


def shares(counted: Counter[str]) -> dict[str, float] | None:
    return {k: c / counted.total() for k, c in counted.most_common()} if counted else None


def advice(
    health: Health, chat: ChatTemplate, decoding: Decoding, *, steered: bool, usable: bool
) -> Iterator[str]:
    """Sentences that follow from what was measured."""
    now = f"the temperature (now {decoding.temperature:g})"
    faults = {name: share for name, share in health.faults.items() if share >= NOTABLE}
    if "empty" in faults:
        yield (
            f"{faults['empty']:.0%} of the queries are empty, since the model ends the user's turn "
            f"at once: raise {now}, or take a model whose training kept the user's turns."
        )
    if "cut off" in faults:
        yield (
            f"{faults['cut off']:.0%} did not end within {decoding.max_tokens} tokens: lower {now},"
            " or raise sample.max_tokens if the queries read well up to there."
        )
    if "leaked" in faults:
        yield (
            f"{faults['leaked']:.0%} carry what is not a query's, most often one "
            f"{next(iter(health.leaks))}. The screen rejects them, so "
            f"{1 / max(health.good, 0.01):.1f} are sampled for each good one; lower {now}"
            + ("." if steered else ", or steer with a system prompt.")
        )
    if "garbled" in faults:
        yield f"{faults['garbled']:.0%} hold bytes that are no text: lower {now}."
    if "fragment" in faults:
        prompt = "" if steered else _against_fragments(chat)
        yield (
            f"{faults['fragment']:.0%} begin in the middle of a sentence: {prompt}lower {now}, or "
            "take another size of the model."
        )
    if "duplicate" in faults:
        yield f"{faults['duplicate']:.0%} repeat another: raise {now} or top_p, or steer."
    if health.languages and health.languages.get(UNKNOWN, 0.0) >= 0.5:
        yield "most queries are in no language that can be told: read some before going on."
    if not chat.system.startswith("in "):
        yield f"queries cannot be steered by a system prompt: {chat.system}."
    if chat.query_end is not None:
        yield (
            f"a query ends at the text {chat.query_end.strip()!r} and at no token of its own, so "
            "some run on into an answer, which costs time."
        )
    if not usable:
        yield (
            f"only {health.good:.0%} are without a fault, so this model is no source as it is; if "
            "nothing above helps, take another model."
        )
    elif not faults:
        yield "nothing stands in the way: the lines below make a dataset."


def _against_fragments(chat: ChatTemplate) -> str:
    if not chat.system.startswith("in "):
        return ""
    return 'try a system prompt in sample.steer, such as "You are a helpful assistant.", '
