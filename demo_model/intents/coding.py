"""One-line functions to write, to fix and to read."""

from demo_model.intent import CODE, EASY, HARD, MEDIUM, Intent, Slots, number, one_of
from demo_model.tables import code, text

_JAVASCRIPT = [what for what, row in code.FUNCTIONS.items() if row[4] != "-"]


def python(what: str) -> str:
    name, arguments, body, _, _ = code.FUNCTIONS[what]
    return f"```python\ndef {name}({arguments}):\n    return {body}\n```"


def javascript(what: str) -> str:
    name, arguments, _, _, body = code.FUNCTIONS[what]
    return f"```javascript\nfunction {name}({arguments}) {{\n  return {body};\n}}\n```"


def has_javascript(what: str) -> bool:
    return what in _JAVASCRIPT


_BUGGY = {
    f"def {name}({arguments}):\n    return {wrong}": what
    for what, (name, arguments, _, wrong, _) in code.FUNCTIONS.items()
}


def _number_intent(what: str, index: int) -> Intent:
    """One intent for each function with a number in it, because the number is a slot."""
    name, body = code.NUMBER_FUNCTIONS[what]

    def answer(s: Slots) -> str:
        k = s["k"]
        return f"```python\ndef {name.format(k=k)}(x):\n    return {body.format(k=k)}\n```"

    return Intent(
        name=f"python_number_{index}",
        category=CODE,
        templates=(
            f"Write a Python function that {what}.",
            f"Show me Python code that {what}.",
        ),
        slots={"k": number(2, 20)},
        answer=lambda s, _: answer(s),
        check=lambda s, given: answer(s) in given,
        difficulty=MEDIUM,
        wants="get Python code",
        knowledge="Python",
        weight=0.4,
    )


def _loop(s: Slots) -> str:
    return f"for i in range({s['a']}, {int(s['b']) + 1}):"


INTENTS: tuple[Intent, ...] = (
    Intent(
        name="python",
        category=CODE,
        templates=(
            "Write a Python function that {f}.",
            "Show me Python code that {f}.",
            "How do I write a Python function that {f}?",
        ),
        slots={"f": one_of(code.FUNCTIONS)},
        answer=lambda s, _: python(s["f"]),
        check=lambda s, given: python(s["f"]) in given,
        difficulty=MEDIUM,
        wants="get Python code",
        knowledge="Python",
        weight=2.0,
    ),
    Intent(
        name="javascript",
        category=CODE,
        templates=(
            "Write a JavaScript function that {f}.",
            "Show me JavaScript code that {f}.",
        ),
        slots={"f": one_of(_JAVASCRIPT)},
        answer=lambda s, _: javascript(s["f"]),
        check=lambda s, given: javascript(s["f"]) in given,
        difficulty=MEDIUM,
        wants="get JavaScript code",
        knowledge="JavaScript",
    ),
    *(_number_intent(what, index) for index, what in enumerate(code.NUMBER_FUNCTIONS)),
    Intent(
        name="debug",
        category=CODE,
        templates=(
            "Fix the bug in this function:\n```python\n{c}\n```",
            "This code does not do what its name says. Why?\n```python\n{c}\n```",
        ),
        slots={"c": one_of(_BUGGY)},
        answer=lambda s, _: (
            f"The return line is wrong. Here is the fixed code:\n{python(_BUGGY[s['c']])}"
        ),
        check=lambda s, given: python(_BUGGY[s["c"]]) in given,
        difficulty=HARD,
        wants="fix a bug",
        knowledge="debugging",
        weight=1.8,
    ),
    Intent(
        name="print_sum",
        category=CODE,
        templates=(
            "What does `print({x} + {y})` output in Python?",
            "What is printed by `print({x} + {y})`?",
        ),
        slots={"x": number(1, 10), "y": number(1, 10)},
        answer=lambda s, _: (
            f"{s['x']} + {s['y']} = {int(s['x']) + int(s['y'])}, "
            f"so it prints {int(s['x']) + int(s['y'])}."
        ),
        keys=lambda s: [f"prints {int(s['x']) + int(s['y'])}"],
        difficulty=EASY,
        wants="predict an output",
        knowledge="Python",
    ),
    Intent(
        name="length",
        category=CODE,
        templates=('What does `len("{w}")` return in Python?',),
        slots={"w": one_of(text.WORDS)},
        answer=lambda s, _: f'"{s["w"]}" has {len(s["w"])} letters, so it returns {len(s["w"])}.',
        keys=lambda s: [f"returns {len(s['w'])}"],
        difficulty=EASY,
        wants="predict an output",
        knowledge="Python",
        weight=0.6,
    ),
    Intent(
        name="loop",
        category=CODE,
        templates=(
            "Write a Python loop that prints the numbers from {a} to {b}.",
            "Write a for loop in Python that prints {a} to {b}.",
        ),
        slots={"a": number(1, 3), "b": number(4, 9)},
        answer=lambda s, _: f"```python\n{_loop(s)}\n    print(i)\n```",
        keys=lambda s: [_loop(s)],
        difficulty=EASY,
        wants="get a loop",
        knowledge="Python",
        weight=0.8,
    ),
)
