"""What can be told of a query and its answer by looking at them: lengths, loops, refusals, another
language than the query's, the answer's format, and marks that leaked into it."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pyarrow as pa

from magpie_hub.annotate.refusals import refusals
from magpie_hub.template.leaks import FOREIGN
from magpie_hub.words import Words, series

COLUMNS = pa.schema(
    [
        # Unicode code points.
        ("query_chars", pa.int64()),
        ("answer_chars", pa.int64()),
        # The share of the answer's runs of 4 words that stood in it before: 0 to 1.
        ("repetition", pa.float64()),
        # The answer's end says one thing over and over.
        ("loop", pa.bool_()),
        # The answer opens by declining.
        ("refusal", pa.bool_()),
        # The answer's own language; and whether it is the query's, null where either is unsure.
        ("answer_language", pa.string()),
        ("same_language", pa.bool_()),
        # Which of FORMATS the answer has.
        ("format", pa.list_(pa.string())),
        # What leaked into the answer, the first of LEAKS; null: nothing.
        ("leaked", pa.string()),
    ]
)
UNKNOWN = "und"
_RUN = 4
_LOOPS, _TAIL, _LONGEST_LOOP, _SHORTEST_REPEAT = 4, 2000, 400, 60
_DENSE = 3.0

_FENCE = re.compile(r"^ {0,3}(```|~~~).*?(?:^ {0,3}\1|\Z)", re.MULTILINE | re.DOTALL)
_ITEM = r"[ \t]*(?:[-*+•]|\d{1,3}[.)])[ \t]+\S"
FORMATS: dict[str, re.Pattern[str]] = {
    "code": re.compile(r"^ {0,3}(?:```|~~~)|(?:^(?: {4}|\t)\S.*[;{}()=:]\s*$\n?){2}", re.MULTILINE),
    "table": re.compile(r"^.*\|.*\n[ \t]*\|?[ \t]*:?-{2,}:?[ \t]*\|[ \t|:-]*$", re.MULTILINE),
    "math": re.compile(
        r"\$\$.+?\$\$|\\\[.+?\\\]|\\\(.+?\\\)|\\begin\{(?:equation|align|gather|cases|[bp]?matrix)"
        r"|(?<![\\\w$])\$(?=[^\s$])[^$\n]*[\\^_=+<>{}][^$\n]*(?<=[^\s\\])\$(?!\w)",
        re.DOTALL,
    ),
    "list": re.compile(rf"^{_ITEM}.*\n(?:.*\n){{0,4}}?{_ITEM}", re.MULTILINE),
    "markdown": re.compile(
        r"^#{1,6} \S|\*\*\S(?:[^*\n]*\S)?\*\*|^> \S|\[[^\]\n]+\]\(https?://[^)\s]+\)|`[^`\n]+`",
        re.M,
    ),
}
"""By name, in the order in which they are listed; all but code is looked for outside of fences."""

LEAKS: dict[str, re.Pattern[str]] = {
    "control token": FOREIGN,
    "thinking": re.compile(r"^\s*</?think(?:ing)?>|</think(?:ing)?>\s*$", re.MULTILINE),
    "role": re.compile(
        r"\A\W{0,4}(?:assistant|ai|bot|model)\W{0,3}(?::|\n)"
        r"|^\W{0,4}(?:(?:user|human|assistant|system)\W{0,3}:|(?:user|assistant)\s*$)",
        re.IGNORECASE | re.MULTILINE,
    ),
    "instruction heading": re.compile(
        r"^#{2,3} ?(?:instruction|input|response|query|prompt)s?:?\s*$", re.I | re.M
    ),
    "step heading": re.compile(r"\A\s*#{1,4} ?step \d+\b", re.IGNORECASE),
    "answer heading": re.compile(
        r"\A\W{0,4}(?:(?:the )?(?:final )?answer|solution|response|output|réponse|respuesta|antwort"
        r"|risposta|resposta|ответ|答案|回答|答え|답변?|jawaban|cevap|trả lời)\W{0,3}[:：]",
        re.IGNORECASE,
    ),
}
"""By name, the gravest first."""


def columns(
    queries: Sequence[str],
    answers: Sequence[str],
    *,
    identify: Callable[[str], str],
    languages: Sequence[str] | None = None,
) -> pa.Table:
    """A row for each query and its answer, by :data:`COLUMNS`. ``identify`` gives a text's language
    (``und``: unsure); ``languages``: the queries', where they are known already."""
    if languages is None:
        languages = [identify(query) for query in queries]
    theirs = [identify(answer) for answer in answers]
    values: list[Iterable[object]] = [
        map(len, queries),
        map(len, answers),
        repetitions(answers),
        map(loops, answers),
        refusals(answers),
        theirs,
        [
            None if UNKNOWN in pair else pair[0] == pair[1]
            for pair in zip(languages, theirs, strict=True)
        ],
        map(formats, answers),
        map(leaked, answers),
    ]
    arrays = [
        pa.array(list(column), kind) for column, kind in zip(values, COLUMNS.types, strict=True)
    ]
    return pa.table(arrays, schema=COLUMNS)


def repetitions(texts: Iterable[str]) -> list[float]:
    """For each text the share of its runs of 4 words that stood in it before; 0 where it has
    none."""
    shares: list[float] = []
    for words in Words.chunks(series(texts)):
        hashes, text, _ = words.runs(np.full(len(words), _RUN), shorter=False)
        runs = np.bincount(text, minlength=len(words))
        order = np.lexsort((hashes, text))
        again = (np.diff(hashes[order]) == 0) & (np.diff(text[order]) == 0)
        repeats = np.bincount(text[order][1:][again], minlength=len(words))
        shares += (repeats / np.maximum(runs, 1)).tolist()
    return shares


def loops(text: str) -> bool:
    """Whether the text ends in one stretch said four times or more, the last perhaps cut off."""
    tail = text[-_TAIL:]
    if len(tail) < _SHORTEST_REPEAT:
        return False
    # What is no loop packs badly; this saves the search nearly always.
    raw = tail.encode("utf-8", "surrogatepass")
    if len(raw) < _DENSE * len(zlib.compress(raw, 1)) and len(tail) > 4 * _SHORTEST_REPEAT:
        return False
    backward = tail[::-1]
    length = _period(backward)
    return length > 0 and bool(tail[-length:].strip())


def _period(text: str) -> int:
    """The least period that the text's beginning keeps for long enough to be a loop; 0: none."""
    for period in range(1, min(_LONGEST_LOOP, len(text) // _LOOPS) + 1):
        needed = max(_LOOPS * period, _SHORTEST_REPEAT)
        if needed <= len(text) and text[period:needed] == text[: needed - period]:
            return period
    return 0


def formats(answer: str) -> list[str]:
    """Of :data:`FORMATS`."""
    prose = _FENCE.sub("", answer) if "```" in answer or "~~~" in answer else answer
    return [
        name
        for name, pattern in FORMATS.items()
        if pattern.search(answer if name == "code" else prose)
    ]


def leaked(answer: str) -> str | None:
    """Of :data:`LEAKS`; what stands in a fence of code is the answer's own."""
    prose = _FENCE.sub("", answer) if "```" in answer or "~~~" in answer else answer
    return next((name for name, pattern in LEAKS.items() if pattern.search(prose)), None)
