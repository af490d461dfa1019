"""What stands against a push, with nothing asked of the Hub."""

from __future__ import annotations

from pathlib import Path

import pytest

from magpie_hub import hub
from magpie_hub.errors import InvalidData
from magpie_hub.release.checks import release_checks
from tests.release.test_obligations import BARE, FREE, LLAMA, release


def test_nothing_stands_against_a_good_release(tmp_path: Path) -> None:
    made, _ = release(tmp_path, FREE)
    assert release_checks(made) == []


def test_all_that_is_wrong_is_named_the_files_first(tmp_path: Path) -> None:
    made, _ = release(tmp_path, LLAMA, BARE)
    (made.path / "recipe.yaml").write_text("changed")
    problems = release_checks(made)
    assert [each.key for each in problems] == ["files", "license", "license"]
    assert "recipe.yaml is not what the manifest describes" in problems[0].sentence


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_push_is_refused_before_the_hub_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dry_run: bool
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    made, _ = release(tmp_path, BARE, LLAMA, license="apache-2.0")
    said: list[str] = []
    with pytest.raises(InvalidData, match=r"is not pushed: the licence apache-2\.0 does") as raised:
        hub.push(made, "org/name", dry_run=dry_run, report=said.append)
    assert raised.value.exit_code == 3 and "\n" not in str(raised.value)
    assert any(line.startswith("Also: the licence of my-model") for line in said)
