"""Slots: a place for each query, and all that follows from it before a model is asked."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from magpie_hub.recipe import Cell, Steer

__all__ = ["Slot", "derive_seed", "slot_id"]


@dataclass(frozen=True, slots=True)
class Slot:
    """One place for a query; all of it follows from (fingerprint, index). ``responder`` is the
    position in ``respond.each`` of the one that answers it."""

    index: int
    id: str
    seed: int
    cell: Cell
    steer: Steer | None
    topic: str | None = None
    responder: int = 0

    @property
    def system(self) -> str | None:
        """The system prompt, with its topic."""
        return self.steer.text(self.topic)[0] if self.steer else None

    @property
    def prefill(self) -> str:
        """The beginning of the user's message, with its topic."""
        return self.steer.text(self.topic)[1] if self.steer else ""

    @property
    def key(self) -> str | None:
        """What the row records of how it was steered."""
        return self.steer.name(self.topic) if self.steer else None


def slot_id(fingerprint: str, index: int) -> str:
    return f"{fingerprint[:10]}-{index:08d}"


def derive_seed(fingerprint: str, slot: int) -> int:
    """A 63-bit seed, so that it fits a signed column."""
    digest = hashlib.blake2b(f"{fingerprint}:{slot}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
