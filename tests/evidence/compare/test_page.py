"""The page of a comparison: it holds its numbers without scripts and runs no text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser

from magpie_hub.evidence.compare.page import page
from magpie_hub.evidence.compare.result import Compared, Comparison, Pair
from magpie_hub.evidence.resampling import Interval

EVIL = "</script><script>document.title='run'</script><img src=x onerror=alert(1)>"


def source(name: str, shift: float) -> Compared:
    return Compared(
        name=name,
        source=name,
        facts={"kind": "files", "shape": "data"},
        read=1200,
        without_question=3,
        filtered=0,
        kept=1197,
        sampled=40,
        makers={"quality": EVIL},
        means={
            "turns": Interval(1.5 + shift, 1.4 + shift, 1.6 + shift, 40),
            "refusal": Interval(0.25, 0.2, 0.3, 40),
        },
        shares={"quality": {"good": Interval(1.0, 1.0, 1.0, 40)}},
    )


def found(vectors: int = 2) -> Comparison:
    random = np.random.default_rng(0)
    drawn = [random.standard_normal((40, 8)).astype(np.float32) for _ in range(vectors)]
    return Comparison(
        sources=(source("plain", 0), source(EVIL, 1)),
        pairs=(
            Pair(0, 1, Interval(0.125, 0.125, 0.125, 1197), Interval(0.2, 0.1, 0.3, 40)),
            Pair(1, 0, Interval(0.5, 0.5, 0.5, 1197), Interval(0.6, 0.5, 0.7, 40)),
        ),
        where="turns < 9",
        rows=40,
        scan=None,
        seed=7,
        how={"unit": "words"},
        absent={"contamination": "no benchmark was given.", "meaning": "no model."},
        even_rows=40,
        clusters=8,
        vectors=tuple(each / np.linalg.norm(each, axis=1, keepdims=True) for each in drawn),
        shown=tuple(tuple(f"{EVIL} {n}" for n in range(40)) for _ in drawn),
    )


def test_the_numbers_stand_in_the_file() -> None:
    made = page(found(vectors=0))
    assert "1.50 <span" in made and "1.40 to 1.60" in made and "25.0% <span" in made
    assert "12.5%" in made and "<td>100.0%</td>" in made and "1,197" in made
    assert "turns &lt; 9" in made and "seed 7" in made
    assert "There is no map: no model." in made and "no benchmark was given." in made
    assert EVIL not in made and "{{" not in made


@pytest.mark.browser
def test_the_map_is_drawn_and_nothing_else_happens(browser: Browser, tmp_path: Path) -> None:
    pytest.importorskip("openTSNE")
    file = tmp_path / "page.html"
    file.write_text(page(found()), encoding="utf-8")
    opened, said, asked = browser.new_page(), list[str](), list[str]()
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto(file.as_uri())
    opened.wait_for_selector("body[data-drawn=map]")
    assert opened.locator("#plot canvas").count() == 1
    assert opened.title() == "Comparison" and opened.locator("img").count() == 0
    assert opened.locator("#measures svg line").count() == 4
    assert asked == [file.as_uri()] and said == []
    opened.close()
