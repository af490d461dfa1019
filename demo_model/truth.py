"""What filtering does to a run of the bundled model, judged by the grammar that knows the truth.

    python -m demo_model.truth RUN [VERSION]

Three populations: every query that was sampled, every answered row (config `all`), and the rows of
the release's default config. Well-formed is what the grammar can read; correct is the share of
right answers among the checkable ones; both right is what a reader of the dataset wants: the share
of rows whose query is well-formed and whose answer, where it can be checked, is right.
"""

import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from demo_model.grammar import is_correct, parse
from demo_model.intents import INTENTS
from magpie_hub.release import Release
from magpie_hub.rows.pool import store
from magpie_hub.run import Run

_NUMBER = re.compile(r"(?<![\d.])-?\d+(?:\.\d+)?")


def value(query: str, answer: str) -> str:
    """What `answer` comes to: its last number where `query` asks for a number, else its text."""
    parsed = parse(query)
    numbers = _NUMBER.findall(answer)
    if parsed is None or INTENTS[parsed.intent].value is None or not numbers:
        return answer.strip()
    return f"{float(numbers[-1]):g}"


def is_right(query: str, answer: str) -> bool | None:
    """Whether `answer` comes to what `query` asks for, in whatever words where that is a number.

    None where the query is malformed or has no one right answer.
    """
    parsed = parse(query)
    if parsed is None:
        return None
    wanted = INTENTS[parsed.intent].value
    if wanted is None:
        return is_correct(parsed, answer)
    return value(query, answer) == f"{wanted(parsed.slots):g}"


def majority(query: str, answers: Sequence[str]) -> str:
    """The first of the answers that come to what most of them come to."""
    values = [value(query, answer) for answer in answers]
    # Of equally many the one that was said first.
    most = Counter(values).most_common(1)[0][0]
    return answers[values.index(most)]


@dataclass(frozen=True)
class Truth:
    """Counts over rows; `checkable` are well-formed rows with an answer that can be checked."""

    rows: int
    well_formed: int
    checkable: int
    correct: int

    @property
    def good(self) -> int:
        return self.well_formed - (self.checkable - self.correct)


def judge(rows: Iterable[tuple[str, str | None]]) -> Truth:
    """Count over (query, answer) pairs; an answer of None was never given."""
    total = well_formed = checkable = correct = 0
    for query, answer in rows:
        total += 1
        parsed = parse(query)
        if parsed is None:
            continue
        well_formed += 1
        verdict = is_correct(parsed, answer) if answer is not None else None
        if verdict is not None:
            checkable += 1
            correct += verdict
    return Truth(total, well_formed, checkable, correct)


def sampled(run: Run) -> Iterator[tuple[str, None]]:
    for shard in range(run.shard_count):
        for query in store(run, "sample").read(shard)["query"].to_pylist():
            yield query, None


def released(release: Release, config: str) -> Iterator[tuple[str, str]]:
    for split in release.manifest.configs[config].splits.values():
        for file in split.files:
            for messages in pq.read_table(release.path / file)["messages"].to_pylist():
                yield messages[0]["content"], messages[1]["content"]


def table(run: Run, release: Release) -> str:
    """The populations as a Markdown table."""
    default = next(name for name, config in release.manifest.configs.items() if config.default)
    lines = [
        "| rows | number | query well-formed | answer correct | both |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, rows in (
        ("sampled", sampled(run)),
        ("answered (`all`)", released(release, "all")),
        (f"filtered (`{default}`)", released(release, default)),
    ):
        truth = judge(rows)
        answers = f"{truth.correct / truth.checkable:.1%}" if truth.checkable else "-"
        both = f"{truth.good / truth.rows:.1%}" if truth.checkable else "-"
        readable = f"{truth.well_formed / truth.rows:.1%}"
        lines.append(f"| {name} | {truth.rows:,} | {readable} | {answers} | {both} |")
    return "\n".join(lines)


def main() -> None:
    run = Run.open(sys.argv[1])
    version = sys.argv[2] if len(sys.argv) > 2 else "1.0.0"
    release = Release.open(Path(run.path) / "releases" / version)
    sys.stdout.write(table(run, release) + "\n")


if __name__ == "__main__":
    main()
