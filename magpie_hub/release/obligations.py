"""What the licences of the models that wrote the rows ask of whoever releases them.

A dataset's licence stands with that of a model where it is the same, where it is ``other`` (terms
that a person named), or where the model's sets no condition on outputs. Else a person says why, in
``license_decision``. See ``licences/terms.yaml``; none of this is legal advice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from magpie_hub import licences
from magpie_hub.errors import RecipeError
from magpie_hub.licences import OTHER, UNKNOWN, ModelLicense
from magpie_hub.recipe import Recipe
from magpie_hub.release import Manifest

_SAYS = {
    "conditions": "models that are trained on its outputs have conditions",
    "family": "its outputs may improve models of its own family only",
    "research": "its outputs are for research only",
}


@dataclass(frozen=True)
class Duty:
    """A licence and the models under it; ``licence`` is its full name."""

    models: tuple[str, ...]
    licence: str
    link: str | None
    training: str
    dataset: str | None
    clause: str | None
    shows: str | None
    notice: str | None
    source: str | None


def check(recipe: Recipe, models: Sequence[ModelLicense]) -> None:
    """``RecipeError``, with the key's place, where the licence contradicts that of a model."""
    if recipe.license_decision is None and (said := contradiction(recipe.license, models)):
        raise RecipeError(f"{recipe.place('license')}: {said}")


def contradiction(license: str | None, models: Sequence[ModelLicense]) -> str | None:
    """Which model's licence does not go with ``license``, and what to write."""
    for model in models:
        terms = model.terms
        if license in (None, UNKNOWN, OTHER, model.key) or terms is None:
            continue
        if terms.training in _SAYS:
            key = model.key or ""
            own = key if key in licences.identifiers() else f"{OTHER} with license_name: {key}"
            return (
                f"{license} does not carry the terms of {model.model} ({licences.name(key)}: "
                f"{_SAYS[terms.training]}); write {own}, or say in license_decision why {license} "
                "may stand."
            )
    return None


def unsettled(manifest: Manifest) -> Iterator[str]:
    """What a person has still to decide before the release is shown to others."""
    if manifest.license in (None, UNKNOWN):
        yield (
            "the release has no licence; set `license` in the recipe, with license_name and "
            "license_link where it is `other`, and build again under a new version."
        )
    elif manifest.license_decision is None:
        if said := contradiction(manifest.license, manifest.model_licenses):
            yield f"the licence {said.removesuffix('.')}, and build again under a new version."
        for model in manifest.model_licenses:
            if not _settled(manifest, model):
                stated = f"is {model.key}, which" if model.key else "is not known, and what it"
                yield (
                    f"the licence of {model.model} {stated} says of outputs nobody has checked; "
                    "read it, say in license_decision of the recipe why "
                    f"{manifest.license} may stand, and build again under a new version."
                )


def _settled(manifest: Manifest, model: ModelLicense) -> bool:
    if model.terms is not None and model.terms.training != "unknown":
        return True
    same_name = model.license != OTHER or model.license_name == manifest.license_name
    return model.license is not None and model.license == manifest.license and same_name


def duties(models: Sequence[ModelLicense]) -> tuple[Duty, ...]:
    """One for each licence, in the order of the models."""
    keys = dict.fromkeys(each.key for each in models)
    found = []
    for key in keys:
        under = [each for each in models if each.key == key]
        terms = under[0].terms
        link = under[0].license_link or ""
        found.append(
            Duty(
                models=tuple(dict.fromkeys(each.model for each in under)),
                licence=licences.name(key) if key else "not known",
                link=(link if "://" in link else None) or (licences.link(key) if key else None),
                training=terms.training if terms else "unknown",
                dataset=terms.dataset if terms else None,
                clause=terms.clause if terms else None,
                shows=terms.shows if terms else None,
                notice=terms.notice if terms else None,
                source=terms.source if terms else None,
            )
        )
    return tuple(found)


def files(manifest: Manifest) -> dict[str, str]:
    """LICENSE, and NOTICE where a model's licence has a text for it. A licence that is not carried
    here is named with its link."""
    made: dict[str, Callable[[Manifest], str]] = {"LICENSE": _license, "NOTICE": _notice}
    texts = {name: make(manifest) for name, make in made.items()}
    return {name: text for name, text in texts.items() if text}


def named(license: str | None, name: str | None) -> str:
    """The full name of the data's licence."""
    if license in (None, UNKNOWN):
        return "no licence was chosen yet"
    return name or licences.name(license or "")


def _license(manifest: Manifest) -> str:
    if manifest.license in (None, UNKNOWN):
        return ""
    license = manifest.license or ""
    if text := licences.text(license):
        holder = f"the publishers of {manifest.name}"
        return text.replace("[year]", manifest.created[:4]).replace("[fullname]", holder)
    link = manifest.license_link or licences.link(license)
    where = f"Its text: {link}\n" if link else ""
    full = named(license, manifest.license_name)
    return f"{manifest.name} is under this licence:\n\n{full}\n{where}"


def _notice(manifest: Manifest) -> str:
    parts = [
        f"{duty.notice}\n\n{duty.shows}\n" if duty.shows else f"{duty.notice}\n"
        for duty in duties(manifest.model_licenses)
        if duty.notice
    ]
    if not parts:
        return ""
    models = ", ".join(dict.fromkeys(each.model for each in manifest.model_licenses))
    return "\n".join([f"The texts of {manifest.name} were written by {models}.\n", *parts])


def front_matter(manifest: Manifest) -> Mapping[str, str]:
    """The keys of the card."""
    if manifest.license in (None, UNKNOWN):
        return {"license": OTHER, "license_name": "unknown"}
    given = (manifest.license, manifest.license_name, manifest.license_link)
    keys = ("license", "license_name", "license_link")
    return {key: value for key, value in zip(keys, given, strict=True) if value}
