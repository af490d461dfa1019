"""``train``: a base model fine-tuned on a release, to see what the release is worth.

OUT/
  settings.json                                    what this training is; another one is refused
  rows.jsonl                                       the rows, as any trainer reads them
  axolotl.yaml llamafactory.yaml dataset_info.json the same training for those who train there
  checkpoints/ cache/                              while it lasts
  model/ adapter/                                  what came out; the adapter with LoRA alone
  evidence.json                                    the same for a card; of one that failed too
  summary.json                                     written last
"""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Mapping
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from magpie_hub import models
from magpie_hub.errors import RunMismatch, UsageError
from magpie_hub.evidence import templates
from magpie_hub.evidence.record import failing, versions, write_records
from magpie_hub.evidence.templates import OWN, Template
from magpie_hub.evidence.train import run as running
from magpie_hub.evidence.train import trainer as trainers
from magpie_hub.evidence.train.frameworks import AXOLOTL, DATASET_INFO, LLAMA_FACTORY, documents
from magpie_hub.evidence.train.presets import FREE, Method, Settings
from magpie_hub.evidence.train.presets import settings as preset
from magpie_hub.evidence.train.record import record
from magpie_hub.evidence.train.rows import FILE, Rows, open_rows
from magpie_hub.evidence.train.run import Ran
from magpie_hub.hub.client import Report
from magpie_hub.storage import write_atomically
from magpie_hub.storage.locks import locked

SETTINGS, SUMMARY = "settings.json", "summary.json"
_FIRST = {".lock", FILE, AXOLOTL, LLAMA_FACTORY, DATASET_INFO}
_PACKAGES = ("torch", "transformers", "trl", "accelerate", "peft", "datasets")


@dataclass(frozen=True)
class Trained:
    """``summary`` is what ``summary.json`` holds; ``first``: this is the process that speaks."""

    out: Path
    summary: Mapping[str, Any]
    first: bool = True

    @property
    def model(self) -> Path:
        return self.out / "model"

    def to_dict(self) -> dict[str, Any]:
        return {"out": str(self.out), "model": str(self.model), **self.summary}


def train(
    source: str,
    base: str,
    *,
    method: Method,
    settings: Settings,
    config: str | None = None,
    out: str | Path | None = None,
    chat_template: str | None = None,
    report: Report,
) -> Trained:
    """Fine-tune ``base`` on a config of a release (see ``rows.py``), going on with what
    ``out`` holds of the same training; a finished one is told again.

    Everything is checked before anything is written: ``UsageError`` where the release, the config,
    the model or the template do not do, ``RunMismatch`` where ``out`` holds another training;
    ``EngineError`` where the memory ends."""
    running.require(settings)
    rank, world = running.processes()
    accumulation = trainers.accumulation(settings, world)
    say = report if rank == 0 else lambda line: None
    with ExitStack() as held:
        rows = held.enter_context(open_rows(source, config, method, report=say))
        model = models.resolve(base)
        tokenizer = _tokenizer(model.path, base)
        template = templates.choose(tokenizer, chat_template)
        new = templates.prepare(tokenizer, template, base, lora=settings.lora)
        if template.name != OWN:
            had = "gets" if chat_template else "has no chat template; it gets"
            also = f", with the new tokens {', '.join(new)}" if new else ""
            say(f"{base} {had} {template.name}{also}.")
        short = model.ref.rpartition("/")[2].replace(":", "-")
        folder = Path(out or f"{short}-{rows.data.config}-{method}").expanduser()
        identity = _identity(method, rows, model.revision, template, settings)
        if folder.is_file():
            raise UsageError(f"--out {folder} is a file; name a folder.")
        _same(folder, identity)
        if (folder / SUMMARY).is_file():
            say(f"{folder} is finished already.")
            return Trained(folder, json.loads((folder / SUMMARY).read_bytes()), rank == 0)
        if rank == 0:
            held.enter_context(locked(folder))
            rows.write(folder)
            written = documents(
                method,
                base if "/" in base and not Path(base).exists() else str(model.path.resolve()),
                settings,
                template,
                new,
                str(tokenizer.eos_token) if tokenizer.eos_token else None,
                accumulation=accumulation,
                processes=world,
            )
            for name, text in written.items():
                write_atomically(folder / name, text.encode(), durable=False)
            write_atomically(folder / SETTINGS, _json(identity))
        if world > 1:
            from accelerate import PartialState

            PartialState().wait_for_everyone()
        known = {
            **identity,
            "base": {"model": base, "revision": model.revision},
            "settings": settings.model_dump(),
            "command": _command(source, base, method, settings, config, out, chat_template),
            "processes": world,
            "versions": versions(*_PACKAGES),
        }
        with failing(folder, lambda error: record(known, error)) if rank == 0 else nullcontext():
            ran = running.run(
                method,
                model.path,
                tokenizer,
                folder / FILE,
                folder,
                settings,
                world=world,
                report=say,
            )
        summary = {**known, **_told(ran)}
        if rank == 0:
            write_records(folder, [record(summary)])
            write_atomically(folder / SUMMARY, _json(summary))
            running.clean(folder)
    say(f"{ran.steps:,} steps in {ran.seconds:,.0f} s: {folder / 'model'}")
    return Trained(folder, summary, rank == 0)


def _tokenizer(path: Path, base: str) -> Any:  # noqa: ANN401
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(path)
    except (OSError, ValueError) as error:
        raise UsageError(f"{base} has no tokenizer that can be loaded; add its files.") from error


def _identity(
    method: Method, rows: Rows, revision: str, template: Template, settings: Settings
) -> dict[str, Any]:
    return {
        "method": method,
        "data": rows.data.to_dict(),
        "base": revision,
        "chat_template": {
            "name": template.name,
            "sha256": hashlib.sha256(template.text.encode()).hexdigest(),
        },
        "settings": settings.model_dump(exclude=set(FREE)),
    }


def _same(folder: Path, identity: Mapping[str, Any]) -> None:
    """``RunMismatch`` says in what the training in ``folder`` differs."""
    file = folder / SETTINGS
    if not file.is_file():
        # What stands there before the settings is of a training that was cut off.
        if folder.is_dir() and {each.name for each in folder.iterdir()} - _FIRST:
            raise UsageError(f"--out {folder} holds something else; name another folder.")
        return
    before, now = _flat(json.loads(file.read_bytes())), _flat(identity)
    for key in now:
        if before.get(key) != now[key]:
            raise RunMismatch(
                f"{folder} holds a training with another {key} ({before.get(key)}, now "
                f"{now[key]}); name another --out, or delete it."
            )


def _flat(found: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in found.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{before}{key}.")
        else:
            flat[f"{before}{key}"] = value
    return flat


def _told(ran: Ran) -> dict[str, Any]:
    return {
        "steps": ran.steps,
        "resumed_from_step": ran.resumed,
        "examples": ran.examples,
        "tokens": ran.tokens,
        "learned_tokens": ran.learned,
        "first_loss": ran.losses[0]["loss"] if ran.losses else None,
        "last_loss": ran.losses[-1]["loss"] if ran.losses else None,
        "losses": [dict(each) for each in ran.losses],
        "seconds": ran.seconds,
        "device": ran.device,
    }


def _command(
    source: str,
    base: str,
    method: Method,
    settings: Settings,
    config: str | None,
    out: str | Path | None,
    chat_template: str | None,
) -> str:
    """Settings are named where they are not those of the paper."""
    words = ["magpie-hub", "train", source, "--base", base, "--method", method]
    given = {"--config": config, "--out": out, "--chat-template": chat_template}
    for option, value in given.items():
        words += [option, str(value)] if value else []
    words += ["--lora"] if settings.lora else []
    paper = preset(method, "paper", lora=settings.lora).model_dump()
    for key, value in settings.model_dump().items():
        if value != paper[key]:
            words += ["--set", f"{key}={value if isinstance(value, str) else json.dumps(value)}"]
    return shlex.join(words)


def _json(found: Mapping[str, Any]) -> bytes:
    return (json.dumps(found, indent=2, ensure_ascii=False) + "\n").encode()
