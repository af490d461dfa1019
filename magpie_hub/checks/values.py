"""The final answer of a solution, and whether two of them say the same."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from magpie_hub.checks.expressions import LONGEST, Value, alike, value_of
from magpie_hub.checks.typeset import plain

_BRACES = re.compile(r"\\(?:boxed|fbox)\s*\{|\\.|[{}]")
_BARE_BOX = re.compile(r"\\boxed\s+([^\s{}$]+)")
_SAID = re.compile(
    r"####|\b(?:final |correct )?(?:answer|option|choice)(?: (?:is|would be)\b:?|\s*:)",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"[.。!](?=\s|$)|\n|\b(?:because|since)\b|$")
_LETTER = re.compile(
    r"(?:option |choice )?(?:\(([A-J])\)|([A-J])[).:](?=\s|$)|([A-J])$)(?!\s*[=<>+*/^-])"
)
_BOLD = re.compile(r"\*\*([^*\n]{1,80})\*\*")
_MATH = re.compile(
    r"\$\$?(?!\s)([^$]+)(?<!\s)\$\$?(?!\d)|\\\(([^$]{1,200}?)\\\)|\\\[([^$]{1,200}?)\\\]"
)
_OPEN, _CLOSE = re.compile(r"^(?:\\[(\[]|\$+)"), re.compile(r"(?:\\[)\]]|(?<!\\)\$+)$")
_EQUALS = re.compile(r"(?<![<>!=:])=(?!=)|≈|\\approx")
_NUMBER = re.compile(
    r"(?<![\w.])[-−]?[$£€¥]?\d[\d,]*(?:\.\d+)?(?:/\d+|[eE][+-]?\d+)?(?![\w]|[.,]\d)\s?%?"
)
_EDGES = re.compile(r"[\"'`*$]|(?<=\w)[.,;:!?]+(?=\s|$)")


def final_answer(text: str) -> str | None:
    """What a solution, without its thinking, ends at: the last ``\\boxed``, or what follows "the
    answer is" or ``####``, or, of the last line, what follows "=", the last bold, the last formula
    or number, or the letter that it is. None where there is none of these."""
    for found in (_boxed(text), _said(text), _last(text)):
        if found and (answer := _bare(found)):
            return answer
    return None


def same(a: str, b: str) -> bool:
    """Whether two final answers are equal as values; in words where they are no values. Units and
    signs of currency do not count: "5 cm" is "5", and thereby "5 m"; a percentage is its
    fraction. A bare list has no order, a tuple has. Any input returns within milliseconds."""
    one, other = _value(a), _value(b)
    if one is None or other is None:
        return one is other and _words(a) == _words(b)
    return alike(one, other)


def _boxed(text: str) -> str | None:
    open_: list[int | None] = []
    found = None
    for match in _BRACES.finditer(text):
        if match[0] == "}":
            if open_ and (start := open_.pop()) is not None:
                found = text[start : match.start()]
        elif match[0] == "{":
            open_.append(None)
        elif match[0].endswith("{") and len(match[0]) > 2:
            open_.append(match.end())
    if found is None and (bare := _BARE_BOX.findall(text)):
        found = bare[-1]
    return found


def _said(text: str) -> str | None:
    text = text.replace("**", "").replace("__", "")
    ends = [match.end() for match in _SAID.finditer(text)]
    if not ends:
        return None
    # The answer may stand in the next paragraph.
    said = text[ends[-1] :].lstrip(": \n")[:LONGEST]
    end = _SENTENCE_END.search(said)
    said = said[: end.start() if end else None].strip()
    formula = _MATH.match(said)
    if formula and formula.end() < len(said):
        said = formula[0]
    letter = _LETTER.match(said)
    return _group(letter) if letter else said


def _last(text: str) -> str | None:
    lines = [line for line in text.splitlines() if line.strip(" $*\\[]")]
    if not lines:
        return None
    line = lines[-1].strip()[-LONGEST:]
    if letter := _LETTER.match(line.strip("* ")):
        return _group(letter)
    sides = _EQUALS.split(line)
    if len(sides) > 1 and _value(side := _bare(sides[-1])) is not None:
        return side
    bold = [b for b in _BOLD.findall(line) if not b.rstrip().endswith(":")]
    if bold:
        return str(bold[-1])
    if _value(_bare(line)) is not None:
        return line
    if formulas := list(_MATH.finditer(line)):
        return _EQUALS.split(_group(formulas[-1]))[-1]
    numbers = [match[0] for match in _NUMBER.finditer(line)]
    return numbers[-1] if numbers else None


def _group(match: re.Match[str]) -> str:
    """The one that matched."""
    return next(group for group in match.groups() if group is not None)


def _bare(text: str) -> str:
    """Without what marks its edges."""
    text = text.strip().strip("*").strip().rstrip(".,;")
    inner = _CLOSE.sub("", text)
    # A dollar in front of a number, and none behind, is money.
    if inner != text or not re.match(r"\$\d", text):
        inner = _OPEN.sub("", inner)
    return inner.strip().rstrip(".,;").strip()


@lru_cache(maxsize=4096)
def _value(text: str) -> Value | None:
    return value_of(text)


def _words(text: str) -> list[str]:
    text = plain(text) if len(text) <= LONGEST else unicodedata.normalize("NFKC", text)
    return re.findall(r"\w+|[^\w\s]", _EDGES.sub("", text.casefold()))
