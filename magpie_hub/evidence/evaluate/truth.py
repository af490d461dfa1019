"""Answers that can be checked: by their final value, by tests in the sandbox, or by a function."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module

from magpie_hub.checks.sandbox import code_of, passes
from magpie_hub.checks.values import final_answer, same
from magpie_hub.errors import UsageError, said
from magpie_hub.evidence.evaluate.opponents import Answer
from magpie_hub.evidence.evaluate.prompts import Prompt

Truth = Callable[[str, str], bool | None]
"""Of a question and the answer to it, empty where none came: whether it is right; None where that
cannot be told."""


@dataclass(frozen=True)
class Checked:
    """``right``: 1 or 0 for each answer that could be checked; ``by`` counts what they were checked
    by, in words."""

    right: tuple[float, ...]
    by: Mapping[str, int]


def load(place: str) -> Truth:
    """The function ``MODULE:FUNCTION``, of an installed module or one of the working directory.
    ``UsageError`` where there is none."""
    module, _, function = place.partition(":")
    if not module or not function:
        raise UsageError(f"--truth {place}: give MODULE:FUNCTION, such as checks.units:is_right.")
    # The script of the command has its own folder there, not the one that it is called in.
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.append(os.getcwd())
    try:
        found: Truth | None = getattr(import_module(module), function, None)
    except Exception as error:  # it is somebody else's code: it may raise anything
        raise UsageError(
            f"--truth {place}: {module} cannot be imported ({_told(error)}); name a module that is "
            "installed or stands in this folder."
        ) from error
    if not callable(found):
        raise UsageError(f"--truth {place}: {module} has no function {function}.")
    return found


def name(truth: Truth) -> str:
    return f"{truth.__module__}:{_short(truth)}"


def checkable(prompt: Prompt) -> bool:
    """By what stands beside the prompt."""
    return prompt.truth is not None or prompt.tests is not None


def correct(prompt: Prompt, answer: Answer) -> bool:
    """Of the last turn: whether its code passes the ``tests`` where there are some, else whether
    its final answer equals the ``truth``."""
    if prompt.tests is not None:
        code = code_of(answer[-1])
        return code is not None and passes(code, prompt.tests)
    assert prompt.truth is not None
    found = final_answer(answer[-1])
    return found is not None and same(found, prompt.truth)


def checked(prompts: Sequence[Prompt], answers: Sequence[Answer], truth: Truth | None) -> Checked:
    """Each by what stands beside the prompt, else by the function ``truth``."""
    right: list[float] = []
    by: Counter[str] = Counter()
    for prompt, answer in zip(prompts, answers, strict=True):
        if checkable(prompt):
            verdict: bool | None = correct(prompt, answer)
            how = "value" if prompt.tests is None else "tests"
        elif truth is not None:
            verdict, how = _ask(truth, prompt, answer), _short(truth)
        else:
            continue
        if verdict is not None:
            right.append(float(verdict))
            by[how] += 1
    return Checked(tuple(right), by)


def _ask(truth: Truth, prompt: Prompt, answer: Answer) -> bool | None:
    try:
        found = truth(prompt.turns[-1], answer[-1])
    except Exception as error:  # it is somebody else's code: it may raise anything
        raise UsageError(
            f"--truth {name(truth)} failed at prompt {prompt.id} ({_told(error)}); mend it, and "
            "give the same command again."
        ) from error
    if found is None or isinstance(found, bool):
        return found
    raise UsageError(
        f"--truth {name(truth)} returned {found!r} at prompt {prompt.id}; it returns True, False, "
        "or None where the answer cannot be checked."
    )


def _short(truth: Truth) -> str:
    return getattr(truth, "__qualname__", type(truth).__qualname__)


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {said(error)}"
