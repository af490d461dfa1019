"""An evaluation on a terminal: who against whom, the numbers with their intervals, the judges."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from magpie_hub.evidence.evaluate.evaluation import Evaluation, Judging, Number
from magpie_hub.evidence.resampling import Interval
from magpie_hub.terminal import show_facts, show_table, tell

_COLUMNS = ("", "value", "95 % of draws", "prompts")


def show_evaluation(console: Console, found: Evaluation) -> None:
    against = f" against {found.opponent}" if found.opponent else ""
    counts = [f"{found.prompts:,} prompts of {found.benchmark} ({found.kind})"]
    counts += [
        f"{count:,} {what}"
        for count, what in ((found.failed, "without an answer"), (found.cut, "cut off"))
        if count
    ]
    if (penalty := found.settings["repetition_penalty"]) != 1:
        counts.append(f"repetition penalty {penalty:g}")
    tell(console, f"{found.model}{against}: {', '.join(counts)}.")
    console.print()
    show_table(console, _COLUMNS, _rows(found.numbers))
    for each in found.judges:
        console.print()
        show_facts(console, [("judge", each.judge), *(("", line) for line in _reliable(each))])
        console.print()
        show_table(console, _COLUMNS, _rows(each.numbers))
    notes = [(name, why) for name, why in found.absent.items()]
    if found.agreement is not None:
        notes.insert(0, ("agreement", f"Cohen's kappa of the two judges: {found.agreement:.2f}"))
    if notes:
        console.print()
        show_facts(console, notes)


def _rows(numbers: Sequence[Number]) -> list[tuple[str, ...]]:
    return [(each.title, *_cells(each.value, each.unit), f"{each.value.n:,}") for each in numbers]


def _cells(value: Interval, unit: str) -> tuple[str, str]:
    if unit == "%":
        return f"{value.value:.1%}", f"{value.low:.1%} to {value.high:.1%}"
    return f"{value.value:,.1f}", f"{value.low:,.1f} to {value.high:,.1f}"


def _reliable(each: Judging) -> list[str]:
    lines = [f"{each.games:,} verdicts asked for, {each.invalid:,} not given"]
    if each.first is not None:
        lines.append(f"won by what stood first: {each.first.value:.1%} (50 % without bias)")
    if each.consistent is not None:
        lines.append(f"the same winner in both orders: {each.consistent.value:.1%} of prompts")
    return lines
