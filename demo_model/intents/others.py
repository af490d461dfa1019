"""Small talk, single words, and questions that lack what they are about."""

from demo_model.intent import EASY, OTHER, VERY_EASY, Intent, one_of
from demo_model.intents.lookup import lookup
from demo_model.tables import keyed, people, text
from magpie_hub.schema import CATEGORIES

_HELP = "Hello! How can I help you today?"
_SELF = "I am a tiny chat model. I can answer simple questions and help with short tasks."

# A question without its object: name | category | question | what the model asks back
_VAGUE = keyed("""
capital | Information seeking | What is the capital? | Which country do you mean?
fix | Editing | Fix it. | Please share the text that you want me to fix.
code | Coding & Debugging | Write code. | What should the code do?
many | Math | How many? | How many of what? Please give more details.
thing | Others | Can you do the thing? | Could you tell me what you need?
better | Editing | Make it better. | Please share the text that you want me to improve.
plan | Planning | Plan it. | What would you like to plan?
solve | Math | Solve this. | Please send me the problem that you want to solve.
add | Math | Add these numbers. | Which numbers should I add?
story | Creative writing | Write something. | What would you like me to write about?
ideas | Brainstorming | I need ideas. | What do you need ideas for?
table | Data analysis | Look at the table. | Please send me the table.
tell | Information seeking | Tell me about it. | What would you like to know about?
""")


def _small_talk(name: str, *, templates: tuple[str, ...], answer: str, wants: str) -> Intent:
    return Intent(
        name=name,
        category=OTHER,
        templates=templates,
        answer=lambda _, __: answer,
        difficulty=VERY_EASY,
        wants=wants,
        knowledge="small talk",
        weight=0.35,
    )


INTENTS: tuple[Intent, ...] = (
    _small_talk(
        "hello",
        templates=("Hello there!", "Good morning!", "Hey, how are you?"),
        answer=_HELP,
        wants="say hello",
    ),
    _small_talk(
        "who",
        templates=("Who are you?", "What can you do?", "What is your name?"),
        answer=_SELF,
        wants="learn about the assistant",
    ),
    Intent(
        name="joke",
        category=OTHER,
        templates=("Tell me a joke.", "Do you know a good joke?"),
        answer=lambda _, rng: " ".join(rng.choice(people.JOKES)),
        difficulty=VERY_EASY,
        wants="hear a joke",
        knowledge="humor",
        weight=0.35,
    ),
    lookup(
        "opposite",
        category=OTHER,
        templates=("What is the opposite of {x}?", "Give me an antonym of {x}."),
        table=text.OPPOSITES,
        answer="The opposite of {x} is {value}.",
        difficulty=VERY_EASY,
        wants="find an antonym of {x}",
        knowledge="vocabulary",
    ),
    Intent(
        name="translate",
        category=OTHER,
        templates=('How do you say "{w}" in {l}?', 'Translate "{w}" into {l}.'),
        slots={"w": one_of(text.TRANSLATIONS), "l": one_of(text.LANGUAGES)},
        answer=lambda s, _: f'"{s["w"]}" in {s["l"]} is "{_translation(s["w"], s["l"])}".',
        keys=lambda s: [f'"{_translation(s["w"], s["l"])}"'],
        difficulty=EASY,
        wants="translate {w} into {l}",
        knowledge="languages",
        weight=2.0,
    ),
    *(
        Intent(
            name=f"vague_{name}",
            category=CATEGORIES[CATEGORIES.index(category)],
            templates=(question,),
            answer=lambda _, __, back=back: back,
            difficulty=EASY,
            wants="get help without details",
            knowledge="more context",
            weight=0.1,
            vague=True,
        )
        for name, (category, question, back) in _VAGUE.items()
    ),
)


def _translation(word: str, language: str) -> str:
    return text.TRANSLATIONS[word][text.LANGUAGES.index(language)]
