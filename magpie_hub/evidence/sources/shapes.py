"""The shapes of published instruction sets, and all of them in one form.

A set is recognised by the names and types of its columns, never by its own name. Sources: the cards
of the sets (ShareGPT, WildChat, LMSYS-Chat-1M, Evol-Instruct, UltraChat, OpenHermes 1 and 2.5,
Tulu 2, GenQA, Alpaca, Self-Instruct, UltraFeedback) and of Magpie's own. Samples of each, written
by hand, stand in ``tests/evidence/sources/samples/``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from magpie_hub.errors import UsageError

TEXT, NUMBER = pl.String(), pl.Float64()
TEXTS = pl.List(TEXT)
MESSAGES = pl.List(pl.Struct({"role": TEXT, "content": TEXT}))
TURNS = pl.List(pl.Struct({"from": TEXT, "value": TEXT}))
INSTANCES = pl.List(pl.Struct({"input": TEXT, "output": TEXT}))
COMPLETIONS = pl.List(pl.Struct({"response": TEXT, "overall_score": NUMBER}))

Fits = Callable[[str, pl.DataType], bool]
"""Whether a source has a column of that name that can be read as that type."""

ROLES = ("system", "user", "assistant")
_ROLES = {
    **dict.fromkeys(("human", "user", "prompter"), "user"),
    **dict.fromkeys(("gpt", "assistant", "chatgpt", "bing", "bard", "model", "bot"), "assistant"),
}
_IDS = ("id", "uuid", "conversation_id", "conversation_hash", "prompt_id")
_NO_INPUT = ("", "<noinput>")
_LISTS = ("messages", "conversations", "conversation", "text")
_ELEMENT = pl.element()
MAPPABLE = ("question", "answer", "system", "messages")
"""What a mapping may name a column for."""


@dataclass(frozen=True)
class Shape:
    """``needs`` are the columns that it is told by; ``made`` is the conversation, or the pair (see
    :mod:`pairs`), out of them and of those of ``may`` that are there."""

    name: str
    needs: Mapping[str, pl.DataType]
    made: Callable[[pl.DataFrame], pl.Expr]
    may: Mapping[str, pl.DataType] = field(default_factory=dict)

    def columns(self, fits: Fits) -> dict[str, pl.DataType]:
        """Those to read of a source, an id among them where it has one."""
        found = dict(self.needs)
        found |= {name: kind for name, kind in self.may.items() if fits(name, kind)}
        number = next((name for name in _IDS if fits(name, TEXT)), None)
        return found | ({number: TEXT} if number else {})


def recognised(fits: Fits, columns: Mapping[str, str], where: str) -> Shape:
    """The first shape whose columns are there. ``UsageError`` says which ``columns`` (name and
    type) are, and how to say what they hold."""
    if (shape := fitting(SHAPES, fits)) is not None:
        return shape
    raise unknown(
        f"{where} has none of the shapes that are known",
        columns,
        f"'{where}#question=COLUMN,answer=COLUMN', or '#messages=COLUMN'",
    )


def fitting(shapes: Iterable[Shape], fits: Fits) -> Shape | None:
    """The first whose columns are there."""
    for shape in shapes:
        if all(fits(name, kind) for name, kind in shape.needs.items()):
            return shape
    return None


def unknown(problem: str, columns: Mapping[str, str], mapping: str) -> UsageError:
    found = ", ".join(f"{name} ({kind})" for name, kind in columns.items())
    return UsageError(f"{problem}; its columns are {found}; say what they hold: {mapping}.")


def mapped(given: Mapping[str, str], fits: Fits, columns: Mapping[str, str], where: str) -> Shape:
    """The shape that a mapping from :data:`MAPPABLE` to columns says. ``UsageError`` where it names
    no such column, or neither a question nor messages."""
    must_be_there(given, columns, where)
    if "messages" in given:
        name = given["messages"]
        for kind, make in ((MESSAGES, of_messages), (TURNS, _of_turns), (TEXTS, _of_texts)):
            if fits(name, kind):
                return Shape(f"messages in {name}", {name: kind}, _always(make(pl.col(name))))
        raise UsageError(
            f"the column '{name}' of {where} holds no messages: {columns[name]}; they are lists of "
            "{role, content}, of {from, value} or of texts in turn."
        )
    if not {"question", "answer"} <= given.keys():
        raise UsageError(f"{where}: a mapping names the question= and the answer=, or messages=.")
    must_be_text(given, fits, columns, where)
    parts = [
        message(role, pl.col(given[key]))
        for key, role in (("system", "system"), ("question", "user"), ("answer", "assistant"))
        if key in given
    ]
    needs = dict.fromkeys(given.values(), TEXT)
    return Shape(" and ".join(needs), needs, _always(pl.concat_list(parts)))


def must_be_there(given: Mapping[str, str], columns: Mapping[str, str], where: str) -> None:
    for key, name in given.items():
        if name not in columns:
            raise UsageError(
                f"{where} has no column '{name}' ({key}=); its columns are {', '.join(columns)}."
            )


def must_be_text(
    given: Mapping[str, str], fits: Fits, columns: Mapping[str, str], where: str
) -> None:
    for name in given.values():
        if not fits(name, TEXT):
            raise UsageError(f"the column '{name}' of {where} holds no text: {columns[name]}.")


def fits_type(found: pl.DataType, kind: pl.DataType) -> bool:
    """Whether values of the type ``found`` can be read as ``kind``: lists as lists, records by the
    fields that are needed."""
    if isinstance(kind, pl.List):
        if not isinstance(found, (pl.List, pl.Array)):
            return False
        inner = found.inner
        return isinstance(inner, pl.Null) or fits_type(_type(inner), _type(kind.inner))
    if isinstance(kind, pl.Struct):
        fields = found.fields if isinstance(found, pl.Struct) else []
        there = {f.name: _type(f.dtype) for f in fields}
        return all(
            f.name in there
            and (isinstance(there[f.name], pl.Null) or fits_type(there[f.name], _type(f.dtype)))
            for f in kind.fields
        )
    if kind == NUMBER:
        return found.is_numeric()
    return isinstance(found, (pl.String, pl.Categorical, pl.Enum))


def fits_value(value: Any, kind: pl.DataType) -> bool:  # noqa: ANN401
    """The same of a value out of a JSON file; null fits."""
    if value is None:
        return True
    if isinstance(kind, pl.List):
        inner = _type(kind.inner)
        return isinstance(value, list) and all(fits_value(each, inner) for each in value)
    if isinstance(kind, pl.Struct):
        return isinstance(value, dict) and all(
            f.name in value and fits_value(value[f.name], _type(f.dtype)) for f in kind.fields
        )
    if kind == NUMBER:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, str)


def read_value(value: Any, kind: pl.DataType) -> Any:  # noqa: ANN401
    """``value`` as ``kind``; null where it is none, which in a large file a few always are."""
    if isinstance(kind, pl.List):
        inner = _type(kind.inner)
        return [read_value(each, inner) for each in value] if isinstance(value, list) else None
    if isinstance(kind, pl.Struct):
        if not isinstance(value, dict):
            return None
        return {f.name: read_value(value.get(f.name), _type(f.dtype)) for f in kind.fields}
    if not fits_value(value, kind) or value is None:
        return None
    if kind == NUMBER:
        return float(value)
    # Half of a pair of surrogates, which JSON can spell and UTF-8 cannot.
    return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")


def whole(column: str) -> pl.Expr:
    """Whether every message says something, and every role is one that a chat template knows."""
    roles = pl.col(column).list.eval(_ELEMENT.struct.field("role").is_in(ROLES))
    return roles.list.all() & pl.col(column).list.eval(says_something(_ELEMENT)).list.all()


def says_something(message: pl.Expr) -> pl.Expr:
    return message.struct.field("content").str.strip_chars() != ""


def conversations(frame: pl.DataFrame, shape: Shape, start: int) -> pl.DataFrame:
    """``id`` and ``messages`` (:data:`MESSAGES`) of each row; where the source has no id, the row's
    number from ``start`` on."""
    number = next((name for name in _IDS if name in frame.columns), None)
    rows = pl.int_range(start, start + len(frame), dtype=pl.Int64, eager=True).cast(pl.String)
    id_ = rows if number is None else frame[number].cast(pl.String).fill_null(rows)
    messages = frame.select(shape.made(frame).alias("messages"))["messages"]
    return pl.DataFrame({"id": id_, "messages": messages.cast(MESSAGES)})


def _type(found: Any) -> pl.DataType:  # noqa: ANN401
    """Polars lets a type stand for its instance."""
    return found if isinstance(found, pl.DataType) else found()


def _always(made: pl.Expr) -> Callable[[pl.DataFrame], pl.Expr]:
    return lambda _: made


def _role(role: pl.Expr) -> pl.Expr:
    return role.str.to_lowercase().replace(_ROLES).alias("role")


def _said(role: str, content: str) -> pl.Expr:
    """A message out of a record with these two fields."""
    field_ = _ELEMENT.struct.field
    return pl.struct(_role(field_(role)), field_(content).fill_null("").alias("content"))


def of_messages(column: pl.Expr) -> pl.Expr:
    return column.list.eval(_said("role", "content"))


def _of_turns(column: pl.Expr) -> pl.Expr:
    return column.list.eval(_said("from", "value"))


def _of_texts(column: pl.Expr) -> pl.Expr:
    """Texts in turn, the user's first."""
    even = pl.int_range(pl.len()) % 2 == 0
    role = pl.when(even).then(pl.lit("user")).otherwise(pl.lit("assistant")).alias("role")
    return column.list.eval(pl.struct(role, _ELEMENT.fill_null("").alias("content")))


def message(role: str, content: pl.Expr) -> pl.Expr:
    return pl.struct(pl.lit(role).alias("role"), content.cast(TEXT).fill_null("").alias("content"))


def _pair(question: pl.Expr, answer: pl.Expr) -> pl.Expr:
    return pl.concat_list([message("user", question), message("assistant", answer)])


def _with_input(question: pl.Expr, input_: pl.Expr) -> pl.Expr:
    """Alpaca's context, behind the instruction."""
    blank = input_.str.strip_chars().str.to_lowercase().is_in(_NO_INPUT).fill_null(True)
    return pl.when(blank).then(question).otherwise(question + "\n\n" + input_)


def _instruction(frame: pl.DataFrame) -> pl.Expr:
    question = pl.col("instruction").cast(TEXT)
    if "input" in frame.columns:
        question = _with_input(question, pl.col("input").cast(TEXT))
    return _pair(question, pl.col("output"))


def _instance() -> pl.Expr:
    """Self-Instruct's first instance of a task."""
    first = pl.col("instances").list.get(0, null_on_oob=True).struct.field
    return _pair(_with_input(pl.col("instruction"), first("input")), first("output"))


def completions() -> tuple[pl.Expr, pl.Expr]:
    """The overall scores of UltraFeedback's answers, and the answers."""
    each = pl.col("completions").list.eval
    scores = each(_ELEMENT.struct.field("overall_score").cast(NUMBER))
    return scores, each(_ELEMENT.struct.field("response"))


def _best_completion() -> pl.Expr:
    """UltraFeedback's answer of the highest overall score, the first of equals."""
    scores, texts = completions()
    best = texts.list.get(scores.list.arg_max().fill_null(0), null_on_oob=True)
    return _pair(pl.col("instruction"), best)


def _chosen_behind(prompt: str, chosen: str) -> pl.Expr:
    return pl.concat_list([of_messages(pl.col(prompt)), of_messages(pl.col(chosen))])


def _texts(question: str, answer: str) -> Shape:
    made = _always(_pair(pl.col(question), pl.col(answer)))
    return Shape(f"{question} and {answer}", {question: TEXT, answer: TEXT}, made)


SHAPES = (
    *(
        Shape(f"{name} of {said}", {name: kind}, _always(make(pl.col(name))))
        for name in _LISTS
        for said, kind, make in (
            ("role and content", MESSAGES, of_messages),
            ("from and value", TURNS, _of_turns),
        )
    ),
    Shape(
        "prompt and chosen messages",
        {"prompt": MESSAGES, "chosen": MESSAGES},
        _always(_chosen_behind("prompt", "chosen")),
    ),
    Shape(
        "prompt and completion messages",
        {"prompt": MESSAGES, "completion": MESSAGES},
        _always(_chosen_behind("prompt", "completion")),
    ),
    Shape("chosen messages", {"chosen": MESSAGES}, _always(of_messages(pl.col("chosen")))),
    Shape("data: texts in turn", {"data": TEXTS}, _always(_of_texts(pl.col("data")))),
    Shape(
        "instruction and scored completions",
        {"instruction": TEXT, "completions": COMPLETIONS},
        _always(_best_completion()),
    ),
    Shape(
        "instruction and instances",
        {"instruction": TEXT, "instances": INSTANCES},
        _always(_instance()),
    ),
    _texts("instruction", "response"),
    Shape(
        "instruction, input and output",
        {"instruction": TEXT, "output": TEXT},
        _instruction,
        may={"input": TEXT},
    ),
    _texts("input", "output"),
    _texts("prompt", "completion"),
    _texts("prompt", "response"),
)
"""The surest first: a set that has its conversations and their parts is read by the former."""
