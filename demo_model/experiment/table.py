"""The arms side by side: means over seeds and differences within them, with intervals."""

import json
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from scipy.stats import t as student

from demo_model.experiment.arms import ARMS, DPO, SCORE, SFT
from demo_model.package import BUNDLED
from demo_model.score import put
from magpie_hub.evidence.record import (
    Cell,
    Column,
    Record,
    Table,
    machine,
    now,
    versions,
    write_records,
)
from magpie_hub.evidence.resampling import LEVEL, Interval

PAGE = Path(__file__).parents[2] / "docs" / "evidence.md"
RECORD = BUNDLED / "evidence"
AGAINST = "raw"
_COLUMNS = (
    Column(name="arm", title="fine-tuned on"),
    Column(name="right", title="right answers", unit="%", digits=1),
    Column(name="difference", title="beside raw", unit="points", digits=2),
    Column(name="wins", title="seeds above raw"),
    Column(name="well_formed", title="rows well-formed", unit="%", digits=1),
    Column(name="rows_right", title="rows right", unit="%", digits=1),
    Column(name="kinds", title="kinds of question", digits=0),
    Column(name="length", title="answer, characters", digits=0),
)
_ROWS = {"well_formed": "well_formed", "rows_right": "right", "kinds": "kinds", "length": "length"}
"""Columns of what an arm was trained on, and what `told` calls it."""

Scores = dict[str, list[dict[str, Any]]]


def read(out: Path, seeds: Iterable[int]) -> Scores:
    """By arm, what each seed came to."""
    return {
        arm.name: [
            json.loads((out / f"seed-{seed}" / arm.name / SCORE).read_text(encoding="utf-8"))
            for seed in seeds
        ]
        for arm in ARMS
    }


def interval(values: Sequence[float]) -> Interval:
    """Of the mean, by Student's t: the seeds are few, and were drawn alike."""
    mean = statistics.fmean(values)
    half = float(student.ppf((1 + LEVEL) / 2, len(values) - 1)) * (
        statistics.stdev(values) / len(values) ** 0.5
    )
    return Interval(mean, mean - half, mean + half, len(values))


def table(scores: Scores) -> Table:
    """The best arm first. What an arm was trained on is told as means over its sets."""
    raw = [each["right"] for each in scores[AGAINST]]
    rows = []
    for arm in ARMS:
        right = [each["right"] for each in scores[arm.name]]
        apart = [one - other for one, other in zip(right, raw, strict=True)]
        row: dict[str, Any] = {"arm": arm.title, "right": interval(right)}
        if arm.name != AGAINST:
            row |= {
                "difference": interval([100 * each for each in apart]),
                "wins": sum(each > 0 for each in apart),
            }
        if "rows" in scores[arm.name][0]:
            told = [each["rows"] for each in scores[arm.name]]
            row |= {
                column: statistics.fmean(each[key] for each in told)
                for column, key in _ROWS.items()
            }
        rows.append(row)
    rows.sort(key=lambda row: -row["right"].value)
    return Table(columns=_COLUMNS, rows=tuple(rows))


def record(scores: Scores, *, pages: int, rows: int, questions: int) -> Record:
    seeds = len(scores[AGAINST])
    filtered, raw = (
        interval([each["right"] for each in scores[name]]) for name in ("random", AGAINST)
    )
    apart = interval(
        [
            one["right"] - other["right"]
            for one, other in zip(scores["random"], scores[AGAINST], strict=True)
        ]
    )
    return Record(
        kind="experiment",
        name="A base fine-tuned on rows of this model, chosen in different ways",
        summary=(
            f"Of {questions:,} held-out questions a base that was fine-tuned on {rows:,} filtered "
            f"rows answers {_percent(filtered.value)} rightly, and {_percent(raw.value)} after as "
            f"many raw ones: {_points(apart)} over {seeds} seeds, by a grammar that knows what is "
            "right."
        ),
        command="python -m demo_model.experiment",
        created=now(),
        versions=versions("torch", "transformers", "trl"),
        machine=machine(),
        settings={
            "base": f"the bundled model's network, trained on {pages:,} pages of plain text",
            "rows": rows,
            "seeds": seeds,
            "questions": questions,
            "sft": SFT,
            "dpo": DPO,
        },
        ok=True,
        table=table(scores),
        notes=(
            "Intervals are of means over seeds, by Student's t at 95 %; a difference is taken "
            "within each seed.",
            "What the grammar approves of is no arm that one can have: it says how much a perfect "
            "filter would bring.",
        ),
    )


def publish(made: Record) -> None:
    """Into the page and into the package."""
    put(told(made), PAGE)
    RECORD.mkdir(exist_ok=True)
    write_records(RECORD, [made])


def told(made: Record) -> str:
    """As Markdown."""
    return f"{made.summary}\n\n{markdown(made)}"


def markdown(made: Record) -> str:
    assert made.table is not None
    columns = made.table.columns
    lines = [
        "| " + " | ".join(map(_title, columns)) + " |",
        "|---|" + "---:|" * (len(columns) - 1),
    ]
    for row in made.table.rows:
        cells = [_cell(row.get(column.name), column) for column in columns]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _title(column: Column) -> str:
    return f"{column.title}, {column.unit}" if column.unit else column.title


def _cell(value: Cell, column: Column) -> str:
    if value is None:
        return ""
    if isinstance(value, Interval):
        sign = "+" if column.name == "difference" else ""
        number, low, high = (
            f"{each * column.factor:{sign}.{column.digits}f}"
            for each in (value.value, value.low, value.high)
        )
        return f"{number} [{low}, {high}]"
    if isinstance(value, float):
        return f"{value * column.factor:.{column.digits}f}"
    return str(value)


def _percent(share: float) -> str:
    return f"{share:.1%}".replace("%", " %")


def _points(apart: Interval) -> str:
    value, low, high = (f"{each * 100:+.2f}" for each in (apart.value, apart.low, apart.high))
    return f"{value} points [{low}, {high}]"
