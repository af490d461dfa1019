"""The line: sample, label, screen, respond, score, in the order in which a row costs least.

Queries are labelled and screened before they are answered, since answers are nearly all of the
compute. Everything that can be refused is refused before the first model is loaded.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from magpie_hub import models, respond, sample, screen, template
from magpie_hub.annotate import judge, language, reward
from magpie_hub.engines import Engine, open_engine, open_scorer, require
from magpie_hub.errors import Interrupted, RecipeError, UsageError
from magpie_hub.filters import Filter
from magpie_hub.models import Model
from magpie_hub.recipe import Judge, Recipe
from magpie_hub.run import Run, StageInfo, locked
from magpie_hub.stage import Progress
from magpie_hub.template import ChatTemplate, Override

STAGES = ("sample", "screen", "respond", "annotate")


@dataclass(frozen=True)
class Source:
    """A model and the template through which it is spoken to."""

    model: Model
    template: ChatTemplate


class Plan:
    """A recipe whose models are found and whose filters are checked: what a run will do.

    ``RecipeError`` where the recipe asks for what cannot be, with the key's place in the file.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        _check_filters(recipe)
        _check_builder(recipe)
        answering, labels = recipe.respond, recipe.annotate
        self.asker = self._source(None)
        self.responder = self._source(
            answering.model, answering.revision, "respond", thinking=answering.thinking
        )
        self.judge = self._judge(labels.judge) if labels.judge else None
        self.reward = (
            self._source(labels.reward.model, labels.reward.revision, "annotate", "reward")
            if labels.reward
            else None
        )
        self._check_answers()
        self._check_steering()
        self.stages = self._stages()

    def _source(
        self,
        ref: str | None,
        revision: str | None = None,
        *part: str,
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

    def _judge(self, settings: Judge) -> Source:
        """Without thinking, where that can be switched: a judge's answer is bound to JSON."""
        part = (settings.model, settings.revision, "annotate", "judge")
        found = self._source(*part)
        switched = found.template.thinking.switch is not None
        return self._source(*part, thinking=False) if switched else found

    def _check_answers(self) -> None:
        for source, loc in ((self.responder, ("respond",)), (self.judge, ("annotate", "judge"))):
            if source is not None and source.template.no_answer:
                raise RecipeError(f"{self.recipe.place(*loc)}: {source.template.no_answer}")

    def _check_steering(self) -> None:
        for position, steer in enumerate(self.recipe.sample.steer):
            try:
                self.asker.template.query_prompt(steer.system)
            except UsageError as error:
                place = self.recipe.place("sample", "steer", position, "system")
                raise RecipeError(f"{place}: {error}") from error

    @property
    def readers(self) -> list[ChatTemplate]:
        """The templates through which a query goes: what leaks in one of them is no query."""
        sources = [self.asker, self.responder, *([self.judge] if self.judge else [])]
        found = {tuple(s.template.describe().items()): s.template for s in sources}
        return list(found.values())

    def _stages(self) -> tuple[StageInfo, ...]:
        recipe = self.recipe
        sampling = sample.info(recipe, self.asker.model, self.asker.template)
        labels: list[StageInfo] = []
        spoken = None
        if recipe.annotate.language:
            spoken = language.info(recipe, recipe.annotate.language, sampling)
            labels.append(spoken)
        if self.judge:
            labels.append(judge.info(recipe, self.judge.model, sampling, spoken))
        screening = screen.info(recipe, sampling, labels)
        responder = self.responder
        answering = respond.info(
            recipe, responder.model, responder.template, after=sampling, gate=screening
        )
        stages = [sampling, *labels, screening, answering]
        if self.reward:
            stages.append(reward.info(self.reward.model, answering))
        return tuple(stages)


def run(
    recipe: Recipe,
    out: str | Path,
    *,
    progress: Progress,
    engine: str = "transformers",
    until: str = "annotate",
) -> Run:
    """Do everything that is left of ``recipe`` in the folder ``out``, up to the stage ``until``.

    Stopping it at any moment loses the shards in flight and nothing else; calling it again goes on.
    """
    require(engine)
    if until not in STAGES:
        raise UsageError(f"there is no stage '{until}'; there are: {', '.join(STAGES)}.")
    plan = Plan(recipe)
    # One engine a model, whatever the number of stages that use it.
    opened: dict[str, Engine] = {}

    def engine_for(model: Model) -> Engine:
        if model.identity not in opened:
            opened[model.identity] = open_engine(engine, model)
        return opened[model.identity]

    with _stoppable(Path(out)), locked(Path(out)):
        run = Run.start(recipe, out, plan.stages)
        _advance(run, plan, engine_for=engine_for, progress=progress, until=until)
    return run


def _advance(
    run: Run,
    plan: Plan,
    *,
    engine_for: Callable[[Model], Engine],
    progress: Progress,
    until: str,
) -> None:
    rules = screen.Rules(run, plan.readers)
    todo = {stage.name for stage in run.info.stages if run.missing(stage.name)}
    if "sample" in todo:
        sample.sample(run, engine_for(plan.asker.model), plan.asker.template, progress)
    if until == "sample":
        return
    settings = plan.recipe.annotate
    if settings.language and "language" in todo:
        language.annotate(run, settings.language, progress)
    if plan.judge and "judge" in todo:
        engine = engine_for(plan.judge.model)
        judge.annotate(run, engine, plan.judge.template, rules, progress)
    if "screen" in todo:
        labels = tuple(s.name for s in plan.stages if s.name in ("language", "judge"))
        screen.screen(run, rules, labels, progress)
    if until == "screen":
        return
    if "respond" in todo:
        engine = engine_for(plan.responder.model)
        respond.respond(run, engine, plan.responder.template, progress)
    if until == "respond":
        return
    if plan.reward and "reward" in todo:
        reward.annotate(run, open_scorer(plan.reward.model), plan.reward.template, progress)


@contextmanager
def _stoppable(out: Path) -> Iterator[None]:
    """Ctrl-C and a polite kill end the run with a sentence; what is finished stays."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not in the main thread: signals are the caller's
        before = None
    try:
        yield
    except KeyboardInterrupt as error:
        raise Interrupted(
            f"stopped; what was finished is in {out}, and the same command goes on from there."
        ) from error
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)


def _check_filters(recipe: Recipe) -> None:
    annotate = recipe.annotate
    labels: list[str] = ["language"] if annotate.language else []
    if annotate.judge:
        labels += [column for prompt in judge.prompts() for column in prompt.columns]
    rewards = ["reward"] if annotate.reward else []
    if recipe.screen.languages and not annotate.language:
        raise RecipeError(
            f"{recipe.place('screen', 'languages')}: to screen by language, `annotate` needs "
            "`language: {}`."
        )
    if recipe.screen.where is not None:
        _parse(recipe, recipe.screen.where, [*sample.COLUMNS, *labels], "screen", "where")
    columns = [*sample.COLUMNS, *respond.COLUMNS, *labels, *rewards]
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
