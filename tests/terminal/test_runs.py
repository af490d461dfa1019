"""A run as a person sees it: the demo's small sister, and one of three million rows."""

from __future__ import annotations

import json

import pytest
from rich.cells import cell_len

from magpie_hub.cli import main
from magpie_hub.run import Run
from magpie_hub.run.accounts import Account, Estimate
from magpie_hub.run.status import StageStatus, Status, status
from magpie_hub.terminal.runs import show_estimate, show_status, stage_title
from tests.run.test_yields import made
from tests.terminal.shown import shown, untold


def large() -> Status:
    account = Account(
        slots=2_200_000, rows=2_200_000, prompt_tokens=10**9, new_tokens=1_234_567_890,
        seconds=191_000.0, cpu_seconds=1.0, hours=424.4,
    )  # fmt: skip
    stages = [
        StageStatus(name=name, shards_done=220, shards=300, rows_done=2_200_000, rows=3_000_000,
                    failed=failed, account=account)
        for name, failed in (("sample", 0), ("judge-turns", 12_345), ("answer-2", 0))
    ]  # fmt: skip
    return Status(
        run="s3://bucket/magpie-air", name="magpie-air", rows=3_000_000, finished=False,
        stages=stages, kept=1_700_000, rejected={"duplicate": 300_000, "quality >= 'good'": 1000},
        yields=(made("steer", "math/[bold]"), made("steer", "b" * 40)), seconds_left=98_765.0,
        hours_per_1000_kept=0.0312, usd_per_1000_kept=0.0624,
        engines=("vllm 0.32 on NVIDIA H200",), determinism="seeds", releases=["1.0.0"],
    )  # fmt: skip


@pytest.mark.parametrize("width", [60, 80, 200])
def test_a_large_run_fits(width: int) -> None:
    text = shown(lambda to: show_status(to, large()), width)
    assert max(map(cell_len, text.splitlines())) <= width
    for whole in ("2,200,000/3,000,000", "1,234.6 M", "12,345", "53 h 03 min", "[bold]"):
        assert whole in text
    assert untold(text, large().model_dump()) == []
    words = " ".join(text.split())
    assert "left: about 27 h 26 min" in words and "(0.06 USD) per 1,000" in words
    assert "another run on the same engine and machine has the same rows" in words


def test_status_and_its_json_tell_the_same(
    small_run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["status", str(small_run.path), "--json"]) == 0
    out, err = capsys.readouterr()
    document = json.loads(out)
    table = err.partition("\n")[2].replace("per 1,000", "per thousand")
    assert len(table.split()) > 60 and untold(table, document) == []
    assert max(map(len, table.splitlines())) <= 80
    first = document["stages"][0]["account"]
    assert first["tokens_per_second"] == pytest.approx(first["new_tokens"] / first["seconds"])
    document["stages"][0]["account"] = {}
    assert untold(table, document)


def test_a_fresh_run_says_what_there_is(small_run: Run) -> None:
    now = status(small_run).model_copy(update={"stages": [], "kept": 0, "yields": ()})
    text = shown(lambda to: show_status(to, now))
    assert "kept" not in text and text.endswith("releases: none yet")


def test_an_estimate_is_a_sentence() -> None:
    estimate = Estimate(
        rows=3_000_000, measured_on=8, kept=2_000_000, hours=1234.5, new_tokens=10**10,
        disk_bytes=123_456_789, usd=2469.0,
    )  # fmt: skip
    text = shown(lambda to: show_estimate(to, estimate), 60)
    assert max(map(len, text.splitlines())) <= 60
    assert "2,469.00 USD, 10,000,000,000 new tokens, 123.5 MB on disk" in " ".join(text.split())


def test_stages_have_names_for_people() -> None:
    assert stage_title("ask-2") == "ask, turn 2" and stage_title("respond") == "answer"
    assert stage_title("judge-turns") == "judge turns" and stage_title("my-own") == "my-own"
