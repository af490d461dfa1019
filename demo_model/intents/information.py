"""Facts about countries, animals, science and books."""

from demo_model.intent import EASY, INFO, MEDIUM, VERY_EASY, Intent, one_of
from demo_model.intents.lookup import lookup, with_article
from demo_model.tables import world

_BY_COUNTRY = {
    column: {country: facts[index] for country, facts in world.COUNTRIES.items()}
    for index, column in enumerate(("capital", "continent", "language"))
}

INTENTS: tuple[Intent, ...] = (
    lookup(
        "capital",
        category=INFO,
        templates=(
            "What is the capital of {x}?",
            "Which city is the capital of {x}?",
            "Name the capital city of {x}.",
        ),
        table=_BY_COUNTRY["capital"],
        answer="The capital of {x} is {value}.",
        difficulty=EASY,
        wants="know the capital of {x}",
        knowledge="geography",
        weight=1.5,
    ),
    lookup(
        "continent",
        category=INFO,
        templates=("Which continent is {x} in?", "On which continent is {x} located?"),
        table=_BY_COUNTRY["continent"],
        answer="{x} is in {value}.",
        difficulty=EASY,
        wants="know the continent of {x}",
        knowledge="geography",
    ),
    lookup(
        "language",
        category=INFO,
        templates=(
            "What language do people speak in {x}?",
            "Which language is spoken in {x}?",
        ),
        table=_BY_COUNTRY["language"],
        answer="People in {x} speak {value}.",
        difficulty=EASY,
        wants="know the language of {x}",
        knowledge="geography",
    ),
    Intent(
        name="capital_and_language",
        category=INFO,
        templates=(
            "What is the capital of {c}, and which language is spoken there?",
            "Tell me the capital and the language of {c}.",
        ),
        slots={"c": one_of(world.COUNTRIES)},
        answer=lambda s, _: (
            f"The capital of {s['c']} is {world.COUNTRIES[s['c']][0]}, "
            f"and people there speak {world.COUNTRIES[s['c']][2]}."
        ),
        keys=lambda s: [world.COUNTRIES[s["c"]][0], world.COUNTRIES[s["c"]][2]],
        difficulty=MEDIUM,
        wants="know two facts about {c}",
        knowledge="geography",
    ),
    Intent(
        name="legs",
        category=INFO,
        templates=("How many legs does {a} have?", "How many legs are there on {a}?"),
        slots={"a": one_of(map(with_article, world.ANIMALS))},
        answer=lambda s, _: f"{s['a'].capitalize()} has {_animal(s['a'])[1]} legs.",
        keys=lambda s: [f"{_animal(s['a'])[1]} legs"],
        difficulty=VERY_EASY,
        wants="count the legs of {a}",
        knowledge="animals",
    ),
    Intent(
        name="animal_class",
        category=INFO,
        templates=("What kind of animal is {a}?", "Is {a} a mammal, a bird or something else?"),
        slots={"a": one_of(map(with_article, world.ANIMALS))},
        answer=lambda s, _: f"{s['a'].capitalize()} is {with_article(_animal(s['a'])[0])}.",
        keys=lambda s: [f"is {with_article(_animal(s['a'])[0])}"],
        difficulty=EASY,
        wants="classify {a}",
        knowledge="animals",
    ),
    lookup(
        "young",
        category=INFO,
        templates=("What is a baby {x} called?", "What do you call a young {x}?"),
        table={animal: with_article(facts[2]) for animal, facts in world.ANIMALS.items()},
        answer="A baby {x} is called {value}.",
        difficulty=EASY,
        wants="know the name of a baby {x}",
        knowledge="animals",
    ),
    lookup(
        "color",
        category=INFO,
        templates=("What color is {x}?", "What is the usual color of {x}?"),
        table=world.COLORS,
        answer="{X} is usually {value}.",
        difficulty=VERY_EASY,
        wants="know the color of {x}",
        knowledge="everyday facts",
    ),
    lookup(
        "element",
        category=INFO,
        templates=(
            "What is the chemical symbol for {x}?",
            "Which symbol stands for {x} in chemistry?",
        ),
        table=world.ELEMENTS,
        answer="The chemical symbol for {x} is {value}.",
        difficulty=MEDIUM,
        wants="know the symbol of {x}",
        knowledge="chemistry",
    ),
    lookup(
        "planet",
        category=INFO,
        templates=("Which planet is {x} from the Sun?", "What is the {x} planet from the Sun?"),
        table=world.PLANETS,
        answer="The {x} planet from the Sun is {value}.",
        difficulty=EASY,
        wants="know the {x} planet",
        knowledge="astronomy",
        weight=0.6,
    ),
    lookup(
        "month",
        category=INFO,
        templates=("How many days are there in {x}?", "How long is the month of {x}?"),
        table=world.MONTHS,
        answer="{x} has {value} days.",
        difficulty=VERY_EASY,
        wants="know the days in {x}",
        knowledge="the calendar",
        weight=0.8,
    ),
    lookup(
        "define",
        category=INFO,
        templates=(
            "What is {x}?",
            "Explain {x} in one sentence.",
            "Can you explain what {x} is?",
        ),
        table=world.TERMS,
        answer="{X} is {value}.",
        difficulty=MEDIUM,
        wants="understand {x}",
        knowledge="general science",
        weight=1.5,
    ),
    lookup(
        "author",
        category=INFO,
        templates=("Who wrote {x}?", "Who is the author of {x}?"),
        table=world.BOOKS,
        answer="{x} was written by {value}.",
        difficulty=EASY,
        wants="know the author of {x}",
        knowledge="literature",
        weight=0.8,
    ),
)


def _animal(noun: str) -> list[str]:
    return world.ANIMALS[noun.split()[1]]
