"""The card as its two readers see it: the Hub's YAML, and a page rendered from the Markdown."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml
from huggingface_hub import DatasetCard
from markdown_it import MarkdownIt

from magpie_hub import card
from magpie_hub.builder import build
from magpie_hub.card import markdown
from magpie_hub.release import MANIFEST, Release, Yield
from magpie_hub.release.facts import facts
from magpie_hub.visible import visible
from tests.builders.pool import HandPool, Spec, row

HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(2)>",
    "[click](https://evil.example) ![pixel](https://evil.example/p.png) <https://evil.example>",
    "```\n````\n# A heading\n---\nlicense: mit\n---\n</pre></details>",
    "{{ 7 * 7 }} {% for x in y %} {# gone #}",
    "safe \u202etxt.exe\u202c \u2066x\u2069 zero\u200bwidth \x1b[31mred\x07 nul\x00 tag\U000e0041",
    "~~~\n- list\n> quote\n| a | b |\n|---|---|\nhttps://evil.example www.evil.example",
)


def readme(pool: HandPool, folder: Path) -> str:
    release = build(pool, "1.0.0", folder / "1.0.0", kind="sft", report=lambda line: None)
    return (release.path / "README.md").read_text(encoding="utf-8")


def page(text: str) -> str:
    body = DatasetCard(text, ignore_metadata_errors=True).text
    renderer = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    return renderer.render(body)


class Seen(HTMLParser):
    """The tags, links and code of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: set[str] = set()
        self.code: list[str] = []
        self._in_code = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self._in_code = tag == "code"
        self.links |= {value or "" for name, value in attrs if name in ("href", "src")}
        if self._in_code:
            self.code.append("")

    def handle_endtag(self, tag: str) -> None:
        self._in_code = False

    def handle_data(self, data: str) -> None:
        if self._in_code:
            self.code[-1] += data


def test_front_matter(tmp_path: Path) -> None:
    data = DatasetCard(readme(HandPool(), tmp_path)).data.to_dict()
    assert data["language"] == ["en", "de", "es"]
    assert data["license"] == "apache-2.0" and data["size_categories"] == ["n<1K"]
    assert data["tags"] == ["synthetic", "magpie", "sft"]
    assert [c.get("default", False) for c in data["configs"]] == [True, False]
    info = {each["config_name"]: each for each in data["dataset_info"]}
    assert info["filtered"]["splits"][0]["num_examples"] == 12
    files = (tmp_path / "1.0.0" / "data" / "all").iterdir()
    assert info["all"]["download_size"] == sum(file.stat().st_size for file in files)


def test_an_unknown_licence_is_said_so(tmp_path: Path) -> None:
    data = DatasetCard(readme(HandPool(license=None), tmp_path)).data.to_dict()
    assert data["license"] == "other" and data["license_name"] == "unknown"


def test_rare_languages_are_not_claimed(tmp_path: Path) -> None:
    rows = [{**row(0), "id": str(i), "language": "en"} for i in range(400)]
    rows[0]["language"], rows[1]["language"] = "fi", "und"
    data = DatasetCard(readme(HandPool(rows=rows, specs={}), tmp_path)).data.to_dict()
    assert data["language"] == ["en"]


def test_what_a_reader_needs_stands_in_order(tmp_path: Path) -> None:
    text = readme(HandPool(), tmp_path)
    headings = re.findall(r"^#+ (.+)$", text.split("---\n", 2)[2], re.M)
    assert headings == [
        "Handmade", "Load", "Configs", "Rows", "Columns", "How it was made", "The funnel",
        "Statistics", "Limitations and biases, measured", "Licence and obligations", "Reproduce",
        "Changelog", "Citation",
    ]  # fmt: skip
    for shown in (
        'load_dataset("ORG/handmade", "filtered", split="train", revision="v1.0.0")  # 12 rows',
        "| `filtered` (default) | 12 | good questions whose answer is liked | quality at least "
        "average; reward above 0; the answer ends by itself | `quality >= ",
        "| exact duplicate | 2 |",
        "| `quality >= 'average'` | 24 | 15 | 9 |",
        "| Math | 50.0 % | 37.5 % |",
        "- 0.0 % of the answers were cut off",
        "- 50.0 % of the queries are in English.",
        "very poor < poor < average < good < excellent",
        "arXiv 2406.08464",
    ):
        assert shown in text


def test_tables_are_whole(tmp_path: Path) -> None:
    """A cell more or less than the header makes a row that a page drops or shifts."""
    tables = re.findall(r"(?:^\|.*\|$\n)+", readme(HandPool(), tmp_path), re.M)
    assert len(tables) == 10
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1


def made(kind: str, key: str, **more: object) -> Yield:
    return Yield.model_validate(
        {"kind": kind, "key": key, "sampled": 1200, "kept": 300, "share_kept": 0.25,
         "duplicates": 7, "rejected": {"cut off": 5, "leaked": 2}, "mean_query_tokens": 20.6,
         "categories": {"Math": 0.5, "Planning": 0.125}, **more}
    )  # fmt: skip


def paid(folder: Path, *yields: Yield) -> str:
    """The card of the release in ``folder`` with these yields in its manifest."""
    release = build(HandPool(), "1.0.0", folder / "1.0.0", kind="sft", report=lambda line: None)
    manifest = release.manifest.model_copy(update={"yields": yields})
    return card.render(manifest, facts(release.path, manifest), "sft.md.jinja")


def test_how_steering_and_decoding_paid(tmp_path: Path) -> None:
    hostile = [made("steer", f"{text} | x") for text in HOSTILE]
    cells = [made("cell", "temperature 1, top-p 1"), made("cell", "temperature 1.2, top-p 1")]
    many = [made("steer", f"n{number}") for number in range(60)]
    text = paid(tmp_path, *hostile, *many, *cells)
    line = "| 1,200 | 300 | 25.0 % | 7 | 7 | 21 | Math 50.0 %, Planning 12.5 % |"
    assert f"| temperature 1.2, top-p 1 {line}" in text and f"| n43 {line}" in text
    assert "| n44 |" not in text and "16 more stand in `manifest.json`" in text
    for table in re.findall(r"(?:^\|.*\|$\n)+", text, re.M):
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}) == 1
    seen = Seen(page(text))
    assert "script" not in seen.tags and seen.links == {"https://arxiv.org/abs/2406.08464"}
    assert page(text).count(">1,200</td>") == 52


def test_one_key_and_one_cell_are_no_comparison(tmp_path: Path) -> None:
    assert "How steering" not in paid(tmp_path, made("steer", "a"), made("cell", "b"))


def test_a_manifest_from_before_there_were_yields_still_opens(tmp_path: Path) -> None:
    release = build(HandPool(), "1.0.0", tmp_path / "1.0.0", kind="sft", report=lambda line: None)
    file = release.path / MANIFEST
    document = json.loads(file.read_text())
    del document["yields"]
    file.write_text(json.dumps(document))
    assert Release.open(release.path).manifest.yields == ()


def test_hostile_rows_show_as_text(tmp_path: Path) -> None:
    # What no row may hold is refused before a card is made.
    rows_may_hold = [re.sub(r"[\x00\x07\x1b]", "", text) for text in HOSTILE]
    for number, three in enumerate((rows_may_hold[:3], rows_may_hold[3:])):
        rows = [row(i, (t, t, None, None, None, 1.0, "en", "stop")) for i, t in enumerate(three)]
        text = readme(HandPool(rows=rows, specs={}), tmp_path / str(number))
        seen = Seen(page(text))
        assert seen.tags <= set(
            "h1 h2 p code pre table thead tbody tr th td strong em ul li a".split()
        )
        assert seen.links == {"https://arxiv.org/abs/2406.08464"}
        for hostile in three:
            assert visible(hostile).rstrip("\n") in [code.rstrip("\n") for code in seen.code]
        assert not re.search(r"[\u202a-\u202e\u2066-\u2069\u200b\x00\x07\x1b]", text)
        assert yaml.safe_load(text.split("---\n")[1])["license"] == "apache-2.0"


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_words_in_a_line(hostile: str) -> None:
    hostile = hostile.replace("\n", " ")
    for escaped in (markdown.text(hostile), markdown.code(hostile)):
        seen = Seen(MarkdownIt("commonmark", {"html": True}).render(f"a {escaped} z"))
        assert seen.tags <= {"p", "code"} and not seen.links
        cells = MarkdownIt().enable("table").render(f"| h | i |\n|---|---|\n| {escaped} | z |")
        assert cells.count("<td>") == 2 and "<td>z</td>" in cells


def test_hostile_recipe(tmp_path: Path) -> None:
    """A description is the recipe's, yet a recipe may come from anywhere."""
    specs = {"x": Spec("language != '`|<b>'", "<b>[a](https://evil.example)</b> | {{ x }}\n# h")}
    seen = Seen(page(readme(HandPool(specs=specs), tmp_path)))
    assert "b" not in seen.tags and seen.links == {"https://arxiv.org/abs/2406.08464"}
    assert "language != '`|<b>'" in seen.code


def test_a_card_of_rows_whose_stages_are_not_known(tmp_path: Path) -> None:
    pool = HandPool(specs={})
    known = pool.provenance().model_copy(update={"made": ()})
    pool.provenance = lambda: known  # type: ignore[method-assign]
    assert "A model wrote the questions itself" in readme(pool, tmp_path)


def test_a_card_of_the_fewest_columns(tmp_path: Path) -> None:
    text = readme(HandPool(names=("id", "messages"), specs={}), tmp_path)
    assert "What is 3 + 4?" in text and "language" not in DatasetCard(text).data.to_dict()


def test_long_messages_are_cut_and_say_so(tmp_path: Path) -> None:
    written = ("q", "word " * 400, "Math", "easy", "good", 1.0, "en", "stop")
    text = readme(HandPool(rows=[row(0, written)], specs={}), tmp_path)
    assert "… (1,300 more characters)" in text


def test_nothing_is_printed_by_accident() -> None:
    with pytest.raises(TypeError, match="without a filter"):
        markdown.finalize(0.5)
