"""Preferences in every documented shape."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from magpie_hub.errors import UsageError
from magpie_hub.evidence.sources import open_pairs

SAMPLES = Path(__file__).parent / "samples"
BASIL = "How do I keep basil alive indoors?"
LIGHT = "Give it six hours of light and water it from below."


def said(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def opened(source: str | Path) -> tuple[str, list[dict[str, Any]], int]:
    """The shape, the pairs, and of how many rows."""
    found = open_pairs(str(source), report=lambda line: None)
    rows, seen = [], 0
    for frame, of in found.batches():
        rows += frame.to_dicts()
        seen += of
    return found.facts["shape"], rows, seen


def written(folder: Path, *rows: Mapping[str, Any]) -> Path:
    file = folder / "pairs.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("sample", "shape", "worse"),
    [
        ("ours_preference", "prompt, chosen and rejected messages", "No."),
        ("magpie_dpo", "chosen and rejected messages", "No idea."),
        ("ultrafeedback_binarized", "chosen and rejected messages", "Put it on a radiator."),
        ("ultrafeedback", "instruction and scored completions", "Put it on a radiator."),
    ],
)
def test_the_shapes_of_published_sets(sample: str, shape: str, worse: str) -> None:
    found, rows, seen = opened(SAMPLES / f"{sample}.jsonl")
    assert found == shape and len(rows) == seen == 2
    assert rows[0] == {
        "prompt": [said("user", BASIL)],
        "chosen": said("assistant", LIGHT),
        "rejected": said("assistant", worse),
    }


@pytest.mark.parametrize("question", ["prompt", "question", "instruction", "input"])
def test_texts(question: str, tmp_path: Path) -> None:
    row = {question: BASIL, "chosen": LIGHT, "rejected": "No."}
    rules = ({"system": "Be kind."}, {"system": " "}, {"system": None})
    shape, rows, _ = opened(written(tmp_path, *({**row, **rule} for rule in rules)))
    assert shape == f"{question}, chosen and rejected"
    plain = {
        "prompt": [said("user", BASIL)],
        "chosen": said("assistant", LIGHT),
        "rejected": said("assistant", "No."),
    }
    assert rows == [
        {**plain, "prompt": [said("system", "Be kind."), said("user", BASIL)]},
        plain,
        plain,
    ]


def test_a_mapping(tmp_path: Path) -> None:
    file = written(tmp_path, {"q": BASIL, "good": LIGHT, "bad": "No.", "rule": "Be kind.", "n": 1})
    shape, [row], _ = opened(f"{file}#question=q,chosen=good,rejected=bad,system=rule")
    assert shape == "q, good and bad"
    assert row["prompt"] == [said("system", "Be kind."), said("user", BASIL)]
    assert (row["chosen"]["content"], row["rejected"]["content"]) == (LIGHT, "No.")
    for keys, wrong in (
        ("question=q,chosen=good", "names the question=, the chosen= and the rejected="),
        ("question=q,answer=good,chosen=good,rejected=bad", "names the question=, the chosen="),
        ("question=q,chosen=good,rejected=worse", r"has no column 'worse' \(rejected=\)"),
        ("question=q,chosen=good,rejected=n", "the column 'n' of .* holds no text"),
    ):
        with pytest.raises(UsageError, match=wrong):
            opened(f"{file}#{keys}")


def test_rows_that_hold_no_pair_are_left_out(tmp_path: Path) -> None:
    asked, good, bad = said("user", BASIL), said("assistant", LIGHT), said("assistant", "No.")
    talk = [asked, said("assistant", "Where does it stand?"), said("user", "In the kitchen.")]
    rows = [
        {"chosen": [*talk, good], "rejected": [*talk, bad]},
        {"chosen": [*talk, good], "rejected": [asked, bad]},  # they part before the last answer
        {"chosen": [asked, good], "rejected": [asked, good]},
        {"chosen": [asked, good], "rejected": [asked, said("assistant", " ")]},
        {"chosen": [good], "rejected": [bad]},
        {"chosen": [], "rejected": []},
        {"chosen": None, "rejected": [asked, bad]},
        {"chosen": [said("tool", "{}"), asked, good], "rejected": [said("tool", "{}"), asked, bad]},
        {"chosen": talk, "rejected": [*talk[:-1], said("user", "On the roof.")]},
    ]
    _, found, seen = opened(written(tmp_path, *rows))
    assert found == [{"prompt": talk, "chosen": good, "rejected": bad}] and seen == len(rows)


def test_scores_that_are_equal_or_missing_prefer_nothing(tmp_path: Path) -> None:
    def row(*scores: float | None) -> dict[str, Any]:
        answers = [{"response": f"answer {n}", "overall_score": s} for n, s in enumerate(scores)]
        return {"instruction": BASIL, "completions": answers}

    rows = [row(3.0, None, 9.0, 1.0), row(5.0, 5.0), row(5.0), row(None, None), row()]
    _, [pair], seen = opened(written(tmp_path, *rows))
    assert (pair["chosen"]["content"], pair["rejected"]["content"]) == ("answer 2", "answer 3")
    assert seen == len(rows)


def test_sets_without_preferences_are_refused() -> None:
    with pytest.raises(UsageError, match="holds conversations .* train on it with --method sft"):
        opened(SAMPLES / "alpaca.json")
    with pytest.raises(UsageError, match="shapes of preferences .* '.*#question=COLUMN,chosen="):
        opened(SAMPLES / "unknown.jsonl")
