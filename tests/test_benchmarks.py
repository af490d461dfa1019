"""Benchmarks run, end with their line of JSON, and measure what they say."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from magpie_hub import models, template
from magpie_hub.engines import Completion, Request

ROOT = Path(__file__).parents[1]
KEYS = ["name", "ratio", "ours", "theirs", "runs", "machine", "versions"]


def benchmark(name: str, *options: str) -> dict[str, Any]:
    """The last line of a benchmark's output."""
    command = [sys.executable, f"benchmarks/{name}.py", "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert list(found) == KEYS
    assert found["name"] == name
    assert found["machine"]["CPU"] and found["versions"]["magpie-hub"]
    return found


SIDES = """
from harness import Meter, Side, alternate, digest, ratios, same
from report import arguments, finish

def work(meter: Meter, *, loops: int, made: list[int]) -> None:
    for number in meter.rounds():
        with meter.part() as part:
            sum(range(loops))
            len(bytearray(loops))
        part.work, part.digest = 1, digest([*made, number])
        if not made:
            raise ValueError("nothing to do")

if __name__ == "__main__":
    args = arguments("Try.")
    sides = [
        Side("ours", work, {"loops": 2_000_000, "made": [1, 2]}),
        Side("theirs", work, {"loops": 40_000_000, "made": [2, 1]}),
        Side("other", work, {"loops": 10, "made": [3]}),
    ]
    runs = alternate(sides, rounds=2)
    assert same(runs, "ours", "theirs") and not same(runs, "ours", "other")
    ratio = ratios(runs, "ours", "theirs")
    finish("try", ratio=ratio.median, ours=ratio.ours, theirs=ratio.theirs, runs=runs,
           libraries=["pyarrow", "no-such-library"], as_json=args.json)
    alternate([Side("broken", work, {"loops": 1, "made": []})])
"""


def test_sides_take_turns_in_processes_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "try.py").write_text(SIDES, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "benchmarks")}
    command = [sys.executable, str(tmp_path / "try.py"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    found = json.loads(done.stdout.splitlines()[-1])
    assert list(found) == KEYS
    order = [(run["round"], run["side"]) for run in found["runs"]]
    assert order == [(n, side) for n in (0, 1) for side in ("ours", "theirs", "other")]
    assert found["ratio"] > 3
    peaks = {run["side"]: run["parts"]["all"]["peak"] for run in found["runs"]}
    assert 30_000_000 < peaks["theirs"] - peaks["ours"] < 60_000_000
    assert "no-such-library" not in found["versions"] and "pyarrow" in found["versions"]
    assert done.returncode == 1
    assert "the side 'broken' failed" in done.stderr and "nothing to do" in done.stderr


def shard(*rows: tuple[str, int]) -> bytes:
    table = pa.Table.from_pylist([{"id": name, "value": value} for name, value in rows])
    with io.BytesIO() as file:
        with pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
        return file.getvalue()


def test_rows_that_kills_lose_double_or_change_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    compare = import_module("kills").compare
    whole = {"0": shard(("a", 1), ("b", 2)), "1": shard(("c", 3))}
    assert not any(compare(whole, dict(whole)).values())
    killed = {"0": shard(("a", 1), ("a", 1), ("b", 5)), "2": shard(("d", 4))}
    assert compare(whole, killed) == {"lost": 1, "doubled": 2, "changed": 1, "different": 3}


@pytest.mark.slow
@pytest.mark.vllm
def test_the_stages_write_what_bare_vllm_writes_at_its_speed_or_near() -> None:
    found = benchmark("throughput", "--quick")
    assert {run["side"] for run in found["runs"]} == {"stages", "bare vLLM"}
    assert 0.3 < found["ratio"] < 3
    assert found["ours"] > 100 and found["theirs"] > 100
    made: dict[int, set[Any]] = {}
    for run in found["runs"]:
        parts = run["parts"]
        assert list(parts) == ["sample", "respond"]
        assert all(part["work"] > 500 and part["cpu"] > 0 for part in parts.values())
        made.setdefault(run["round"], set()).add(tuple(p["digest"] for p in parts.values()))
    assert len(made) == 3 and all(len(each) == 1 for each in made.values())


@pytest.mark.slow
@pytest.mark.vllm
def test_the_gpu_benchmark_goes_its_way_on_a_cpu() -> None:
    found = benchmark("gpu", "--tiny")
    assert found["ours"].keys() == found["theirs"].keys() == {"tokens_per_s", "queries", "answers"}
    assert all(value > 0 for side in ("ours", "theirs") for value in found[side].values())


def test_the_gpu_benchmark_says_what_it_needs() -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    command = [sys.executable, "benchmarks/gpu.py"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2
    assert done.stdout == "" and len(done.stderr.splitlines()) == 1


@pytest.mark.slow
def test_kills_leave_no_trace() -> None:
    found = benchmark("kills", "--quick")
    assert found["ours"] == {"lost": 0, "doubled": 0, "changed": 0}
    assert found["ratio"] == 0
    ends = [each for batch in found["runs"] for each in batch["ends"]]
    assert sum(each.count("killed") for each in ends) >= 6
    assert all(each[-1] == "0" for each in ends)


@pytest.mark.slow
def test_the_driver_needs_no_more_memory_for_more_slots() -> None:
    found = benchmark("driver_memory", "--quick")
    small, large = ([p["peak"] for p in run["parts"].values()][0] for run in found["runs"])
    assert found["ours"] == large < found["theirs"]
    assert large < small + 60_000_000


def test_rows_are_good_but_for_the_planted_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    rows = import_module("rows")
    made = rows.Rows(1_000, bad=20)
    assert sorted(made.kinds.values()) == sorted(rows.KINDS)
    validation = import_module("magpie_hub.validation")
    again = list(rows.Rows(1_000, bad=20).batches())
    assert list(made.batches()) == again
    verdict = validation.validate(again, made.schema)
    assert {bad.row for bad in verdict.first} == set(made.kinds)
    assert list(verdict.counts.values()) == [1] * 20
    assert validation.validate(rows.Rows(1_000).batches(), made.schema).ok


@pytest.mark.slow
def test_pydantic_finds_the_same_bad_rows() -> None:
    found = benchmark("validation", "--quick")
    assert {run["facts"]["bad"] for run in found["runs"]} == {100}
    assert len({run["parts"]["all"]["digest"] for run in found["runs"]}) == 1
    assert found["ratio"] > 3


@pytest.mark.slow
@pytest.mark.vllm
def test_both_orders_keep_the_same_rows_and_screening_first_answers_fewer() -> None:
    found = benchmark("screening", "--quick")
    first, last = found["runs"]
    assert (first["side"], last["side"]) == ("screening first", "answering first")
    assert first["facts"]["ids"] == last["facts"]["ids"] and len(first["facts"]["ids"]) == 4
    assert first["facts"]["judge"]["rows"] == last["facts"]["judge"]["rows"] == 40
    assert 250 < first["facts"]["prompt tokens of a judgement"] < 350
    answered = [run["facts"]["respond"]["rows"] for run in (first, last)]
    assert answered == [8, 40]
    assert 0.1 < found["ratio"] < 0.7


JUDGED = [
    ('{"quality_explanation": "Clear.", "quality": "good"}', True, True),
    ('{"quality_explanation": "Braces: {a} and b.", "quality": "good"}', False, True),
    ('{"quality_explanation": "Clear.", "quality": "superb"}', False, False),
    ('{"quality_explanation": "Clear.", "quality": "good"} and so on', True, False),
    ('{"quality_explanation": "Clear.', False, False),
]


@pytest.mark.parametrize(("said", "by_reference", "by_free"), JUDGED)
def test_the_references_way_loses_labels_behind_a_brace(
    said: str, by_reference: bool, by_free: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HF_HUB_OFFLINE", "PYTHONWARNINGS", "TOKENIZERS_PARALLELISM"):
        monkeypatch.setenv(name, "1")
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    judging = import_module("judging")
    chat = template.load(models.resolve("bundled:chat").path)
    whole = ['{"category": "Math", "other_categories": []}', said]
    whole.append('{"intent": "To add.", "knowledge": "sums", "difficulty": "easy"}')

    def made(way: str, opening: str) -> dict[str, Any]:
        steps = getattr(judging, way)(chat, "What is 1 + 1?")
        answers = []
        for request in next(steps):
            name = next(n for n in ("category", "quality", "intent") if _asks(request, n))
            text = next(answer for answer in whole if answer.startswith(f'{{"{name}'))
            text = text.removeprefix(opening)
            tokens = chat.tokenizer.encode(text, add_special_tokens=False)
            answers.append(Completion(request, tuple(tokens)))
        with pytest.raises(StopIteration) as end:
            steps.send(answers)
        row: dict[str, Any] = end.value.value
        return row

    def _asks(request: Request, name: str) -> bool:
        return f'"{name}' in chat.decode(request.prompt)

    for way, opening, valid in (
        ("reference", '{"', by_reference),
        ("free", "", by_free),
    ):
        row = made(way, opening)
        assert row["error"] == (None if valid else "quality")
        assert row["category"] == "Math" and row["difficulty"] == "easy"
        assert ("quality" in row) is valid


@pytest.mark.slow
def test_our_judge_labels_all_and_the_reference_not_more() -> None:
    found = benchmark("judging", "--quick")
    ours, theirs = found["ours"]["valid"], found["theirs"]["valid"]
    assert set(ours) >= {"code", "math", "hostile", "sampled, the grammar reads it", "all"}
    assert all(share == 1.0 for share in ours.values())
    assert ours.keys() == theirs.keys() and 0 < theirs["all"] <= 1
    assert found["ratio"] >= 1


@pytest.mark.slow
def test_what_is_kept_is_better_than_what_was_sampled() -> None:
    found = benchmark("precision", "--quick")
    assert 0.5 < found["theirs"]["precision"] < found["ours"]["precision"] <= 1
    assert 0.4 < found["ours"]["recall"] < 1


def test_precision_and_recall_are_counted_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "HF_HUB_OFFLINE", "OMP_NUM_THREADS", "PYTHONWARNINGS", "TOKENIZERS_PARALLELISM",
        "VLLM_CPU_OMP_THREADS_BIND", "VLLM_DO_NOT_TRACK", "VLLM_ENABLE_V1_MULTIPROCESSING",
        "VLLM_LOGGING_LEVEL", "VLLM_NO_USAGE_STATS",
    ):  # fmt: skip
        monkeypatch.setenv(name, os.environ.get(name, "1"))
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    precision = import_module("precision")
    clauses = precision.clauses()
    assert "quality >= 'average'" in clauses and "finish_reason = 'stop'" in clauses

    def row(good: bool, reason: str | None = None, fails: str | None = None) -> dict[str, Any]:
        passes = {clause: clause != fails for clause in clauses}
        return {"good": good, "reason": reason, "passes": passes, "checkable": False, "right": good}

    rows = [row(True), row(True), row(True, fails=clauses[-1]), row(False)]
    rows += [row(False, reason="duplicate"), row(False, fails=clauses[0])]
    taken = dict(precision.steps(rows))
    assert list(taken) == ["all that was sampled", "not: duplicate", *clauses]
    assert [len(left) for left in taken.values()] == [6, 5, 4, *[4] * (len(clauses) - 2), 3]
    kept = taken[clauses[-1]]
    assert precision.share(rows, "good") == 3 / 6 and precision.share(kept, "good") == 2 / 3
    assert precision.recall(kept, rows) == 2 / 3
    assert precision.share(rows, "right") == 0
    passes_last = precision.alone(rows, lambda each: each["passes"][clauses[-1]], "good")
    assert passes_last == (2 / 5, 2 / 3)


@pytest.mark.slow
def test_a_build_picks_the_rows_that_datasets_picks_for_less() -> None:
    found = benchmark("build", "--quick")
    assert found["ratio"] > 4
    parts = [run["parts"]["all"] for run in found["runs"]]
    assert len(parts) == 2 and len({part["digest"] for part in parts}) == 1


@pytest.mark.slow
def test_a_new_version_adds_little_more_than_its_rows() -> None:
    found = benchmark("bytes", "--quick")
    assert 0.05 < found["ours"]["rows"] <= 0.06 and found["ours"]["column"] <= 0.005
    assert found["ours"].keys() == found["theirs"].keys()
    assert found["theirs"]["rows"] > 0.5
