"""The page in a real browser: it asks for nothing, follows the filters, runs no row's text."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page

from magpie_hub.cli import main
from magpie_hub.report.page import page
from magpie_hub.run import Run
from tests.report.synthetic import data

pytestmark = pytest.mark.browser

VENDOR = Path(__file__).parents[2] / "magpie_hub" / "report" / "vendor"
PANELS = (
    *("overview", "flow", "distributions", "map"),
    *("rows", "pairs", "judges", "stages", "changes"),
)


class Opened:
    """A page of a report, and all that it did besides showing itself."""

    def __init__(self, browser: Browser, file: Path, **how: Any) -> None:
        how = {"viewport": {"width": 1280, "height": 900}, "reduced_motion": "reduce"} | how
        self.page: Page = browser.new_page(**how)
        self.page.set_default_timeout(8000)
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.said.append("a dialog"), dialog.dismiss()))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.open(file.as_uri())

    def open(self, url: str) -> None:
        self.page.goto("about:blank")
        self.asked.clear()
        self.page.goto(url)
        self.page.wait_for_selector("html[data-ready]", state="attached")

    def _heard(self, message: ConsoleMessage) -> None:
        self.said.append(f"{message.type}: {message.text}")

    def left(self) -> list[int]:
        """Queries that pass the filters, all of them, those kept, those rejected."""
        return [
            int(n.replace(",", "")) for n in re.findall(r"\d[\d,]*", self.page.inner_text("#left"))
        ]

    def value(self, dimension: str, text: str) -> Any:
        lines = self.page.locator(f"[data-dimension={dimension}] button.line")
        return lines.filter(has=self.page.locator(f".name:text-is('{text}')"))

    def figure(self, dimension: str, text: str) -> int:
        found = self.value(dimension, text).locator(".figure").text_content()
        return int(found.replace(",", ""))

    def table(self) -> int:
        """How many sampled rows the table says it has."""
        text = self.page.inner_text("#rows [role=status]")
        return int(re.search(r"of ([\d,]+)", text)[1].replace(",", "")) if "of" in text else 0


def written(folder: Path, found: dict[str, Any]) -> Path:
    file = folder / "report.html"
    file.write_text(page(found), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    return data(400)


@pytest.fixture(scope="module")
def file(made: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("report"), made)


@pytest.fixture
def opened(browser: Browser, file: Path) -> Iterator[Opened]:
    found = Opened(browser, file)
    yield found
    found.page.close()
    assert found.said == []
    assert [url for url in found.asked if not url.startswith(file.as_uri())] == []


def rows_with(made: dict[str, Any], **labels: str) -> list[int]:
    """The rows that have these labels."""
    columns = {column["name"]: column for column in made["rows"]["labels"]}
    wanted = {name: columns[name]["values"].index(value) for name, value in labels.items()}
    return [
        row
        for row in range(made["rows"]["count"])
        if all(columns[name]["codes"][row] == code for name, code in wanted.items())
    ]


def test_every_panel_is_alive_and_nothing_is_asked_for(opened: Opened) -> None:
    for panel in PANELS:
        section = opened.page.locator(f"#{panel}")
        section.scroll_into_view_if_needed()
        assert section.locator(".body > *").count() > 0
        assert section.locator(".missing:visible").count() == 0
    assert len(opened.asked) == 1
    policy = opened.page.get_attribute("meta[http-equiv=Content-Security-Policy]", "content")
    assert "default-src 'none'" in policy and "unsafe" not in policy


def test_a_value_filters_everything(opened: Opened, made: dict[str, Any]) -> None:
    math = rows_with(made, category="Math")
    kept = [row for row in math if made["rows"]["fate"][row] == 0]
    assert 0 < len(kept) < len(math)
    opened.value("category", "Math").click()
    assert opened.left() == [len(math), 400, len(kept), len(math) - len(kept)]
    assert opened.table() == len(math)
    assert opened.figure("quality", "good") == len(rows_with(made, category="Math", quality="good"))
    # In its own panel the other values still say what a press on them would add.
    assert opened.figure("category", "Reasoning") == len(rows_with(made, category="Reasoning"))
    assert f"{len(math)} questions of 400" in opened.page.inner_text("#map")
    assert f"Kept\n{len(kept)}" in opened.page.inner_text("#flow .side")
    firsts = opened.page.locator("#rows td.label:nth-child(3)").all_inner_texts()
    assert firsts and set(firsts) == {"Math"}


def test_filters_add_up_and_are_taken_away(opened: Opened, made: dict[str, Any]) -> None:
    opened.value("category", "Math").click()
    opened.value("quality", "good").click()
    opened.page.click("#fates [data-fate=kept]")
    both = rows_with(made, category="Math", quality="good")
    left = [row for row in both if made["rows"]["fate"][row] == 0]
    assert opened.left()[0] == opened.table() == len(left)
    assert opened.page.locator(".chip").count() == 3
    opened.page.click(".chip[data-filter=quality]")
    assert (
        opened.left()[0]
        == opened.left()[2]
        == len([row for row in rows_with(made, category="Math") if made["rows"]["fate"][row] == 0])
    )
    opened.page.click("#clear")
    assert opened.left()[:2] == [400, 400]
    assert opened.page.locator(".chip").count() == 0


def test_a_range_filters(opened: Opened, made: dict[str, Any]) -> None:
    (lengths,) = [n for n in made["rows"]["numbers"] if n["name"] == "query_tokens"]
    low, high = opened.page.locator("[data-dimension=query_tokens] input").all()
    low.fill("20")
    low.press("Enter")
    high.fill("50")
    high.press("Enter")
    assert opened.left()[0] == sum(20 <= n <= 50 for n in lengths["values"])
    canvas = opened.page.locator("[data-dimension=reward] .histogram")
    canvas.scroll_into_view_if_needed()
    # What was far from the window is drawn only now.
    drawn = "node => echarts.getInstanceByDom(node)?.getOption()?.series?.length"
    opened.page.wait_for_function(drawn, arg=canvas.element_handle())
    box = canvas.bounding_box()
    assert box is not None
    before = opened.left()[0]
    opened.page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 60)
    opened.page.mouse.down()
    opened.page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 62)
    opened.page.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 64)
    opened.page.mouse.up()
    opened.page.wait_for_selector(".chip[data-filter=reward]")
    assert 0 < opened.left()[0] < before


def test_the_address_keeps_the_filters(opened: Opened, browser: Browser, file: Path) -> None:
    opened.value("category", "Math").click()
    opened.page.fill("#search", "water")
    opened.page.wait_for_selector(".chip[data-filter=q]")
    asked = parse_qs(urlsplit(opened.page.url).fragment)
    assert asked == {"category": ["Math"], "q": ["water"]}
    before = opened.left()
    opened.open(opened.page.url)
    assert opened.left() == before
    assert opened.page.input_value("#search") == "water"
    opened.open(file.as_uri() + "#category=Nonsense&reward=x&area=1,2&none=1")
    assert opened.left()[:2] == [400, 400]


def test_the_table_searches_sorts_and_turns_pages(opened: Opened, made: dict[str, Any]) -> None:
    shown = made["rows"]
    wanted = [
        row
        for row, turns in enumerate(shown["texts"])
        if all(word in " ".join(t[1] for t in turns).lower() for word in ("python", "recipe"))
    ]
    assert 20 < len(wanted) < 400
    opened.page.fill("#search", "PYTHON recipe")
    opened.page.wait_for_selector(".chip[data-filter=q]")
    assert opened.table() == len(wanted)
    opened.page.click("th[data-column=query_tokens] button")
    lengths = opened.page.locator("#rows td[data-name='Query length']").all_inner_texts()
    assert [int(n) for n in lengths] == sorted(int(n) for n in lengths)
    first = opened.page.inner_text("#rows tbody tr:first-child")
    opened.page.click("#rows .pages button:text-is('Next')")
    assert opened.page.inner_text("#rows tbody tr:first-child") != first
    opened.page.fill("#search", "no row has this")
    opened.page.wait_for_selector("#left strong:text-is('0')")
    assert "No sampled row passes" in opened.page.inner_text("#rows")


def test_the_keyboard_reaches_everything(opened: Opened, made: dict[str, Any]) -> None:
    page = opened.page
    seen = set()
    for _ in range(30):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.closest('header, .stay, main > *').id"))
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none"
    assert {"", "overview", "flow"} <= seen
    opened.value("category", "Math").focus()
    page.keyboard.press("Space")
    assert opened.left()[0] == len(rows_with(made, category="Math"))
    assert opened.value("category", "Math").get_attribute("aria-pressed") == "true"
    page.locator("#rows button.open").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.getAttribute('aria-expanded')") == "true"
    assert page.locator("tr.more .turn").count() >= 1
    page.keyboard.press("Enter")
    assert page.locator("tr.more").count() == 0
    page.locator(".canvas.map").focus()
    page.keyboard.press("+")
    page.locator("#pairs .link, #judges .link").first.focus()
    page.keyboard.press("Enter")
    assert page.locator("dialog[open] .turn").count() >= 1
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0


def test_the_words_that_differ_are_marked(opened: Opened) -> None:
    marks = opened.page.locator("#pairs .pair").nth(1).locator("mark").all_inner_texts()
    assert "please" in marks


HOSTILE = (
    "<script>window.ran = 1</script>",
    "<img src=x onerror='window.ran = 1'>",
    "</script><script>window.ran = 1</script>",
    "<!--<script>",
    "{{page}} ${window.ran = 1} {{ constructor.constructor('window.ran = 1')() }} {a|b}",
    "javascript:window.ran=1",
    "<svg onload=window.ran=1>",
    "\u202eevil\u202c \u0000 \u2028",
    "__proto__",
)


def test_no_text_of_a_row_runs(browser: Browser, tmp_path: Path) -> None:
    found = data(90)
    rows = found["rows"]
    for row in range(rows["count"]):
        text = HOSTILE[row % len(HOSTILE)]
        rows["texts"][row] = [[0, text, 0], [1, text, 0]]
        rows["ids"][row] = f"{row}{text}"
        rows["detail"][row] = text
    rows["labels"][3]["values"] = list(HOSTILE[:6])
    rows["fates"][3] |= {"reason": HOSTILE[0], "title": HOSTILE[2]}
    found["flow"]["nodes"][6]["title"] = HOSTILE[2]
    for name in ("title", "generator"):
        found[name] = HOSTILE[1]
    found["overview"] |= {"model": HOSTILE[1], "responder": HOSTILE[2]}
    for item in found["pairs"]["items"]:
        item["a"]["text"], item["b"]["text"] = HOSTILE[0], HOSTILE[1] + " " + HOSTILE[2]
    found["judges"]["items"][0]["a"] = HOSTILE[1]
    found["changes"]["lines"] = list(HOSTILE)
    file = written(tmp_path, found)
    opened = Opened(browser, file)
    shown = opened.page
    for panel in PANELS:
        shown.locator(f"#{panel}").scroll_into_view_if_needed()
    box = shown.locator(".canvas.map").bounding_box()
    assert box is not None
    for at in range(1, 12):
        shown.mouse.move(box["x"] + at * box["width"] / 12, box["y"] + box["height"] / 2)
    shown.locator("[data-dimension=language] button.line").first.click()
    shown.click("#clear")
    for button in shown.locator("#rows button.open").all()[:10]:
        button.click()
    shown.fill("#search", "<img")
    shown.wait_for_selector(".chip[data-filter=q]")
    assert shown.locator("#rows button.open").count() > 0
    assert "<img src=x onerror=" in shown.inner_text("#rows")
    assert shown.evaluate("window.ran") is None
    inside = "main img, main svg, main script, main iframe, main a[href], dialog img, #name *"
    assert shown.locator(inside).count() == 0
    assert shown.inner_text("#name") == HOSTILE[1]
    shown.fill("#search", "evil")
    shown.wait_for_selector(".chip:has-text('evil')")
    assert "\\u202eevil\\u202c" in shown.inner_text("#rows")
    assert opened.said == []
    assert len(opened.asked) == 1
    shown.close()


def test_the_block_of_data_cannot_be_left(made: dict[str, Any]) -> None:
    hostile = made | {"title": "</script><!--<script>{{style}}"}
    html = page(hostile)
    (block,) = re.findall(r'<script id="data" type="application/json">(.*?)</script>', html, re.S)
    assert "<" not in block
    assert json.loads(block)["title"] == hostile["title"]
    assert len(re.findall(r"<script\b", html)) == 3


def test_what_is_missing_says_why(browser: Browser, tmp_path: Path) -> None:
    found = data(20)
    for panel in ("flow", "pairs", "judges", "stages", "changes"):
        found[panel] = None
        found["missing"][panel] = f"There is no {panel} here; this is why."
    found["missing"]["map"] = "There is no map here; this is why."
    found["rows"] |= {"x": None, "y": None, "labels": [], "numbers": []}
    opened = Opened(browser, written(tmp_path, found))
    for panel in ("flow", "pairs", "judges", "stages", "changes", "map"):
        assert f"There is no {panel} here" in opened.page.inner_text(f"#{panel}")
    assert opened.page.locator("#distributions .missing").count() == 1
    assert opened.page.locator("#rows button.open").count() == 20
    assert opened.said == []
    opened.page.close()


COLOURS = """(selector) => {
    const canvas = document.querySelector(selector);
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return new Set(new Uint32Array(data.buffer)).size;
}"""
"""How many colours a chart has: an empty one has one."""


def test_the_command_writes_the_report_of_a_run(
    browser: Browser, small_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "deep" / "report.html"
    assert main(["report", str(small_run.path), "-o", str(file), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said == {"file": str(file), "size": file.stat().st_size, "rows": 48}
    opened = Opened(browser, file)
    assert opened.left()[1] == 48
    for panel in PANELS:
        assert opened.page.locator(f"#{panel} .body > *").count() > 0
    assert "has no map" in opened.page.inner_text("#map .missing")
    opened.page.locator("[data-dimension=category] button.line").first.click()
    assert 0 < opened.left()[0] < 48
    assert opened.said == []
    opened.page.close()


def test_a_run_without_rows_is_shown(browser: Browser, tmp_path: Path) -> None:
    found = data(20)
    nothing: dict[str, Any] = {"count": 0, "fate": [], "detail": [], "ids": [], "texts": []}
    found["rows"] |= nothing | {"x": None, "y": None, "labels": [], "numbers": []}
    for fate in found["rows"]["fates"]:
        fate |= {"of": 0, "shown": 0}
    found["overview"] |= {"sampled": 0, "kept": 0, "finished": False, "new_tokens": 0}
    for panel in ("flow", "pairs", "judges", "stages", "changes"):
        found[panel] = None
    opened = Opened(browser, written(tmp_path, found))
    assert opened.left() == [0, 0, 0, 0]
    assert "so far" in opened.page.inner_text("#overview")
    assert "No sampled row" in opened.page.inner_text("#rows")
    assert opened.said == []
    opened.page.close()


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_shows_itself(browser: Browser, file: Path, width: int, scheme: str) -> None:
    size = {"width": width, "height": 844}
    opened = Opened(browser, file, viewport=size, color_scheme=scheme)
    shown = opened.page
    assert shown.evaluate("document.documentElement.scrollWidth") <= width
    ground = shown.evaluate("getComputedStyle(document.body).backgroundColor")
    light = sum(int(n) for n in re.findall(r"\d+", ground)[:3]) > 3 * 128
    assert light == (scheme == "light")
    for panel in ("flow", "distributions", "map"):
        shown.locator(f"#{panel} .body").scroll_into_view_if_needed()
        shown.wait_for_selector(f"#{panel} canvas")
        assert shown.evaluate(COLOURS, f"#{panel} canvas") > 20
        assert len(shown.screenshot()) > 20_000
    shown.click("#scheme")
    assert shown.evaluate("getComputedStyle(document.body).backgroundColor") != ground
    assert opened.said == []
    shown.close()


def test_a_million_rows_fit(browser: Browser, tmp_path: Path) -> None:
    found = data(6000, of=1_000_000, letters=1100)
    file = written(tmp_path, found)
    assert file.stat().st_size < 10_000_000
    opened = Opened(browser, file)
    assert opened.left()[1] == 1_000_000
    assert "≈" not in opened.page.inner_text("#left")
    opened.value("category", "Math").click()
    assert "≈" in opened.page.inner_text("#left")
    share = len(rows_with(found, category="Math")) / 6000
    assert opened.left()[0] == pytest.approx(share * 1_000_000, rel=0.05)
    assert opened.said == []
    opened.page.close()


def test_the_charting_library_is_what_its_note_says() -> None:
    digest = hashlib.sha256((VENDOR / "echarts.min.js").read_bytes()).hexdigest()
    assert digest in (VENDOR / "README.md").read_text(encoding="utf-8")
    for licence in ("LICENSE", "NOTICE", "LICENSE-d3"):
        assert (VENDOR / licence).stat().st_size > 100
