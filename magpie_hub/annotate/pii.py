"""Secrets and personal data in a text, and characters that do not belong in one.

What can be computed is computed, so that few are flagged in vain: card numbers by Luhn, IBANs by
their remainder, phone numbers by their country's plan, keys by their form. What is made to be shown
(example.com, 555-0123, 4242 4242 ..., 192.0.2.1) is an ``example``, which blocks nothing.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import polars as pl

from magpie_hub.annotate import specimens
from magpie_hub.errors import MissingExtra
from magpie_hub.words import series

EXAMPLE = "example"
KINDS = (
    "control token",
    "private key",
    "key",
    "password",
    "email",
    "iban",
    "card",
    "ip",
    "private ip",
    "phone",
    "local path",
    "bidi",
    "control character",
    EXAMPLE,
)
_QUIET = {EXAMPLE, "private ip"}


@dataclass(frozen=True)
class Finding:
    """``text[start:end]`` is of a ``kind`` (:data:`KINDS`); ``blocking``: no release should hold
    it."""

    kind: str
    start: int
    end: int
    blocking: bool


_Rule = tuple[re.Pattern[str], Callable[[re.Match[str]], str | None]]
_WORD = r"(?<![A-Za-z0-9_])"
_END = r"(?![A-Za-z0-9_])"
_KEYS = (
    r"hf_[A-Za-z]{34}",
    r"sk-(?:proj-|svcacct-|admin-|ant-[a-z0-9]+-|or-v1-)?[A-Za-z0-9_-]{20,200}",
    r"(?:AKIA|ASIA)[0-9A-Z]{16}",
    r"gh[oprsu]_[A-Za-z0-9]{36}",
    r"github_pat_[A-Za-z0-9_]{22,100}",
    r"glpat-[A-Za-z0-9_-]{20}",
    r"xox[abeoprs]-[A-Za-z0-9-]{10,200}",
    r"AIza[0-9A-Za-z_-]{35}",
    r"ya29\.[0-9A-Za-z_-]{20,}",
    r"[rs]k_(?:live|test)_[0-9A-Za-z]{20,200}",
    r"npm_[A-Za-z0-9]{36}",
    r"pypi-AgE[A-Za-z0-9_-]{50,}",
    r"SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}",
    r"eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}",
)
# Packages, classes of style sheets and places have such names.
_NAME = re.compile(r"sk(?:[-_][a-z]{1,15}|[-_]\d{1,4})+")
# A heading alone is talk about keys; a key has a body.
_PEM = re.compile(
    r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----\s+(?:[\w-]+:.*\s+)*"
    r"(?P<body>(?:[A-Za-z0-9+/=]{16,}\s+|\.{3}\s*)+(?:[A-Za-z0-9+/=]{1,15}\s+(?=-----END))?)"
    r"(?:-----END [A-Z0-9 ]+-----)?"
)
_PASSWORD = re.compile(r"[a-z][a-z0-9+.-]*://(?P<user>[^\s:/@]+):(?P<secret>[^\s:/@]+)@[\w.-]+")
_EMAIL = re.compile(
    r"(?<![\w.+%-])(?P<user>[A-Za-z0-9](?:[A-Za-z0-9._%+-]{0,62}[A-Za-z0-9_+-])?)@"
    r"(?P<host>(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,24})(?![\w-]|\.\w)"
)
_IBAN = re.compile(_WORD + r"[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?" + _END)
_CARD = re.compile(r"(?<![\w.,-])\d(?:\d{11,18}|\d{3}(?:([ -])\d{4,6})(?:\1\d{4,5}){1,3})(?![\w-])")
_IPV4 = re.compile(r"(?<![\w.-])(?:\d{1,3}\.){3}\d{1,3}(?![\w-]|\.\d)")
_IPV6 = re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![\w:])")
_VERSION = re.compile(r"(?:\bv|\bversions?|\brelease|\bfirmware|\bbuild|[=<>~^])[\s:=]*$", re.I)
_PHONE = re.compile(
    r"(?<![\w.+-])(?:\+\d{1,3}[ .()/-]{0,2}(?:\(?\d{1,5}\)?[ ./-]{0,2}){2,6}\d"
    r"|(?:1[ .-])?(?:\(\d{3}\) ?|\d{3}[ .-])\d{3}[ .-]\d{4})(?![\w-])"
)
_PATH = re.compile(
    r"(?<![\w.~])(?:/home/|/Users/"
    r"|[A-Za-z]:(?:\\{1,2}|/)(?:Users|Documents and Settings)(?:\\{1,2}|/))"
    r"(?P<user>[^\s/\\\"'`:;,)]+)[^\s\"'`;,)]*"
)
# Overrides, embeddings and isolates turn what a reader sees; the plain marks are part of scripts.
_BIDI = re.compile("[\u202a-\u202e\u2066-\u2069]+")
_CONTROL = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufdd0-\ufdef\ufffe\uffff]+"
    "|(?<!\U0001f3f4)(?<![\U000e0020-\U000e007f])[\U000e0000-\U000e007f]+"
)


class Finder:
    """Finds with a template's own ``controls`` ("<|im_end|>", ...): none may stand in a text."""

    def __init__(self, controls: Iterable[str] = ()) -> None:
        try:
            import phonenumbers
        except ImportError as error:
            raise MissingExtra("phonenumbers", "annotate") from error
        self._phonenumbers = phonenumbers
        marks = "|".join(re.escape(mark) for mark in sorted(controls, key=len, reverse=True))
        # From the surest on: what one rule takes, the next ones leave alone.
        rules: tuple[_Rule, ...] = (
            (re.compile(marks or r"(?!)"), lambda _: "control token"),
            (_PEM, _private_key),
            (re.compile(f"{_WORD}(?:{'|'.join(_KEYS)}){_END}"), _key),
            (_PASSWORD, _password),
            (_EMAIL, _email),
            (_IBAN, _iban),
            (_CARD, _card),
            (_IPV4, _ip),
            (_IPV6, _ip),
            (_PHONE, self._phone),
            (_PATH, _path),
            (_BIDI, lambda _: "bidi"),
            (_CONTROL, lambda _: "control character"),
        )
        self._rules = rules
        self._screen = re.compile(_suspect(marks))
        self._fast_screen = _suspect(marks, rust=True)

    def find(self, text: str) -> tuple[Finding, ...]:
        """In the text's order; none overlaps another."""
        return self._look(text) if self._screen.search(text) else ()

    def find_each(self, texts: Iterable[str | None] | pl.Series) -> list[tuple[Finding, ...]]:
        """The same for many; nearly all are turned away by one look at the whole column."""
        column = series(texts)
        found: list[tuple[Finding, ...]] = [()] * len(column)
        suspects = column.str.contains(self._fast_screen).fill_null(False).arg_true()
        for place, text in zip(suspects, column.gather(suspects), strict=True):
            found[place] = self._look(text)
        return found

    def _look(self, text: str) -> tuple[Finding, ...]:
        found: list[Finding] = []
        for pattern, kind_of in self._rules:
            for match in pattern.finditer(text):
                start, end = match.span()
                if any(start < other.end and other.start < end for other in found):
                    continue
                if kind := kind_of(match):
                    found.append(Finding(kind, start, end, kind not in _QUIET))
        return tuple(sorted(found, key=lambda finding: finding.start))

    def _phone(self, match: re.Match[str]) -> str | None:
        written = match.group()
        phones = self._phonenumbers
        try:
            number = phones.parse(written, None if written.startswith("+") else "US")
        except phones.NumberParseException:
            return None
        if specimens.phone(number.country_code, str(number.national_number)):
            return EXAMPLE
        return "phone" if phones.is_valid_number(number) else None


def _suspect(marks: str, *, rust: bool = False) -> str:
    """A pattern without look-around that holds wherever a rule might: what it passes over has
    nothing to find. Rust's regular expressions take code points in another spelling."""
    ranges = (
        (0x00, 0x08), (0x0B, 0x0C), (0x0E, 0x1F), (0x7F, 0x9F), (0x202A, 0x202E), (0x2066, 0x2069),
        (0xFDD0, 0xFDEF), (0xFFFE, 0xFFFF), (0xE0000, 0xE007F),
    )  # fmt: skip
    spelling = r"\x{{{:x}}}-\x{{{:x}}}" if rust else r"\U{:08x}-\U{:08x}"
    odd = "[" + "".join(spelling.format(*each) for each in ranges) + "]"
    parts = [
        odd,
        r"[0-9A-Za-z_+-]@[0-9A-Za-z]",
        r"[0-9](?:[ ./()-]{0,3}[0-9]){6}",
        r"[A-Z]{2}[0-9]{2} ?[A-Z0-9]{4}",
        r"[0-9A-Fa-f]{0,4}:[0-9A-Fa-f]{0,4}:",
        r"-----BEGIN ",
        r"/(?:home|Users)/|:[\\/]{1,2}(?:Users|Documents and Settings)[\\/]",
        r"hf_|sk-|AKIA|ASIA|gh[oprsu]_|github_pat_|glpat-|xox[abeoprs]-|AIza|ya29\.|[rs]k_|npm_"
        r"|pypi-AgE|SG\.|eyJ",
        r"[0-9]\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]",
    ]
    return "|".join([*parts, marks] if marks else parts)


def _private_key(match: re.Match[str]) -> str:
    body = "".join(match.group("body").split())
    return "private key" if len(body) >= 64 and not specimens.made_up(body) else EXAMPLE


def _key(match: re.Match[str]) -> str | None:
    key = match.group()
    if _NAME.fullmatch(key):
        return None
    return EXAMPLE if specimens.made_up(key) else "key"


def _password(match: re.Match[str]) -> str:
    secret = match.group("secret")
    return EXAMPLE if specimens.word(secret) or specimens.says_so(secret) else "password"


def _email(match: re.Match[str]) -> str:
    return EXAMPLE if specimens.email(match.group("user"), match.group("host")) else "email"


def _iban(match: re.Match[str]) -> str | None:
    iban = match.group().replace(" ", "")
    if specimens.IBAN_LENGTHS.get(iban[:2]) != len(iban):
        return None
    if int("".join(str(int(letter, 36)) for letter in iban[4:] + iban[:4])) % 97 != 1:
        return None
    return EXAMPLE if iban in specimens.IBANS else "iban"


def _card(match: re.Match[str]) -> str | None:
    number = re.sub(r"\D", "", match.group())
    if not specimens.CARD.fullmatch(number) or not _luhn(number):
        return None
    return EXAMPLE if specimens.card(number) else "card"


def _luhn(number: str) -> bool:
    digits = [int(digit) for digit in reversed(number)]
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0


def _ip(match: re.Match[str]) -> str | None:
    written = match.group()
    try:
        address = ipaddress.ip_address(written)
    except ValueError:
        return None
    if _VERSION.search(match.string[max(0, match.start() - 12) : match.start()]):
        return None
    if specimens.ip(address):
        return EXAMPLE
    return "ip" if address.is_global else "private ip"


def _path(match: re.Match[str]) -> str:
    return EXAMPLE if specimens.word(match.group("user")) else "local path"


def counts(found: Iterable[tuple[Finding, ...]]) -> Iterator[tuple[str, int]]:
    """How many rows have a finding of each kind, in the order of :data:`KINDS`."""
    rows = [{finding.kind for finding in findings} for findings in found]
    for kind in KINDS:
        if count := sum(kind in row for row in rows):
            yield kind, count
