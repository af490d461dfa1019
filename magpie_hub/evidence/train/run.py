"""The training itself, by TRL: the model and its rows into a trainer, its checkpoints, its end."""

from __future__ import annotations

import json
import logging
import shutil
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magpie_hub.errors import EngineError, MissingExtra, StorageError, UsageError, said
from magpie_hub.evidence.train import trainer as trainers
from magpie_hub.evidence.train.presets import Method, Settings
from magpie_hub.hub.client import Report

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

CHECKPOINTS = "checkpoints"
_CACHE = "cache"
_STATE = "trainer_state.json"


@dataclass(frozen=True)
class Ran:
    """``steps`` in all and of them ``resumed`` from a checkpoint; ``examples`` and ``tokens`` are
    those of one epoch, as they were trained on: ``learned`` tokens carry the loss. ``losses`` has
    an entry for each of the steps that were logged, with what TRL measured there. ``seconds`` are
    those of this process."""

    steps: int
    resumed: int
    examples: int
    tokens: int
    learned: int
    losses: tuple[Mapping[str, float], ...]
    seconds: float
    device: str


def require(settings: Settings) -> None:
    """``MissingExtra`` where what trains is not installed."""
    for package in ("torch", "trl", *(("peft",) if settings.lora else ())):
        if find_spec(package) is None:
            raise MissingExtra(package, "train")


def processes() -> tuple[int, int]:
    """The rank of this process and how many there are, as a launcher says. ``UsageError`` where one
    process has several GPUs: they would share each row's work, which packs of rows do not allow."""
    import os

    import torch

    world = int(os.environ.get("WORLD_SIZE", "1"))
    found = torch.cuda.device_count()
    if world == 1 and found > 1:
        raise UsageError(
            f"there are {found} GPUs and one process; use `accelerate launch --num_processes "
            f"{found} -m magpie_hub train ...`, or one of them with CUDA_VISIBLE_DEVICES=0."
        )
    return int(os.environ.get("RANK", "0")), world


def run(
    method: Method,
    base: Path,
    tokenizer: PreTrainedTokenizerBase,
    rows: Path,
    out: Path,
    settings: Settings,
    *,
    world: int,
    report: Report,
) -> Ran:
    """Train ``base`` on ``rows`` and put it into ``out/model``; it goes on where the last complete
    checkpoint in ``out`` ends.

    ``EngineError`` where the memory or the disk does not do, or the base is no model that writes
    text; ``UsageError`` where the chat template refuses a row."""
    from transformers import PrinterCallback

    started = time.monotonic()
    with _quiet(), _failures(out, settings):
        trainer: Any = trainers.trainer(
            method,
            trainers.load(base, tokenizer, settings),
            base,
            tokenizer,
            rows,
            settings,
            checkpoints=out / CHECKPOINTS,
            cache=out / _CACHE,
            world=world,
        )
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(_callback(report))
        examples, tokens, learned = trainers.counted(trainer.train_dataset)
        if not learned:
            raise UsageError(
                f"no row has a word of an answer within {settings.max_tokens} tokens; set a larger "
                "max_tokens."
            )
        last = last_checkpoint(out)
        if last is not None:
            report(f"goes on from step {_step(last)}.")
        trainer.train(resume_from_checkpoint=str(last) if last else None)
        _save(trainer, tokenizer, base, out, settings)
        device = _device(trainer)
    state = trainer.state
    return Ran(
        steps=state.global_step,
        resumed=_step(last) if last else 0,
        examples=examples,
        tokens=tokens,
        learned=learned,
        losses=tuple(_losses(state.log_history)),
        seconds=round(time.monotonic() - started, 1),
        device=device,
    )


def last_checkpoint(out: Path) -> Path | None:
    """The trainer's state is written last: a checkpoint without one was cut off."""
    found = []
    for each in (out / CHECKPOINTS).glob("checkpoint-*"):
        with suppress(OSError, ValueError):
            json.loads((each / _STATE).read_bytes())
            found.append(each)
    return max(found, key=_step, default=None)


def clean(out: Path) -> None:
    """What is of no use once the model is there."""
    for name in (CHECKPOINTS, _CACHE):
        shutil.rmtree(out / name, ignore_errors=True)


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def _callback(report: Report) -> object:
    from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

    class Telling(TrainerCallback):
        def on_train_begin(
            self,
            args: TrainingArguments,
            state: TrainerState,
            control: TrainerControl,
            **_: object,
        ) -> None:
            if state.max_steps <= args.warmup_steps:
                report(
                    f"{state.max_steps:,} steps are no more than the {args.warmup_steps:g} of the "
                    "warm-up: the rate does not rise to what was set; --set warmup=0.1 is a tenth."
                )

        def on_log(
            self,
            args: TrainingArguments,
            state: TrainerState,
            control: TrainerControl,
            **given: Any,  # noqa: ANN401
        ) -> None:
            logs: Mapping[str, Any] = given.get("logs") or {}
            if "loss" in logs:
                report(
                    f"step {state.global_step:,} of {state.max_steps:,}: loss "
                    f"{float(logs['loss']):.4f}, rate {float(logs['learning_rate']):.2g}."
                )

    return Telling()


def _losses(history: list[Mapping[str, Any]]) -> Iterator[dict[str, float]]:
    for entry in history:
        if "loss" in entry:
            yield {key: float(value) for key, value in entry.items() if key != "total_flos"}


def _save(
    trainer: Any,  # noqa: ANN401
    tokenizer: PreTrainedTokenizerBase,
    base: Path,
    out: Path,
    settings: Settings,
) -> None:
    """``out/model``, complete or absent, in the type of the base's weights; an adapter of LoRA is
    merged into it, and stands in ``out/adapter`` too."""
    import torch
    from transformers import AutoConfig

    part, target = out / ".model.part", out / "model"
    shutil.rmtree(part, ignore_errors=True)
    sharded = trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled
    if sharded:
        trainer.save_model(str(part))
    if not trainer.is_world_process_zero():
        return
    if not sharded:
        model = trainer.accelerator.unwrap_model(trainer.model)
        if settings.lora:
            model.save_pretrained(out / "adapter")
            model = model.merge_and_unload()
        kept = AutoConfig.from_pretrained(base).dtype or torch.float32
        model.to(kept).save_pretrained(part)
    tokenizer.save_pretrained(part)
    shutil.rmtree(target, ignore_errors=True)
    part.rename(target)


def _device(trainer: Any) -> str:  # noqa: ANN401
    import torch

    kind = trainer.args.device.type
    return torch.cuda.get_device_name() if kind == "cuda" else str(kind)


@contextmanager
def _quiet() -> Iterator[None]:
    """No bars of the libraries: the lines are ours."""
    import datasets
    from transformers.utils import logging as loud

    logs: Any = loud
    level, drawn = logs.get_verbosity(), logs.is_progress_bar_enabled()
    hidden = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    logs.disable_progress_bar()
    logs.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        logs.set_verbosity(level)
        # Giving bars back warns where the environment forbids them.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if drawn:
                logs.enable_progress_bar()
            if not hidden:
                datasets.enable_progress_bars()


@contextmanager
def _failures(out: Path, settings: Settings) -> Iterator[None]:
    """What a machine or a row does to a training, as a sentence."""
    import torch
    from jinja2 import TemplateError

    try:
        yield
    except TemplateError as error:
        raise UsageError(
            f"the chat template refuses a row ({said(error)}); give another --chat-template, or "
            "leave such rows out of the config."
        ) from error
    except OSError as error:
        raise StorageError(
            f"{out} could not be written ({error.strerror or error}); make room and run again"
            f"{_from(out)}."
        ) from error
    except (MemoryError, RuntimeError) as error:
        full = isinstance(error, MemoryError | torch.OutOfMemoryError)
        if not full and "can't allocate memory" not in str(error):
            raise
        advice = "a shorter max_tokens in another --out, or --lora"
        if settings.per_device > 1:
            advice = f"--set per_device={settings.per_device // 2}, which gives the same batches"
        raise EngineError(
            f"the memory does not do for {settings.per_device} rows of up to "
            f"{settings.max_tokens} tokens at a time; try {advice}{_from(out)}."
        ) from error


def _from(out: Path) -> str:
    last = last_checkpoint(out)
    return f": it goes on from step {_step(last)}" if last else ""
