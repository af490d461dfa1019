"""Tables and text at all widths: no number is cut or broken, and no text is obeyed."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from magpie_hub.terminal import (
    amount,
    clock,
    console,
    reporter,
    show_facts,
    show_table,
    tell,
)
from tests.terminal.shown import shown

HEADERS = ("config", "rows", "share", "failed", "filter")
ROWS = [
    ("filtered-300k", "12,345,678", "41.2%", "", "quality >= 'good' AND reward > 0.5 AND x"),
    ("数学 🧮", "9,999", "0.1%", "", "category = 'Math'"),
]
HOSTILE = "[bold red]x[/] \x1b]0;owned\x07 \x1b[2J \u202egnp.exe\u2066 a\rb :smile: \x9b31m"
ESCAPED = r"[bold red]x[/] \x1b]0;owned\x07 \x1b[2J \u202egnp.exe\u2066 a\rb :smile: \x9b31m"


@pytest.mark.parametrize("width", [30, 60, 80, 200])
def test_a_table_keeps_its_numbers_whole(width: int) -> None:
    text = shown(lambda to: show_table(to, HEADERS, ROWS, words=("filter",)), width)
    assert max(map(cell_len, text.splitlines())) <= width
    for row in ROWS:
        for cell in row[:3]:
            assert cell in text
    assert "…" not in text and "failed" not in text
    words = " ".join(text.replace("filter:", "").split())
    assert "AND reward > 0.5 AND x" in words or width == 80 and "reward > 0.5" in words


def test_it_is_a_table_where_that_fits() -> None:
    wide = shown(lambda to: show_table(to, HEADERS, ROWS, words=("filter",)), 100)
    assert wide.splitlines()[0].split() == ["config", "rows", "share", "filter"]
    narrow = shown(lambda to: show_table(to, HEADERS, ROWS, words=("filter",)), 44)
    assert narrow.splitlines() == [
        "config filtered-300k",
        "  rows 12,345,678, share 41.2%",
        "  filter: quality >= 'good' AND reward > 0.5",
        "  AND x",
        "config 数学 🧮",
        "  rows 9,999, share 0.1%",
        "  filter: category = 'Math'",
    ]


def test_foreign_text_is_shown_and_not_obeyed() -> None:
    shows = (
        lambda to: show_table(to, ("name", "rows"), [(HOSTILE, "1")]),
        lambda to: show_facts(to, [("rows", HOSTILE)]),
        lambda to: tell(to, HOSTILE),
        lambda to: reporter(to)(HOSTILE),
    )
    for show in shows:
        text = shown(show, 150)
        assert ESCAPED in text
        assert not set(text) & set("\x1b\x07\x9b\r\u202e\u2066")


def test_a_path_can_be_copied_from_its_line() -> None:
    path = "/".join(["folder"] * 20)
    assert path in shown(lambda to: reporter(to)(f"wrote {path}"), 60).splitlines()[0]


def test_colour_is_for_terminals_that_want_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def err() -> str:
        show_table(console(), ("name", "rows"), [("x", "1,234")], styles=["red"])
        return capsys.readouterr().err

    monkeypatch.setenv("COLUMNS", "60")
    plain = err()
    assert "\x1b" not in plain and "1,234" in plain
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    assert "\x1b[31m" in err()
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[31m" not in err()


def test_amounts_and_times() -> None:
    assert [amount(n) for n in (0, 9_999_999, 12_345_678, 12_345_678_901)] == [
        "0", "9,999,999", "12.3 M", "12.3 G",
    ]  # fmt: skip
    assert [clock(s) for s in (0.4, 59.6, 3599, 90061)] == [
        "0 s", "1 min 00 s", "59 min 59 s", "25 h 01 min",
    ]  # fmt: skip


def test_only_this_package_prints_for_people() -> None:
    """Else some output is neither escaped nor held within the width."""
    top = Path(__file__).parents[2] / "magpie_hub"
    users = {
        f.relative_to(top).parts[0]
        for f in top.rglob("*.py")
        if "rich" in f.read_text()
        and "from rich" in f.read_text()
        and "import Console" in f.read_text()
    }
    assert users == {"terminal", "verbs"}
    assert isinstance(console(), Console)
