"""Labels that a judge and a reward model give to every source."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from magpie_hub import cli
from magpie_hub.engines import EngineSpec
from magpie_hub.errors import EngineError
from magpie_hub.evidence import asking
from magpie_hub.evidence.compare.judged import JUDGED, forget, judge, reward
from magpie_hub.evidence.sources.shapes import MESSAGES
from magpie_hub.stages import Silent

ENGINE = EngineSpec()


def sample(*questions: str, answer: str | None = "Yes.") -> pl.DataFrame:
    talks = [
        [
            {"role": "user", "content": question},
            *([{"role": "assistant", "content": answer}] if answer else []),
        ]
        for question in questions
    ]
    return pl.DataFrame(
        {"query": questions, "messages": talks, "quality": ["mine"] * len(questions)},
        schema_overrides={"messages": MESSAGES},
    )


def labelled(folder: Path, *samples: pl.DataFrame) -> list[pl.DataFrame]:
    rows = judge(
        "bundled:chat", samples, passes="three", folder=folder, engine=ENGINE, progress=Silent()
    )
    return reward("bundled:reward", rows, folder=folder, engine=ENGINE, progress=Silent())


def test_labels_stand_beside_their_rows(tmp_path: Path) -> None:
    some = sample("What is 7 + 5?", "Write a short poem about the sea.")
    silent = sample("Where is Bern?", answer=None)
    both = labelled(tmp_path, some, silent, sample("What is 7 + 5?"))
    assert [len(rows) for rows in both] == [2, 1, 1]
    assert both[0]["query"].to_list() == some["query"].to_list()
    # The same question gets the same labels, wherever it stands; none are its own any more.
    assert both[0].row(0) == both[2].row(0)
    assert all("mine" not in rows["quality"].to_list() for rows in both)
    assert both[1]["reward"].to_list() == [None] and both[0]["reward"].null_count() == 0


def test_what_was_said_is_not_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    questions = [f"What is {n} + 5?" for n in range(asking.SHARD + 6)]
    first = labelled(tmp_path, sample(*questions))

    def none(*_: object) -> None:
        raise EngineError("there is no engine")

    with monkeypatch.context() as patch:
        patch.setattr(asking, "open_engine", none)
        [again] = labelled(tmp_path, sample(*questions))
        assert again.equals(first[0])
        with pytest.raises(EngineError, match="there is no engine"):
            labelled(tmp_path, sample(*questions, "And another?"))
    # A kill between two shards.
    kept = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("00000.arrow")}
    for lost in tmp_path.rglob("00001.arrow"):
        lost.unlink()
    [again] = labelled(tmp_path, sample(*questions))
    assert again.equals(first[0]) and set(again.columns) >= {*JUDGED, "reward"}
    assert kept == {file: file.stat().st_mtime_ns for file in tmp_path.rglob("00000.arrow")}
    (tmp_path / "mine.txt").write_text("stays")
    forget(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]


def test_rows_without_an_answer_have_no_score(tmp_path: Path) -> None:
    [rows] = reward(
        "bundled:reward",
        [sample("Where is Bern?", answer=None)],
        folder=tmp_path,
        engine=ENGINE,
        progress=Silent(),
    )
    assert rows["reward"].to_list() == [None]


def test_a_comparison_that_was_stopped_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = []
    for name, question in (("a", "What is 7 + 5?"), ("b", "Write a short poem about the sea.")):
        file = tmp_path / f"{name}.jsonl"
        rows = [{"instruction": f"{question} ({n})", "output": "Yes."} for n in range(3)]
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        files.append(str(file))
    page = tmp_path / "both.html"
    line = ["compare", *files, "-o", str(page), "--judge", "bundled:chat", "--passes", "three"]
    with monkeypatch.context() as patch:
        patch.setattr("magpie_hub.evidence.compare.reward", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            cli.main([*line, "--reward", "bundled:reward"])
    assert not page.exists() and any((tmp_path / "both.html.labels").rglob("*.arrow"))
    with monkeypatch.context() as patch:
        patch.setattr(asking, "open_engine", lambda *_: 1 / 0)
        assert cli.main([*line, "--json"]) == 0
    assert page.exists() and not (tmp_path / "both.html.labels").exists()
    assert json.loads(capsys.readouterr().out)["sources"][0]["shares"]["quality"]
