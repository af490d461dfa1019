"""How text is decoded, as the parts of a recipe say it that have models write."""

from __future__ import annotations

from typing import Protocol

from magpie_hub.engines import Decoding


class Decoded(Protocol):
    @property
    def temperature(self) -> float: ...
    @property
    def top_p(self) -> float: ...
    @property
    def repetition_penalty(self) -> float: ...
    @property
    def max_tokens(self) -> int: ...


def decoding(settings: Decoded, max_tokens: int | None = None) -> Decoding:
    """With ``max_tokens`` in the place of those of ``settings``."""
    return Decoding(
        temperature=settings.temperature,
        top_p=settings.top_p,
        max_tokens=settings.max_tokens if max_tokens is None else max_tokens,
        repetition_penalty=settings.repetition_penalty,
    )


def described(settings: Decoded) -> dict[str, str]:
    """What a fingerprint should know of it; of no penalty, nothing."""
    keys = {
        "temperature": f"{settings.temperature:g}",
        "top_p": f"{settings.top_p:g}",
        "max_tokens": str(settings.max_tokens),
    }
    if settings.repetition_penalty != 1:
        keys["repetition_penalty"] = f"{settings.repetition_penalty:g}"
    return keys
