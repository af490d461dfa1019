"""A release over other datasets: the numbers of ``compare``, and their panel in a real browser."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from magpie_hub.builder import build
from magpie_hub.building.pools import open_pool
from magpie_hub.cli import main
from magpie_hub.evidence.compare import Settings, compare
from magpie_hub.neighbors import embedding
from magpie_hub.report import coverage
from magpie_hub.report.data import collect
from magpie_hub.run import Run
from tests.annotate.test_compare import made
from tests.conftest import Silent
from tests.report.test_page import COLOURS, HOSTILE, Opened

MODEL = "bundled:chat"
NEAR = f"annotate.neighbors={{model: '{MODEL}'}}"
ANSWER = "So it is."
Document = dict[str, Any]


def lines(file: Path, questions: list[str]) -> str:
    rows = [{"instruction": text, "output": ANSWER} for text in questions]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(file)


def asked(run: Run) -> list[str]:
    tables = open_pool([run.path]).shards(["messages"])
    return [row["messages"][0]["content"] for table in tables for row in table.to_pylist()]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run with embeddings and a release of what it made."""
    found = made(tmp_path_factory.mktemp("covering") / "run", "rows=40", NEAR)
    folder = found.path / "releases" / "1.0.0"
    build(open_pool([found.path]), "1.0.0", folder, kind="sft", report=str, any_version=True)
    return found


@pytest.fixture(scope="module")
def other(run: Run, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Three of the run's own questions, one of them twice, and many of its own."""
    own = list(dict.fromkeys(asked(run)))
    texts = [own[0], own[0].upper(), own[1], own[2]]
    texts += [f"Write a poem about {n} tulips and a garden of {n * 7} roses." for n in range(30)]
    return lines(tmp_path_factory.mktemp("other") / "other.jsonl", [*texts, *HOSTILE])


@pytest.fixture(scope="module")
def document(run: Run, other: str) -> Document:
    return collect(run.path, [other])


def test_the_numbers_are_those_of_compare(run: Run, other: str, document: Document) -> None:
    settings = Settings(rows=coverage.QUESTIONS, embedder=MODEL)
    pairs = compare(
        [str(run.path), other], settings, progress=Silent(), report=lambda line: None
    ).pairs
    here, there = pairs
    (found,) = document["coverage"]["others"]
    assert here.covered is not None and there.covered is not None
    for name, share in (
        ("covers", there.covered),
        ("covered", here.covered),
        ("near_there", there.near),
        ("near_here", here.near),
    ):
        assert found[name] == pytest.approx(vars(share), abs=1e-6), name
    assert 0 < found["covers"]["value"] < 1
    texts = [text.lower() for text in asked(run)]
    own = list(dict.fromkeys(texts))[:3]
    assert found["same_there"] == {"rows": 4, "of": 34 + len(HOSTILE)}
    assert found["same_here"] == {"rows": sum(map(texts.count, own)), "of": len(texts)}


def test_the_samples_and_what_was_done_are_stated(document: Document, run: Run) -> None:
    rows = len(asked(run))
    (drawn, _, meaning, nearly) = document["coverage"]["how"]
    assert f"{rows} of the {rows} questions of this run;" in drawn and "seed 0" in drawn
    assert "43 of the 43 questions of other.jsonl." in drawn
    assert f"{min(rows, 43)} questions of each, by {MODEL}" in meaning and "Nearly" in nearly
    first, second = document["coverage"]["map"]
    assert (first["name"], second["name"]) == ("This run", "other.jsonl")
    for each in (first, second):
        assert len(each["x"]) == len(each["y"]) == len(each["texts"]) == min(rows, 43)
        assert all(-1 <= at <= 1 for at in (*each["x"], *each["y"]))
    assert set(first["texts"]) <= set(asked(run))


def test_what_the_run_has_embedded_is_not_embedded_again(
    run: Run, other: str, document: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, seen = embedding.Embedder.embed, list[str]()

    def embed(self: embedding.Embedder, texts: list[str]) -> Any:
        seen.extend(texts)
        return plain(self, texts)

    monkeypatch.setattr(embedding.Embedder, "embed", embed)
    again = collect(run.path, [other])["coverage"]
    assert again == document["coverage"]
    assert "Write a poem" in " ".join(seen) and not set(seen) & (set(asked(run)) - own(other))
    # Where the vectors are gone they are made, and the numbers are the same.
    folder = run.path / "neighbors"
    folder.rename(folder.with_name("away"))
    try:
        made_anew = collect(run.path, [other])["coverage"]
    finally:
        folder.with_name("away").rename(folder)
    assert made_anew["others"] == again["others"] and set(asked(run)) <= set(seen)


def own(source: str) -> set[str]:
    with open(source, encoding="utf-8") as file:
        return {json.loads(line)["instruction"] for line in file}


def test_a_release_alone_names_what_embedded_it(run: Run, other: str, tmp_path: Path) -> None:
    inside, alone = run.path / "releases" / "1.0.0", tmp_path / "alone"
    shutil.copytree(inside, alone)
    behind, apart = (collect(place, [other])["coverage"] for place in (inside, alone))
    assert behind["others"] == apart["others"] and behind["how"] == apart["how"]
    assert "of this release (version 1.0.0, config filtered, split train);" in apart["how"][0]
    assert f"by {MODEL}" in apart["how"][2] and apart["map"][0]["name"] == "This release"


def test_without_a_model_the_words_are_compared(
    small_run: Run, other: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(embedding, "DEFAULT", str(tmp_path / "nowhere"))
    found = collect(small_run.path, [other])["coverage"]
    assert found["map"] == [] and "nothing by meaning: there is no folder" in found["map_how"]
    (shares,) = found["others"]
    assert shares["covers"] is None and shares["near_there"]["n"] == 43
    assert len(found["how"]) == 2


def test_texts_of_the_map_are_cut_until_all_fits(
    run: Run, other: str, document: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("magpie_hub.report.data.BYTES", 20_000)
    cut = collect(run.path, [other])
    limit = cut["rows"]["text_limit"]
    assert limit < 100
    for short, full in zip(cut["coverage"]["map"], document["coverage"]["map"], strict=True):
        assert short["texts"] == [text[:limit] for text in full["texts"]]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["{samples}/unknown.jsonl"], "none of the shapes that are known"),
        (["{other}", "nowhere.jsonl"], "there is no file or folder nowhere.jsonl"),
        (["{other}", "{other}"], "a source is named twice"),
        (["{other}#colour=blue"], "'colour=blue' is no KEY=VALUE"),
    ],
)
def test_bad_sources_are_refused_before_anything_is_read(
    given: list[str],
    sentence: str,
    run: Run,
    other: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def heavy(*_: object) -> None:
        raise AssertionError("rows are read")

    for name in ("data.walk", "coverage.sample"):
        monkeypatch.setattr(f"magpie_hub.report.{name}", heavy)
    samples = Path(__file__).parents[1] / "evidence" / "sources" / "samples"
    over = [
        part for each in given for part in ("--over", each.format(other=other, samples=samples))
    ]
    file = tmp_path / "report.html"
    assert main(["report", str(run.path), "-o", str(file), *over]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("magpie-hub: ") and sentence in last
    assert not any(tmp_path.iterdir())


def test_a_folder_is_no_file_to_write(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(run.path), "-o", str(tmp_path)]) == 2
    assert "is a folder; name a file." in capsys.readouterr().err


@pytest.fixture(scope="module")
def file(run: Run, other: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of the release, as the command writes it; the other set has hostile rows."""
    found = tmp_path_factory.mktemp("report") / "report.html"
    name = "<img src=x onerror='window.ran=1'>"
    over = ["--over", f"{other}#name={name}", "--over", f"{run.path}#name=its run"]
    assert main(["report", str(run.path / "releases/1.0.0"), "-o", str(found), *over]) == 0
    return found


@pytest.fixture
def opened(browser: Browser, file: Path) -> Iterator[Opened]:
    found = Opened(browser, file)
    found.page.locator("#coverage").scroll_into_view_if_needed()
    found.page.locator("#coverage canvas").wait_for()  # charts are drawn once they are in sight
    yield found
    found.page.close()
    assert found.said == []
    assert [url for url in found.asked if not url.startswith(file.as_uri())] == []


@pytest.mark.browser
def test_the_command_says_and_gives_the_shares(
    run: Run, other: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], document: Document
) -> None:
    file = tmp_path / "report.html"
    assert main(["report", str(run.path), "-o", str(file), "--over", other, "--json"]) == 0
    out, err = capsys.readouterr()
    said = json.loads(out)
    assert said["over"] == document["coverage"]["others"] and said["file"] == str(file)
    assert "other.jsonl: 43 rows read, 43 sampled." in err


@pytest.mark.browser
def test_the_panel_has_map_numbers_and_samples(opened: Opened) -> None:
    page = opened.page
    assert page.locator("nav button:text-is('Coverage')").count() == 1
    assert page.locator("#coverage canvas").count() == 1
    assert page.locator("#coverage .missing").count() == 0
    blocks = page.locator("#coverage .shares section")
    assert blocks.count() == 2
    text = blocks.nth(0).inner_text()
    assert "of its questions are covered by this release" in text and "% to" in text
    assert "4\nof its questions stand in this release word for word" in text
    whole = blocks.nth(1).inner_text()
    assert whole.count("All\n") >= 1
    assert "seed 0" in page.inner_text("#coverage .method")


@pytest.mark.browser
def test_a_set_is_taken_away_and_put_back(opened: Opened) -> None:
    page = opened.page
    switch = page.locator("#coverage .switches button").nth(1)
    canvas = page.locator("#coverage canvas")
    before = canvas.screenshot()
    switch.focus()
    page.keyboard.press("Space")
    assert switch.get_attribute("aria-pressed") == "false"
    without = canvas.screenshot()
    assert without != before
    page.keyboard.press("Space")
    assert switch.get_attribute("aria-pressed") == "true"
    switch.blur()
    assert canvas.screenshot() == before
    page.locator("#coverage .canvas.map").focus()
    page.keyboard.press("+")
    page.keyboard.press("ArrowLeft")
    near = canvas.screenshot()
    assert near != before
    page.click("#coverage button:text-is('Whole map')")
    assert page.locator("#left").inner_text() and page.locator(".chip").count() == 0


@pytest.mark.browser
def test_no_text_of_another_set_runs(opened: Opened) -> None:
    page = opened.page
    box = page.locator("#coverage .canvas.map").bounding_box()
    assert box is not None
    sets = page.evaluate("JSON.parse(document.getElementById('data').textContent).coverage.map")
    low, span = zip(
        *(extent([at for each in sets for at in each[axis]]) for axis in "xy"), strict=True
    )
    hovered = 0
    for x, y, text in zip(*(sets[1][name] for name in ("x", "y", "texts")), strict=True):
        if text in HOSTILE:
            right, up = (x - low[0]) / span[0], (y - low[1]) / span[1]
            page.mouse.move(box["x"] + right * box["width"], box["y"] + (1 - up) * box["height"])
            page.wait_for_timeout(100)
            hovered += text[:8] in "".join(page.locator("#coverage .tip").all_inner_texts())
    assert hovered >= 3
    assert page.evaluate("window.ran") is None
    assert page.locator("#coverage :is(img, svg, script, iframe, a)").count() == 0
    assert "<img src=x onerror='window.ran=1'>" in page.inner_text("#coverage .shares h3")


def extent(values: list[float]) -> tuple[float, float]:
    """Where an axis begins, and how long it is."""
    air = 0.04 * (max(values) - min(values))
    return min(values) - air, max(values) - min(values) + 2 * air


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_and_is_drawn(browser: Browser, file: Path, width: int, scheme: str) -> None:
    size = {"width": width, "height": 844}
    opened = Opened(browser, file, viewport=size, color_scheme=scheme)
    shown = opened.page
    shown.locator("#coverage").scroll_into_view_if_needed()
    assert shown.evaluate("document.documentElement.scrollWidth") <= width
    shown.wait_for_selector("#coverage canvas")
    assert shown.evaluate(COLOURS, "#coverage canvas") > 20
    before = shown.locator("#coverage canvas").screenshot()
    shown.locator("#scheme").click()
    assert shown.locator("#coverage canvas").screenshot() != before
    assert opened.said == []
    shown.close()


@pytest.mark.browser
def test_without_another_set_there_is_no_panel(browser: Browser, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    assert main(["report", str(run.path), "-o", str(file)]) == 0
    opened = Opened(browser, file)
    assert opened.page.locator("#coverage, nav button:text-is('Coverage')").count() == 0
    assert opened.said == []
    opened.page.close()
