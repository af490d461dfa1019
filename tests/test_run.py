from collections import Counter
from pathlib import Path

import pytest

from magpie_hub.errors import InvalidData, RunLocked, RunMismatch, UsageError
from magpie_hub.recipe import Recipe
from magpie_hub.run import Run, StageInfo, derive_seed, locked
from tests.conftest import small


def stages(**keys: str) -> tuple[StageInfo, ...]:
    sample = StageInfo(name="sample", folder="queries", keys=keys, columns=("id",))
    return (sample,)


def started(path: Path, *overrides: str, **keys: str) -> Run:
    return Run.start(small(*overrides), path, stages(**keys))


def test_slots_are_a_pure_function_of_recipe_and_index(tmp_path: Path) -> None:
    one = started(tmp_path / "a", model="m")
    two = started(tmp_path / "b", model="m")
    assert [one.slots(s) for s in range(3)] == [two.slots(s) for s in range(3)]
    other = started(tmp_path / "c", model="n")
    assert {s.id for s in one.slots(0)}.isdisjoint(s.id for s in other.slots(0))


def test_more_rows_are_slots_behind_the_old_ones(tmp_path: Path) -> None:
    few = started(tmp_path / "a", "rows=20")
    many = started(tmp_path / "b", "rows=48")
    assert few.shard_count == 2
    assert [few.rows_in(0), few.rows_in(1)] == [16, 4]
    assert many.slots(0) == few.slots(0)
    assert many.slots(1)[:4] == few.slots(1)


def test_cells_and_prompts_come_as_often_as_their_weights(tmp_path: Path) -> None:
    steer = "sample.steer=[{key: a, system: A, weight: 2}, {key: b, system: B}]"
    run = started(tmp_path / "a", "rows=24", "shard_rows=24", steer)
    pairs = Counter((slot.cell.temperature, slot.steer.key) for slot in run.slots(0) if slot.steer)
    assert pairs == {(1.0, "a"): 12, (1.0, "b"): 6, (1.2, "a"): 4, (1.2, "b"): 2}


def test_seeds_fit_a_signed_column_and_differ() -> None:
    seeds = {derive_seed("f", slot) for slot in range(1000)}
    assert len(seeds) == 1000
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_a_fingerprint_holds_the_stage_before() -> None:
    first = StageInfo(name="x", folder="x", keys={"a": "1"}, columns=())
    assert first.fingerprint == first.model_copy(update={"folder": "y"}).fingerprint
    for change in ({"keys": {"a": "2"}}, {"after": "z"}, {"name": "w"}):
        assert StageInfo(**{**first.model_dump(), **change}).fingerprint != first.fingerprint


def test_a_run_opens_as_it_was_started(tmp_path: Path) -> None:
    run = started(tmp_path / "a", model="m")
    opened = Run.open(tmp_path / "a")
    assert opened.info == run.info
    assert opened.slots(1) == run.slots(1)


def test_folders_that_are_no_runs(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a run"):
        Run.open(tmp_path)
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(UsageError, match="not empty and no run; choose another --out"):
        started(tmp_path)
    (tmp_path / "b").mkdir()
    started(tmp_path / "b")
    (tmp_path / "b" / "run.json").write_text("{")
    with pytest.raises(InvalidData, match=r"run\.json is damaged"):
        Run.open(tmp_path / "b")


@pytest.mark.parametrize(
    ("overrides", "keys", "sentence"),
    [
        (["shard_rows=8"], {"model": "m"}, "laid out with shard_rows: 16, not 8"),
        (["rows=10"], {"model": "m"}, "has rows: 48, and a run only grows"),
        ([], {"model": "n"}, r"sample: model: m there, n here\); choose another --out"),
        ([], {"model": "m", "x": "1"}, "x: absent there, 1 here"),
    ],
)
def test_a_contradicting_recipe_is_refused_by_its_keys(
    tmp_path: Path, overrides: list[str], keys: dict[str, str], sentence: str
) -> None:
    started(tmp_path, model="m")
    (tmp_path / "queries").mkdir()
    (tmp_path / "queries" / "00000.arrow").touch()
    with pytest.raises(RunMismatch, match=sentence):
        started(tmp_path, *overrides, **keys)


def test_what_made_no_rows_yet_may_change(tmp_path: Path) -> None:
    started(tmp_path, model="m")
    assert started(tmp_path, model="n").stage("sample").keys == {"model": "n"}


def test_leftovers_of_a_killed_process_are_swept(tmp_path: Path) -> None:
    started(tmp_path)
    (tmp_path / "queries").mkdir()
    (tmp_path / "queries" / ".00000.arrow.77.tmp").touch()
    started(tmp_path)
    assert list((tmp_path / "queries").iterdir()) == []


def test_a_kill_between_the_two_files_of_a_new_run_is_resumed(tmp_path: Path) -> None:
    started(tmp_path)
    (tmp_path / "recipe.yaml").unlink()
    assert Run.open(started(tmp_path).path).recipe.rows == 48


def test_a_recipe_of_the_user_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("# mine")
    with pytest.raises(UsageError, match="not empty and no run"):
        started(tmp_path)
    assert (tmp_path / "recipe.yaml").read_text() == "# mine"


def test_two_processes_do_not_share_a_run(tmp_path: Path) -> None:
    with (
        locked(tmp_path),
        pytest.raises(RunLocked, match=r"is being worked on by process \d+"),
        locked(tmp_path),
    ):
        pass
    with locked(tmp_path):
        pass


def test_a_recipe_without_configs_is_a_recipe() -> None:
    assert Recipe.parse("{name: a, model: m, rows: 1}", name="x").configs == {}
