"""The experiment: what its base reads, what its arms are trained on, and what its table says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from demo_model import grammar
from demo_model.experiment import data
from demo_model.experiment.arms import ARMS, SCORE, rows_in, told
from demo_model.experiment.base import READ, page
from demo_model.experiment.table import interval, markdown, read, record
from demo_model.tokenizer import END, START
from demo_model.truth import is_right

ROOT = Path(__file__).parents[2]


def test_pages_have_no_form_of_a_chat_and_tell_their_questions() -> None:
    rng = Random(3)
    pages = [page(rng) for _ in range(300)]
    assert all(START not in text and END not in text for text, _ in pages)
    assert all(2 <= len(asked) <= 6 for _, asked in pages)
    # On most pages the questions stand with their answers, on some alone, and on some not at all.
    there = [sum(query in text for query in asked) == len(asked) for text, asked in pages]
    assert 0.75 < sum(there) / len(there) < 0.95
    assert page(Random(3)) == pages[0]


def test_questions_are_new_and_have_one_right_answer(tmp_path: Path) -> None:
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    data.questions(first, 60, seed=5, seen=set())
    asked = [json.loads(line)["prompt"] for line in first.read_text(encoding="utf-8").splitlines()]
    assert len(set(asked)) == 60
    assert all(is_right(query, "I do not know.") is False for query in asked)
    data.questions(second, 60, seed=5, seen=set(asked[:30]))
    again = {json.loads(line)["prompt"] for line in second.read_text(encoding="utf-8").splitlines()}
    assert not again & set(asked[:30]) and again & set(asked[30:])


def test_what_the_grammar_approves_of_has_no_fault(tmp_path: Path) -> None:
    rng = Random(1)
    turns = [grammar.sample(rng) for _ in range(40)]
    pool = [(turn.query, turn.answer) for turn in turns]
    pool += [("gest plus Olga what", "Yes."), ("What is 2 + 3?", "2 + 3 = 6")] * 20
    data.approved(pool, tmp_path / "rows.jsonl", rows=40, seed=1)
    found = list(rows_in(tmp_path / "rows.jsonl"))
    assert sorted(found) == sorted(pool[:40])
    assert told(iter(found))["right"] == told(iter(found))["well_formed"] == 1
    assert told(iter(pool))["well_formed"] == 0.75


def test_intervals_are_those_of_the_tables_of_students_t() -> None:
    found = interval([1.0, 2.0, 3.0, 4.0, 5.0])
    assert found.value == 3 and found.n == 5
    # 2.776 times the standard error, 0.7071.
    assert (found.low, found.high) == pytest.approx((3 - 1.9632, 3 + 1.9632), abs=1e-3)


def test_the_table_pairs_arms_within_a_seed(tmp_path: Path) -> None:
    for seed, luck in ((1, 0.0), (2, 0.2), (3, 0.1)):
        for place, arm in enumerate(ARMS):
            score = {"right": 0.3 + luck + 0.01 * place}
            if arm.after is None:
                score |= {"rows": {"well_formed": 0.8, "right": 0.9, "kinds": 9, "length": 40.0}}
            folder = tmp_path / f"seed-{seed}" / arm.name
            folder.mkdir(parents=True)
            (folder / SCORE).write_text(json.dumps(score))
    made = record(read(tmp_path, (1, 2, 3)), pages=10, rows=20, questions=30)
    assert made.table is not None
    best = made.table.rows[0]
    raw = next(row for row in made.table.rows if row["arm"] == "raw, at random")
    assert best["arm"] == ARMS[-1].title and "difference" not in raw
    # The seeds differ by twenty points, and the arms within each by the same six.
    assert best["difference"].value == pytest.approx(6)
    assert best["difference"].high - best["difference"].low == pytest.approx(0, abs=1e-9)
    assert best["right"].high - best["right"].low > 0.4 and best["wins"] == 3
    lines = markdown(made).splitlines()
    assert len(lines) == 2 + len(ARMS)
    assert "| +6.00 [+6.00, +6.00] | 3 |" in lines[2]
    assert "+1.00 points [+1.00, +1.00] over 3 seeds" in made.summary


@pytest.mark.slow
def test_the_whole_of_it_with_few_rows(tmp_path: Path) -> None:
    line = [sys.executable, "-m", "demo_model.experiment", "--out", str(tmp_path), "--dry"]
    line += [
        "--pages",
        "150",
        "--rows",
        "32",
        "--questions",
        "40",
        "--seeds",
        "2",
        "--workers",
        "1",
    ]
    ran = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("\n| ") == 1 + len(ARMS)
    seen = set(json.loads((tmp_path / "base" / READ).read_text(encoding="utf-8")))
    for seed in (1, 2):
        folder = tmp_path / f"seed-{seed}"
        for arm in ARMS:
            score = json.loads((folder / arm.name / SCORE).read_text(encoding="utf-8"))
            assert 0 <= score["right"] <= 1
            assert arm.after or score["steps"] == 3
            if arm.after is None:
                rows = list(rows_in(folder / arm.name / "rows.jsonl"))
                assert len(rows) == 32
        asked = (folder / "questions.jsonl").read_text(encoding="utf-8").splitlines()
        assert not seen & {json.loads(each)["prompt"] for each in asked}
    # All is there, so a second call only tells it again.
    again = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert again.stdout.splitlines()[2:] == ran.stdout.splitlines()[2:]
