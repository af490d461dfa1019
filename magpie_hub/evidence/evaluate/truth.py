"""Answers that can be checked: by their final value, or by tests in the sandbox."""

from __future__ import annotations

from collections.abc import Sequence

from magpie_hub.checks.sandbox import code_of, passes
from magpie_hub.checks.values import final_answer, same
from magpie_hub.evidence.evaluate.opponents import Answer
from magpie_hub.evidence.evaluate.prompts import Prompt


def checkable(prompt: Prompt) -> bool:
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


def checked(prompts: Sequence[Prompt], answers: Sequence[Answer]) -> list[float]:
    """1 or 0 for each prompt that can be checked."""
    return [
        float(correct(prompt, answer))
        for prompt, answer in zip(prompts, answers, strict=True)
        if checkable(prompt)
    ]
