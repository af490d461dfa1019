"""What a run of a recipe will do: its stages in the order in which a row costs least.

Queries are labelled and screened before they are answered, since answers are nearly all of the
compute. Everything that can be refused is refused before the first model is loaded.
"""

from __future__ import annotations

from functools import partial

from magpie_hub.annotate import compare, judge, language, looks, reward, safety, turns
from magpie_hub.annotate import map as maps
from magpie_hub.errors import MissingExtra, RecipeError, UsageError
from magpie_hub.filters import Filter
from magpie_hub.recipe import Language, Recipe
from magpie_hub.release import obligations
from magpie_hub.rows import cuts
from magpie_hub.run import Run
from magpie_hub.run.info import StageInfo
from magpie_hub.stages import Work, choose, extend, respond, sample, screen
from magpie_hub.stages.sources import Sources


class Plan:
    """A recipe whose models are found and whose filters are checked.

    ``RecipeError`` where the recipe asks for what cannot be, with the key's place in the file.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        _check_builder(recipe)
        _check_filters(recipe)
        self.by = choose.way(recipe)
        self.sources = Sources(recipe)
        self.stages = self._stages()
        obligations.check(recipe, [each for stage in self.stages for each in stage.writers])

    def _stages(self) -> tuple[StageInfo, ...]:
        recipe, sources = self.recipe, self.sources
        sampling = sample.info(recipe, sources.asker.model, sources.asker.template)
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
        if sources.judge and recipe.annotate.judge:
            labels.append(
                judge.info(recipe, recipe.annotate.judge, sources.judge.model, sampling, looked_at)
            )
        if near := recipe.annotate.neighbors:
            try:
                labels.append(compare.neighbors_info(recipe, near, sampling, looked_at))
            except UsageError as error:
                place = recipe.place("annotate", "neighbors", "model")
                raise RecipeError(f"{place}: {error}") from error
        if against and against.nearest is not None:
            labels.append(compare.overlap_info(against, sampling, labels[-1]))
        if same := recipe.annotate.duplicates:
            try:
                labels.append(compare.duplicates_info(recipe, same, sampling, labels))
            except UsageError as error:
                place = recipe.place("annotate", "duplicates", "against")
                raise RecipeError(f"{place}: {error}") from error
        drawn = self._drawn(sampling, looked_at)
        screening = screen.info(recipe, sampling, labels)
        answering = respond.info(recipe, sources.responders, after=sampling, gate=screening)
        further = extend.infos(recipe, sources.asker, answering)
        if not further:
            behind = self._behind(answering)
            return (sampling, *labels, screening, answering, *behind, *drawn)
        behind = self._behind(last := further[-1])
        if sources.judge and recipe.annotate.judge:
            judged = next(stage for stage in labels if stage.name == "judge")
            behind.insert(0, turns.info(recipe.annotate.judge, sources.judge, judged, last))
        behind = [extend.beside(stage, recipe.extend.turns) for stage in behind]
        return (sampling, *labels, screening, answering, *further, *behind, *drawn)

    def _drawn(self, sampling: StageInfo, labels: tuple[StageInfo, ...]) -> list[StageInfo]:
        """The map comes last, since nothing waits for it."""
        if (settings := self.recipe.annotate.map) is None:
            return []
        try:
            return [maps.info(self.recipe, settings, sampling, labels)]
        except MissingExtra:
            raise
        except UsageError as error:
            place = self.recipe.place("annotate", "map", "model")
            raise RecipeError(f"{place}: {error}") from error

    def _behind(self, answering: StageInfo) -> list[StageInfo]:
        """What looks at the answers."""
        recipe, sources = self.recipe, self.sources
        labels, last = recipe.annotate, answering
        stages: list[StageInfo] = []
        if self.by:
            stages = reward.info(sources.rewards, answering, None, several=True)
            last = choose.info(recipe.choose, self.by, answering, stages)
            stages = [*stages, last]
        looking: list[StageInfo] = []
        if labels.text:
            looking.append(looks.text_info(labels.language or Language(), last))
        if labels.pii:
            looking.append(looks.pii_info(labels.pii, sources.asker.template, last))
        if sources.guard:
            looking.append(safety.info(sources.guard, last))
        second = None
        if sources.second and labels.reward and labels.reward.against:
            second = reward.baseline_info(labels.reward.against, sources.second, last)
            looking.append(second)
        if not self.by:
            looking += reward.info(sources.rewards, last, second)
        return stages + looking

    def works(self, run: Run, until: str = "annotate") -> list[Work]:
        """The stages in their order, up to ``until``."""
        settings, sources = self.recipe.annotate, self.sources
        rules = screen.Rules(run, sources.readers)
        works: list[Work] = [sample.sampling(run, sources.asker)]
        if until == "sample":
            return works
        if settings.language:
            works.append(language.telling(run, settings.language))
        if settings.contamination:
            works.append(looks.comparing(run, settings.contamination))
        if sources.judge and settings.judge:
            works.append(judge.judging(run, settings.judge, sources.judge, rules))
        if settings.neighbors:
            works.append(compare.neighboring(run, settings.neighbors, rules))
            against = settings.contamination
            if against and against.nearest is not None:
                works.append(compare.overlapping(run, against, settings.neighbors, rules))
        if settings.duplicates:
            works.append(compare.comparing(run, settings.duplicates, rules))
        labels = tuple(work.stage for work in works[1:] if run.stage(work.stage).columns)
        works.append(screen.screening(run, rules, labels))
        if until == "screen":
            return works
        works += respond.responding(run, sources.responders)
        works += extend.extending(run, sources.asker, sources.responders, sources.readers)
        if until == "respond":
            return works
        if run.has(turns.STAGE) and sources.judge and settings.judge:
            works.append(turns.judging(run, settings.judge, sources.judge))
        rewarding = reward.rewarding(run, sources.rewards, compared=sources.second is not None)
        if self.by:
            names = [work.stage for work in rewarding]
            works += [*rewarding, choose.choosing(run, self.recipe.choose, self.by, names)]
        if settings.text:
            works.append(looks.looking(run, settings.language or Language()))
        if settings.pii:
            works.append(looks.searching(run, sources.asker.template))
        if sources.guard:
            works.append(safety.guarding(run, sources.guard))
        if sources.second and settings.reward and settings.reward.against:
            works.append(reward.comparing(run, settings.reward.against, sources.second))
        if not self.by:
            works += rewarding
        if settings.map:
            works.append(maps.mapping(run, settings.map, rules))
        return works


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
    against = annotate.contamination
    if against and against.nearest is not None and not annotate.neighbors:
        raise RecipeError(
            f"{recipe.place('annotate', 'contamination', 'nearest')}: to tell contamination by "
            "meaning, `annotate` needs `neighbors: {}`, whose model embeds the items too."
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
    behind += _of_choice(recipe)
    if recipe.extend.turns > 1:
        behind += ["ended", *(turns.COLUMNS if annotate.judge else ())]
    columns = [*sample.COLUMNS, *respond.COLUMNS, *labels, *behind]
    for name, config in recipe.configs.items():
        cuts.check(config, columns, partial(recipe.place, "configs", name))


def _of_choice(recipe: Recipe) -> list[str]:
    """The columns that come with several answers, and with thinking."""
    thinks = any(each.thinking for each in recipe.respond.each)
    columns = ["thinking_tokens"] if thinks else []
    if (by := choose.way(recipe)) is None:
        return columns
    if by == "reward" and recipe.annotate.reward is None:
        raise RecipeError(
            f"{recipe.place('respond', 'answers')}: to choose among answers by reward, `annotate` "
            "needs `reward: {model: ...}`; or set choose.by to vote."
        )
    columns += ["scores"] if recipe.annotate.reward else []
    return columns + choose.columns(by)


def _parse(recipe: Recipe, where: str, columns: list[str], *loc: str) -> None:
    try:
        Filter.parse(where, columns)
    except RecipeError as error:
        raise RecipeError(f"{recipe.place(*loc)}: {error}") from error


def _check_builder(recipe: Recipe) -> None:
    from magpie_hub.builder import builder_class

    try:
        builder = builder_class(recipe.builder, recipe.folder)
    except RecipeError as error:
        raise RecipeError(f"{recipe.place('builder')}: {error}") from error
    builder.check(recipe)
