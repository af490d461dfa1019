"""The command as a person meets it: in its own process, by its exit code and its sentences."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from magpie_hub.cli import main
from magpie_hub.recipe import Recipe
from magpie_hub.release import Release
from magpie_hub.run import Run
from tests.conftest import SMALL, shard_bytes


def command(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "magpie_hub", *arguments]
    return subprocess.run(line, capture_output=True, text=True, timeout=300, **options)  # type: ignore[call-overload,no-any-return]


def test_help_is_immediate_and_loads_nothing_heavy() -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    shown = command("--help")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert shown.returncode == 0
    verbs = "init demo probe preview run status build export diff push"
    for verb in verbs.split():
        assert f"\n    {verb} " in shown.stdout
    # CPU seconds, since these machines are shared; the promise is 0.3 s.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.3
    code = "import sys, magpie_hub.arguments as a; a.parser(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    heavy = {"torch", "transformers", "datasets", "polars", "pyarrow", "huggingface_hub", "rich"}
    assert heavy.isdisjoint(loaded.split())


def test_the_line_from_recipe_to_release(recipe_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    ran = command("run", str(recipe_file), "--out", str(out), "--json")
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["finished"] is True
    assert "rows/s" in ran.stderr and "answer" in ran.stderr
    built = command("build", str(out), "--version", "1.0.0", "--json")
    assert built.returncode == 0, built.stderr
    release = Release.open(json.loads(built.stdout)["release"])
    assert f'load_dataset("{release.path}", "filtered")' in built.stderr
    again = command("build", str(out), "--version", "1.0.0")
    assert again.returncode == 2
    assert "exists already" in again.stderr
    shown = command("status", str(out), "--json")
    assert json.loads(shown.stdout)["releases"] == ["1.0.0"]


def test_status_reads_well_at_eighty_columns(
    small_run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["status", str(small_run.path)]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert max(map(len, err.splitlines())) <= 80 or str(small_run.path) in err.splitlines()[0]
    assert "48/48" in err and "releases: none yet" in err


def test_preview_shows_conversations_and_writes_nothing(
    recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    preview = ("preview", str(recipe_file), "-n", "6", "--usd-per-hour", "2", "--json")
    shown = command(*preview, cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "\nuser\n  " in shown.stderr and "\nassistant\n  " in shown.stderr
    got = json.loads(shown.stdout)
    assert len(got["rows"]) + sum(got["rejected"].values()) == 6
    assert Counter(each["reason"] for each in got["turned_away"]) == got["rejected"]
    for row in got["rows"]:
        assert row["messages"][0]["content"].split()[0] in shown.stderr
    assert sorted(tmp_path.rglob("*")) == before
    whole = got["estimate"]
    assert (whole["rows"], whole["measured_on"], whole["kept"]) == (48, 6, 8 * len(got["rows"]))
    assert whole["usd"] == pytest.approx(2 * whole["hours"]) and whole["usd"] > 0
    assert whole["new_tokens"] > 48 and whole["disk_bytes"] > 1000
    assert "all 48 slots: about" in " ".join(shown.stderr.split())


def test_status_tells_costs_where_a_price_is_given(
    small_run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", str(small_run.path), "--usd-per-hour", "3", "--json"]) == 0
    out, err = capsys.readouterr()
    now = json.loads(out)
    assert now["usd_per_1000_kept"] == pytest.approx(3 * now["hours_per_1000_kept"])
    assert now["determinism"] == "bits"
    assert now["stages"][0]["account"]["new_tokens"] > 48
    usd = f"({now['usd_per_1000_kept']:,.2f} USD) per 1,000"
    told = " ".join(err.split())
    assert f"device-hours {usd}" in told and "another run has the same bytes" in told


def test_parts_do_what_they_can_and_the_last_ends_the_run(
    small_run: Run, recipe_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    part = ["run", str(recipe_file), "--out", str(out), "--json", "--shards"]
    finished = []
    for index in (0, 1, 0):
        assert main([*part, f"{index}/2"]) == 0
        finished.append(json.loads(capsys.readouterr().out)["finished"])
    assert finished == [False, False, True]
    assert shard_bytes(out) == shard_bytes(small_run.path)


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["run", "nothing.yaml"], 2, "nothing.yaml: cannot be read as a recipe"),
        (["run", "small.yaml", "--set", "smaple.max_tokens=3"], 2, "there is no such key"),
        (["run", "small.yaml", "--set", "model=./nothing"], 2, "there is no folder ./nothing"),
        (["run", "small.yaml", "--engine", "vlmm"], 2, "there is no engine 'vlmm'"),
        (["run", "small.yaml", "--run-file", "none.yaml"], 2, "cannot be read as a run file"),
        (["run", "small.yaml", "--shards", "2/2"], 2, "write I/N, where I counts from 0"),
        (["run", "small.yaml", "--ray", "--retry-failed"], 2, "goes without --ray"),
        (["run", "small.yaml", "--until", "smaple"], 2, "there is no stage 'smaple'"),
        (["preview", "small.yaml", "-n", "0"], 2, "needs at least one row"),
        (["status", "."], 2, "is not a run"),
        (["build", ".", "--version", "1.0.0"], 2, "is not a run"),
        (["push", ".", "org/name"], 2, "is not a release"),
        (["export", ".", "all"], 2, "is not a release"),
    ],
)
def test_what_is_wrong_is_one_sentence(
    recipe_file: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    sentence: str,
) -> None:
    monkeypatch.chdir(recipe_file.parent)
    assert main(arguments) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("magpie-hub: ") and sentence in err
    assert err.count("\n") == 1
    assert [p.name for p in recipe_file.parent.iterdir()] == ["small.yaml"]


def test_probe_shows_a_source_and_its_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["probe", "bundled:chat", "-n", "24", "--json"]) == 0
    out, err = capsys.readouterr()
    assert "⟨<|im_start|>⟩user" in err and "# recipe.yaml" in err
    found = json.loads(out)
    assert found["usable"] and len(found["queries"]) == 24
    assert Recipe.parse(found["recipe"], name="probed").model == "bundled:chat"


def test_a_model_that_is_no_source_ends_with_5(capsys: pytest.CaptureFixture[str]) -> None:
    hot = ["probe", "bundled:chat", "-n", "12", "--temperature", "8", "--json"]
    assert main(hot) == 5
    out, err = capsys.readouterr()
    assert json.loads(out)["usable"] is False
    assert err.splitlines()[-1].endswith("is not usable as a source as it was probed.")


def test_a_command_that_does_not_exist_is_a_usage_error() -> None:
    assert command("smaple").returncode == 2


def test_a_full_disk_ends_with_a_sentence_and_a_resumable_run(
    recipe_file: Path, tmp_path: Path
) -> None:
    """A real limit of the kernel, between the size of ``run.json`` and that of a shard."""
    out = tmp_path / "run"
    run = ["run", str(recipe_file), "--set", "shard_rows=48", "--out", str(out)]

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4500, 4500))

    full = command(*run, preexec_fn=limit)
    assert full.returncode == 5, full.stderr
    assert "could not be written" in full.stderr.splitlines()[-1]
    assert not list(out.rglob("*.tmp")) and not list(out.rglob("*.arrow"))
    assert command(*run).returncode == 0


def test_a_read_only_folder(recipe_file: Path, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        target = Path("/proc/magpie-hub-run")  # where not even root may write
    else:
        target = tmp_path / "locked"
        target.mkdir(mode=0o500)
    refused = command("run", str(recipe_file), "--out", str(target))
    assert refused.returncode == 5
    assert "Traceback" not in refused.stderr


def test_a_damaged_shard_and_a_foreign_run(
    small_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Path(shutil.copytree(small_run.path, tmp_path / "run"))
    shard = run / "responses" / "00001.arrow"
    shard.write_bytes(shard.read_bytes()[:-50])
    assert main(["build", str(run), "--version", "1.0.0"]) == 3
    assert "00001.arrow is damaged" in capsys.readouterr().err
    assert not list((run / "releases").glob("*")) if (run / "releases").exists() else True
    other = tmp_path / "other.yaml"
    other.write_text(SMALL.replace("max_tokens: 80", "max_tokens: 20"))
    assert main(["run", str(other), "--out", str(run)]) == 2
    assert "max_tokens: 80 there, 20 here" in capsys.readouterr().err


def test_a_build_asks_for_the_version_that_fits_unless_told(
    small_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Path(shutil.copytree(small_run.path, tmp_path / "run"))
    assert main(["build", str(run), "--version", "1.0.0"]) == 0
    fewer = tmp_path / "fewer.yaml"
    fewer.write_text(SMALL.partition("configs:")[0])
    build = ["build", str(run), "--recipe", str(fewer), "--version", "1.0.1"]
    capsys.readouterr()
    assert main(build) == 2
    refused = capsys.readouterr().err
    assert "the version 1.0.1 is too low: since 1.0.0, config filtered is gone" in refused
    assert "--version 2.0.0 or higher, or keep yours with --any-version" in refused
    assert [path.name for path in (run / "releases").iterdir()] == ["1.0.0"]
    assert main([*build, "--any-version"]) == 0
    releases = [str(run / "releases" / version) for version in ("1.0.0", "1.0.1")]
    assert main(["diff", *releases]) == 0
    assert "config filtered is gone" in capsys.readouterr().err


def test_a_second_process_is_refused(small_run: Run, recipe_file: Path) -> None:
    from magpie_hub.storage.locks import locked

    with locked(small_run.path):
        second = command("run", str(recipe_file), "--out", str(small_run.path))
    assert second.returncode == 2
    assert f"is being worked on by process {os.getpid()}" in second.stderr
    assert re.search(r"on \S+, for \d+ s; wait for it or stop it", second.stderr)


@pytest.mark.parametrize(
    "by", [[signal.SIGINT], [signal.SIGINT, signal.SIGINT], [signal.SIGTERM]], ids=str
)
def test_ctrl_c_ends_with_130_and_can_be_resumed(
    recipe_file: Path, tmp_path: Path, by: list[signal.Signals]
) -> None:
    out = tmp_path / "run"
    line = [sys.executable, "-m", "magpie_hub", "run", str(recipe_file), "--out", str(out)]
    process = subprocess.Popen(line, stderr=subprocess.PIPE, text=True)
    try:
        while not (out / "queries" / "00000.arrow").exists():
            assert process.poll() is None
            time.sleep(0.01)
        for number in by:
            process.send_signal(number)
            time.sleep(0.05)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130, err
    assert "the same command goes on from there" in err
    assert ("Ctrl-C again stops at once" in err) == (signal.SIGINT in by)
    assert command("run", str(recipe_file), "--out", str(out)).returncode == 0


def test_a_missing_extra_names_the_line_that_installs_it(recipe_file: Path, tmp_path: Path) -> None:
    """The bare install: torch hidden from a real process."""
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['torch'] = None")
    bare = command(
        "run",
        str(recipe_file),
        "--out",
        str(tmp_path / "run"),
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert bare.returncode == 2, bare.stderr
    assert "pip install 'magpie-hub[transformers]'" in bare.stderr
