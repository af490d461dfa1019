"""What the choice of rows is worth: `python -m demo_model.experiment [--out DIR]`.

A base is trained on plain text; for each seed the bundled model makes rows, several sets of equal
size are chosen of them, the base is fine-tuned on each, and the grammar tells how many held-out
questions it then answers rightly. What is there is not done again. The table goes into
`docs/evidence.md`, and as a record into the package, from where the demo's card has it.
"""

import argparse
import json
import multiprocessing
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from demo_model.experiment.arms import QUESTIONS, one_seed
from demo_model.experiment.base import FACTS, train_base
from demo_model.experiment.data import ROWS
from demo_model.experiment.table import publish, read, record, told
from demo_model.fitting import report, say
from demo_model.tokenizer import CHAT_TEMPLATE

PAGES = 24_000
SEEDS = 5
WORKERS = 2


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--out", type=Path, default=Path("experiment"))
    arguments.add_argument("--pages", type=int, default=PAGES, help="that the base reads")
    arguments.add_argument("--rows", type=int, default=ROWS, help="of each set")
    arguments.add_argument("--questions", type=int, default=QUESTIONS, help="held out, a seed")
    arguments.add_argument("--seeds", type=int, default=SEEDS)
    arguments.add_argument("--workers", type=int, default=WORKERS, help="processes at a time")
    arguments.add_argument("--dry", action="store_true", help="print the table, publish nothing")
    options = arguments.parse_args()
    # One thread a process: what is this small does not gain from more.
    os.environ |= {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    base, template = out / "base", out / "chat_template.jinja"
    template.write_text(CHAT_TEMPLATE, encoding="utf-8")
    started = time.monotonic()
    if not base.is_dir():
        say(f"the base reads {options.pages:,} pages.")
        train_base(base, pages=options.pages, workers=options.workers, report=report)
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.workers, mp_context=spawn) as workers:
        jobs = {
            workers.submit(
                one_seed,
                out / f"seed-{seed}",
                base,
                template,
                rows=options.rows,
                questions=options.questions,
                seed=seed,
            ): seed
            for seed in range(1, options.seeds + 1)
        }
        for job in as_completed(jobs):
            job.result()
            say(f"seed {jobs[job]} is done, {(time.monotonic() - started) / 60:.0f} min.")
    made = record(
        read(out, range(1, options.seeds + 1)),
        pages=json.loads((base / FACTS).read_text(encoding="utf-8"))["pages"],
        rows=options.rows,
        questions=options.questions,
    )
    if not options.dry:
        publish(made)
    sys.stdout.write(told(made) + "\n")


if __name__ == "__main__":
    main()
