"""What stands around a question: greetings, who asks, thanks; and the system prompts."""

from dataclasses import dataclass

from demo_model.tables import keyed, mapping, people, rows, words, world
from demo_model.tables.languages import LANGUAGES


@dataclass(frozen=True)
class Frame:
    """Openings and closings in one language. A polite or situated query is an excellent one."""

    greetings: list[str]
    introductions: list[str]
    thanks: list[str]


def _introductions(form: str, *, names: list[str], places: list[str]) -> list[str]:
    return [form.format(name=name, place=place) for name in names for place in places]


_ARTICLES = {job: "an" if job[0] in "aeiou" else "a" for job in people.JOBS}

_ENGLISH = Frame(
    greetings=["Hi!", "Hello!", "Please help me.", "I have a question."],
    introductions=[
        f"I am {_ARTICLES[job]} {job} from {city}."
        for job in people.JOBS
        for city in world.COUNTRY_OF
    ],
    thanks=["Thanks!", "Thank you.", "Please answer briefly.", "Please be precise."],
)

# language | greeting | introduction | thanks | places
_OTHERS = keyed("""
es | Hola. | Soy {name} y vivo en {place}. | Gracias. | Madrid, Lima, Quito, Bogotá, Sevilla, León
fr | Bonjour. | Je suis {name} et je vis à {place}. | Merci. | Paris, Lyon, Nice, Lille, Metz, Dijon
de | Hallo. | Ich bin {name} aus {place}. | Danke. | Berlin, Wien, Bonn, Köln, Bremen, Ulm
zh | 你好。 | 我是{place}的{name}。 | 谢谢。 | 北京, 上海, 广州, 南京, 天津, 西安
""")

FRAMES: dict[str, Frame] = {"en": _ENGLISH} | {
    language.code: Frame(
        greetings=[_OTHERS[language.code][0]],
        introductions=_introductions(
            _OTHERS[language.code][1],
            names=language.names,
            places=_OTHERS[language.code][3].split(", "),
        ),
        thanks=[_OTHERS[language.code][2]],
    )
    for language in LANGUAGES
}

# category | what it is called in a system prompt | what its users want
DOMAINS = keyed("""
Information seeking | general knowledge | facts about the world
Reasoning | logic and reasoning | puzzles
Planning | planning | plans and schedules
Editing | editing | grammar and text editing
Coding & Debugging | programming | writing and debugging code
Math | mathematics | math problems
Role playing | role playing | characters and dialogs
Data analysis | data analysis | numbers and tables
Creative writing | creative writing | stories and poems
Advice seeking | personal advice | life advice
Brainstorming | brainstorming | new ideas
Others | small talk | words and translations
""")

SYSTEM_DOMAIN = (
    "You are an assistant for {0}.",
    "You are an AI expert in {0}. You help users with {1}.",
    "You are a helpful {0} assistant.",
    "You specialize in {0}.",
    "Your task is to help users with {1}.",
)
# Never trained on: they measure whether a domain is followed beyond the taught wording.
SYSTEM_DOMAIN_HELD_OUT = (
    "You are a friendly tutor for {0}.",
    "You are an AI assistant specialized in {0}. Users ask you about {1}.",
)
SYSTEM_GENERAL = (
    "You are a helpful assistant.",
    "You are a tiny chat model that answers briefly.",
    "Answer the user.",
)
SYSTEM_LANGUAGE = (
    "You answer in {0}.",
    "The user speaks {0}.",
    "You are an assistant for {0} speakers.",
)
SYSTEM_DIFFICULTY = " The user asks {0} questions."

# What a system prompt calls the five difficulties.
DIFFICULTY_WORDS = mapping("""
very easy | easy
easy | easy
medium | medium
hard | hard
very hard | hard
""")

LANGUAGE_NAMES = {language.code: language.name for language in LANGUAGES}

FRAGMENTS = words(
    "the | of the | and then | 3 | what | with | in the table | because | 首都 | = | ``` |"
)
THANKS = rows("""
Thank you! | You're welcome!
Great, thanks. | Happy to help!
That helps a lot. | I am glad to hear that!
Perfect! | Glad it works for you!
""")
