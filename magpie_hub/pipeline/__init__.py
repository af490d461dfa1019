"""Do what a recipe asks for: the stages of its plan, shard by shard, until enough is kept."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil
from pathlib import Path

from magpie_hub.engines import EngineSpec, open_engine
from magpie_hub.errors import Interrupted, UsageError
from magpie_hub.pipeline.plan import Plan
from magpie_hub.pipeline.scheduler import Scheduler, Stop
from magpie_hub.recipe import Recipe
from magpie_hub.run import Run
from magpie_hub.stages import Progress
from magpie_hub.stages.quotas import kept_so_far
from magpie_hub.storage.claims import Alone, Claims
from magpie_hub.storage.locks import locked

STAGES = ("sample", "screen", "respond", "annotate")


def run(
    recipe: Recipe,
    out: str | Path,
    *,
    progress: Progress,
    engine: EngineSpec | None = None,
    until: str = "annotate",
    claims: Claims | None = None,
    retry_failed: bool = False,
) -> Run:
    """Do what is left of ``recipe`` in the folder or URL ``out``, up to the stage ``until``.

    Stopping it at any moment loses the shards in flight and nothing else; calling it again goes on.
    ``claims``: others work on the run too, and these say which shards are ours; what needs shards
    of theirs may then be left. ``retry_failed``: rows that failed are tried again.
    """
    spec = engine or EngineSpec()
    spec.require()
    if until not in STAGES:
        raise UsageError(f"there is no stage '{until}'; there are: {', '.join(STAGES)}.")
    plan = Plan(recipe)
    alone = claims is None
    stop = Stop()

    def work(run: Run, retry: bool) -> bool:
        return Scheduler(
            run,
            plan.works(run, until),
            open_engine=lambda model, task: open_engine(spec, model, task),
            claims=claims or Alone(),
            progress=progress,
            stop=stop,
            retry_failed=retry,
        ).work()

    with _stoppable(str(out), stop, progress), locked(out, shared=not alone):
        rows: int | None = _first_rows(recipe, out)
        while True:
            run = Run.start(recipe, out, plan.stages, alone=alone, rows=rows)
            if retry_failed:
                # What mended rows bring to later stages is only known once they are there.
                work(run, retry=True)
            finished = work(run, retry=False)
            if not finished or until == "sample" or (rows := _more_rows(run, progress)) is None:
                break
        if stop.asked:
            raise KeyboardInterrupt
    return run


def _first_rows(recipe: Recipe, out: str | Path) -> int:
    """All, or as many as could give ``screen.keep`` if each passed."""
    if recipe.screen.keep is None:
        return recipe.rows
    return max(Run.rows_at(out), _whole_shards(recipe, recipe.screen.keep))


def _more_rows(run: Run, progress: Progress) -> int | None:
    """How many slots to lay out next, at the yield so far; None where there are enough."""
    recipe, rows = run.recipe, run.info.rows
    settings = recipe.screen
    if settings.keep is None or rows >= recipe.rows:
        return None
    kept = kept_so_far(run)
    if kept >= settings.keep:
        return None
    last = kept_so_far(run, run.shard_count - 1) / run.rows_in(run.shard_count - 1)
    if last < settings.min_yield:
        progress.note(
            f"{kept} of {settings.keep} queries passed; of the last shard {last:.1%} did, less "
            f"than min_yield, so no more are sampled"
        )
        return None
    # A yield of nothing must not ask for everything at once.
    wanted = (settings.keep - kept) * rows / max(kept, 1)
    return _whole_shards(recipe, rows + min(ceil(wanted), 3 * rows))


def _whole_shards(recipe: Recipe, rows: int) -> int:
    return min(recipe.rows, -(-rows // recipe.shard_rows) * recipe.shard_rows)


@contextmanager
def _stoppable(out: str, stop: Stop, progress: Progress) -> Iterator[None]:
    """Ctrl-C once ends the run when the shards in flight are finished, twice at once, as does a
    polite kill; what is finished stays."""

    def now(*_: object) -> None:
        raise KeyboardInterrupt

    def soon(*_: object) -> None:
        if stop.asked:
            now()
        stop.asked = True
        progress.note("finishing the shards in flight; Ctrl-C again stops at once")

    before = {}
    try:
        before[signal.SIGTERM] = signal.signal(signal.SIGTERM, now)
        before[signal.SIGINT] = signal.signal(signal.SIGINT, soon)
    except ValueError:  # not in the main thread: signals are the caller's
        pass
    try:
        yield
    except KeyboardInterrupt as error:
        raise Interrupted(
            f"stopped; what was finished is in {out}, and the same command goes on from there."
        ) from error
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
