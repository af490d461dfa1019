from pathlib import Path

import pytest

from magpie_hub import models
from magpie_hub.engines import EngineSpec
from magpie_hub.errors import UsageError
from magpie_hub.runfile import engine_spec

CHAT = models.resolve("bundled:chat")


def test_without_anything_it_is_the_default() -> None:
    assert engine_spec() == EngineSpec("transformers")


def test_arguments_come_before_the_file_and_are_yaml(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(
        "engine:\n  name: vllm\n  max_num_seqs: 64\n  dtype: bfloat16\n"
        "  models: {'bundled:chat': {max_model_len: 512}}\n"
    )
    spec = engine_spec(None, ["max-num-seqs=8", "enforce_eager=true"], file)
    assert spec.name == "vllm"
    assert spec.options == {"max_num_seqs": 8, "dtype": "bfloat16", "enforce_eager": True}
    assert spec.resolve(CHAT, "generate") == ("vllm", {**spec.options, "max_model_len": 512})
    assert engine_spec("server", [], file).name == "server"


def test_a_model_can_have_its_own_engine() -> None:
    spec = EngineSpec("vllm", {"dtype": "float32"}, {"bundled:chat": {"engine": "transformers"}})
    assert spec.resolve(CHAT, "generate") == ("transformers", {})


def test_a_server_of_text_leaves_scoring_to_transformers() -> None:
    spec = EngineSpec("server", {"url": "http://127.0.0.1:1"})
    assert spec.resolve(CHAT, "generate") == ("server", {"url": "http://127.0.0.1:1"})
    assert spec.resolve(CHAT, "score") == ("transformers", {})
    own = EngineSpec("server", {}, {"bundled:chat": {"url": "http://127.0.0.1:2"}})
    assert own.resolve(CHAT, "score") == ("server", {"url": "http://127.0.0.1:2"})


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("engines: {}", "a run file has one key, engine"),
        ("engine: [vllm]", "engine is a name, or a mapping"),
        ("engine: {models: {a: 1}}", "engine.models has a mapping of options under each model"),
        ("engine: {", "cannot be read as a run file"),
    ],
)
def test_a_run_file_that_says_nothing(tmp_path: Path, text: str, sentence: str) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(text)
    with pytest.raises(UsageError, match=sentence):
        engine_spec(None, [], file)


def test_arguments_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--engine-arg url: write it as key=value"):
        engine_spec(None, ["url"])
    with pytest.raises(UsageError, match=r"nothing\.yaml cannot be read"):
        engine_spec(None, [], tmp_path / "nothing.yaml")
