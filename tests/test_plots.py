"""The pictures of a release: readable on both pages of the Hub, the same bytes each time, safe."""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from magpie_hub import plots, schema
from magpie_hub.builder import build
from magpie_hub.plots import drawing
from magpie_hub.plots.shapes import Bars, Funnel, Map, Picture, Spread
from magpie_hub.release import Release
from magpie_hub.release.facts import facts
from tests.builders.pool import HandPool, row

LIGHT, DARK = "#ffffff", "#0b0f19"


def release(folder: Path, rows: int = 60, **more: object) -> Release:
    pool = HandPool(rows=[row(i) for i in range(rows)], **more)  # type: ignore[arg-type]
    return build(pool, "1.0.0", folder / "1.0.0", kind="sft", report=lambda line: None)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return release(tmp_path_factory.mktemp("drawn"))


def luminance(colour: str) -> float:
    """Relative luminance of WCAG 2."""
    parts = [int(colour.lstrip("#")[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("page", [LIGHT, DARK])
def test_colours_stand_out_on_both_pages(page: str) -> None:
    style = Path(plots.__file__).with_name("magpie.mplstyle").read_text(encoding="utf-8")
    texts = set(re.findall(r"(?:text\.color|label\w*|title)color: (\w{6})", style))
    texts |= set(re.findall(r"text\.color: (\w{6})", style))
    assert texts and all(contrast(each, page) >= 4.3 for each in texts)
    lines = set(re.findall(r"color: (\w{6})", style))
    for colour in lines | {drawing.MAIN, drawing.OTHER, drawing.QUIET}:
        assert contrast(colour, page) >= 3


# Machado, Oliveira and Fernandes (2009), whole deuteranopia, protanopia, tritanopia; linear RGB.
SEEN_BY = {
    "deuteranope": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    "protanope": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    "tritanope": [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]],
}


@pytest.mark.parametrize("who", SEEN_BY)
def test_everybody_tells_the_colours_apart(who: str) -> None:
    def lab(colour: str) -> np.ndarray:
        parts = np.array([int(colour.lstrip("#")[at : at + 2], 16) / 255 for at in (0, 2, 4)])
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        seen = np.clip(np.array(SEEN_BY[who]) @ linear, 0, 1)
        to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
        x, y, z = np.cbrt(np.maximum(np.array(to_xyz) @ seen / [0.9505, 1, 1.089], 0.008856))
        return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])

    for one, other in combinations((drawing.MAIN, drawing.OTHER), 2):
        assert np.linalg.norm(lab(one) - lab(other)) > 40


def test_what_a_release_has(drawn: Release) -> None:
    files = {name: drawn.path / name for name in drawn.manifest.files if "assets/" in name}
    keys = [Path(name).stem.partition("-")[0] for name in sorted(files) if name.endswith(".png")]
    assert keys == ["categories", "funnel", "labels", "lengths", "scores"]
    assert {Path(name).stem for name in files} == {Path(n).stem for n in files if "svg" in n}
    assert sum(file.stat().st_size for file in files.values()) < 2_000_000
    for name, file in files.items():
        if name.endswith(".png"):
            with Image.open(file) as image:
                assert image.size[0] == 1440 and image.mode == "RGBA"
                opacity = np.asarray(image)[..., 3]
            assert opacity[0, 0] == 0 and opacity.mean() > 5
    text = (drawn.path / "README.md").read_text(encoding="utf-8")
    for name in plots.shown(drawn.manifest).values():
        assert f'<img src="{name}" alt="' in text


def test_the_same_data_gives_the_same_bytes(drawn: Release, tmp_path: Path) -> None:
    again = release(tmp_path)
    ours, theirs = (
        {n: e.sha256 for n, e in each.manifest.files.items() if "assets/" in n}
        for each in (drawn, again)
    )
    assert ours == theirs
    other = release(tmp_path / "more", rows=61)
    assert not set(ours) & {name for name in other.manifest.files if "assets/" in name}


def test_few_rows_need_no_picture(tmp_path: Path) -> None:
    few = release(tmp_path, rows=plots.FEWEST - 1)
    assert not [name for name in few.manifest.files if "assets" in name]
    assert "<img" not in (few.path / "README.md").read_text(encoding="utf-8")


def test_without_matplotlib_a_line_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(plots, "find_spec", lambda name: None)
    pool = HandPool(rows=[row(i) for i in range(60)])
    made = build(pool, "1.0.0", tmp_path / "1.0.0", kind="sft", report=said.append)
    assert any("pip install 'magpie-hub[plots]'" in line for line in said)
    assert "<img" not in (made.path / "README.md").read_text(encoding="utf-8")
    assert "| Math |" in (made.path / "README.md").read_text(encoding="utf-8")


def test_matplotlib_is_not_imported_for_a_card() -> None:
    code = "import sys, magpie_hub.card, magpie_hub.cli; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr


def test_what_is_drawn_is_what_the_files_say(drawn: Release) -> None:
    known = facts(drawn.path, drawn.manifest)
    found = {each.key: each for each in plots.pictures(drawn.manifest, known)}
    (categories,) = found["categories"].panels
    assert isinstance(categories, Bars) and categories.others
    shares = {each.label: each.parts for each in known.shares["category"]}
    for label, part, other in zip(
        categories.labels, categories.parts, categories.others, strict=True
    ):
        assert shares[label] == (part, other)
    assert "Math" in found["categories"].alt and "%" in found["categories"].alt
    (funnel,) = found["funnel"].panels
    assert isinstance(funnel, Funnel)
    assert funnel.steps[0] == ("questions sampled", 66)
    assert funnel.steps[-1] == ("finish_reason = 'stop'", drawn.manifest.configs["filtered"].rows)
    (rewards,) = found["scores"].panels
    assert isinstance(rewards, Spread) and rewards.others
    assert sum(rewards.parts) == pytest.approx(1) == sum(rewards.others)


def test_a_map_has_a_panel_for_each_category(tmp_path: Path) -> None:
    points = [(i / 100, -i / 100, schema.CATEGORIES[i % 5]) for i in range(60)]
    points += [(0.0, 0.0, None)]
    made = release(tmp_path)
    picture = plots.pictures(made.manifest, facts(made.path, made.manifest), points)[-1]
    assert picture.key == "map"
    (panel,) = picture.panels
    assert isinstance(panel, Map)
    assert [label for label, _, _ in panel.groups] == [
        *sorted(schema.CATEGORIES[:5]),
        "no category",
    ]
    plots.write([picture], tmp_path / "map")
    with Image.open(tmp_path / "map" / f"{plots.name(picture)}.png") as image:
        assert image.size[0] == 1440


def test_labels_from_outside_stay_text(tmp_path: Path) -> None:
    hostile = "<script>x</script> --> $\\frac{1}{0}$ & “ü” 数 \"'"
    picture = Picture(
        "labels", "", (Bars(hostile, (hostile, "b"), (0.5, 0.5), (0.1, 0.9)),), (hostile, "all")
    )
    plots.write([picture], tmp_path)
    (file,) = tmp_path.glob("*.svg")
    tags = {each.tag.rpartition("}")[2] for each in ElementTree.parse(file).iter()}
    assert tags <= {
        *("svg", "metadata", "RDF", "Work", "type", "format", "creator", "Agent", "title"),
        *("defs", "style", "g", "path", "use", "clipPath", "rect"),
    }
