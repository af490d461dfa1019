"""Text that is what it seems: for a card, a terminal, a line of a changelog."""

from __future__ import annotations

import re

# Controls, bidirectional overrides, invisible separators and tags.
_HIDDEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    r"\ufeff\ufff9-\ufffb\U000e0000-\U000e0fff]"
)


def visible(value: str) -> str:
    """Hidden and direction-changing characters as their escapes."""
    value = value.replace("\r\n", "\n")
    return _HIDDEN.sub(lambda m: m.group().encode("unicode_escape").decode(), value)


def one_line(value: str) -> str:
    """The same, with nothing in it that breaks the line."""
    return " ".join(visible(value).split())
