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


def test_what_a_card_states_of_its_licence(tmp_path: Path) -> None:
    card = tmp_path / "README.md"
    model = models.Model("m", tmp_path, "r")
    assert models.stated(model).license is None
    card.write_text(
        "---\nlicense: other\nlicense_name: mine\nlicense_link: LICENSE\n"
        "base_model: [org/a, org/b]\n---\n# x\n"
    )
    found = models.stated(model)
    assert (found.model, found.revision, found.base) == ("m", "r", "org/a, org/b")
    assert (found.license, found.license_name, found.license_link) == ("other", "mine", "LICENSE")
    for damaged in ("---\nlicense: [\n---\n", "---\n- a\n---\n", "# x\n---\nlicense: mit\n---\n"):
        card.write_text(damaged)
        assert models.stated(model).license is None
    card.write_bytes(b"---\nlicense: mit\n---\n\xff\xfe")
    assert models.stated(model).license == "mit"


def test_a_bundled_model_states_its_licence() -> None:
    assert models.stated(models.resolve("bundled:chat")).license == "apache-2.0"
