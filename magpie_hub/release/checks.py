"""What must hold before a release is shown to others.

The build has seen to the rest, and the checksums say that nothing was changed since: all rows are
validated, and what the guard, the search for personal data or the screen kept back is not in them.
"""

from __future__ import annotations

from dataclasses import dataclass

from magpie_hub.errors import InvalidData
from magpie_hub.release import Release, obligations


@dataclass(frozen=True)
class Problem:
    """``key`` is what is wrong: ``files`` or ``license``; ``sentence`` says what to do."""

    key: str
    sentence: str


def release_checks(release: Release) -> list[Problem]:
    """All that stands against a push; nothing is asked of the Hub."""
    problems = [Problem("license", each) for each in obligations.unsettled(release.manifest)]
    try:
        release.check()
    except InvalidData as error:
        problems.insert(0, Problem("files", str(error)))
    return problems
