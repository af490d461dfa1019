"""Data of a report as ``report.data`` gives them, made from a seed; any size, any text."""

from __future__ import annotations

from typing import Any

import numpy as np

from magpie_hub.schema import CATEGORIES, DIFFICULTIES, QUALITIES

LANGUAGES = ("en", "es", "fr", "de", "zh", "und")
WORDS = (
    "how what why write make the a of to in for with between small large number list sum train "
    "water river history garden python function table recipe travel plan budget week explain "
    "compare solve draw poem story letter friend music paint market price energy light sound"
).split()
FATES = (
    ("kept", "kept", "Kept", 0.8),
    ("screen", "duplicate", "Near duplicate", 0.08),
    ("screen", "language", "Another language", 0.04),
    ("screen", "quality >= 'average'", "quality >= 'average'", 0.05),
    ("respond", "no answer", "No answer", 0.01),
    ("safety", "unsafe", "Unsafe", 0.02),
)


def data(
    rows: int = 600, *, of: int | None = None, letters: int = 0, seed: int = 0
) -> dict[str, Any]:
    """A report of ``of`` queries of which ``rows`` are shown (all where none is given); with
    ``letters`` each answer has so many characters."""
    random = np.random.default_rng(seed)
    whole = of or rows
    shares = np.array([share for *_, share in FATES])
    fate = random.choice(len(FATES), rows, p=shares)
    shown = np.bincount(fate, minlength=len(FATES))
    total = np.round(shares * whole).astype(int) if of else shown
    total[0] += whole - total.sum()
    kept = fate == 0
    category = random.choice(len(CATEGORIES), rows, p=_falling(len(CATEGORIES)))
    angle = category * 2 * np.pi / len(CATEGORIES)
    spread = random.normal(0, 1.2, (2, rows))
    query = np.exp(random.normal(3.2, 0.8, rows)).astype(int) + 3
    response = np.exp(random.normal(5, 0.9, rows)).astype(int) + 5
    reward = random.normal(0, 1, rows).round(3)
    ids = [f"{n:016x}" for n in random.integers(0, 2**62, rows)]
    questions = [_text(random, min(int(n), 60)) for n in query]
    answers = [_text(random, letters // 6 if letters else 40) for _ in range(rows)]
    return {
        "format": 1,
        "title": "synthetic",
        "kind": "run",
        "version": None,
        "generator": "magpie-hub 0.1.0",
        "created": "2026-01-02T03:04:05Z",
        "overview": {
            "builder": "sft",
            "license": "apache-2.0",
            "model": "bundled:chat",
            "responder": "bundled:chat",
            "determinism": "bits",
            "engines": ["transformers 5.19 on cpu"],
            "finished": True,
            "sampled": whole,
            "kept": int(total[0]),
            "answered": int(total[0]),
            "new_tokens": whole * 150,
            "hours": whole / 9000,
            "cpu_hours": whole / 5000,
            "device": "CPU",
            "truncated": 0.02,
            "configs": [_config(int(total[0]))],
        },
        "flow": _flow([int(n) for n in total]),
        "rows": {
            "count": rows,
            "how": f"A sample of {rows} of {whole} rows." if of else f"All {rows} rows.",
            "text_limit": 1200,
            "fates": [
                {"kept": n == 0, "stage": stage, "reason": reason, "title": title}
                | {"of": int(total[n]), "shown": int(shown[n])}
                for n, (stage, reason, title, _) in enumerate(FATES)
            ],
            "fate": fate.tolist(),
            "detail": ["" if each == 0 else "seen in the screen" for each in fate],
            "ids": ids,
            "labels": [
                _label("category", "Category", CATEGORIES, category.tolist()),
                _label("difficulty", "Difficulty", DIFFICULTIES, _some(random, rows, 5)),
                _label("quality", "Quality", QUALITIES, _some(random, rows, 5)),
                _label("language", "Language", LANGUAGES, _some(random, rows, len(LANGUAGES))),
                _label(
                    "refusal",
                    "Refusal",
                    ("no", "yes"),
                    (random.random(rows) < 0.04).astype(int).tolist(),
                ),
            ],
            "numbers": [
                _number("query_tokens", "Query length", "tokens", query.tolist(), log=True),
                _number(
                    "response_tokens", "Answer length", "tokens", _of(response, kept), log=True
                ),
                _number("reward", "Reward", "", _of(reward, kept), log=False),
            ],
            "roles": ["user", "assistant"],
            "texts": [
                [[0, question, 0], [1, answer, 30]] if is_kept else [[0, question, 0]]
                for question, answer, is_kept in zip(questions, answers, kept, strict=True)
            ],
            "x": (4 * np.cos(angle) + spread[0]).round(3).tolist(),
            "y": (4 * np.sin(angle) + spread[1]).round(3).tolist(),
            "map_how": "Places drawn from a seed.",
        },
        "pairs": {
            "how": "The 12 nearest pairs.",
            "items": [
                {
                    "a": {"id": ids[n], "text": questions[n], "fate": int(fate[n])},
                    "b": {
                        "id": ids[n + 1],
                        "text": questions[n] + " please",
                        "fate": int(fate[n + 1]),
                    },
                    "distance": 0.01 * n,
                    "kind": "near duplicate",
                }
                for n in range(min(12, rows - 1))
            ],
        },
        "judges": {"items": [_scores(random, reward, rows), _matrix(random)]},
        "stages": _stages(whole, int(total[0])),
        "changes": {
            "old": "1.0.0",
            "new": "1.1.0",
            "lines": ["80 rows are new.", "The filter of `filtered` is stricter."],
            "configs": [
                {"name": "filtered", "old": 300, "new": 330},
                {"name": "all", "old": None, "new": 480},
            ],
            "shares": [
                {"name": "quality", "title": "Quality", "values": list(QUALITIES)}
                | {"old": [0.1, 0.2, 0.3, 0.3, 0.1], "new": [0.05, 0.2, 0.3, 0.3, 0.15]}
            ],
        },
        "missing": {},
    }


def _falling(count: int) -> np.ndarray:
    weights = 1 / np.arange(1, count + 1)
    return weights / weights.sum()


def _some(random: np.random.Generator, rows: int, labels: int) -> list[int]:
    codes = random.integers(0, labels, rows)
    return np.where(random.random(rows) < 0.03, -1, codes).tolist()


def _text(random: np.random.Generator, words: int) -> str:
    return " ".join(random.choice(WORDS, words)).capitalize() + "?"


def _of(values: np.ndarray, there: np.ndarray) -> list[Any]:
    return [
        value if is_there else None for value, is_there in zip(values.tolist(), there, strict=True)
    ]


def _label(name: str, title: str, values: tuple[str, ...], codes: list[int]) -> dict[str, Any]:
    ordered = name in ("difficulty", "quality")
    return {
        "name": name,
        "title": title,
        "values": list(values),
        "ordered": ordered,
        "codes": codes,
    }


def _number(name: str, title: str, unit: str, values: list[Any], *, log: bool) -> dict[str, Any]:
    return {"name": name, "title": title, "unit": unit, "values": values, "log": log}


def _config(kept: int) -> dict[str, Any]:
    clauses = [
        {"clause": "quality >= 'good'", "before": kept, "kept": kept // 2},
        {"clause": "finish_reason = 'stop'", "before": kept // 2, "kept": kept // 2 - 5},
    ]
    return {"name": "filtered", "default": True, "rows": kept // 2 - 5, "where": "…"} | {
        "description": "good and whole",
        "clauses": clauses,
    }


def _flow(total: list[int]) -> dict[str, Any]:
    screened = total[0] + total[4] + total[5]
    nodes = [
        {"name": "sampled", "title": "Sampled queries", "rows": sum(total)},
        {"name": "screen", "title": "Passed the screen", "rows": screened},
        {"name": "respond", "title": "Answered", "rows": total[0] + total[5]},
    ]
    parents = ["respond", "sampled", "sampled", "sampled", "screen", "respond"]
    links = [
        {"source": "sampled", "target": "screen", "rows": screened},
        {"source": "screen", "target": "respond", "rows": total[0] + total[5]},
    ]
    for fate, (stage, reason, title, _) in enumerate(FATES):
        name = f"{stage}/{reason}"
        nodes.append({"name": name, "title": title, "rows": total[fate], "fate": fate})
        links.append({"source": parents[fate], "target": name, "rows": total[fate]})
    return {"nodes": nodes, "links": links}


def _scores(random: np.random.Generator, reward: np.ndarray, rows: int) -> dict[str, Any]:
    count = min(rows, 300)
    points = np.stack([reward[:count], reward[:count] + random.normal(0, 0.5, count)], axis=1)
    return {
        "title": "Reward: first and second model",
        "kind": "numbers",
        "a": "first model",
        "b": "second model",
        "points": points.round(3).tolist(),
        "rows": list(range(count)),
        "agreement": 0.87,
        "measure": "rank correlation (Spearman)",
        "note": "Both scored the same answers.",
    }


def _matrix(random: np.random.Generator) -> dict[str, Any]:
    counts = random.integers(0, 12, (5, 5)) + 60 * np.eye(5, dtype=int)
    return {
        "title": "Quality: the question and the conversation",
        "kind": "labels",
        "a": "quality of the question",
        "b": "quality of the conversation",
        "values_a": list(QUALITIES),
        "values_b": list(QUALITIES),
        "counts": counts.tolist(),
        "agreement": 0.71,
        "measure": "have the same label",
        "note": "The judge saw the question first.",
    }


def _stages(rows: int, kept: int) -> dict[str, Any]:
    def stage(name: str, title: str, seconds: float, tokens: int) -> dict[str, Any]:
        return {
            "stage": name,
            "title": title,
            "model": "bundled:chat" if tokens else None,
            "engine": "transformers 5.19 on cpu" if tokens else None,
            "rows": rows,
            "seconds": seconds,
            "cpu_seconds": 1.8 * seconds,
            "hours": seconds / 3600,
            "prompt_tokens": 4 * tokens,
            "new_tokens": tokens,
            "rows_per_second": rows / seconds,
            "tokens_per_second": tokens / seconds if tokens else None,
            "per_1000_kept": {
                "new_tokens": 1000 * tokens / kept,
                "prompt_tokens": 4000 * tokens / kept,
                "hours": seconds / 3.6 / kept,
                "cpu_hours": seconds / 2 / kept,
            },
        }

    items = [
        stage("sample", "Sample queries", 19, 20 * rows),
        stage("language", "Tell languages", 1, 0),
        stage("judge", "Judge queries", 21, 60 * rows),
        stage("respond", "Answer", 46, 150 * rows),
    ]
    total = stage("total", "All", 87, 230 * rows)
    return {"device": "CPU", "kept": kept, "items": items, "total": total}
