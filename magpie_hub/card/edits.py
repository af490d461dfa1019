"""People edit a card on the Hub, and each release brings its own: both in one README.md.

Ours are some keys of the front matter and the lines from :data:`BEGIN` to :data:`END`; every other
byte is theirs and stays. The front matter is edited as text, key by key, since a YAML library
would lose its comments and its layout; what comes out is read again and must mean what it should.

Read a README.md as bytes or with ``newline=""``: Python would take its line ends away.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from magpie_hub.errors import HubError

__all__ = ["BEGIN", "END", "OWNED", "UNITED", "front_matter", "harmless", "holds", "marks", "merge"]

BEGIN = "<!-- magpie-hub:begin (each release writes this part anew: write above or below it) -->"
END = "<!-- magpie-hub:end -->"
OWNED = (
    *("configs", "dataset_info", "license", "license_name", "license_link", "language"),
    *("size_categories", "annotations_creators", "language_creators", "source_datasets"),
)
"""Keys whose value is the release's, where it has one."""
UNITED = ("tags", "task_categories")
"""Lists that hold what people wrote, and then what is missing of the release's."""
_OF_LICENSE = ("license_name", "license_link")  # of another licence than the release's, they go
_OURS = "The card of the release"
_THEIRS = "README.md on the Hub"


class _Loader(yaml.SafeLoader):
    """YAML's own reading of a date. lm-format-enforcer, which comes with vLLM, makes text of dates
    in every ``SafeLoader`` of the process."""

    yaml_constructors = {
        **yaml.SafeLoader.yaml_constructors,
        "tag:yaml.org,2002:timestamp": yaml.SafeLoader.construct_yaml_timestamp,
    }


@dataclass(frozen=True)
class _Card:
    """``front`` lies between the lines ``opening`` and ``closing``; ``None`` where there is
    none."""

    opening: str
    front: str | None
    closing: str
    body: str


@dataclass(frozen=True)
class _Field:
    """A top-level key with its value: ``front[start:end]``, and the comments in it."""

    start: int
    end: int
    node: yaml.Node
    value: Any
    comments: tuple[str, ...]


_Edit = tuple[int, int, str]


def merge(ours: str, theirs: str | None) -> str:
    """The README.md to upload: ``theirs``, the one on the Hub, with our keys and our block put in,
    in its line ends; ``ours`` where there is none. ``HubError`` where ``theirs`` cannot be read:
    nothing is guessed, and no text is lost."""
    if theirs is None or theirs == ours or not theirs.strip():
        return ours
    new, old = _split(ours, _OURS), _split(theirs, _THEIRS)
    eol = "\r\n" if re.match(r"[^\n]*\r\n", theirs) else "\n"
    front = _merged_front(new.front or "", old.front or "", eol)
    body = _merged_body(new.body, old.body, eol)
    opening, closing = (line or f"---{eol}" for line in (old.opening, old.closing))
    return opening + front + closing + ("" if closing.endswith("\n") else eol) + body


def holds(theirs: str, ours: str) -> bool:
    """Whether ``theirs`` has all of ``ours``, whatever people wrote beside it."""
    return merge(ours, theirs) == theirs


def marks(text: str) -> dict[str, str]:
    """The sha256 of each part of a card that is the release's alone: of our block under ``text``,
    and of the keys in ``OWNED`` that it has. A card that was merged keeps the marks of ours.
    ``HubError`` where it cannot be read."""
    text = text.replace("\r\n", "\n")
    card = _split(text, "The card")
    values = _values(card.front or "", "The card")
    parts = {name: json.dumps(values[name], default=str) for name in OWNED if name in values}
    if (found := _block(card.body, "The card")) is not None:
        parts["text"] = card.body[slice(*found)]
    return {name: hashlib.sha256(part.encode()).hexdigest() for name, part in parts.items()}


def front_matter(text: str) -> dict[str, Any] | None:
    """What the front matter of a card says; ``None`` where it has none. ``HubError`` where it
    cannot be read."""
    front = _split(text, "The card").front
    return None if front is None else _values(front, "The card")


def harmless(text: str) -> str:
    """``text`` without the marks of our block: the rows on a card are words of a model, and may
    say anything."""
    for mark in (BEGIN, END):
        text = text.replace(mark, r"\x3c" + mark[1:])
    return text


def _split(text: str, where: str) -> _Card:
    lines = re.findall(r"[^\n]*\n|[^\n]+$", text)
    fences = [at for at, line in enumerate(lines) if line.rstrip("\r\n") == "---"]
    if not fences or fences[0] != 0:
        if re.match(r"[\ufeff\s]*---[ \t]*(?:[\r\n]|$)", text):
            raise HubError(
                f"{where} has something before its front matter or behind the `---` that opens "
                "it, so that load_dataset does not see it; let `---` be the whole first line."
            )
        return _Card("", None, "", text)
    if len(fences) == 1:
        raise HubError(
            f"{where} opens a front matter with `---` and does not close it; write another line "
            "`---` behind its last key."
        )
    end = fences[1]
    return _Card(lines[0], "".join(lines[1:end]), lines[end], "".join(lines[end + 1 :]))


def _values(front: str, where: str) -> dict[str, Any]:
    try:
        values = yaml.load(front, _Loader)
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f" in line {mark.line + 2}" if mark else ""
        why = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise HubError(
            f"{where} has a front matter that is not YAML{line} ({why}); mend it there."
        ) from error
    if not isinstance(values, dict | None):
        raise HubError(f"{where} has a front matter without keys; write lines `key: value`.")
    return values or {}


def _fields(front: str, where: str) -> dict[str, _Field]:
    values = _values(front, where)
    root = yaml.compose(front, _Loader)
    if not isinstance(root, yaml.MappingNode):
        return {}
    if root.flow_style:
        raise HubError(f"{where} has its front matter in braces; write each key on its own line.")
    # The end mark of a collection lies behind the comments after it; that of a token does not.
    marks = ((token.start_mark.index, token.end_mark.index) for token in yaml.scan(front))
    spans = [(start, end) for start, end in marks if end > start]
    starts = [key.start_mark.index for key, _ in root.value]
    found: dict[str, _Field] = {}
    for (key, node), start, limit in zip(
        root.value, starts, [*starts[1:], len(front) + 1], strict=True
    ):
        if key.value in found:
            raise HubError(f"{where} has the key {key.value} twice; delete one of them.")
        own = [span for span in spans if start <= span[0] < limit]
        gaps = [front[a[1] : b[0]] for a, b in zip(own, own[1:], strict=False)]
        comments = tuple(each for gap in gaps for each in re.findall(r"#[^\r\n]*", gap))
        found[key.value] = _Field(start, own[-1][1], node, values.get(key.value), comments)
    return found


def _merged_front(ours: str, theirs: str, eol: str) -> str:
    new, old = _fields(ours, _OURS), _fields(theirs, _THEIRS)
    wanted = _values(theirs, _THEIRS)
    edits: list[_Edit] = []
    added = []
    for name, field in new.items():
        text = ours[field.start : field.end].rstrip("\n").replace("\n", eol)
        if name not in old:
            wanted[name] = field.value
            added.append(text + eol)
        elif name in UNITED:
            wanted[name], edit = _united(name, ours, field, theirs, old[name], eol)
            edits += edit
        elif name in OWNED and old[name].value != field.value:
            wanted[name] = field.value
            edits.append(_replaced(text, theirs, old[name], eol))
    for name in _OF_LICENSE:
        if name in old and name not in new and "license" in new:
            del wanted[name]
            edits.append(_replaced("", theirs, old[name], eol))
    front, at = "", 0
    for start, end, text in sorted(edits):
        front, at = front + theirs[at:start] + text, end
    front += theirs[at:] + "".join(added)
    _prove(front, wanted)
    return front


def _prove(front: str, wanted: Mapping[str, Any]) -> None:
    """Anchors, merge keys, a document's end, ... : what a line edit cannot see."""
    try:
        right = repr(_values(front, _THEIRS)) == repr(wanted)  # nan is not equal to itself
    except HubError:
        right = False
    if not right:
        raise HubError(
            f"{_THEIRS} has a front matter that cannot be edited safely; write its keys plainly, "
            "each with its value on lines of their own (no anchors, no merge keys)."
        )


def _replaced(text: str, front: str, field: _Field, eol: str) -> _Edit:
    """Comments within the old value go above the key."""
    end = field.end
    if not text and (rest := re.compile(r"[ \t]*\r?\n").match(front, end)):
        end = rest.end()
    elif text and front[:end].endswith("\n"):
        text += eol
    return field.start, end, "".join(each + eol for each in field.comments) + text


def _united(
    name: str, ours: str, field: _Field, theirs: str, old: _Field, eol: str
) -> tuple[list[Any], list[_Edit]]:
    """The list, and what is to be written for it."""
    there = [] if old.value is None else [old.value] if isinstance(old.value, str) else old.value
    if not isinstance(there, list):
        raise HubError(f"{_THEIRS} has {name} that are no list; write them as lines `- ...`.")
    nodes = zip(field.node.value, field.value, strict=True)
    missing = [ours[n.start_mark.index : n.end_mark.index] for n, v in nodes if v not in there]
    together = [*there, *(value for value in field.value if value not in there)]
    if not missing:
        return old.value, []
    if not there or isinstance(old.value, str):
        lines = yaml.safe_dump({name: together}, allow_unicode=True, width=2**20)
        return together, [_replaced(lines.rstrip("\n").replace("\n", eol), theirs, old, eol)]
    if isinstance(old.node, yaml.CollectionNode) and old.node.flow_style:
        at = old.end - 1
        comma = "" if theirs[:at].rstrip().endswith(",") else ", "
        return together, [(at, at, comma + ", ".join(missing))]
    at = old.end if theirs[: old.end].endswith("\n") else theirs.index("\n", old.end) + 1
    dash = " " * old.node.start_mark.column + "- "
    return together, [(at, at, "".join(dash + each + eol for each in missing))]


def _merged_body(ours: str, theirs: str, eol: str) -> str:
    start, end = _block(ours, _OURS) or (None, None)
    if start is None:
        raise HubError(f"{_OURS} lacks the line `{BEGIN}`; build the release again.")
    block = ours[start:end].replace("\n", eol)
    found = _block(theirs, _THEIRS)
    if found is not None:
        return theirs[: found[0]] + block + theirs[found[1] :]
    ended = not theirs or theirs.endswith("\n")
    return theirs + ("" if ended else eol) + (eol if theirs.strip() else "") + block + eol


def _block(body: str, where: str) -> tuple[int, int] | None:
    """From BEGIN to END, without the line end after it."""
    marks = [
        (match.start(), match.start() + len(match[0].rstrip()), match[0].rstrip())
        for match in re.finditer(r"[^\n]+", body)
        if match[0].rstrip() in (BEGIN, END)
    ]
    if not marks:
        return None
    if [mark for _, _, mark in marks] != [BEGIN, END]:
        begins = sum(mark == BEGIN for _, _, mark in marks)
        raise HubError(
            f"{where} has {begins} lines `{BEGIN}` and {len(marks) - begins} lines `{END}`; "
            "leave one of each, the first before the second, or delete all of them."
        )
    return marks[0][0], marks[1][1]
