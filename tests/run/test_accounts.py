from pathlib import Path

import pytest

from magpie_hub.engines import Determinism
from magpie_hub.run import Run
from magpie_hub.run.accounts import Account, accounts, estimate, seconds_left, total
from magpie_hub.run.status import status
from tests.pipeline.test_scheduler import Opened, plain, scheduled


@pytest.fixture
def run(tmp_path: Path) -> Run:
    line, run = scheduled(plain(), tmp_path / "run", Opened())
    assert line.work()
    return run


def test_tokens_and_rows_add_up_to_what_was_made(run: Run) -> None:
    found = accounts(run)
    assert list(found) == ["sample", "language", "judge", "screen", "respond", "reward"]
    assert found["sample"].rows == found["sample"].slots == 96
    assert found["respond"].rows == found["reward"].rows < 96
    assert found["respond"].new_tokens > 0
    assert found["reward"].new_tokens == 0 and found["reward"].tokens_per_second is None
    whole = total(found.values())
    assert whole.new_tokens == sum(account.new_tokens for account in found.values())
    assert whole.engines == ("scripted 1 on none",)
    assert whole.determinism == "bits"


@pytest.mark.parametrize(
    ("parts", "level"),
    [
        ([("a", "bits"), ("a", "bits")], "bits"),
        ([("a", "bits"), ("a", "seeds")], "seeds"),
        ([("a", "bits"), ("b", "bits")], "plan"),
        ([], None),
    ],
)
def test_a_run_is_as_determined_as_its_weakest_part(
    parts: list[tuple[str, Determinism]], level: str | None
) -> None:
    made = [Account(engines=(engine,), determinism=each) for engine, each in parts]
    assert total([*made, Account(seconds=1.0)]).determinism == level


def test_hours_are_those_of_all_devices(run: Run) -> None:
    for shard in range(run.shard_count):
        engine = {"name": "x", "version": "1", "device": "G", "devices": 4, "determinism": "seeds"}
        run.account("sample", shard, {"rows": 8, "seconds": 9.0, "engine": engine})
    assert accounts(run)["sample"].hours == pytest.approx(12 * 9 * 4 / 3600)


def test_time_left_is_told_from_the_shards_so_far(run: Run) -> None:
    for stage in ("sample", "screen"):
        for shard in range(run.shard_count):
            run.account(stage, shard, {"rows": 8, "seconds": 3.0 if stage == "sample" else 1.0})
    assert seconds_left(run, {"sample": 5, "screen": 10}) == pytest.approx(25.0)
    assert seconds_left(run, {"sample": 0}) == 0.0


def test_a_stage_that_has_not_begun_has_no_time(tmp_path: Path) -> None:
    _, run = scheduled(plain(), tmp_path / "run", Opened())
    assert seconds_left(run, {"sample": 12}) is None
    now = status(run)
    assert now.seconds_left is None and now.hours_per_1000_kept is None
    assert not now.finished


def test_an_estimate_scales_what_was_measured(run: Run) -> None:
    found = estimate(run, 9600, kept=80, usd_per_hour=2.0)
    assert (found.rows, found.measured_on, found.kept) == (9600, 96, 8000)
    assert found.new_tokens == 100 * total(accounts(run).values()).new_tokens
    assert found.usd == pytest.approx(found.hours * 2)
    assert found.disk_bytes > 100 * 1000
    assert estimate(run, 9600, kept=80, usd_per_hour=None).usd is None


def test_the_status_tells_costs_and_failures(run: Run) -> None:
    now = status(run, usd_per_hour=3.0)
    assert now.finished and now.seconds_left == 0.0
    assert now.kept + sum(now.rejected.values()) == 96
    assert now.hours_per_1000_kept is not None
    assert now.usd_per_1000_kept == pytest.approx(3 * now.hours_per_1000_kept)
    assert [stage.failed for stage in now.stages] == [0] * 6
    assert now.determinism == "bits"
