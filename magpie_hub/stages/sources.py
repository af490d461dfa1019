"""The models that a recipe names, found, with the templates through which they are spoken to."""

from __future__ import annotations

from magpie_hub import models, template
from magpie_hub.errors import RecipeError, UsageError
from magpie_hub.recipe import Judge, Recipe, RewardModel, Safety
from magpie_hub.stages import ReadSource, Source
from magpie_hub.template import ChatTemplate, Override


class Sources:
    """``RecipeError`` where one cannot do what the recipe asks of it, with the key's place."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
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
        self._check_followups()
        self._check_steering()

    @property
    def readers(self) -> list[ChatTemplate]:
        """The templates through which a query goes: what leaks in one of them is no query."""
        sources = [self.asker, *self.responders, *([self.judge] if self.judge else [])]
        found = {tuple(s.template.describe().items()): s.template for s in sources}
        return list(found.values())

    def _places(self) -> list[tuple[str | int, ...]]:
        """Where in the recipe each responder stands."""
        several = range(len(self._recipe.respond.responders))
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
            ref, revision, part = self._recipe.model, self._recipe.revision, ()
            if given := self._recipe.template.override:
                override = Override(given.prefix, given.post_query)
        try:
            model = models.resolve(ref, revision)
            return Source(model, template.load(model.path, override=override, thinking=thinking))
        except UsageError as error:
            raise RecipeError(f"{self._recipe.place(*part, 'model')}: {error}") from error

    def _reader(self, settings: Safety | RewardModel, *part: str | int) -> ReadSource:
        try:
            model = models.resolve(settings.model, settings.revision)
            return ReadSource(model, template.reader(model.path))
        except UsageError as error:
            place = self._recipe.place("annotate", *part, "model")
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
                raise RecipeError(f"{self._recipe.place(*loc)}: {source.template.no_answer}")

    def _check_followups(self) -> None:
        settings = self._recipe.extend
        if settings.turns == 1:
            return
        for source in (self.asker, *self.responders):
            if source.template.followup is None:
                place = self._recipe.place("extend", "turns")
                why = source.template.no_followup
                raise RecipeError(f"{place}: {source.model.ref} takes no second turn: {why}")
        if settings.system is not None:
            try:
                self.asker.template.query_prompt(settings.system)
            except UsageError as error:
                raise RecipeError(f"{self._recipe.place('extend', 'system')}: {error}") from error

    def _check_steering(self) -> None:
        for position, steer in enumerate(self._recipe.sample.steer):
            for system, prefill in steer.texts():
                try:
                    self.asker.template.query_prompt(system, prefill)
                except UsageError as error:
                    place = self._recipe.place("sample", "steer", position)
                    raise RecipeError(f"{place}: {error}") from error
