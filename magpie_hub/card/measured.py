"""Limitations and biases of a release as they were measured, and what was not."""

from __future__ import annotations

from collections.abc import Iterator

from magpie_hub.card.markdown import Markdown, code, percent
from magpie_hub.release import Manifest
from magpie_hub.release.facts import Facts

_TRAITS = {
    "finish_reason": "of the answers were cut off at the token limit (`finish_reason = 'length'`)",
    "refusal": "of the answers open by declining (`refusal`)",
    "loop": "of the answers end by saying one thing over and over (`loop`)",
    "same_language": "of the answers are in another language than the question (`same_language`)",
    "leaked": "of the answers hold marks of the chat template or of a prompt (`leaked`)",
    "safety": "are called something other than safe by the guard (`safety`)",
    "pii": "hold something that looks like a secret or personal data (`pii`)",
    "contaminated_by": "share words with an item of a benchmark (`contaminated_by`)",
    "repeat_count": "have another question nearer than the threshold (`repeat_count`)",
}
_UNKNOWN = {
    "refusal": "refusals, loops and answers in another language (`annotate.text`)",
    "safety": "safety (`annotate.safety`)",
    "pii": "secrets and personal data (`annotate.pii`)",
    "contaminated_by": "overlap with benchmarks (`annotate.contamination`)",
    "min_neighbor_distance": "questions that say the same in other words (`annotate.neighbors`)",
    "language": "the language (`annotate.language`)",
}
_STAGES = {"contaminated_by": "contamination", "min_neighbor_distance": "neighbors"}
"""The stage that looks at it, where that is not the column's name."""
_DROPPED = {
    "unsafe": "answered questions were left out since the guard does not call them safe",
    "pii": "answered questions were left out since they hold what looks like personal data",
    "contaminated": "questions were turned away since they share words with a benchmark",
}
_DETERMINISM = {
    "bits": "Run again on the same engine and machine, the recipe gives the same bytes.",
    "seeds": (
        "Run again on the same engine and machine, the recipe gives the same rows, as far as the "
        "engine honours its seeds."
    ),
    "plan": "Run again, the recipe gives the same slots, seeds and settings; words may differ.",
}


def measured(manifest: Manifest, known: Facts) -> Iterator[Markdown]:
    """A sentence each, of the default config."""
    if shares := known.shares.get("category"):
        largest = max(shares, key=lambda share: share.parts[0])
        yield Markdown(
            f"The largest category is {largest.label}, with {percent(largest.parts[0])} of the "
            "rows."
        )
    if shares := known.shares.get("language"):
        english = next((share.parts[0] for share in shares if share.label == "en"), None)
        some = "None" if english is None else percent(english)
        yield Markdown(f"{some} of the queries are in English.")
    for column, said in _TRAITS.items():
        if column in known.traits:
            yield Markdown(f"{percent(known.traits[column])} {said}.")
    for column, part in known.unlabelled.items():
        if part:
            yield Markdown(
                f"{percent(part)} have no {code(column)}: the annotator gave no valid label."
            )
    for reason, said in _DROPPED.items():
        dropped = sum(n for each, n in manifest.rejected.items() if each.startswith(reason))
        if dropped:
            yield Markdown(f"{dropped:,} {said}.")


def not_measured(manifest: Manifest) -> Markdown | None:
    """What no annotator looked at; None where all did, or where nobody knows."""
    stages = {making.stage for making in manifest.made}
    there = {column.name for column in manifest.columns}
    missing = [
        said
        for column, said in _UNKNOWN.items()
        if column not in there and _STAGES.get(column, column) not in stages
    ]
    return Markdown("; ".join(missing)) if missing else None


def determinism(manifest: Manifest) -> str | None:
    return _DETERMINISM.get(manifest.determinism or "")
