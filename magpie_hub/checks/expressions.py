"""A short mathematical answer, in LaTeX or plain, as a value.

Rational numbers are exact; roots, π and functions are floats. A variable stands for a fixed number,
so that ``x^2-1`` and ``(x-1)(x+1)`` have one value. Of our own rather than Math-Verify's: that one
takes seconds for a hostile answer, stops it by a signal, which only a main thread can, and knows
neither ``1e3`` nor ``1 1/2``. Here every step is bounded: text, depth and digits.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from magpie_hub.checks.numbers import Number, bounded, factorial, power
from magpie_hub.checks.typeset import plain

LONGEST = 1000
"""Characters of an answer that is read as a value."""
_DEEPEST = 30


@dataclass(frozen=True)
class Many:
    """Values behind one another. ``kind`` is the pair of brackets, "{}" where the order means
    nothing, as in a bare list; or the name of "x = 1"."""

    kind: str
    items: tuple[Value, ...]


Value = Number | Many

_TOKEN = re.compile(r"\d+(?:\.\d+)?(?:[eE][+-]?\d{1,3}(?!\d))?|\.\d+|\\[A-Za-z]+|\S")
_GREEK = re.compile(
    r"\\(?:alpha|beta|gamma|delta|epsilon|theta|lambda|mu|rho|sigma|tau|phi|omega|infty)"
)
_FUNCTIONS: dict[str, Callable[[float], float]] = {
    r"\sin": math.sin,
    r"\cos": math.cos,
    r"\tan": math.tan,
    r"\ln": math.log,
    r"\exp": math.exp,
}


def value_of(text: str) -> Value | None:
    """None where it is no number, expression, tuple, interval, set or list of them."""
    if len(text) > LONGEST:
        return None
    text = plain(text)
    words = re.findall(r"(?<![A-Za-z\\])[A-Za-z]{2,}", text)
    if words and (max(map(len, words)) > 3 or not re.search(r"[\d+*/^=]", text)):
        return None
    try:
        return _Reader(text).whole()
    except (ValueError, ArithmeticError, IndexError):
        return None


def alike(a: Value, b: Value) -> bool:
    """Floats to nine digits, all else exactly."""
    if isinstance(a, Many) or isinstance(b, Many):
        if not (isinstance(a, Many) and isinstance(b, Many)) or a.kind != b.kind:
            return False
        if a.kind != "{}":
            return len(a.items) == len(b.items) and all(map(alike, a.items, b.items))
        return all(_in(x, b) for x in a.items) and all(_in(x, a) for x in b.items)
    if isinstance(a, Fraction) and isinstance(b, Fraction):
        return a == b
    try:
        return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12)
    except OverflowError:
        return False


def _in(item: Value, many: Many) -> bool:
    return any(alike(item, other) for other in many.items)


class _Reader:
    """By recursive descent; ``ValueError``, ``ArithmeticError`` or ``IndexError`` where the text is
    no expression or its value is out of bounds."""

    def __init__(self, text: str) -> None:
        self.tokens = [*_TOKEN.findall(text), ""]
        self.at = 0
        self.depth = 0

    def whole(self) -> Value:
        items = self.items("")
        names = {item.kind for item in items if isinstance(item, Many) and item.kind[-1] == "="}
        if len(names) == 1:  # "x = 2", "x = 2 or 3", "x = 2 or x = 3"
            items = [i.items[0] if isinstance(i, Many) and i.kind in names else i for i in items]
        return items[0] if len(items) == 1 else Many("{}", tuple(items))

    def items(self, closers: str) -> list[Value]:
        """Up to one of ``closers``, which is taken, or to the end."""
        found = [self.item()]
        while self.tokens[self.at] in (",", ";"):
            self.at += 1
            found.append(self.item())
        if self.tokens[self.at] not in (tuple(closers) or ("",)):
            raise ValueError
        self.at += 1
        return found

    def item(self) -> Value:
        if self.tokens[self.at].isalpha() and self.tokens[self.at + 1] == "=":
            name = self.tokens[self.at]
            self.at += 2
            return Many(f"{name}=", (self.sum(),))
        return self.sum()

    def sum(self) -> Value:
        total = self.product()
        while (sign := self.tokens[self.at]) in ("+", "-"):
            self.at += 1
            other = _number(self.product())
            total = bounded(_number(total) + (other if sign == "+" else -other))
        return total

    def product(self) -> Value:
        total = self.factor()
        while (
            (sign := self.tokens[self.at]) in ("*", "/", "(", "{")
            or sign[:1] == "\\"
            or (sign.isalpha())
        ):
            if sign in ("*", "/"):
                self.at += 1
            other = _number(self.factor())
            total = bounded(_number(total) / other if sign == "/" else _number(total) * other)
        return total

    def factor(self) -> Value:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise ValueError
        sign = 1
        while self.tokens[self.at] in ("+", "-"):
            sign = -sign if self.tokens[self.at] == "-" else sign
            self.at += 1
        value = self.atom()
        while (mark := self.tokens[self.at]) in ("!", "%", "^"):
            self.at += 1
            if mark == "%":
                value = _number(value) / 100
            elif mark == "!":
                value = factorial(_number(value))
            else:
                value = power(_number(value), _number(self.factor()))
        self.depth -= 1
        return value if sign == 1 else -_number(value)

    def atom(self) -> Value:
        token = self.tokens[self.at]
        self.at += 1
        if token[:1].isdigit() or token[:1] == ".":
            return bounded(Fraction(token))
        if token in ("(", "["):
            items = self.items(")]")
            kind = token + self.tokens[self.at - 1]
            return items[0] if len(items) == 1 else Many(kind, tuple(items))
        if token == "⦃":
            return Many("{}", tuple(self.items("⦄")))
        if token == "{":
            (item,) = self.items("}")
            return item
        if token == r"\frac":
            above = self.argument()
            return bounded(above / self.argument())
        if token == r"\sqrt":
            root = Fraction(2)
            if self.tokens[self.at] == "[":
                self.at += 1
                root = Fraction(_number(self.items("]")[0]))
            return power(_number(self.atom()), 1 / root)
        if token in _FUNCTIONS:
            return _FUNCTIONS[token](float(_number(self.factor())))
        if token in (r"\pi", "e"):
            return math.pi if token == r"\pi" else math.e
        if token.isalpha() or _GREEK.fullmatch(token):
            return Fraction(9973 + int.from_bytes(token.encode(), "big") * 7919 % 9973, 9973)
        raise ValueError

    def argument(self) -> Number:
        """Of ``\\frac``: a group, or one digit or letter."""
        token = self.tokens[self.at]
        if token[:1].isdigit() and len(token) > 1:
            self.tokens[self.at : self.at + 1] = [token[0], token[1:]]
        return _number(self.atom())


def _number(value: Value) -> Number:
    if isinstance(value, Many):
        raise ValueError
    return value
