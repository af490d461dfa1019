"""One module a theme; each declares its `INTENTS`."""

from demo_model.intent import Intent
from demo_model.intents import (
    coding,
    data,
    editing,
    information,
    languages,
    mathematics,
    multistep,
    others,
    persona,
    planning,
    reasoning,
)

INTENTS: dict[str, Intent] = {
    intent.name: intent
    for theme in (
        information,
        mathematics,
        reasoning,
        editing,
        coding,
        data,
        planning,
        persona,
        others,
        languages,
        multistep,
    )
    for intent in theme.INTENTS
}
