"""Trainings that really happen, on a small model of the bundled one's family."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from magpie_hub import cli
from magpie_hub.errors import EngineError, RunMismatch, StorageError, UsageError
from magpie_hub.evidence.record import read_records
from magpie_hub.evidence.train import SUMMARY, Trained, train
from magpie_hub.evidence.train import run as running
from magpie_hub.evidence.train.presets import settings
from tests.evidence.train.training_sets import conversations, fresh_model, preferences, release

pytestmark = [
    # Of TRL and torch, about what they will do one day.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]
TWELVE = ["learning_rate=0.01", "warmup=2", "batch=8", "per_device=8", "max_tokens=64", "steps=12"]
QUICK = [*TWELVE, "packing=false", "recompute=false", "log_steps=2", "save_steps=4"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "release"
    return release(
        path,
        all=conversations(64),
        turns=conversations(6, turns=2),
        pairs=preferences(32),
        empty=[],
    )


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fresh_model(tmp_path_factory.mktemp("base") / "fresh")


def trained(source: object, model: Path, out: Path, *overrides: str, **how: Any) -> Trained:
    told = how.pop("told", [])
    chosen = settings(
        how.setdefault("method", "sft"), "paper", overrides, lora=how.pop("lora", False)
    )
    return train(str(source), str(model), settings=chosen, out=out, report=told.append, **how)


@pytest.fixture(scope="module")
def tuned(data: Path, base: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return trained(data, base, tmp_path_factory.mktemp("tuned") / "sft", *QUICK)


def weights(model: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(model / "model.safetensors")


def test_it_learns_from_answers_and_says_what_it_did(tuned: Trained, base: Path) -> None:
    found = json.loads((tuned.out / SUMMARY).read_text())
    assert found == tuned.summary
    assert found["last_loss"] < found["first_loss"] - 2
    assert [each["step"] for each in found["losses"]] == [1, 2, 4, 6, 8, 10, 12]
    assert found["steps"] == 12 and found["examples"] == found["data"]["rows"] == 64
    assert 0 < found["learned_tokens"] < found["tokens"] / 2
    assert found["data"]["version"] == "1.2.3" and len(found["data"]["sha256"]) == 64
    assert found["chat_template"]["name"] == "own"
    assert found["settings"]["learning_rate"] == 0.01 and found["settings"]["epochs"] == 2
    assert found["versions"]["trl"] and found["device"] == "cpu"
    assert "--set packing=false" in found["command"] and "--set epochs" not in found["command"]
    assert {each.name for each in tuned.out.iterdir()} == {
        *("settings.json", "rows.jsonl", "axolotl.yaml", "llamafactory.yaml"),
        *("dataset_info.json", "model", SUMMARY, "evidence.json", ".lock"),
    }


def test_it_leaves_a_record_for_a_card(tuned: Trained) -> None:
    (record,) = read_records(tuned.out)
    found = tuned.summary
    assert record.ok and record.kind == "train" and record.command == found["command"]
    assert record.summary == "fresh was trained by SFT on 64 rows of cities 1.2.3 (all, train)."
    assert record.settings["data"] == found["data"]["sha256"]
    assert record.settings["learning_rate"] == 0.01
    assert not {"beta", "lora_rank"} & record.settings.keys()
    assert record.table is not None
    (row,) = record.table.rows
    assert row["rows"] == 64 and row["last_loss"] == found["last_loss"]
    assert all(isinstance(row[each.name], int | float) for each in record.table.columns)


def test_the_model_that_came_out_is_one(tuned: Trained) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tuned.model)
    model = AutoModelForCausalLM.from_pretrained(tuned.model)
    turns = [{"role": "user", "content": "Where is Oslo?"}]
    asked = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_tensors="pt")
    answer = model.generate(**asked, max_new_tokens=12, do_sample=False)
    assert answer[0, -1] == tokenizer.eos_token_id == model.config.eos_token_id


def test_a_finished_one_is_told_again(tuned: Trained, data: Path, base: Path) -> None:
    told: list[str] = []
    again = trained(data, base, tuned.out, *QUICK, told=told)
    assert again.summary == tuned.summary and told[-1] == f"{tuned.out} is finished already."
    with pytest.raises(
        RunMismatch, match=r"another settings.seed \(0, now 1\); name another --out"
    ):
        trained(data, base, tuned.out, *QUICK, "seed=1")


def test_one_that_was_killed_goes_on_and_ends_the_same(
    tuned: Trained, data: Path, base: Path, tmp_path: Path
) -> None:
    out = tmp_path / "killed"
    given = [f"--set={each}" for each in QUICK]
    command = [sys.executable, "-m", "magpie_hub", "train", str(data), "--base", str(base)]
    child = subprocess.Popen([*command, "--method", "sft", "--out", str(out), *given])
    try:
        while running.last_checkpoint(out) is None:
            assert child.poll() is None
            time.sleep(0.01)
    finally:
        os.kill(child.pid, signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL and not (out / SUMMARY).exists()
    # A checkpoint that was being written when the kill came.
    (out / "checkpoints" / "checkpoint-11").mkdir()
    told: list[str] = []
    found = trained(data, base, out, *QUICK, told=told)
    resumed = found.summary["resumed_from_step"]
    assert resumed in (4, 8, 12) and f"goes on from step {resumed}." in told
    assert [each["loss"] for each in found.summary["losses"]] == pytest.approx(
        [each["loss"] for each in tuned.summary["losses"]]
    )
    one, other = weights(found.model), weights(tuned.model)
    assert all((one[name] - other[name]).abs().max() < 1e-5 for name in other)


def test_preferences_after_it(tuned: Trained, data: Path, tmp_path: Path) -> None:
    quick = [*TWELVE[:-1], "steps=4", "beta=0.1", "recompute=false", "log_steps=1"]
    found = trained(f"{data}:pairs", tuned.model, tmp_path / "dpo", *quick, method="dpo")
    losses = found.summary["losses"]
    assert losses[0]["loss"] == pytest.approx(0.6931, abs=1e-3)
    assert losses[-1]["loss"] < 0.69 and losses[-1]["rewards/margins"] > 0
    row = json.loads((found.out / "rows.jsonl").read_text().splitlines()[0])
    assert row["chosen"] == {"role": "assistant", "content": "It is far away."}


def test_lora_and_packs_of_conversations(tuned: Trained, data: Path, tmp_path: Path) -> None:
    quick = ["learning_rate=0.01", "batch=2", "max_tokens=96", "warmup=0", "log_steps=1", "steps=2"]
    found = trained(
        data, tuned.model, tmp_path / "lora", *quick, "lora_rank=4", lora=True, config="turns"
    )
    # Two answers a row, each with what was said before it.
    assert found.summary["data"]["rows"] == 6 and found.summary["examples"] == 12
    assert (found.out / "adapter" / "adapter_config.json").is_file()
    before, after = weights(tuned.model), weights(found.model)
    assert before.keys() == after.keys()
    changed = {name for name in before if (before[name] != after[name]).any()}
    assert changed and all("proj" in name for name in changed)


def test_a_base_without_a_chat_template_gets_one(
    data: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = shutil.copytree(base, tmp_path / "plain")
    (plain / "chat_template.jinja").unlink()
    monkeypatch.setattr(running, "run", stopped)
    told: list[str] = []
    go = partial(trained, data, plain, told=told)
    with pytest.raises(Stopped):
        go(tmp_path / "chatml", *QUICK)
    assert f"{plain} has no chat template; it gets chatml." in told
    with pytest.raises(Stopped):
        go(tmp_path / "llama3", *QUICK, chat_template="llama3")
    assert "with the new tokens <|start_header_id|>, <|end_header_id|>, <|eot_id|>." in told[-1]
    with pytest.raises(UsageError, match="does not know .* LoRA would not learn them"):
        go(tmp_path / "lora", *QUICK, chat_template="llama3", lora=True)
    broken = tmp_path / "broken.jinja"
    broken.write_text("{{ nothing.at.all }}")
    with pytest.raises(UsageError, match="broken.jinja cannot be rendered"):
        go(tmp_path / "broken", *QUICK, chat_template=str(broken))
    with pytest.raises(UsageError, match="is no file that can be read"):
        go(tmp_path / "none", *QUICK, chat_template="none.jinja")
    assert not any((tmp_path / name).exists() for name in ("lora", "broken", "none"))


class Stopped(Exception):
    pass


def stopped(*_: object, **__: object) -> None:
    raise Stopped


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--config", "empty"), "the config 'empty' of .* has no rows; nothing to train on"),
        (("--config", "pairs"), "holds preferences, and sft learns from conversations; .* dpo"),
        (("--config", "pair"), "has no config 'pair', .* did you mean 'pairs'"),
        (("--method", "dpo"), "holds conversations, and dpo learns from preferences; .* sft"),
        (("--method", "dop"), "--method dop: did you mean 'dpo'"),
        (("--preset", "papers"), "--preset papers: did you mean 'paper'"),
        (("--set", "learningrate=1"), "did you mean 'learning_rate'"),
        (("--set", "batch=0"), "--set batch=0: .*greater than or equal to 1"),
        (("--set", "per_device=3"), "a batch of 32 does not come from 1 process of 3 rows"),
        (("--base", "nowhere/at/all"), "there is no folder nowhere/at/all"),
    ],
)
def test_bad_input_is_one_sentence_and_nothing_is_written(
    arguments: tuple[str, ...],
    message: str,
    data: Path,
    base: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    given = ["--base", str(base), "--method", "sft", "--out", str(out), *arguments]
    assert cli.main(["train", str(data), *given]) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert re.search(message, said) and not out.exists()


def test_a_folder_with_something_else_is_left_alone(data: Path, base: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds something else"):
        trained(data, base, tmp_path, *QUICK)
    assert [each.name for each in tmp_path.iterdir()] == ["thesis.txt"]


def test_memory_that_does_not_do(
    data: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from trl import SFTTrainer

    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(SFTTrainer, "training_step", full)
    with pytest.raises(EngineError, match="8 rows of up to 64 tokens .* try --set per_device=4"):
        trained(data, base, tmp_path / "out", *QUICK)
    assert not (tmp_path / "out" / SUMMARY).exists() and not (tmp_path / "out" / "model").exists()
    (record,) = read_records(tmp_path / "out")
    assert record.error and record.error.startswith("the memory does not do for 8 rows")
    assert not record.ok and record.table is None and record.settings["batch"] == 8


def test_a_disk_that_is_full(
    data: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trl import SFTTrainer

    whole = SFTTrainer._save_checkpoint

    def full(self: SFTTrainer, *given: object, **more: object) -> None:
        if self.state.global_step > 4:
            raise OSError(28, "No space left on device")
        whole(self, *given, **more)

    monkeypatch.setattr(SFTTrainer, "_save_checkpoint", full)
    with pytest.raises(StorageError, match="No space .* run again: it goes on from step 4"):
        trained(data, base, tmp_path / "out", *QUICK)


def test_a_row_that_the_chat_template_refuses(data: Path, base: Path, tmp_path: Path) -> None:
    strict = tmp_path / "strict.jinja"
    strict.write_text(
        "{% for message in messages %}{% if 'Kyiv' in message.content %}"
        "{{ raise_exception('no Kyiv here') }}{% endif %}{{ message.content }}<|im_end|>"
        "{% endfor %}"
    )
    with pytest.raises(UsageError, match=r"template refuses a row \(no Kyiv here\); give another"):
        trained(data, base, tmp_path / "out", *QUICK, chat_template=str(strict))


def test_what_is_not_installed_is_named(
    data: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "find_spec", lambda name: None if name == "peft" else name)
    with pytest.raises(UsageError, match=r"peft is not installed; .*magpie-hub\[train\]"):
        trained(data, base, tmp_path / "out", *QUICK, lora=True)


def test_rows_in_a_pack_do_not_see_each_other(data: Path, base: Path, tmp_path: Path) -> None:
    same = ["max_tokens=200", "steps=1", "warmup=0", "recompute=false"]
    alone = trained(data, base, tmp_path / "alone", *same, "batch=64", "packing=false")
    packs = trained(data, base, tmp_path / "packs", *same, "batch=8", "per_device=8")
    assert packs.summary["examples"] == alone.summary["examples"] == 64
    assert packs.summary["tokens"] == alone.summary["tokens"] > 5 * 200
    first, second = (each.summary["first_loss"] for each in (alone, packs))
    assert first == pytest.approx(second, abs=1e-5)
