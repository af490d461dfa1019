"""docs/publishing.md and the README's part on publishing, word by word: their commands are run in
their order against a Hub on loopback, their code as a reader's process; what the page shows is what
they print.

`python -m tests.test_story` runs the page and writes what was printed into it.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from magpie_hub import pipeline
from magpie_hub.run import Run
from tests.conftest import Silent, small
from tests.hub.server import Hub

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/publishing.md"
BLOCK = re.compile(r"^```(console|python)\n(.*?)^```\n", re.S | re.M)
SECONDS = 300
COLUMNS = "88"

# What another day, another machine or another sample prints otherwise.
CHANGES = (
    (re.compile(r"http://127\.0\.0\.1:\d+"), "https://hub.example"),
    (re.compile(r"\b[0-9a-f]{8}([0-9a-f]{32})?\b"), "0f1e2d3c"),
    (re.compile(r"(?<![\w.])\d[\d,]*(\.\d+)?(?![\w.]*\d)"), "9"),
    (re.compile(r"[─\s]+"), " "),
)


def commands(text: str) -> list[tuple[str, str]]:
    """Each command of a console block, with what the page says that it prints."""
    parts = re.split(r"^\$ (.*)\n", text, flags=re.M)
    assert parts[0] == "", "a console block begins with a command"
    return list(zip(parts[1::2], parts[2::2], strict=True))


def known(line: str) -> str:
    for pattern, put in CHANGES:
        line = pattern.sub(put, line)
    return line.strip()


def agrees(said: str, printed: str) -> bool:
    """Line by line; a line `...` of the page stands for any number of lines, or none."""
    lines = [known(line) for line in printed.splitlines() if line.strip()]
    parts = re.split(r"^\.\.\.\n", said, flags=re.M)
    for number, part in enumerate(parts):
        wanted = [known(line) for line in part.splitlines() if line.strip()]
        last = number == len(parts) - 1
        if number == 0:
            starts = [0]
        elif last:
            starts = [len(lines) - len(wanted)]
        else:
            starts = list(range(len(lines) - len(wanted) + 1))
        at = next((n for n in starts if n >= 0 and lines[n : n + len(wanted)] == wanted), None)
        if at is None or (last and at + len(wanted) != len(lines)):
            return False
        lines = lines[at + len(wanted) :]
    return True


class Reader:
    """Someone who follows the page in ``folder``, with a token for the Hub in the environment."""

    def __init__(self, hub: Hub, folder: Path) -> None:
        (folder / "home").mkdir()
        binaries = Path(sys.executable).parent
        environment = hub.env(folder / "home")
        self.environment = environment | {
            "PATH": f"{binaries}:{environment['PATH']}",
            "COLUMNS": COLUMNS,
            "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
            "PYTHONPATH": "",
        }
        self.folder = folder

    def does(self, words: list[str]) -> str:
        """What is printed; a command that fails is a failure of the page."""
        ran = subprocess.run(
            words,
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
        )
        assert ran.returncode == 0, f"{words[-1]}\n{ran.stdout}"
        return ran.stdout


def follow(reader: Reader, page: str) -> Iterator[tuple[str, str, str]]:
    """Each command of the page: itself, what the page shows, what was printed."""
    for kind, text in BLOCK.findall(page):
        if kind == "python":
            yield text, "", reader.does([sys.executable, "-c", text])
            continue
        for command, said in commands(text):
            yield command, said, reader.does(["bash", "-c", command])


@pytest.mark.slow
def test_the_page_on_publishing_is_true(hub: Hub, tmp_path: Path) -> None:
    reader = Reader(hub, tmp_path)
    told = list(follow(reader, PAGE.read_text(encoding="utf-8")))
    assert len(told) >= 10
    for command, said, printed in told:
        assert agrees(said, printed), f"{command}\n{printed}"


def test_the_readme_on_publishing_is_true(hub: Hub, small_run: Run, tmp_path: Path) -> None:
    shutil.copytree(small_run.path, tmp_path / "run")
    reader = Reader(hub, tmp_path)
    reader.does(["magpie-hub", "build", "run", "--version", "1.0.0"])
    pipeline.run(small("rows=64"), tmp_path / "run", progress=Silent())
    reader.does(["magpie-hub", "build", "run", "--version", "1.1.0"])
    rows = pq.read_table(tmp_path / "run/releases/1.1.0/data/filtered", columns=["id"])
    (tmp_path / "ids.txt").write_text(rows["id"][0].as_py())
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    part = readme.partition("<!-- publish -->")[2].partition("<!-- /publish -->")[0]
    (commands,) = re.findall(r"^```bash\n(.*?)^```", part, re.S | re.M)
    (code,) = re.findall(r"^```python\n(.*?)^```", part, re.S | re.M)
    for line in commands.splitlines():
        reader.does(["bash", "-c", line])
    reader.does([sys.executable, "-c", code])
    assert list(hub.store.repo("org/my-magpie").tags()) == ["v1.0.0", "v1.1.0", "v1.2.0"]


def test_pages_and_prints_are_told_apart() -> None:
    printed = "Committed 1a2b3c4d.\n\n12 files, 3.5 MB\nRead v1.0.0 back.\n"
    assert agrees("Committed 0f1e2d3c.\n9 files, 40.1 MB\nRead v1.0.0 back.\n", printed)
    assert agrees("...\nRead v1.0.0 back.\n", printed)
    assert agrees("Committed 0f1e2d3c.\n...\n", printed)
    assert not agrees("Committed 0f1e2d3c.\n...\nRead v1.1.0 back.\n", printed)
    assert not agrees("Read v1.0.0 back.\n", printed)
    assert not agrees("...\n9 files, 40.1 MB\n", printed)
    assert commands("$ ls\na\nb\n$ true\n") == [("ls", "a\nb\n"), ("true", "")]


def main() -> None:
    """Write what the commands print into the page, where it shows more than ``...``."""
    page = PAGE.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder, Hub(Path(folder) / "hub") as hub:
        for command, said, printed in list(follow(Reader(hub, Path(folder)), page)):
            if said and not said.startswith("...\n"):
                printed = printed.replace(hub.url, "https://hub.example")
                shown = "".join(f"{line.rstrip()}\n" for line in printed.splitlines())
                page = page.replace(f"$ {command}\n{said}", f"$ {command}\n{shown}", 1)
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
