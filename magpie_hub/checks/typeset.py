"""LaTeX and plain writing of a short answer brought to one form."""

from __future__ import annotations

import re
import unicodedata

_SHORT = r"(?:cm|mm|km|kg|mg|lbs?|oz|ft|yd|mi|m[lL]|hrs?|min|sec|ms|mph|k?Hz|k[JW]|Pa|mol|USD|EUR)"
_COUNTS = "and|or|hundred|thousand|million|billion|trillion|dozen|half|halves|thirds"
_POWER = r"(?:\s*\^\{?[23]\}?)?"
_UNIT = rf"(?:\s*{_SHORT}\b|\s+[mgslhLKNJWVCF]\b|\s+(?!(?:{_COUNTS})\b)[A-Za-z]{{3,}})"
_RULES: list[tuple[re.Pattern[str], str]] = [
    (re.compile(pattern), plain)
    for pattern, plain in (
        (r"\\[dtc]frac", r"\\frac"),
        (r"\\(?:left|right|[bB]igg?[lr]?|displaystyle|limits)(?![a-zA-Z])", ""),
        (r"\{,\}|(?<=\d)\\[,!](?=\d{3})", ","),
        (r"(?:\\[,;:! ]|\\q?quad|~|\s)+", " "),
        (r"\\[()\[\]]|\\?\$|[£€¥₹]", ""),
        (r"(?<=[\d)}]) \*\* |(?<=[\w)}])\*\*(?=[\w({\\-])", "^"),
        (r"\\(?:cdot|times)(?![a-zA-Z])|[×·∙]", "*"),
        (r"\\div(?![a-zA-Z])|[÷⁄]", "/"),
        (r"[−–]", "-"),
        (r"√", r"\\sqrt"),
        (r"\\%| ?\bper ?cent\b", "%"),
        (r"\^\s*\{?\\circ\}?\s*[CF]?|\\degree|°[CF]?| ?\bdegrees?\b", ""),
        (r"(?<=[\d})%])\s*\\(?:text|mathrm|mbox)\s*\{\s*"
         rf"(?!(?:{_COUNTS})\b)[^{{}}\d]{{1,60}}\}}{_POWER}\s*$", ""),
        (r"\\(?:text(?:bf|it|rm)?|math(?:rm|bf|bb)|mbox|operatorname)\s*\{([^{}]*)\}", r" \1 "),
        # From here on no two blanks stand together: patterns with several stay linear.
        (r"\s+", " "),
        (r"\\\{", "⦃"),
        (r"\\\}", "⦄"),
        (r"(?<![A-Za-z\\])(sqrt|sin|cos|tan|ln|exp|pi|infty)(?![A-Za-z])", r"\\\1"),
        (r"π", r"\\pi"),
        (r"∞", r"\\infty"),
        (rf"^(\s*[-+]?\d[\d.,/]*){_UNIT}(?:[\s/]+[A-Za-z]+)*{_POWER}\s*$", r"\1"),
        (r"^\s*[A-Za-z](?:\([A-Za-z]\)\s*=|\s*\\in(?![a-zA-Z]))", ""),
        (r"(?<![\w^.}])(\d+)(?:\s+(?=\d+/)|\s*(?=\\frac))(\d+/\d+|\\frac\s*(?:\d|\{\d+\})\s*(?:\d|\{\d+\}))",
         r"(\1+\2)"),
        (r" ?,? (?:and|or) ", ","),
        (r"(?<=\d)[.] ?$|[. ]+$", ""),
    )
]  # fmt: skip
_RAISED = re.compile("[⁰¹²³⁴-⁻]+")
_VULGAR = re.compile("[¼-¾⅐-⅞]")
_THOUSANDS = re.compile(r"(?<![\d.])(?<!\d,)\d{1,3}(?:,\d{3})+(?!,?\d)")


def plain(text: str) -> str:
    """Without typesetting, units and signs of currency."""
    text = _RAISED.sub(lambda m: f"^{{{unicodedata.normalize('NFKC', m[0])}}}", text)
    text = _VULGAR.sub(lambda m: f" {unicodedata.normalize('NFKC', m[0])}", text)
    text = unicodedata.normalize("NFKC", text)
    for pattern, instead in _RULES:
        text = pattern.sub(instead, text)
    if not re.search(r"[(\[⦃]", text):
        text = _THOUSANDS.sub(lambda m: m[0].replace(",", ""), text)
    return text.strip()
