"""The line: sample, label, screen, respond, score, in the order in which a row costs least.

Queries are labelled and screened before they are answered, since answers are nearly all of the
compute. Everything that can be refused is refused before the first model is loaded.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil
from pathlib import Path

from magpie_hub import models, respond, sample, screen, template
from magpie_hub.annotate import compare, judge, language, looks, reward, safety
from magpie_hub.claims import Alone, Claims
from magpie_hub.engines import EngineSpec, open_engine
from magpie_hub.errors import Interrupted, RecipeError, UsageError
from magpie_hub.filters import Filter
from magpie_hub.locks import locked
from magpie_hub.quotas import kept_so_far
from magpie_hub.recipe import Judge, Language, Recipe, RewardModel, Safety
from magpie_hub.run import Run, StageInfo
from magpie_hub.scheduler import Scheduler, Stop
from magpie_hub.stage import Progress, ReadSource, Source, Work
from magpie_hub.template import ChatTemplate, Override

STAGES = ("sample", "screen", "respond", "annotate")


class Plan:
    """A recipe whose models are found and whose filters are checked: what a run will do.

    ``RecipeError`` where the recipe asks for what cannot be, with the key's place in the file.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        _check_filters(recipe)
        _check_builder(recipe)
        labels = recipe.annotate
        self.asker = self._source(None)
        self.responders = tuple(
            self._source(each.model, each.revision, *place, thinking=each.thinking)
            for each, place in zip(recipe.respond.each, self._places(), strict=True)
        )
        self.judge = self._judge(labels.judge) if labels.judge else None
        self.guard = self._reader(labels.safety, "safety") if labels.safety else None
        self.rewards: list[ReadSource] = []
        self.second: Source | None = None
        if labels.reward:
            self.rewards = [self._reader(labels.reward, "reward")]
            for number, also in enumerate(labels.reward.also):
                self.rewards.append(self._reader(also, "reward", "also", number))
            if against := labels.reward.against:
                place = ("annotate", "reward", "against")
                self.second = self._source(against.model, against.revision, *place)
        self._check_answers()
        self._check_steering()
        self.stages = self._stages()

    def _places(self) -> list[tuple[str | int, ...]]:
        """Where in the recipe each responder stands."""
        several = range(len(self.recipe.respond.responders))
        return [("respond", "responders", number) for number in several] or [("respond",)]

    def _source(
        self,
        ref: str | None,
        revision: str | None = None,
        *part: str | int,
        thinking: bool | None = None,
    ) -> Source:
        """The model ``ref`` that a part of the recipe names, or the asker where it names none."""
        override = None
        if ref is None:
            ref, revision, part = self.recipe.model, self.recipe.revision, ()
            if given := self.recipe.template.override:
                override = Override(given.prefix, given.post_query)
        try:
            model = models.resolve(ref, revision)
            return Source(model, template.load(model.path, override=override, thinking=thinking))
        except UsageError as error:
            raise RecipeError(f"{self.recipe.place(*part, 'model')}: {error}") from error

    def _reader(self, settings: Safety | RewardModel, *part: str | int) -> ReadSource:
        try:
            model = models.resolve(settings.model, settings.revision)
            return ReadSource(model, template.reader(model.path))
        except UsageError as error:
            place = self.recipe.place("annotate", *part, "model")
            raise RecipeError(f"{place}: {error}") from error

    def _judge(self, settings: Judge) -> Source:
        """Without thinking, where that can be switched: a judge's answer is bound to JSON."""
        part = (settings.model, settings.revision, "annotate", "judge")
        found = self._source(*part)
        switched = found.template.thinking.switch is not None
        return self._source(*part, thinking=False) if switched else found

    def _check_answers(self) -> None:
        answering = list(zip(self.responders, self._places(), strict=True))
        if self.judge:
            answering.append((self.judge, ("annotate", "judge")))
        if self.second:
            answering.append((self.second, ("annotate", "reward", "against")))
        for source, loc in answering:
            if source.template.no_answer:
                raise RecipeError(f"{self.recipe.place(*loc)}: {source.template.no_answer}")

    def _check_steering(self) -> None:
        for position, steer in enumerate(self.recipe.sample.steer):
            for system, prefill in steer.texts():
                try:
                    self.asker.template.query_prompt(system, prefill)
                except UsageError as error:
                    place = self.recipe.place("sample", "steer", position)
                    raise RecipeError(f"{place}: {error}") from error

    @property
    def readers(self) -> list[ChatTemplate]:
        """The templates through which a query goes: what leaks in one of them is no query."""
        sources = [self.asker, *self.responders, *([self.judge] if self.judge else [])]
        found = {tuple(s.template.describe().items()): s.template for s in sources}
        return list(found.values())

    def _stages(self) -> tuple[StageInfo, ...]:
        recipe = self.recipe
        sampling = sample.info(recipe, self.asker.model, self.asker.template)
        labels: list[StageInfo] = []
        if recipe.annotate.language:
            labels.append(language.info(recipe, recipe.annotate.language, sampling))
        if against := recipe.annotate.contamination:
            try:
                labels.append(looks.contamination_info(against, sampling))
            except UsageError as error:
                place = recipe.place("annotate", "contamination", "against")
                raise RecipeError(f"{place}: {error}") from error
        looked_at = tuple(labels)
        if self.judge and recipe.annotate.judge:
            labels.append(
                judge.info(recipe, recipe.annotate.judge, self.judge.model, sampling, looked_at)
            )
        if near := recipe.annotate.neighbors:
            try:
                labels.append(compare.neighbors_info(recipe, near, sampling, looked_at))
            except UsageError as error:
                place = recipe.place("annotate", "neighbors", "model")
                raise RecipeError(f"{place}: {error}") from error
        if same := recipe.annotate.duplicates:
            labels.append(compare.duplicates_info(recipe, same, sampling, labels))
        screening = screen.info(recipe, sampling, labels)
        answering = respond.info(recipe, self.responders, after=sampling, gate=screening)
        stages = [sampling, *labels, screening, answering]
        if recipe.annotate.text:
            stages.append(looks.text_info(recipe.annotate.language or Language(), answering))
        if recipe.annotate.pii:
            stages.append(looks.pii_info(recipe.annotate.pii, self.asker.template, answering))
        if self.guard:
            stages.append(safety.info(self.guard, answering))
        second = None
        if self.second and recipe.annotate.reward and recipe.annotate.reward.against:
            second = reward.baseline_info(recipe.annotate.reward.against, self.second, answering)
            stages.append(second)
        stages += reward.info(self.rewards, answering, second)
        return tuple(stages)

    def works(self, run: Run, until: str = "annotate") -> list[Work]:
        """The stages in their order, up to ``until``."""
        settings = self.recipe.annotate
        rules = screen.Rules(run, self.readers)
        works: list[Work] = [sample.sampling(run, self.asker)]
        if until == "sample":
            return works
        if settings.language:
            works.append(language.telling(run, settings.language))
        if settings.contamination:
            works.append(looks.comparing(run, settings.contamination))
        if self.judge and settings.judge:
            works.append(judge.judging(run, settings.judge, self.judge, rules))
        if settings.neighbors:
            works.append(compare.neighboring(run, settings.neighbors, rules))
        if settings.duplicates:
            works.append(compare.comparing(run, settings.duplicates, rules))
        works.append(
            screen.screening(
                run, rules, tuple(work.stage for work in works[1:] if work.stage != "duplicates")
            )
        )
        if until == "screen":
            return works
        works += respond.responding(run, self.responders)
        if until == "respond":
            return works
        if settings.text:
            works.append(looks.looking(run, settings.language or Language()))
        if settings.pii:
            works.append(looks.searching(run, self.asker.template))
        if self.guard:
            works.append(safety.guarding(run, self.guard))
        if self.second and settings.reward and settings.reward.against:
            works.append(reward.comparing(run, settings.reward.against, self.second))
        works += reward.rewarding(run, self.rewards, compared=self.second is not None)
        return works


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


def _check_filters(recipe: Recipe) -> None:
    annotate = recipe.annotate
    labels: list[str] = ["language"] if annotate.language else []
    labels += ["contaminated_by"] if annotate.contamination else []
    if annotate.judge:
        labels += [
            column for prompt in judge.prompts(annotate.judge.passes) for column in prompt.columns
        ]
    behind = ["safety"] if annotate.safety else []
    behind += looks.TEXT if annotate.text else []
    behind += ["pii"] if annotate.pii else []
    if annotate.reward:
        behind.append("reward")
        behind += ["reward_difference"] if annotate.reward.against else []
    labels += compare.NEIGHBORS if annotate.neighbors else []
    if annotate.duplicates and annotate.duplicates.neighbors and not annotate.neighbors:
        raise RecipeError(
            f"{recipe.place('annotate', 'duplicates', 'neighbors')}: to tell duplicates by their "
            "neighbours, `annotate` needs `neighbors: {}`."
        )
    if recipe.screen.languages and not annotate.language:
        raise RecipeError(
            f"{recipe.place('screen', 'languages')}: to screen by language, `annotate` needs "
            "`language: {}`."
        )
    if recipe.screen.quotas and not annotate.judge:
        raise RecipeError(
            f"{recipe.place('screen', 'quotas')}: quotas are of categories, so `annotate` needs "
            "`judge: {}`."
        )
    if recipe.screen.quotas and recipe.screen.keep is None:
        raise RecipeError(
            f"{recipe.place('screen', 'quotas')}: quotas are shares of `screen.keep`; say how many "
            "queries shall pass."
        )
    if recipe.screen.where is not None:
        _parse(recipe, recipe.screen.where, [*sample.COLUMNS, *labels], "screen", "where")
    columns = [*sample.COLUMNS, *respond.COLUMNS, *labels, *behind]
    for name, config in recipe.configs.items():
        if config.where is not None:
            _parse(recipe, config.where, columns, "configs", name, "where")


def _parse(recipe: Recipe, where: str, columns: list[str], *loc: str) -> None:
    try:
        Filter.parse(where, columns)
    except RecipeError as error:
        raise RecipeError(f"{recipe.place(*loc)}: {error}") from error


def _check_builder(recipe: Recipe) -> None:
    from magpie_hub.builder import builder_class

    try:
        builder_class(recipe.builder)
    except RecipeError as error:
        raise RecipeError(f"{recipe.place('builder')}: {error}") from error
