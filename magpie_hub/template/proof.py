"""Where the query stands, in text and in tokens, and the proof that it stands there.

A prefix is only good if the model sees the tokens that it was trained on. Its last characters may
merge with the first of the query (a space with a word, for one), and then they belong to the query:
the prefix ends before them and the model writes them. Anything but white space that merges is
refused.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from magpie_hub.errors import UsageError
from magpie_hub.template.rendering import Message, Renderer

SENTINEL = "\ue000Query\ue001"
QUERIES = (
    "What is the capital of France?",
    "Fix this:\n```python\ndef f(x):\n    return x  # twice\n```\n\nIt says `NameError`.",
    "Plan a trip.\n\n- three days\n- by train\n\nNo museums, please",
    "3.5 liters of water weigh how much?",
    "explain recursion to a child",
    "¿Qué hora es en Bogotá?",
    "日本の首都はどこですか？",
    "ما هي عاصمة مصر؟",
    '"Quote" or 🙂?',
)
OPENERS = (
    *"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789\"'`(*-#<[{$@/\\éñßЖαあ日中한مאहि",
    *"The What How I Can Could Write Create Explain Please My In If Is Let the what is def".split(),
)
INDENTED = "    return x\nWhy is this line indented"
TURN = ({"role": "user", "content": "Hello there!"}, {"role": "assistant", "content": "Hi, you."})
_CHANGED = "it changes the message itself, so no prefix can be exact for it"


@dataclass(frozen=True)
class Cut:
    """``before`` + query + ``after`` is a conversation up to where the answer begins.

    ``ids`` are the tokens before the query, whatever it is. ``residue`` is the white space at the
    end of ``before`` that merges with the query and so is not in ``ids``."""

    before: str
    after: str
    ids: tuple[int, ...]
    residue: str


def cut(renderer: Renderer, messages: Sequence[Message], residue: str | None = None) -> Cut:
    """The place of the user's message behind ``messages``. ``residue`` is given where it is known
    that so much merges."""
    text = renderer.text([*messages, {"role": "user", "content": SENTINEL}])
    if (count := text.count(SENTINEL)) != 1:
        raise UsageError(
            f"the chat template shows the user's message {count} times instead of once, so the "
            "place of the query cannot be found; give it in the recipe as "
            "template: {override: {prefix: ..., post_query: ...}}."
        )
    before, _, after = text.partition(SENTINEL)
    if residue is not None and before.endswith(residue):
        solid = before[: len(before) - len(residue)]
        ids = renderer.ids(solid)
        if renderer.ids(before + QUERIES[0] + after)[: len(ids)] == ids:
            return Cut(before, after, ids, residue)
    return heal(renderer, before, {query: before + query + after for query in QUERIES}, after)


def heal(renderer: Renderer, before: str, texts: Mapping[str, str], after: str) -> Cut:
    """The longest left side whose tokens no query changes; ``texts`` are renderings by query. Only
    white space may be left out, and it is where any of ``OPENERS`` merges with it."""
    found = renderer.batch([*texts.values()])
    opened = renderer.batch([before + opener for opener in OPENERS])
    solid = before.rstrip()
    for end in range(len(before), len(solid) - 1, -1):
        ids = renderer.ids(before[:end])
        tokens = found if end == len(solid) else found + opened
        if all(those[: len(ids)] == ids for those in tokens):
            break
    else:
        ids = renderer.ids(before)
        query, tokens_of_it = next(
            (q, t) for q, t in zip(texts, found, strict=True) if t[: len(ids)] != ids
        )
        raise _broken(renderer, before, query, tokens_of_it, ids)
    if not ids:
        raise UsageError(
            "the chat template writes nothing before the user's message, so there is nothing that "
            "the model could continue; give a prefix as template: {override: {prefix: ...}}."
        )
    bos = renderer.tokenizer.bos_token_id
    if bos is not None and ids[:2] == (bos, bos):
        raise UsageError(
            f"the chat template writes {renderer.tokenizer.bos_token} twice at the start; mend it "
            "in the model's folder."
        )
    return Cut(before, after, ids, before[end:])


def prove(
    renderer: Renderer,
    place: Cut,
    messages: Sequence[Message] = (),
    *,
    exact: bool,
    queries: Sequence[str] = QUERIES,
) -> None:
    """The tokens that ``apply_chat_template`` gives are those of the derivation, for every one of
    ``queries`` behind ``messages``. ``exact``: nothing stands between ``before``, the query and
    ``after``; an override may leave that open."""
    for query in queries:
        conversation = [*messages, {"role": "user", "content": query}]
        text, found = renderer.text(conversation), renderer.encode(conversation)
        middle = _middle(text, place)
        if middle is None or (middle.strip() != query if exact else query not in middle):
            derived = renderer.ids(place.before + query + place.after)
            raise _broken(renderer, place.before, query, found, derived, _CHANGED)
        if found[: len(place.ids)] != place.ids:
            raise _broken(renderer, place.before, query, found, place.ids)
        derived = renderer.ids(place.before + middle + place.after)
        if found != derived:
            raise _broken(renderer, place.before, query, found, derived)
        if query.split() and not _holds(renderer, found[len(place.ids) :], query):
            raise UsageError(
                f"the tokenizer does not keep the query {query!r}: its tokens say "
                f"{renderer.decode(found[len(place.ids) :])!r}."
            )


def begin(
    renderer: Renderer, place: Cut, messages: Sequence[Message], prefill: str
) -> tuple[int, ...]:
    """The tokens up to the end of ``prefill``, with which the user's message at ``place`` begins,
    as ``apply_chat_template`` gives them for every one of ``QUERIES`` behind it and a space.
    ``UsageError`` where the template changes it or a token goes on across its end."""
    start = place.before + prefill
    ids = renderer.ids(start)
    for query in QUERIES:
        conversation = [*messages, {"role": "user", "content": f"{prefill} {query}"}]
        if not renderer.text(conversation).startswith(start):
            raise UsageError(f"the chat template changes the prefill {prefill!r}.")
        found = renderer.encode(conversation)
        if found[: len(ids)] != ids or ids[: len(place.ids)] != place.ids:
            advice = "choose a prefill that ends with another word"
            raise _broken(renderer, start, f"{prefill} {query}", found, ids, advice)
    return ids


def indentation(renderer: Renderer, place: Cut) -> str:
    """What becomes of white space before a query: "kept", "trimmed" by the template, or "merged"
    with the prefix in tokens. Sampled queries are trimmed, so all three are safe."""
    middle = _middle(renderer.text([{"role": "user", "content": INDENTED}]), place)
    if middle is None or middle == INDENTED.strip():
        return "trimmed"
    found = renderer.encode([{"role": "user", "content": INDENTED}])
    return "kept" if found[: len(place.ids)] == place.ids else "merged"


def _middle(text: str, place: Cut) -> str | None:
    if text.startswith(place.before) and text.endswith(place.after):
        return text[len(place.before) : len(text) - len(place.after)]
    return None


def _holds(renderer: Renderer, ids: Sequence[int], query: str) -> bool:
    """Tokenizers differ in the spaces that decoding shows and in Unicode form, not in characters. A
    query with characters that the tokenizer has no token for is no query of this model."""
    if renderer.tokenizer.unk_token_id in ids:
        return True
    return _bare(query) in _bare(renderer.decode(ids))


def _bare(text: str) -> str:
    return "".join(unicodedata.normalize("NFKC", text).split())


def _broken(
    renderer: Renderer,
    before: str,
    query: str,
    found: Sequence[int],
    derived: Sequence[int],
    advice: str = "give one that ends where tokens end as template: {override: {prefix: ...}}",
) -> UsageError:
    at = next(
        (i for i, (a, b) in enumerate(zip(found, derived, strict=False)) if a != b),
        min(len(found), len(derived)),
    )
    return UsageError(
        f"the derived prefix {before!r} does not survive a round trip: for the query {query!r} the "
        f"template's token {at} is {_token(renderer, found, at)} where the derivation has "
        f"{_token(renderer, derived, at)}; {advice}."
    )


def _token(renderer: Renderer, ids: Sequence[int], at: int) -> str:
    if at >= len(ids):
        return "the end"
    return f"{ids[at]} {renderer.tokenizer.convert_ids_to_tokens(ids[at])!r}"
