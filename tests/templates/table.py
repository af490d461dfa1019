"""Writes docs/templates.md: ``python -m tests.templates.table``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from magpie_hub import template
from magpie_hub.errors import UsageError
from magpie_hub.template import ChatTemplate
from magpie_hub.template.proof import OPENERS, QUERIES
from tests.templates.catalog import Entry, entries
from tests.templates.tokenizers import STYLES

PATH = Path(__file__).parents[2] / "docs" / "templates.md"
_TAIL = 44
_HEAD = """\
# Templates

magpie-hub knows no family of models. What a model is given to write a query, and what ends one, is
derived from its tokenizer's chat template and its `generation_config.json` when the model is
loaded, and proved before it is used. `magpie-hub probe MODEL` shows it for any model.

## What is derived

- **The prefix**: the text and the tokens before the user's message, found by rendering a
  conversation with a mark in the message's place. A system block that the template writes by itself
  stays. White space at the end of the prefix that would merge with the query's first token is left
  to the model.
- **The post-query text**: from the end of the query to where the answer begins; the generation
  prompt is its end.
- **The follow-up prefix**: the same for a later user turn, behind any history.
- **Stops**: a query ends at the first control token behind it, at end-of-sequence and at the
  generation config's stops; an answer at the token that the template writes behind it. The tokens
  between thinking and answer end nothing. Plain text never stops a query, unless the template has
  nothing else (`[/INST]` spelled in letters, `ASSISTANT:`): then the query ends where exactly that
  text begins.
- **System prompts**: in a turn of their own, in the query's turn, or nowhere, with the reason.
- **Thinking**: whether the prompt for an answer leaves it to the model (free), opens it or closes
  it at once, the variable that switches it, and how it is told from the answer.

Templates that want content as a list of parts get one. A template that asks for the date gets
{date}, so that a run is the same tomorrow.

## What is proved

For {queries} queries (one line, several, code, a list, a decimal number, other scripts, quotes and
an emoji), behind the bare prefix and again as a second turn, what `apply_chat_template` gives must
be the prefix's tokens, the query and the post-query text, token by token, on content as the
template leaves it. With a system prompt the same holds before it is used; further ones, between
which only the words differ, are proved with one query. A prefill, the beginning of the user's
message, has the tokens that the template gives for a message that begins so. White space at the end
of the prefix is left to the model where it merges with any of {openers} first letters and words.
Where the proof does not hold, the model is refused and the error names the token and both sides.

## Where a template is refused

In the recipe, `template: {{override: {{prefix: ..., post_query: ...}}}}` gives the prefix. Where
there is a chat template, the override must be a left side (and the post-query text a right side) of
what it renders, in tokens; a base model without one is taken at its word, and the round trip
through its tokenizer is proved.

## What is no query

A sampled text that holds the template's own marks, another template's, a role on a line of its own,
thinking, an answer to itself or the headings of a worked answer is rejected with the reason, never
cut or mended. Several lines, code, lists, quoted transcripts and answers that are given to be
graded are queries like any other.

## The table

Written by `python -m tests.templates.table` and held up to date by a test. The templates are those
in the wheel of `trl` (each with its `_training` twin) and, where a form is not there, small ones
written by hand from its documentation. Tokenizers are built on the spot:

{styles}

{proved} of {meant} templates that are meant for chat are proved; {refused} of {total} are refused.
Spaces are shown as `·`, line ends as `⏎`, control tokens in `⟨⟩`. "Indent" says what becomes of
white space before a query, which is always trimmed when it is sampled.
"""
_COLUMNS = (
    "template",
    "tokenizer",
    "the query stands behind",
    "a query ends at",
    "system prompt",
    "second turn",
    "thinking",
    "indent",
)


@dataclass(frozen=True)
class Row:
    """One template: what was derived, or why it was refused."""

    entry: Entry
    derived: ChatTemplate | None
    reason: str = ""

    @property
    def line(self) -> str:
        name, style = f"{self.entry.name} ({self.entry.origin})", self.entry.style.tokenizer
        chat = self.derived
        if chat is None:
            return f"| {name} | {style} | **refused**: {_cell(self.reason)} | | | | | |"
        shown = chat.visible(chat.prefix)
        ends = [str(chat.tokenizer.convert_ids_to_tokens(i)) for i in sorted(chat.stop_ids)]
        ends += [chat.query_end.strip() + " (text)"] if chat.query_end else []
        thinking = chat.thinking
        thought = thinking.state + (f", `{thinking.switch}`" if thinking.switch else "")
        cells = [
            name,
            style,
            _code(("…" if len(shown) > _TAIL else "") + shown[-_TAIL:])
            + (f" without its last {len(chat.residue)}" if chat.residue else ""),
            " ".join(_code(end) for end in ends),
            _cell(chat.system),
            "yes" if chat.followup is not None else "no",
            thought,
            chat.indentation,
        ]
        return f"| {' | '.join(cells)} |"


def rows() -> Iterator[Row]:
    for entry in entries():
        try:
            derived = template.derive(entry.tokenizer())
            if derived.system.startswith("in "):
                derived.query_prompt("You are a patient teacher of mathematics.")
        except UsageError as error:
            yield Row(entry, None, str(error))
        else:
            yield Row(entry, derived)


def page(found: list[Row]) -> str:
    meant = [row for row in found if row.entry.chat]
    head = _HEAD.format(
        date=template.DATE,
        queries=len(QUERIES),
        openers=len(OPENERS),
        styles="\n".join(f"- `{name}`: {what}" for name, what in STYLES.items()),
        proved=sum(row.derived is not None for row in meant),
        meant=len(meant),
        refused=sum(row.derived is None for row in found),
        total=len(found),
    )
    lines = [f"| {' | '.join(_COLUMNS)} |", "|---" * len(_COLUMNS) + "|"]
    return "\n".join([head, *lines, *(row.line for row in found), ""])


def _code(text: str) -> str:
    return "`" + _cell(text) + "`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    PATH.write_text(page(list(rows())), encoding="utf-8")
