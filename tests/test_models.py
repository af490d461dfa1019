import shutil
from pathlib import Path

import pytest

from magpie_hub import models
from magpie_hub.errors import EngineError, UsageError


def test_the_same_files_are_the_same_model_wherever_they_are(tmp_path: Path) -> None:
    bundled = models.resolve("bundled:chat")
    copy = Path(shutil.copytree(bundled.path, tmp_path / "elsewhere"))
    assert models.resolve(str(copy)).identity == bundled.identity
    (copy / "config.json").write_text((copy / "config.json").read_text() + "\n")
    assert models.resolve(str(copy)).identity != bundled.identity


def test_a_local_model_is_called_by_its_folder_and_not_by_its_path(tmp_path: Path) -> None:
    (tmp_path / "my-model").mkdir()
    (tmp_path / "my-model" / "config.json").write_text("{}")
    assert models.resolve(str(tmp_path / "my-model")).ref == "my-model"


@pytest.mark.parametrize(
    ("ref", "sentence"),
    [
        ("bundled:chta", r"no bundled model 'bundled:chta'; there are: bundled:chat, bundled:rew"),
        ("./nothing", "there is no folder ./nothing"),
        ("plain", "there is no folder plain"),
    ],
)
def test_what_is_not_there_is_said(ref: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        models.resolve(ref)


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"holds no model: it has no config\.json"):
        models.resolve(str(tmp_path))


def test_a_hub_id_without_a_hub() -> None:
    with pytest.raises(EngineError, match="the Hub could not be asked"):
        models.resolve("org/name")
