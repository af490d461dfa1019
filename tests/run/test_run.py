import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pyarrow as pa
import pytest

from magpie_hub.errors import InvalidData, RunMismatch, UsageError
from magpie_hub.recipe import Recipe
from magpie_hub.run import Run
from magpie_hub.run.info import StageInfo
from magpie_hub.run.slots import Slot, derive_seed
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


RICH = [
    "sample.steer=[{key: a, system: A, weight: 2}, {key: b, system: 'On {topic}.', prefill: "
    "'Is {topic}', topics: [x, y, z]}]",
    "respond.responders=[{model: m, weight: 2}, {model: n}]",
    "shard_rows=5",
]


def every_slot(run: Run) -> list[Slot]:
    return [slot for shard in range(run.shard_count) for slot in run.slots(shard)]


def test_topics_and_responders_come_in_equal_shares(tmp_path: Path) -> None:
    # 4 places of the grid, 3 of the prompts, 3 of the responders, 3 topics.
    slots = every_slot(started(tmp_path, "rows=108", *RICH))
    assert Counter((slot.key, slot.cell.temperature, slot.responder) for slot in slots) == {
        (key, temperature, responder): share * cells * weight
        for key, share in [("a", 6), ("b: x", 1), ("b: y", 1), ("b: z", 1)]
        for temperature, cells in [(1.0, 3), (1.2, 1)]
        for responder, weight in [(0, 2), (1, 1)]
    }


def test_what_a_slot_says_has_its_topic_filled_in(tmp_path: Path) -> None:
    slots = every_slot(started(tmp_path / "a", "rows=36", *RICH))
    said = {slot.key: (slot.system, slot.prefill) for slot in slots}
    assert said["a"] == ("A", "") and said["b: y"] == ("On y.", "Is y")
    bare = every_slot(started(tmp_path / "b"))[0]
    assert (bare.system, bare.prefill, bare.key, bare.responder) == (None, "", None, 0)


def test_raising_rows_keeps_every_slot_of_a_rich_recipe(tmp_path: Path) -> None:
    few = every_slot(started(tmp_path / "a", "rows=13", *RICH))
    assert every_slot(started(tmp_path / "b", "rows=60", *RICH))[:13] == few


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
    Run.start(small(), tmp_path, stages(), alone=False)
    assert len(list((tmp_path / "queries").iterdir())) == 1, "its process may be alive"
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


def test_a_recipe_without_configs_is_a_recipe() -> None:
    assert Recipe.parse("{name: a, model: m, rows: 1}", name="x").configs == {}


def test_a_run_of_today_is_read_as_it_was(tmp_path: Path) -> None:
    started(tmp_path, model="m")
    (tmp_path / "run.json").write_text(
        '{"format": 1, "shard_rows": 16, "rows": 48, "versions": {"torch": "2.13.0"}, "stages": '
        '[{"name": "sample", "folder": "queries", "keys": {"model": "m"}, "after": "", "coverage": '
        '"", "cheap": false, "columns": ["id"], "model": null, "revision": null, "prompt_sha256": '
        "null}]}"
    )
    run = Run.open(tmp_path)
    assert run.stage("sample").fingerprint == stages(model="m")[0].fingerprint
    assert run.coverage("sample", 2) == "/16"


LINE = ("sample", "language", "judge", "screen", "respond", "reward", "safety")
ROW = pa.schema([("id", pa.string()), ("error", pa.string())])


@pytest.fixture(params=["here", "elsewhere"])
def line(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Run]:
    """A run of seven stages and three shards, in which nothing is done."""
    place = str(tmp_path / "run") if request.param == "here" else "memory://bucket/line"
    infos = [
        StageInfo(name=name, folder=name, keys={}, columns=(), cheap=name == "screen")
        for name in LINE
    ]
    yield Run.start(small(), place, tuple(infos))
    fsspec.filesystem("memory").store.clear()


def do(run: Run, stage: str, shard: int, failed: int = 0) -> None:
    rows = [{"id": str(i), "error": "no" if i < failed else None} for i in range(16)]
    table = pa.Table.from_pylist(rows, schema=ROW)
    run.store(stage, ROW).write(shard, table, run.coverage(stage, shard))


def test_without_failures_a_shard_covers_its_rows(line: Run) -> None:
    for stage in LINE:
        for shard in range(3):
            do(line, stage, shard)
    again = Run.open(str(line.folder))
    screen = again.stage("screen").fingerprint
    for run in (line, again):
        assert {run.coverage(stage, 1) for stage in LINE} == {"/16", f"{screen}/16"}
        assert [run.missing(stage) for stage in LINE] == [[]] * len(LINE)


def test_failures_are_part_of_what_later_stages_cover(line: Run) -> None:
    for shard in range(3):
        do(line, "sample", shard, failed=2 if shard == 1 else 0)
        do(line, "language", shard)
        do(line, "judge", shard, failed=1 if shard == 0 else 0)
    expected = {
        "sample": ("", "", ""),
        "language": ("", "sample 2", ""),
        "judge": ("", "sample 2", ""),
        "screen": ("judge 1", "sample 2", "sample 2"),
        "respond": ("judge 1", "sample 2", "sample 2"),
        "reward": ("judge 1", "sample 2", "sample 2"),
    }
    for stage, counts in expected.items():
        for shard, count in enumerate(counts):
            _, _, found = line.coverage(stage, shard).partition("/failed: ")
            assert found == count, (stage, shard)
    do(line, "respond", 0, failed=3)
    assert line.coverage("reward", 0).endswith("/failed: judge 1 respond 3")
    assert line.coverage("safety", 0).endswith("/failed: judge 1 respond 3")
    assert line.coverage("reward", 1).endswith("/failed: sample 2")


def test_mended_rows_leave_the_stages_behind_to_be_completed(line: Run) -> None:
    for stage in LINE:
        for shard in range(3):
            do(line, stage, shard, failed=1 if (stage, shard) == ("sample", 1) else 0)
    assert [line.missing(stage) for stage in LINE] == [[]] * len(LINE)
    do(line, "sample", 1)
    whole = {"sample": [], "language": [1], "judge": [1]}
    for run in (line, Run.open(str(line.folder))):
        assert {stage: run.missing(stage) for stage in LINE} == {
            stage: whole.get(stage, [1, 2]) for stage in LINE
        }
    # One failure less and one more is not the same.
    do(line, "judge", 1, failed=1)
    assert line.missing("screen") == [1, 2]
    assert line.coverage("screen", 2).count("failed") == 0, "labels are the shard's own"


def test_a_shard_that_another_process_wrote_is_seen(line: Run) -> None:
    other = Run.open(str(line.folder))
    assert line.missing("sample") == [0, 1, 2]
    do(other, "sample", 1)
    store = line.store("sample", ROW)
    line.refresh("sample", 1)
    assert (store.coverage(1), store.coverage(2)) == ("/16", None)
    assert line.missing("sample") == [0, 2]


def test_accounts_are_kept_by_shard_and_added_to(line: Run) -> None:
    assert line.accounts("sample") == {}
    line.account("sample", 2, {"rows": 16, "seconds": 1.5, "engine": {"name": "vllm"}})
    line.account("sample", 0, {"rows": 16, "seconds": 2.5})
    line.account("sample", 2, {"rows": 3, "seconds": 1.0, "tokens": 9}, adding=True)
    found = Run.open(str(line.folder)).accounts("sample")
    assert sorted(found) == [0, 2]
    assert found[0]["seconds"] == 2.5
    assert (found[2]["rows"], found[2]["seconds"], found[2]["tokens"]) == (19, 2.5, 9)
    assert found[2]["ended"] >= found[0]["ended"]
    assert str(os.getpid()) in found[0]["worker"]
    line.account("sample", 2, {"rows": 1}, adding=False)
    assert line.accounts("sample")[2]["rows"] == 1


def test_a_run_elsewhere_is_a_run(line: Run) -> None:
    for shard in range(3):
        do(line, "sample", shard)
    assert Run.start(small(), str(line.folder), line.info.stages).missing("sample") == []
    sample = StageInfo(name="sample", folder="sample", keys={"model": "n"}, columns=())
    other = (sample, *line.info.stages[1:])
    with pytest.raises(RunMismatch, match="sample: model: absent there, n here"):
        Run.start(small(), str(line.folder), other)


def test_a_run_elsewhere_has_no_path() -> None:
    run = Run.start(small(), "memory://bucket/x", stages())
    with pytest.raises(UsageError, match="memory://bucket/x is not on this machine; copy the run"):
        _ = run.path
