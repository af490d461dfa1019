"""Every rule on every row, from Parquet to the list of bad rows: ours and pydantic row by row.

All get the same files, with 2,000 bad rows of 20 kinds among them, and must name just those. The
rules on pydantic's side are ours, as far as they concern these columns, written the way pydantic
wants them: patterns and bounds in its core, and one function for what lies between columns. Rows
are typed dictionaries, its fastest way, or models. It holds one batch of rows at a time.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from harness import Meter, Side, alternate, digest, ratios, same
from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    FiniteFloat,
    TypeAdapter,
    ValidationError,
    create_model,
)
from report import arguments, finish, show, show_ratios
from rows import BATCH, COLUMNS, Rows
from typing_extensions import TypedDict

from magpie_hub import schema
from magpie_hub.annotate.pii import KINDS
from magpie_hub.annotate.text import FORMATS, LEAKS
from magpie_hub.validation import Validator

ROWS, BAD, ROUNDS = 1_000_000, 2_000, 3
QUICK_ROWS, QUICK_BAD, QUICK_ROUNDS = 50_000, 100, 2
TIMES = 4
_READ = 10_000


def ours(meter: Meter, *, folder: str, times: int = 1) -> None:
    """``times``: look at the files so often, each time with ids of its own."""
    files = sorted(Path(folder).glob("*.parquet"))
    report = Path(folder, "bad-rows.jsonl")
    _checked(files[:1], None)
    for _ in meter.rounds():
        with meter.part() as part:
            part.work = _checked(files, report, times)
        lines = map(json.loads, report.read_text(encoding="utf-8").splitlines())
        # A table is one of BATCH rows.
        bad = {line["shard"] * BATCH + line["row"] for line in lines}
        part.digest, meter.facts["bad"] = digest(sorted(bad)), len(bad)


def _checked(files: list[Path], report: Path | None, times: int = 1) -> int:
    validator = Validator(Rows.schema, report)
    for number in range(times):
        for file in files:
            parquet = pq.ParquetFile(file)
            for group in range(parquet.num_row_groups):
                table = parquet.read_row_group(group)
                if number:
                    table = _renamed(table, f"-{number}")
                validator.check(table)
    return validator.result().rows


def _renamed(table: pa.Table, ending: str) -> pa.Table:
    for name in ("id", "nearest_id"):
        place, old = table.schema.get_field_index(name), table[name]
        new = pc.if_else(pc.utf8_is_space(old), old, pc.binary_join_element_wise(old, ending, ""))
        table = table.set_column(place, table.schema.field(place), new)
    return table


def pydantic(meter: Meter, *, folder: str, models: bool) -> None:
    files = sorted(Path(folder).glob("*.parquet"))
    check = TypeAdapter(_model() if models else Row).validate_python
    list(_refused(files[:1], check))
    for _ in meter.rounds():
        with meter.part() as part:
            bad = list(_refused(files, check))
        part.work = sum(pq.read_metadata(file).num_rows for file in files)
        part.digest, meter.facts["bad"] = digest(bad), len(bad)


def _refused(files: list[Path], check: Callable[[object], object]) -> Iterator[int]:
    ids: set[str] = set()
    number = -1
    for file in files:
        for batch in pq.ParquetFile(file).iter_batches(_READ):
            for row in batch.to_pylist():
                number += 1
                try:
                    check(row)
                except ValidationError:
                    yield number
                    continue
                if row["id"] in ids:
                    yield number
                ids.add(row["id"])


_CLEAN = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f]*$"
_SAID = re.compile(r"\S")


def _not_blank(text: str) -> str:
    if not _SAID.search(text):
        raise ValueError("is empty")
    return text


Text = Annotated[str, Field(pattern=_CLEAN)]
Named = Annotated[Text, AfterValidator(_not_blank)]
Code = Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]
Positive, NotNegative = Annotated[int, Field(gt=0)], Annotated[int, Field(ge=0)]
Share = Annotated[FiniteFloat, Field(ge=0, le=1)]
Category, Difficulty, Quality = (
    Literal[labels] for labels in (schema.CATEGORIES, schema.DIFFICULTIES, schema.QUALITIES)
)


class Message(TypedDict):
    role: Literal["system", "user", "assistant"]
    content: Named


class Fields(TypedDict):
    id: Named
    messages: Annotated[list[Message], Field(min_length=1)]
    category: Category | None
    other_categories: list[Category] | None
    difficulty: Difficulty | None
    quality: Quality | None
    reward: FiniteFloat | None
    reward_difference: FiniteFloat | None
    language: Code | None
    safety: Named | None
    pii: list[Literal[KINDS]] | None
    contaminated_by: Named | None
    min_neighbor_distance: FiniteFloat | None
    nearest_id: Named | None
    repeat_count: NotNegative | None
    intent: Text | None
    knowledge: Text | None
    quality_explanation: Text | None
    model: Named
    responder: Named
    temperature: Annotated[FiniteFloat, Field(ge=0)] | None
    top_p: Share | None
    seed: int | None
    system_prompt: Named | None
    finish_reason: Literal["stop", "length"]
    query_tokens: Positive
    response_tokens: Positive
    turns: Positive
    query_chars: Positive | None
    response_chars: Positive | None
    repetition: Share | None
    loop: bool | None
    refusal: bool | None
    response_language: Code | None
    same_language: bool | None
    format: list[Literal[tuple(FORMATS)]] | None
    leaked: Literal[tuple(LEAKS)] | None


def _between(row: dict[str, Any]) -> dict[str, Any]:
    messages = row["messages"]
    said = messages[1:] if messages[0]["role"] == "system" else messages
    if not said or len(said) % 2:
        raise ValueError("has no answer at its end")
    for place, message in enumerate(said):
        if message["role"] != ("assistant" if place % 2 else "user"):
            raise ValueError("does not alternate")
    if row["turns"] != len(said) // 2:
        raise ValueError("counts other turns")
    for name, message in (("query_chars", said[0]), ("response_chars", said[-1])):
        text, count = message["content"], row[name]
        if count not in (None, len(text)) and not len(text.strip()) <= count <= len(text):
            raise ValueError("counts other characters")
    if row["nearest_id"] == row["id"]:
        raise ValueError("is nearest to itself")
    return row


Row = Annotated[Fields, AfterValidator(_between)]


def _model() -> Any:  # noqa: ANN401 (a type)
    """The same rows as models."""
    message = create_model("Message", **_fields(Message))
    fields = _fields(Fields) | {"messages": (Annotated[list[message], Field(min_length=1)], ...)}

    def between(row: BaseModel) -> BaseModel:
        _between({**row.__dict__, "messages": [said.__dict__ for said in row.messages]})
        return row

    return Annotated[create_model("Row", **fields), AfterValidator(between)]


def _fields(of: type) -> dict[str, Any]:
    return {name: (hint, ...) for name, hint in get_type_hints(of, include_extras=True).items()}


assert tuple(Fields.__annotations__) == COLUMNS


def main() -> None:
    given = arguments(__doc__)
    rows, bad, rounds = ROWS, BAD, ROUNDS
    if given.quick:
        rows, bad, rounds = QUICK_ROWS, QUICK_BAD, QUICK_ROUNDS
    with tempfile.TemporaryDirectory() as folder:
        made = Rows(rows, bad=bad)
        made.write(Path(folder), batches_a_file=1)
        sides = [
            Side("ours", ours, {"folder": folder}),
            Side("pydantic, dictionaries", pydantic, {"folder": folder, "models": False}),
            Side("pydantic, models", pydantic, {"folder": folder, "models": True}),
        ]
        runs = alternate(sides, rounds=rounds)
        many = []
        if not given.quick:
            settings = {"folder": folder, "times": TIMES}
            many = alternate([Side(f"ours, {TIMES * rows:,} rows", ours, settings)])
    if not same(runs, *(side.name for side in sides)):
        raise SystemExit("the sides differ in the rows that they find bad.")
    if any(run.parts["all"].digest != digest(sorted(made.kinds)) for run in runs):
        raise SystemExit("the sides find other rows than the planted ones bad.")
    if any(run.facts["bad"] != TIMES * bad for run in many):
        raise SystemExit("not all planted rows are found among many.")
    found = [ratios(runs, "ours", side.name) for side in sides[1:]]
    show_ratios(f"{rows:,} rows, {bad:,} of them bad", "rows per CPU s", found)
    table = [(run.side, run.rate(), run.peak / 1e6, run.facts["bad"]) for run in (*runs, *many)]
    show("all runs", ("side", "rows per CPU s", "peak, MB", "bad rows found"), table)
    finish(
        "validation",
        ratio=found[0].median,
        ours={"rows per CPU s": found[0].ours},
        theirs={"rows per CPU s": found[0].theirs},
        runs=[*runs, *many],
        libraries=("pyarrow", "polars", "pydantic"),
        as_json=given.json,
    )


if __name__ == "__main__":
    main()
