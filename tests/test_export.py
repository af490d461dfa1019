"""Exports of handwritten releases: their exact rows, and what TRL itself makes of them."""

from __future__ import annotations

import json
import os
import re
import resource
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from magpie_hub import schema
from magpie_hub.builder import build
from magpie_hub.cli import main
from magpie_hub.errors import InvalidData, StorageError, UsageError
from magpie_hub.export import export
from magpie_hub.export.formats import NAMES
from magpie_hub.export.magpie import RENAMED
from magpie_hub.models import resolve
from magpie_hub.release import (
    MANIFEST,
    ColumnEntry,
    ConfigEntry,
    Manifest,
    Producer,
    Release,
    SplitEntry,
    file_entry,
)
from tests.builders.pool import HandPool, row

DOCS = Path(__file__).parents[1] / "docs"


def messages(*contents: str, system: str | None = None) -> list[dict[str, str]]:
    """A conversation that the user begins."""
    roles = ("user", "assistant") * len(contents)
    turns = [{"role": r, "content": c} for r, c in zip(roles, contents, strict=False)]
    return [{"role": "system", "content": system}, *turns] if system else turns


def answer(content: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": content}]


ODD = 'Gut:\n\t"😀"\u2028\x01'
CONVERSATIONS = [
    {"id": "a", "messages": messages("What is 3 + 4?", "7."), "turns": 1},
    {"id": "b", "messages": messages("Hi!", "Hello!", "Wie?", ODD), "turns": 2},
    {"id": "c", "turns": 3,
     "messages": messages("Sum?", "5.", "Sure?", "Yes.", "Ok.", "Bye.", system="Be brief.")},
]  # fmt: skip
PREFERENCES = [
    {"id": "p", "prompt": messages("2 + 2?"), "chosen": answer("4."), "rejected": answer("5."),
     "chosen_score": 2.0, "rejected_score": -1.0, "margin": 3.0},
    {"id": "q", "prompt": messages("Hi!", "Hello!", "Sing."), "chosen": answer("La la."),
     "rejected": answer("No."), "chosen_score": 1.5, "rejected_score": 1.0, "margin": 0.5},
]  # fmt: skip
REASONING = [
    {
        "id": f"r{index}",
        "messages": [
            {"role": "user", "content": "What is 6 * 7?", "thinking": None},
            {"role": "assistant", "content": "42.", "thinking": thought},
        ],
    }
    for index, thought in enumerate(("\n6 * 7 is 42.\n", None, ""))
]

Make = Callable[..., Release]


def written(folder: Path, splits: Mapping[str, list[pa.Table]]) -> Release:
    """A release with one config ``all``: a file for each table."""
    entries = {}
    for split, tables in splits.items():
        files = []
        for index, table in enumerate(tables):
            file = folder / f"data/all/{split}-{index:05d}-of-{len(tables):05d}.parquet"
            file.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(table, file, row_group_size=2)
            files.append(file.relative_to(folder).as_posix())
        rows = sum(map(len, tables))
        entries[split] = SplitEntry(rows=rows, num_bytes=0, files=tuple(files))
    names = [name for split in entries.values() for name in split.files]
    types = next(iter(splits.values()))[0].schema
    manifest = Manifest(
        **dict(HandPool().provenance()),
        version="1.0.0",
        generator="tests",
        created="2026-01-01T00:00:00+00:00",
        columns=tuple(
            ColumnEntry(name=n, type="", producer=Producer(by="x", model=f"m/{n}"))
            for n in types.names
        ),
        configs={
            "all": ConfigEntry(default=True, where=None, description="", funnel=(), splits=entries)
        },
        files={name: file_entry(folder / name) for name in names},
    )  # fmt: skip
    (folder / MANIFEST).write_text(manifest.model_dump_json())
    return Release.open(folder)


def typed(rows: list[dict[str, Any]], *, thinking: bool = False) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=schema.arrow_schema(rows[0], thinking=thinking))


@pytest.fixture
def conversations(tmp_path: Path) -> Release:
    return written(tmp_path / "conversations", {"train": [typed(CONVERSATIONS)]})


@pytest.fixture
def preferences(tmp_path: Path) -> Release:
    halves = {"train": [typed(PREFERENCES[:1]), typed(PREFERENCES[1:])]}
    return written(tmp_path / "preferences", {"test": [typed(PREFERENCES[1:])], **halves})


@pytest.fixture
def reasoning(tmp_path: Path) -> Release:
    return written(tmp_path / "reasoning", {"train": [typed(REASONING, thinking=True)]})


def exported(release: Release, form: str, ending: str = ".jsonl", **options: Any) -> list[Any]:
    """The rows, from a file of that ending."""
    out = release.path / f"{form}{len(list(release.path.iterdir()))}{ending}"
    done = export(release, "all", form=form, out=out, **options)
    assert done.file == out
    if ending == ".parquet":
        rows = pq.read_table(out).to_pylist()
    else:
        rows = [json.loads(line) for line in out.read_text("utf-8").split("\n")[:-1]]
    assert done.rows == len(rows)
    return rows


EXPECTED: dict[str, Any] = {
    "messages": [{"messages": r["messages"], "id": r["id"]} for r in CONVERSATIONS],
    "openai": [{"messages": r["messages"]} for r in CONVERSATIONS],
    "prompt-completion": [
        {"prompt": r["messages"][:-1], "completion": r["messages"][-1:], "id": r["id"]}
        for r in CONVERSATIONS
    ],
    "sharegpt": [
        {"conversations": [{"from": "human", "value": "What is 3 + 4?"},
                           {"from": "gpt", "value": "7."}], "id": "a"},
        {"conversations": [{"from": "human", "value": "Hi!"}, {"from": "gpt", "value": "Hello!"},
                           {"from": "human", "value": "Wie?"},
                           {"from": "gpt", "value": ODD}], "id": "b"},
        {"conversations": [{"from": "system", "value": "Be brief."},
                           {"from": "human", "value": "Sum?"}, {"from": "gpt", "value": "5."},
                           {"from": "human", "value": "Sure?"}, {"from": "gpt", "value": "Yes."},
                           {"from": "human", "value": "Ok."}, {"from": "gpt", "value": "Bye."}],
         "id": "c"},
    ],
    "alpaca": [
        {"instruction": "What is 3 + 4?", "input": "", "output": "7.", "system": "",
         "history": [], "id": "a"},
        {"instruction": "Wie?", "input": "", "output": ODD, "system": "",
         "history": [["Hi!", "Hello!"]], "id": "b"},
        {"instruction": "Ok.", "input": "", "output": "Bye.", "system": "Be brief.",
         "history": [["Sum?", "5."], ["Sure?", "Yes."]], "id": "c"},
    ],
}  # fmt: skip


@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
@pytest.mark.parametrize("form", EXPECTED)
def test_the_rows_of_conversations(conversations: Release, form: str, ending: str) -> None:
    assert exported(conversations, form, ending) == EXPECTED[form]


@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
def test_the_rows_of_preferences(preferences: Release, ending: str) -> None:
    """From two files; the two rows of a pair stand together."""
    assert exported(preferences, "kto", ending) == [
        {"prompt": r["prompt"], "completion": r[which], "label": which == "chosen", "id": r["id"]}
        for r in PREFERENCES
        for which in ("chosen", "rejected")
    ]
    assert exported(preferences, "messages", ending) == [
        {name: r[name] for name in ("prompt", "chosen", "rejected", "id")} for r in PREFERENCES
    ]


@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
def test_thinking_stands_in_front_of_the_answer(reasoning: Release, ending: str) -> None:
    answers = ["<think>\n6 * 7 is 42.\n</think>\n\n42.", "42.", "42."]
    assert [r["completion"] for r in exported(reasoning, "prompt-completion", ending)] == [
        answer(each) for each in answers
    ]
    assert [r["output"] for r in exported(reasoning, "alpaca", ending)] == answers
    assert [r["conversations"][1]["value"] for r in exported(reasoning, "sharegpt", ending)] == (
        answers
    )
    rows = exported(reasoning, "openai", ending)
    assert [r["messages"] for r in rows] == [messages("What is 6 * 7?", each) for each in answers]
    as_is = [{"messages": r["messages"], "id": r["id"]} for r in REASONING]
    assert exported(reasoning, "messages", ending) == as_is


@pytest.mark.parametrize("form", ["messages", "openai", "sharegpt", "alpaca", "prompt-completion"])
def test_thinking_can_be_left_out(reasoning: Release, form: str) -> None:
    rows = exported(reasoning, form, thinking=False)
    assert len(rows) == 3 and not re.search("think|6 \\* 7 is", json.dumps(rows))
    if form == "messages":
        assert rows[0]["messages"] == messages("What is 6 * 7?", "42.")


def test_parquet_has_the_types_of_the_form_and_the_row_groups_of_the_release(
    tmp_path: Path,
) -> None:
    tables = [typed([{**row(i), "id": f"{i}"} for i in part]) for part in (range(5), range(5, 8))]
    release = written(tmp_path / "r", {"train": tables})
    out = tmp_path / "new folder" / "x.parquet"
    assert export(release, "all", form="alpaca", out=out).rows == 8
    made = pq.ParquetFile(out)
    groups = [made.read_row_group(index) for index in range(made.num_row_groups)]
    assert [group["id"].to_pylist() for group in groups] == [
        ["0", "1"], ["2", "3"], ["4"], ["5", "6"], ["7"],
    ]  # fmt: skip
    text = [(name, pa.string()) for name in ("instruction", "input", "output", "system")]
    history = ("history", pa.list_(pa.list_(pa.string())))
    assert made.schema_arrow.equals(pa.schema([*text, history, ("id", pa.string())]))
    assert [path.name for path in out.parent.iterdir()] == ["x.parquet"]


def test_a_release_as_it_is_built(tmp_path: Path) -> None:
    release = build(HandPool(), "1.0.0", tmp_path / "1.0.0", kind="sft", report=lambda line: None)
    rows = exported(release, "prompt-completion", magpie_columns=True)
    assert [(r["uuid"], r["prompt"] + r["completion"], r["task_category"]) for r in rows] == [
        (r["id"], r["messages"], r["category"]) for r in HandPool().rows
    ]
    assert rows[0]["task_category_generator"] == "tiny/chat"


LABELLED = {
    "id": "a",
    "messages": messages("Hi!", "Hello!", "Sing.", "La."),
    "category": "Others",
    "other_categories": ["Math"],
    "difficulty": "easy",
    "quality": "good",
    "reward": 1.5,
    "language": "de",
    "safety": "S1, S10",
    "pii": ["email"],
    "min_neighbor_distance": 0.3,
    "nearest_id": "b",
    "repeat_count": 0,
    "intent": "to hear a song",
    "knowledge": "songs",
    "quality_explanation": "clear",
    "model": "tiny/chat",
    "responder": "tiny/other",
    "temperature": 0.5,
    "top_p": 0.9,
    "seed": 7,
    "finish_reason": "stop",
    "turns": 2,
    "query_chars": 3,
    "response_chars": 6,
}
PUBLISHED = {
    "uuid": "a",
    "model": "tiny/chat",
    "gen_input_configs": {"temperature": 0.5, "top_p": 0.9, "input_generator": "tiny/chat",
                          "seed": 7, "pre_query_template": None},
    "gen_response_configs": {"output_generator": "tiny/other"},
    "instruction": "Hi!",
    "response": "Hello!",
    "instruction_2": "Sing.",
    "response_2": "La.",
    "conversations": [{"from": "human", "value": "Hi!"}, {"from": "gpt", "value": "Hello!"},
                      {"from": "human", "value": "Sing."}, {"from": "gpt", "value": "La."}],
    "task_category": "Others",
    "other_task_category": ["Math"],
    "task_category_generator": "m/category",
    "difficulty": "easy",
    "intent": "to hear a song",
    "knowledge": "songs",
    "difficulty_generator": "m/difficulty",
    "input_quality": "good",
    "quality_explanation": "clear",
    "quality_generator": "m/quality",
    "llama_guard_2": "unsafe\nS1,S10",
    "reward_model": "m/reward",
    "instruct_reward": 1.5,
    "min_neighbor_distance": 0.3,
    "repeat_count": 0,
    "min_similar_uuid": "b",
    "instruction_length": 3,
    "response_length": 6,
    "language": "DE",
}  # fmt: skip
OURS = {"pii": ["email"], "finish_reason": "stop", "turns": 2}


@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
def test_magpies_names_for_all_columns(tmp_path: Path, ending: str) -> None:
    short = {"messages": messages("Q", "A"), "turns": 1, "language": "und", "safety": "safe"}
    empty = dict.fromkeys(LABELLED) | short | {"id": "b"}
    release = written(tmp_path / "r", {"train": [typed([LABELLED, empty])]})
    first, second = exported(release, "sharegpt", ending, magpie_columns=True)
    assert first == PUBLISHED | OURS
    assert second["language"] is None and second["llama_guard_2"] == "safe"
    assert (second["instruction"], second["instruction_2"]) == ("Q", None)
    # The form's own columns stand first, then Magpie's in their order, then ours.
    rest = [name for name in PUBLISHED if name != "conversations"]
    assert list(first) == ["conversations", *rest, *OURS]
    other, _ = exported(release, "alpaca", ending, magpie_columns=True)
    assert other == {name: PUBLISHED[name] for name in rest} | OURS | {
        "instruction": "Sing.", "input": "", "output": "La.", "system": "",
        "history": [["Hi!", "Hello!"]],
    }  # fmt: skip


def test_magpies_types(tmp_path: Path) -> None:
    """Those of the published sets, but for the seed, which is always null there."""
    bare = dict.fromkeys(LABELLED) | {"id": "b", "messages": messages("Q", "A"), "turns": 1}
    release = written(tmp_path / "r", {"train": [typed([bare])]})
    export(release, "all", form="sharegpt", out=tmp_path / "x.parquet", magpie_columns=True)
    found = pq.read_schema(tmp_path / "x.parquet")
    text, number, whole = pa.string(), pa.float64(), pa.int64()
    sampled = [("temperature", number), ("top_p", number), ("input_generator", text),
               ("seed", whole), ("pre_query_template", text)]  # fmt: skip
    special = {
        "gen_input_configs": pa.struct(sampled),
        "gen_response_configs": pa.struct([("output_generator", text)]),
        "conversations": pa.list_(pa.struct([("from", text), ("value", text)])),
        "other_task_category": pa.list_(text),
        **dict.fromkeys(("instruct_reward", "min_neighbor_distance"), number),
        **dict.fromkeys(("repeat_count", "instruction_length", "response_length"), whole),
    }
    names = [name for name in PUBLISHED if not name.endswith("_2") or name == "llama_guard_2"]
    assert {name: found.field(name).type for name in names} == {
        name: special.get(name, text) for name in names
    }
    assert "instruction_2" not in found.names
    (made,) = pq.read_table(tmp_path / "x.parquet").to_pylist()
    known = ("uuid", "conversations", "instruction", "response", "gen_input_configs")
    generators = ("generator", "reward_model", "gen_response_configs")
    assert {n for n in names if made[n] is None} == {
        n for n in names if n not in known and not n.endswith(generators)
    }


def test_magpies_names_for_preferences(preferences: Release) -> None:
    first = exported(preferences, "kto", magpie_columns=True)[1]
    scores = {name: PREFERENCES[0][name] for name in ("chosen_score", "rejected_score", "margin")}
    assert first["completion"] == answer("5.") and first["label"] is False
    assert first["uuid"] == "p" and first["instruction"] == "2 + 2?"
    assert {name: first[name] for name in scores} == scores


def test_the_map_of_columns_says_the_same() -> None:
    page = (DOCS / "columns.md").read_text("utf-8")
    for ours, theirs in RENAMED.items():
        line = re.search(rf"^\|.*`{ours}`.*?\|.*?\|(.*)\|$", page, re.M)
        assert line and f"`{theirs}`" in line[1], ours


def test_the_file_has_a_name_of_its_own(
    conversations: Release, preferences: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = [
        export(conversations, "all"),
        export(preferences, "all", form="kto", split="test"),
        export(conversations, "all", form="sharegpt", magpie_columns=True),
    ]
    assert [(str(each.file), each.rows) for each in made] == [
        ("handmade-all-messages.jsonl", 3),
        ("handmade-all-test-kto.jsonl", 2),
        ("handmade-all-sharegpt.parquet", 3),
    ]


def refused() -> Iterator[Any]:
    for kind, options, says in (
        ("c", {"config": "al"}, "there is no config 'al'; did you mean 'all'"),
        ("c", {"split": "tset"}, "all has no split 'tset'"),
        ("c", {"form": "sharegtp"}, "there is no format 'sharegtp'; did you mean 'sharegpt'"),
        ("c", {"form": "kto"}, "'all' holds conversations, and kto is a form of preferences; it "
         "can be had as messages, openai, prompt-completion, sharegpt or alpaca."),
        ("p", {"form": "sharegpt"}, "'all' holds preferences, and sharegpt is a form of "
         "conversations; it can be had as messages or kto."),
        ("c", {"form": "openai", "magpie_columns": True}, "leave out --magpie-columns"),
        ("c", {"out": Path("x.json")}, "must end with .jsonl or .parquet"),
        ("c", {"out": Path("there.jsonl")}, "exists already"),
    ):  # fmt: skip
        yield pytest.param(kind, options, says, id=says[:40])


@pytest.mark.parametrize(("kind", "options", "says"), list(refused()))
def test_what_is_refused_leaves_nothing(
    conversations: Release,
    preferences: Release,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    options: dict[str, Any],
    says: str,
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    (here / "there.jsonl").write_text("mine")
    release = conversations if kind == "c" else preferences
    with pytest.raises(UsageError, match=re.escape(says)):
        export(release, **{"config": "all", **options})
    assert [path.name for path in here.iterdir()] == ["there.jsonl"]
    assert (here / "there.jsonl").read_text() == "mine"


def test_a_changed_release_is_refused(conversations: Release, tmp_path: Path) -> None:
    (file,) = conversations.path.rglob("*.parquet")
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    with pytest.raises(InvalidData, match="is not what the manifest describes"):
        export(conversations, "all", out=tmp_path / "x.jsonl")
    assert not (tmp_path / "x.jsonl").exists()


@pytest.mark.parametrize(
    "roles", [["user"], ["assistant", "user"], ["user", "user", "assistant"], []]
)
def test_a_row_that_no_form_can_hold_is_named(roles: list[str], tmp_path: Path) -> None:
    bad = {
        **CONVERSATIONS[0],
        "id": "bad",
        "messages": [{"role": r, "content": "x"} for r in roles],
    }
    table = typed([*CONVERSATIONS, bad])
    release = written(tmp_path / "r", {"train": [table]})
    with pytest.raises(InvalidData, match="the messages of row bad"):
        export(release, "all", form="openai", out=tmp_path / "x.jsonl")
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
@pytest.mark.parametrize("limit", [0, 20_000])
def test_a_full_disk_leaves_nothing(limit: int, ending: str, tmp_path: Path) -> None:
    """The kernel refuses to let a file grow: what a quota or a full disk does, at the same call."""
    many = [{**row(i), "messages": messages(os.urandom(20).hex(), "A.")} for i in range(2_000)]
    release = written(tmp_path / "r", {"train": [typed(many)]})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(StorageError, match="could not be written"):
            export(release, "all", out=tmp_path / f"x{ending}")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


def loaded(release: Release, form: str, **options: Any) -> datasets.Dataset:
    """What a reader of the JSONL file has."""
    out = release.path / f"{form}.jsonl"
    export(release, "all", form=form, out=out, **options)
    cache = str(release.path / "cache")
    return datasets.load_dataset("json", data_files=str(out), split="train", cache_dir=cache)


@pytest.fixture
def prepared(tmp_path: Path, tokenizer: Any) -> Callable[[str, datasets.Dataset], datasets.Dataset]:
    """The dataset as a trainer of TRL makes it ready: the trainer is built, as a user does."""

    def prepare(method: str, data: datasets.Dataset) -> datasets.Dataset:
        import trl
        from transformers import AutoModelForCausalLM

        path = str(resolve("bundled:chat").path)
        arguments = getattr(trl, f"{method}Config")(
            output_dir=str(tmp_path / "out"), report_to="none", use_cpu=True, bf16=False,
            gradient_checkpointing=False,
        )  # fmt: skip
        trainer = getattr(trl, f"{method}Trainer")(
            model=AutoModelForCausalLM.from_pretrained(path),
            args=arguments,
            train_dataset=data,
            processing_class=tokenizer,
        )
        return trainer.train_dataset

    return prepare


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(str(resolve("bundled:chat").path))


def rendered(tokenizer: Any, prompt: Any, answer: Any) -> tuple[str, str]:
    """The prompt up to where the model begins, and all of it."""
    before = tokenizer.apply_chat_template(prompt, tokenize=False, add_generation_prompt=True)
    whole = tokenizer.apply_chat_template(prompt + answer, tokenize=False)
    assert whole.startswith(before)
    return before, whole


@pytest.mark.parametrize(
    ("form", "magpie_columns"),
    [("messages", False), ("messages", True), ("openai", False), ("prompt-completion", False),
     ("prompt-completion", True)],
)  # fmt: skip
def test_trl_reads_them_for_sft(
    conversations: Release, prepared: Any, tokenizer: Any, form: str, magpie_columns: bool
) -> None:
    rows = prepared("SFT", loaded(conversations, form, magpie_columns=magpie_columns))
    assert len(rows) == len(CONVERSATIONS)
    for seen, made in zip(rows, CONVERSATIONS, strict=True):
        before, whole = rendered(tokenizer, made["messages"][:-1], made["messages"][-1:])
        assert tokenizer.decode(seen["input_ids"]) == whole
        if form == "prompt-completion":
            learned = [token for token in seen["labels"] if token != -100]
            assert tokenizer.decode(learned) == whole.removeprefix(before) != whole


def test_trl_reads_them_for_dpo(preferences: Release, prepared: Any, tokenizer: Any) -> None:
    rows = prepared("DPO", loaded(preferences, "messages"))
    assert len(rows) == len(PREFERENCES)
    for seen, made in zip(rows, PREFERENCES, strict=True):
        for which in ("chosen", "rejected"):
            before, whole = rendered(tokenizer, made["prompt"], made[which])
            assert tokenizer.decode(seen["prompt_ids"]) == before
            assert tokenizer.decode(seen[f"{which}_ids"]) == whole.removeprefix(before)


def test_trl_reads_them_for_kto(preferences: Release, prepared: Any, tokenizer: Any) -> None:
    rows = prepared("KTO", loaded(preferences, "kto"))
    pairs = [(made, which) for made in PREFERENCES for which in ("chosen", "rejected")]
    assert len(rows) == len(pairs)
    for seen, (made, which) in zip(rows, pairs, strict=True):
        before, whole = rendered(tokenizer, made["prompt"], made[which])
        assert tokenizer.decode(seen["prompt_ids"]) == before
        assert tokenizer.decode(seen["completion_ids"]) == whole.removeprefix(before)
        assert seen["label"] is (which == "chosen")


def test_what_templates_read_of_thinking(reasoning: Release, tokenizer: Any) -> None:
    """The reason for the tags: nearly every template of TRL shows them, and few know the key."""
    import trl

    templates = Path(trl.__file__).parent / "chat_templates"

    def shown(template: str, form: str) -> bool:
        [talk] = [r["messages"] for r in exported(reasoning, form)][:1]
        text = (templates / f"{template}.jinja").read_text("utf-8")
        seen = tokenizer.apply_chat_template(talk, chat_template=text, tokenize=False)
        assert "42." in seen
        return "6 * 7 is 42." in seen

    for template in ("llama3_training", "qwen2_5_training", "qwen3_training", "glm4moe_training",
                     "nemotron_3_nano_training", "gemma3_training"):  # fmt: skip
        assert shown(template, "openai") and not shown(template, "messages"), template
    for template in ("gptoss_training", "lfm2_2_5"):
        assert shown(template, "messages"), template


def test_the_command(
    reasoning: Release, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "x.jsonl"
    line = ["export", str(reasoning.path), "all", "--as", "alpaca", "-o", str(out), "--json"]
    assert main([*line, "--split", "train", "--without-thinking", "--magpie-columns"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out) == {"file": str(out), "rows": 3}
    assert "3 rows as alpaca" in shown.err
    (first, *_) = map(json.loads, out.read_text().splitlines())
    assert first["uuid"] == "r0" and first["output"] == first["response"] == "42."
    assert main(line) == 2
    assert "exists already" in capsys.readouterr().err


def test_the_page_on_exports_has_every_form() -> None:
    page = (DOCS / "export.md").read_text("utf-8")
    assert re.findall(r"^\| `(\w[\w-]*)` \|", page, re.M) == list(NAMES)
