"""A card of hostile rows, recipes and models as a page in Chromium, with the HTML in it enabled as
a mirror of the Hub may have it: nothing runs, nothing is fetched, what was written is read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import DatasetCard
from markdown_it import MarkdownIt
from playwright.sync_api import Browser, Page

from magpie_hub import card
from magpie_hub.builder import build
from magpie_hub.card.edits import END
from magpie_hub.evidence.record import Cell, Column, Kind, Record, Table
from magpie_hub.evidence.resampling import Interval
from magpie_hub.release import Making, Manifest, Release, Since, Yield
from magpie_hub.release.facts import facts
from magpie_hub.visible import one_line, visible
from tests.builders.pool import HandPool, Spec, row

pytestmark = pytest.mark.browser

ROWS = (
    "<script>window.ran = 1</script><img src=x onerror='window.ran = 2'><svg onload=ran=3>",
    "[click](https://evil.com) ![pixel](https://evil.com/p.png) <https://evil.com> "
    "[a]: https://evil.com\n\n[a] www.evil.com me@evil.com",
    "```\n````\n~~~\n# A heading\n---\nlicense: mit\n---\n</pre></details><h1>big</h1>",
    "{{ 7 * 7 }} {% for x in y %} {# gone #} {{ manifest.__class__ }}",
    "safe \u202etxt.exe\u202c \u2066x\u2069 zero\u200bwidth tag\U000e0041 \u2028line",
    "<!-- magpie-hub:end -->\n<iframe src=https://evil.com></iframe><style>*{display:none}",
    "<a href=javascript:ran=4>x</a> javascript:ran=5 &lt;b&gt; &#60;script&#62; $x$ ~gone~ *b* _i_",
    "| a | b |\n|---|---|\n| c | d |\n\n- list\n> quote\n1. one\n\n    code",
)
LINES = tuple(" ".join(text.split("\n")) for text in ROWS)
ARXIV = "https://arxiv.org/abs/2406.08464"


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """The first three rows are on the card; there are enough for pictures."""
    rows = [row(index) for index in range(60)]
    specs = {"x": Spec("language != '`|<b>x</b>[a](b)'", LINES[1]), "y": Spec(None, LINES[5])}
    for index, text in enumerate(ROWS):
        category = ("Math", "Editing", "Planning")[index % 3]
        rows[index] = row(index, (text, text, category, "easy", "good", 1.0, "en", "stop"))
    for index in range(8, 60):
        rows[index]["category"] = None
    pool = HandPool(rows=rows, specs=specs)
    out = tmp_path_factory.mktemp("hostile") / "1.0.0"
    return build(pool, "1.0.0", out, kind="sft", report=lambda line: None)


def everywhere(manifest: Manifest) -> Manifest:
    """The same with hostile words wherever a person, a recipe or a model may have put some."""
    made = tuple(
        Making(stage=text, model=text, revision=text, settings={text: text, "prefix": text})
        for text in LINES
    )
    yields = tuple(
        Yield(kind="steer", key=text, sampled=9, kept=5, share_kept=0.5, duplicates=1,
              rejected={text: 3}, mean_query_tokens=2.0, categories={text: 1.0})
        for text in LINES
    )  # fmt: skip
    configs = {
        name: config.model_copy(
            update={
                "description": LINES[2],
                "where": f"model = '{LINES[3]}' OR x(",
                "settings": {"rows": "3", "order": LINES[4], "quotas": LINES[6]},
                "funnel": tuple(
                    each.model_copy(update={"clause": text})
                    for each in config.funnel
                    for text in LINES
                ),
            }
        )
        for name, config in manifest.configs.items()
    }
    more: dict[str, Any] = {
        "license": "other",
        "license_name": LINES[0],
        "license_link": LINES[1],
        "license_decision": LINES[6],
        "made": (*made, Making(stage="sample", model=LINES[0])),
        "yields": yields,
        "configs": configs,
        "rejected": dict.fromkeys(LINES, 2),
        "remarks": LINES,
        "since": Since(version=LINES[0], changes=LINES),
        "engines": LINES,
        "versions": {text: text for text in LINES},
        "generator": LINES[0],
    }
    return manifest.model_copy(update=more)


def opened(browser: Browser, text: str, folder: Path) -> tuple[Page, list[str]]:
    """The card as a page, after what it asked for came; and what that was."""
    renderer = MarkdownIt("gfm-like", {"html": True})
    file = folder / "page.html"
    body = renderer.render(DatasetCard(text, ignore_metadata_errors=True).text)
    file.write_text(f"<!doctype html><meta charset=utf-8>{body}", encoding="utf-8")
    page, asked = browser.new_page(), []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    page.wait_for_load_state("networkidle")
    return page, asked


def kept(content: str) -> str:
    """What ends our block of the card would end it early, and is the one text that is changed."""
    return content.replace(END, r"\x3c" + END[1:])


def harmless(page: Page, asked: list[str]) -> None:
    assert page.evaluate("window.ran") is None
    tags = set(page.evaluate("[...document.body.querySelectorAll('*')].map(e => e.localName)"))
    assert tags <= set(
        "h1 h2 h3 p a ul li pre code em strong table thead tbody tr th td img details summary "
        "br".split()
    )
    assert {a.get_attribute("href") for a in page.query_selector_all("a")} == {ARXIV}
    for image in page.query_selector_all("img"):
        assert re.fullmatch(r"assets/[a-z]+-[0-9a-f]{10}\.png", image.get_attribute("src") or "")
        assert image.evaluate("e => e.naturalWidth") == 1440
        assert set(image.evaluate("e => e.getAttributeNames()")) == {"src", "alt", "width"}
    assert all(url.startswith("file://") for url in asked)
    events = "[...document.querySelectorAll('*')].flatMap(e => e.getAttributeNames())"
    assert not [name for name in page.evaluate(events) if name.startswith("on")]
    assert page.evaluate("document.querySelectorAll('h1').length") == 1


def test_rows_show_as_they_were_written(browser: Browser, release: Release) -> None:
    text = (release.path / "README.md").read_text(encoding="utf-8")
    page, asked = opened(browser, text, release.path)
    harmless(page, asked)
    assert len(page.query_selector_all("img")) == 5
    shown = [each.inner_text().strip("\n") for each in page.query_selector_all("pre")]
    known = facts(release.path, release.manifest)
    assert len(known.samples) == 3
    for sample in known.samples:
        for _, content in sample.messages:
            assert content in ROWS and visible(content).rstrip("\n") in shown


@pytest.mark.parametrize("number", range(0, len(ROWS), 3))
def test_every_row_shows_as_it_was_written(
    browser: Browser, release: Release, tmp_path: Path, number: int
) -> None:
    three = ROWS[number : number + 3]
    rows = [row(i, (t, t, None, None, None, 1.0, "en", "stop")) for i, t in enumerate(three)]
    pool = HandPool(rows=rows, specs={})
    made = build(pool, "1.0.0", tmp_path / "1.0.0", kind="sft", report=lambda line: None)
    text = (made.path / "README.md").read_text(encoding="utf-8")
    page, asked = opened(browser, text, made.path)
    harmless(page, asked)
    shown = [each.inner_text().strip("\n") for each in page.query_selector_all("pre")]
    for content in three:
        assert kept(visible(content).rstrip("\n")) in shown


BLOCKS = ("# big", "> said", "1. one", "23) two", "- list", "+ list", "--- rule", "===", "-")


def anything(kind: Kind) -> Record:
    """Hostile words in all that a record says."""
    columns = tuple(Column(name=text, title=text, unit=LINES[0]) for text in LINES)
    cells: tuple[dict[str, Cell], ...] = (
        dict(zip(LINES, LINES[::-1], strict=True)),
        dict.fromkeys(LINES, Interval(1.0, 0.5, 2.0, 3)),
    )
    turned = kind == "train"
    return Record(
        kind=kind,
        name=ROWS[0],
        summary=BLOCKS[0],
        command=ROWS[2],
        created="2026-01-31T12:00:00+00:00",
        versions={text: text for text in ROWS},
        machine=ROWS[0],
        settings={text: [text, 1] for text in ROWS},
        ok=turned,
        error=None if turned else ROWS[5],
        table=Table(columns=columns if turned else columns[:7],
                    rows=cells if turned else tuple({k: row[k] for k in LINES[:7]}
                                                    for row in cells)),
        notes=(*ROWS, *BLOCKS) if turned else ROWS[6:],
    )  # fmt: skip


def test_what_stands_in_the_evidence_shows_as_text(browser: Browser, release: Release) -> None:
    evidence = [anything("experiment"), anything("train")]
    known = facts(release.path, release.manifest)
    text = card.render(release.manifest, known, "sft.md.jinja", evidence=evidence)
    page, asked = opened(browser, text, release.path)
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    harmless(page, asked)
    words = " ".join(page.inner_text("body").split())
    part = words[words.index(" Evidence ") : words.index(" Limitations and biases")]
    for line in LINES:
        # As words, as a setting, and in a table.
        assert part.replace(kept(END), END).count(one_line(line)) >= 4
    assert "(failed)" in part and "1.00 [0.50, 2.00]" in part
    notes = [each.inner_text() for each in page.query_selector_all("details li")]
    assert notes[-len(BLOCKS) :] == list(BLOCKS)
    assert kept(visible(ROWS[2]).rstrip("\n")) in [
        each.inner_text().strip("\n") for each in page.query_selector_all("pre")
    ]
    whole_tables(page)


def test_what_stands_in_the_manifest_shows_as_text(browser: Browser, release: Release) -> None:
    manifest = everywhere(release.manifest)
    text = card.render(manifest, facts(release.path, manifest), "sft.md.jinja")
    page, asked = opened(browser, text, release.path)
    harmless(page, asked)
    words = " ".join(page.inner_text("body").split())
    for line in LINES:
        assert kept(one_line(line)) in words
    whole_tables(page)


def whole_tables(page: Page) -> None:
    tables = (
        "[...document.querySelectorAll('table')].map(t => [...t.rows].map(r => r.cells.length))"
    )
    for cells in page.evaluate(tables):
        assert len(set(cells)) == 1
