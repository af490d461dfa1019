from collections.abc import Callable
from pathlib import Path

import pytest

from magpie_hub import models, template
from magpie_hub.annotate.safety import read_verdict
from magpie_hub.engines import Completion, Request
from magpie_hub.rows.pool import RunPool
from magpie_hub.run import Run
from magpie_hub.run.rejections import rejections
from magpie_hub.run.stored import store
from tests.pipeline.test_scheduler import Opened, plain, scheduled, speak
from tests.templates.tokenizers import build

GUARD = (
    "{{ bos_token }}[INST] Task: Check if there is unsafe content in the last message.\n"
    "<BEGIN CONVERSATION>\n"
    "{% for m in messages %}{{ m['role'] | capitalize }}: {{ m['content'] }}\n{% endfor %}"
    "<END CONVERSATION> [/INST]"
)


@pytest.fixture(scope="module")
def guard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a guard's tokenizer, in the style of Llama Guard; the words are a script's."""
    folder = tmp_path_factory.mktemp("guard")
    build("pieces", GUARD, bos="<s>", eos="</s>").save_pretrained(folder)
    (folder / "config.json").write_text('{"model_type": "llama"}')
    return folder


def saying(guard: Path, verdict: Callable[[str], str]) -> Callable[[Request], Completion]:
    """The scripted chat, and a guard that says ``verdict`` of what it reads."""
    reader = template.reader(guard)

    def script(request: Request) -> Completion:
        text = reader.decode(request.prompt)
        if "<BEGIN CONVERSATION>" not in text:
            return speak(request)
        assert request.stop_ids == reader.stop_ids and request.decoding
        return Completion(request, reader.renderer.ids(verdict(text)))

    return script


def guarded(guard: Path, out: Path, verdict: Callable[[str], str], *more: str) -> Run:
    recipe = plain(f"annotate.safety={{model: '{guard}'}}", *more)
    line, run = scheduled(recipe, out, Opened(saying(guard, verdict)))
    assert line.work()
    return run


def about_seven(text: str) -> str:
    return "unsafe\nS1,S10" if "7 + 1" in text else "safe"


def test_the_guard_reads_question_and_answer_and_the_unsafe_are_kept_back(
    guard: Path, tmp_path: Path
) -> None:
    seen: list[str] = []
    run = guarded(guard, tmp_path / "run", lambda text: seen.append(text) or about_seven(text))
    assert all("User: What is" in text and "Assistant: It is what it is." in text for text in seen)
    labels = [
        label for s in range(12) for label in store(run, "safety").read(s)["safety"].to_pylist()
    ]
    unsafe = len(labels) - labels.count("safe")
    assert unsafe and set(labels) == {"safe", "S1, S10"}
    rows = [row for table in RunPool(run).shards() for row in table.to_pylist()]
    assert {row["safety"] for row in rows} == {"safe"}
    assert not any("7 + 1" in row["messages"][0]["content"] for row in rows)
    assert rejections(run)["unsafe"] == unsafe
    assert sum(rejections(run).values()) + len(rows) == run.info.rows
    assert RunPool(run).producers()["safety"].model == guard.name


def test_the_unsafe_are_kept_where_the_recipe_says_so(guard: Path, tmp_path: Path) -> None:
    run = guarded(guard, tmp_path / "run", about_seven, "annotate.safety.keep=true")
    labels = {row["safety"] for table in RunPool(run).shards() for row in table.to_pylist()}
    assert labels == {"safe", "S1, S10"}
    assert "unsafe" not in rejections(run)


def test_without_a_verdict_a_row_fails_and_is_kept_back(guard: Path, tmp_path: Path) -> None:
    run = guarded(
        guard, tmp_path / "run", lambda text: "I cannot say" if "7 + 1" in text else "safe"
    )
    failed = [row for s in range(12) for row in store(run, "safety").read(s).to_pylist()]
    errors = {row["error"] for row in failed if row["error"]}
    assert errors == {"the guard gave no verdict but 'I cannot say'"}
    assert all(row["safety"] == "safe" for t in RunPool(run).shards() for row in t.to_pylist())


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        ("safe", "safe"),
        ("\n\nSafe.\n", "safe"),
        ("unsafe\nS3", "S3"),
        ("unsafe\nS3,S11", "S3, S11"),
        ("unsafe\nO1, O1", "O1"),
        ("unsafe", "unsafe"),
        ("This is safe", None),
        ("", None),
        ("unsafely", None),
    ],
)
def test_a_verdict_is_read_as_guards_write_it(said: str, verdict: str | None) -> None:
    assert read_verdict(said) == verdict


def test_a_reader_of_a_chat_model_is_its_template() -> None:
    path = models.resolve("bundled:chat").path
    read, chat = template.reader(path), template.load(path)
    exchange = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    assert read.conversation(exchange) == chat.conversation("Hi", "Hello")
    assert read.conversation(exchange[:1], generation=True) == chat.answer_prompt("Hi")
