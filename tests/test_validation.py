"""Each rule finds what is planted, where it is planted, and nothing in good rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magpie_hub import schema
from magpie_hub.errors import InvalidData
from magpie_hub.release import ColumnEntry, ConfigEntry, Manifest, Producer, Release, SplitEntry
from magpie_hub.validation import SCHEMA, UNIQUE, Validation, Validator, validate
from magpie_hub.validation.files import check_counts
from magpie_hub.validation.splits import Splits
from tests.builders.pool import COLUMNS, HandPool, row

MORE: dict[str, Any] = {
    "other_categories": ["Math"],
    "top_p": 0.9,
    "scores": [0.5, 2.0],
    "rewards": [{"model": "tiny/reward", "score": None}, {"model": "tiny/other", "score": 1.5}],
    "safety": "safe",
    "pii": ["email"],
    "contaminated_by": None,
    "nearest_id": "handmade-000999",
    "repeat_count": 0,
    "intent": "to know\nmore\tthan before",
    "answers": 4,
    "thinking_tokens": 0,
    "majority": "7",
    "pass_rate": 0.75,
    "turn_labels": [{"category": "Math", "difficulty": None, "quality": "good"}],
    "conversation_quality": "good",
    "ended": None,
    "query_chars": None,
    "response_chars": None,
    "repetition": 0.0,
    "loop": False,
    "response_language": "und",
    "format": ["code", "list"],
    "leaked": None,
}
WIDE = schema.in_order((*COLUMNS, *MORE))
PAIRS = schema.in_order(("id", "turns", *schema.PAIR))
THOUGHTFUL = schema.arrow_schema(("id", "messages", "turns"), thinking=True)


def wide(index: int) -> dict[str, Any]:
    made = {**row(index), **MORE}
    query, response = (said["content"] for said in made["messages"])
    return {**made, "query_chars": len(query), "response_chars": len(response)}


def tables(
    rows: list[dict[str, Any]], columns: tuple[str, ...] | pa.Schema = WIDE
) -> list[pa.Table]:
    """In shards of 10 rows."""
    arrow = columns if isinstance(columns, pa.Schema) else schema.arrow_schema(columns)
    parts = [rows[start : start + 10] for start in range(0, len(rows), 10)]
    return [pa.Table.from_pylist(part, schema=arrow) for part in parts]


def says(*pairs: tuple[str | None, str | None]) -> list[dict[str, str | None]]:
    return [{"role": role, "content": content} for role, content in pairs]


def test_good_rows(tmp_path: Path) -> None:
    report = tmp_path / "bad.jsonl"
    report.write_text("of a build before", encoding="utf-8")
    verdict = validate(HandPool().shards(), schema.arrow_schema(COLUMNS), report)
    assert verdict == Validation(24, {}, ()) and verdict.ok
    verdict.raise_if_bad()
    rows = [wide(i) for i in range(30)]
    rows[3] |= {name: None for name in MORE} | {"category": None, "reward": None}
    rows[4]["messages"].insert(0, {"role": "system", "content": "Be kind.\r\n"})
    said = says(
        ("user", "a "), ("assistant", "b"), ("user", "\u202ec\x85"), ("assistant", "dé\ufffd")
    )
    labels: list[None] = [None, None]
    rows[5] |= {"messages": said, "turns": 2, "turn_labels": labels}
    rows[5] |= {"query_chars": 1, "response_chars": 3}
    assert validate(tables(rows), schema.arrow_schema(WIDE), report).counts == {}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("rule", "column", "value", "excerpt"),
    [
        ("id is not empty", "id", " ", "' '"),
        ("id is not empty", "id", None, "nothing"),
        ("id has no control characters", "id", "a\x1bb", "'a\\x1bb'"),
        ("model is not empty", "model", None, "nothing"),
        ("category is one of its labels", "category", "math", "'math'"),
        ("difficulty is one of its labels", "difficulty", "Easy", "'Easy'"),
        ("quality is one of its labels", "quality", "", "''"),
        ("conversation_quality is one of its labels", "conversation_quality", "ok", "'ok'"),
        ("other_categories are categories", "other_categories", ["Math", "Maths"],
         "['Math', 'Maths']"),
        ("other_categories are categories", "other_categories", [None], "[None]"),
        ("pii are kinds of findings", "pii", ["mail"], "['mail']"),
        ("format are formats", "format", ["code", "poem"], "['code', 'poem']"),
        ("leaked is one of its labels", "leaked", "everything", "'everything'"),
        ("safety is null or not empty", "safety", "", "''"),
        ("reward is a finite number", "reward", float("inf"), "inf"),
        ("reward is a finite number", "reward", float("nan"), "nan"),
        ("top_p is a finite number", "top_p", float("-inf"), "-inf"),
        ("top_p is between 0 and 1", "top_p", 1.5, "1.5"),
        ("temperature is 0 or more", "temperature", -0.5, "-0.5"),
        ("pass_rate is between 0 and 1", "pass_rate", -0.25, "-0.25"),
        ("repetition is between 0 and 1", "repetition", 2.0, "2.0"),
        ("scores are finite numbers", "scores", [1.0, float("nan")], "[1.0, nan]"),
        ("scores are finite numbers", "scores", [1.0, None], "[1.0, None]"),
        ("rewards name their models", "rewards", [{"model": None, "score": 1.0}],
         "[{'model': None, 'score': 1.0}]"),
        ("rewards have finite scores", "rewards", [{"model": "m", "score": float("inf")}],
         "[{'model': 'm', 'score': inf}]"),
        ("language is an ISO 639 code", "language", "English", "'English'"),
        ("language is an ISO 639 code", "language", "en\n", "'en\\n'"),
        ("response_language is an ISO 639 code", "response_language", "EN", "'EN'"),
        ("finish_reason is stop or length", "finish_reason", "error", "'error'"),
        ("finish_reason is stop or length", "finish_reason", None, "nothing"),
        ("query_tokens is above 0", "query_tokens", 0, "0"),
        ("response_tokens is above 0", "response_tokens", None, "nothing"),
        ("turns is above 0", "turns", -1, "-1"),
        ("answers is above 0", "answers", 0, "0"),
        ("query_chars is above 0", "query_chars", 0, "0"),
        ("repeat_count is 0 or more", "repeat_count", -1, "-1"),
        ("thinking_tokens are among response_tokens", "thinking_tokens", 99,
         "thinking_tokens 99, response_tokens 6"),
        ("nearest_id is another row's id", "nearest_id", "handmade-000013",
         "nearest_id 'handmade-000013', id 'handmade-000013'"),
        ("turns is the number of the user's messages", "turns", 2, "2"),
        ("query_chars is the length of its text", "query_chars", 5, "5"),
        ("response_chars is the length of its text", "response_chars", 100, "100"),
        ("turn_labels has a label for each turn", "turn_labels", [], "'0 for 1 turns'"),
        ("turn_labels have known labels of quality", "turn_labels",
         [{"category": None, "difficulty": None, "quality": "fair"}],
         "[{'category': None, 'difficulty': None, 'quality': 'fair'}]"),
        ("intent has no control characters", "intent", "so\x0bso", "'so\\x0bso'"),
        ("messages is not empty", "messages", [], "nothing"),
        ("messages is not empty", "messages", None, "nothing"),
        ("messages alternate user and assistant", "messages",
         says(("assistant", "a"), ("user", "b")), "'assistant'"),
        ("messages alternate user and assistant", "messages",
         says(("user", "a"), ("assistant", "b"), ("user", "c"), ("user", "d")), "'user'"),
        ("messages alternate user and assistant", "messages",
         says((None, "a"), ("assistant", "b")), "nothing"),
        ("messages alternate user and assistant", "messages",
         says(("user", "a"), ("system", "b")), "'system'"),
        ("messages have content", "messages", says(("user", "\n\u3000"), ("assistant", "b")),
         "'\\n\\u3000'"),
        ("messages have content", "messages", says(("user", "a"), ("assistant", None)), "nothing"),
        ("messages end with the assistant's answer", "messages", says(("user", "a")),
         "'user'"),
        ("messages end with the assistant's answer", "messages", says(("system", "a")),
         "'system'"),
        ("messages has no control characters", "messages",
         says(("user", "Is 9 prime?"), ("assistant", "No:" + " " * 60 + "\0!")),
         "'" + " " * 40 + "\\x00!'"),
    ],
)  # fmt: skip
def test_finds_the_planted_row(
    rule: str, column: str, value: object, excerpt: str, tmp_path: Path
) -> None:
    rows = [wide(i) for i in range(30)]
    if column == "messages":
        rows[13] |= {"query_chars": None, "response_chars": None}
    rows[13][column] = value
    report = tmp_path / "reports" / "bad.jsonl"
    verdict = validate(tables(rows), schema.arrow_schema(WIDE), report)
    assert verdict.counts == {rule: 1}
    (bad,) = verdict.first
    name = rows[13]["id"]
    assert (bad.shard, bad.row, bad.id, bad.rule) == (1, 3, name, rule)
    assert bad.excerpt == excerpt
    assert [json.loads(line) for line in report.read_text(encoding="utf-8").splitlines()] == [
        {"shard": 1, "row": 3, "id": name, "rule": rule, "excerpt": excerpt}
    ]
    with pytest.raises(InvalidData, match="shard 1, row 3.*bad.jsonl"):
        verdict.raise_if_bad()


def pair(index: int, **changed: object) -> dict[str, Any]:
    return {
        "id": f"pair-{index}",
        "prompt": says(("user", f"Question {index}?")),
        "chosen": says(("assistant", "Yes.")),
        "rejected": says(("assistant", "No.")),
        "chosen_score": 1.5,
        "rejected_score": 0.25,
        "margin": 1.25,
        "turns": 1,
    } | changed


@pytest.mark.parametrize(
    ("rule", "changed", "excerpt"),
    [
        ("prompt end with the user's query",
         {"prompt": says(("user", "a"), ("assistant", "b"))}, "'assistant'"),
        ("prompt alternate user and assistant",
         {"prompt": says(("user", "a"), ("user", "b"), ("user", "c"))}, "'user'"),
        ("prompt is not empty", {"prompt": []}, "nothing"),
        ("prompt have content", {"prompt": says(("user", ""))}, "''"),
        ("chosen is one answer of the assistant", {"chosen": says(("user", "a"))}, "'user'"),
        ("chosen is one answer of the assistant",
         {"chosen": says(("assistant", "a"), ("user", "b"))}, "'assistant'"),
        ("rejected is not empty", {"rejected": None}, "nothing"),
        ("rejected has no control characters", {"rejected": says(("assistant", "\x07"))},
         "'\\x07'"),
        ("chosen and rejected differ", {"rejected": says(("assistant", "Yes."))}, "'Yes.'"),
        ("margin is chosen_score minus rejected_score", {"margin": 1.0},
         "margin 1.0, chosen_score 1.5, rejected_score 0.25"),
        ("margin is 0 or more", {"chosen_score": 0.0, "margin": -0.25}, "-0.25"),
        ("turns is the number of the user's messages", {"turns": 3}, "3"),
    ],
)  # fmt: skip
def test_pairs(rule: str, changed: dict[str, object], excerpt: str) -> None:
    rows = [pair(i) for i in range(20)]
    asked = says(("system", "s"), ("user", "a"), ("assistant", "b"), ("user", "c"))
    rows[7] |= {"prompt": asked, "turns": 2}
    rows[7] |= {"chosen_score": 0.3, "rejected_score": 0.1, "margin": 0.3 - 0.1}
    assert validate(tables(rows, PAIRS), schema.arrow_schema(PAIRS)).ok
    rows[15] = pair(15, **changed)
    verdict = validate(tables(rows, PAIRS), schema.arrow_schema(PAIRS))
    assert verdict.counts == {rule: 1}
    assert (verdict.first[0].shard, verdict.first[0].row) == (1, 5)
    assert excerpt in verdict.first[0].excerpt
    with pytest.raises(InvalidData) as raised:
        verdict.raise_if_bad()
    # What a model wrote nobody mends; it can be left out.
    helped = "--set annotate.pii.action=drop` leaves such rows out" in str(raised.value)
    assert helped == ("control characters" in rule)


def test_where_the_conversation_is_whole_there_may_be_no_worse_answer() -> None:
    columns = schema.in_order((*PAIRS, "messages"))
    rows = [pair(i, messages=says(("user", "a"), ("assistant", "b"))) for i in range(3)]
    rows[1] |= {name: None for name in schema.PAIR}
    assert validate(tables(rows, columns), schema.arrow_schema(columns)).ok
    rows[2] |= {"messages": None}
    verdict = validate(tables(rows, columns), schema.arrow_schema(columns))
    assert verdict.counts == {"messages is not empty": 1}


@pytest.mark.parametrize(
    ("rule", "thoughts"),
    [
        ("messages have thinking in answers alone", ("hm", None)),
        ("messages have no empty thinking", (None, " ")),
        ("messages has no control characters", (None, "so \x08")),
    ],
)
def test_thinking(rule: str, thoughts: tuple[str | None, str | None]) -> None:
    def thought(index: int, asked: str | None, answered: str | None) -> dict[str, Any]:
        messages = says(("user", "a"), ("assistant", "b"))
        for said, thinking in zip(messages, (asked, answered), strict=True):
            said["thinking"] = thinking
        return {"id": str(index), "messages": messages, "turns": 1}

    rows = [thought(0, None, "hm"), thought(1, None, None), thought(2, *thoughts)]
    verdict = validate(tables(rows, THOUGHTFUL), THOUGHTFUL)
    assert verdict.counts == {rule: 1} and verdict.first[0].row == 2


def spoilt(texts: list[bytes]) -> pa.Array:
    """Strings that Arrow takes on trust."""
    raw = pa.array(texts, pa.binary())
    return pa.StringArray.from_buffers(len(raw), *raw.buffers()[1:])


def test_what_is_not_utf8_is_found_before_anything_reads_it() -> None:
    names = ("id", "messages", "intent", "turns")
    rows = [{**wide(i), "turns": 1 + (i == 4)} for i in range(6)]
    table = pa.Table.from_pylist(rows, schema=schema.arrow_schema(names))
    intents = spoilt([b"a", b"", b"so \xff", b"\xc3\xa9", b"x", b"y"])
    contents = spoilt([b"a", b"b"] * 3 + [b"a", b"\xed\xa0\x80 b"] + [b"a", b"b"] * 2)
    said = table["messages"].combine_chunks()
    talks = pa.ListArray.from_arrays(
        said.offsets, pa.StructArray.from_arrays([said.values.field(0), contents],
                                                 fields=list(said.type.value_type))
    )  # fmt: skip
    ids = spoilt([b"0", b"\xfe", b"2", b"3", b"2", b"5"])
    for name, column in (("id", ids), ("messages", talks), ("intent", intents)):
        table = table.set_column(names.index(name), table.schema.field(name), column)
    verdict = validate([table.slice(1)], table.schema)
    assert [(bad.row, bad.id, bad.rule) for bad in verdict.first] == [
        (0, "\\xfe", "id is valid UTF-8"),
        (1, "2", "intent is valid UTF-8"),
        (2, "3", "messages is valid UTF-8"),
        (3, "2", "turns is the number of the user's messages"),
        (3, "2", UNIQUE),
    ]
    assert verdict.first[1].excerpt == repr(b"\xff")


def test_ids_are_unique_across_shards() -> None:
    rows = [row(i) for i in range(30)]
    rows[27]["id"] = rows[28]["id"] = rows[2]["id"]
    verdict = validate(tables(rows, COLUMNS), schema.arrow_schema(COLUMNS))
    assert verdict.counts == {UNIQUE: 2}
    assert [(bad.shard, bad.row, bad.id) for bad in verdict.first] == [
        (2, 7, "handmade-000002"),
        (2, 8, "handmade-000002"),
    ]
    assert verdict.first[0].excerpt == "that of shard 0, row 2"


def test_all_are_counted_and_reported_and_the_first_are_shown(tmp_path: Path) -> None:
    rows = [{**row(i), "turns": 0, "language": "xxxx"} for i in range(60)]
    report = tmp_path / "bad.jsonl"
    verdict = validate(tables(rows, COLUMNS), schema.arrow_schema(COLUMNS), report)
    assert verdict.counts == {"turns is above 0": 60, "language is an ISO 639 code": 60}
    assert len(verdict.first) == 20 and verdict.first[0].row == verdict.first[1].row == 0
    lines = [json.loads(line) for line in report.read_text(encoding="utf-8").splitlines()]
    assert [(line["shard"], line["row"]) for line in lines] == [
        (i // 10, i % 10) for i in range(60) for _ in range(2)
    ]
    with pytest.raises(InvalidData, match="120 breaches in 60 rows.*1 more rule broken; the full"):
        verdict.raise_if_bad()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no disk that is always full")
def test_a_full_disk_is_named_and_the_verdict_stands(
    tmp_path: Path,
) -> None:
    (tmp_path / ".bad.jsonl.part").symlink_to("/dev/full")
    bad = [{**row(0), "turns": 0}]
    verdict = validate(tables(bad, COLUMNS), schema.arrow_schema(COLUMNS), tmp_path / "bad.jsonl")
    assert verdict.counts == {"turns is above 0": 1} and verdict.report is None
    with pytest.raises(InvalidData, match=r"could not be written: .*bad.jsonl \(No space left on"):
        verdict.raise_if_bad()
    assert list(tmp_path.iterdir()) == []


def test_slices_and_chunks_are_read_at_their_place() -> None:
    """Arrow tables may start in the middle of their buffers and come in several chunks."""
    rows = [wide(i) for i in range(30)]
    rows[17] |= {"messages": says(("user", "a")), "intent": "\x01", "format": ["poem"]}
    whole = pa.Table.from_pylist(rows, schema=schema.arrow_schema(WIDE))
    pieces = pa.concat_tables([whole.slice(5, 7), whole.slice(12, 18)])
    verdict = validate([pieces, whole.slice(0, 5)], whole.schema)
    assert {(bad.shard, bad.row) for bad in verdict.first} == {(0, 12)}
    assert len(verdict.counts) == 3
    assert validate([whole.slice(18), whole.slice(2, 15)], whole.schema).ok


@given(
    st.lists(
        st.lists(
            st.tuples(
                st.sampled_from(["user", "assistant", "system", "tool", None]),
                st.sampled_from(["a", "\u00e9\u4e16", " \n", "\u200b", "b\x02", "", None]),
            ),
            max_size=5,
        ),
        max_size=4,  # so that all breaches are among the first
    ),
    st.integers(0, 2),
)
@settings(max_examples=150, deadline=None)
def test_conversations_are_judged_as_one_by_one(
    talks: list[list[tuple[str | None, str | None]]], start: int
) -> None:
    def good(talk: list[tuple[str | None, str | None]]) -> bool:
        said = talk[1:] if talk and talk[0][0] == "system" else talk
        roles = [role for role, _ in said]
        return (
            bool(roles)
            and roles == ["user", "assistant"] * (len(roles) // 2)
            and all(text and text.strip() and "\x02" not in text for _, text in talk)
        )

    rows = [
        {"id": str(i), "messages": says(*talk), "turns": sum(r == "user" for r, _ in talk) or 1}
        for i, talk in enumerate(talks)
    ]
    table = pa.Table.from_pylist(rows, schema=schema.arrow_schema(("id", "messages", "turns")))
    validator = Validator(table.schema)
    validator.check(table.slice(start))
    found = {bad.id for bad in validator.result().first}
    assert found == {str(i) for i, talk in enumerate(talks) if i >= start and not good(talk)}


@pytest.mark.parametrize(
    ("change", "excerpt"),
    [
        (lambda t: t.drop_columns(["turns"]), "no column turns"),
        (lambda t: t.set_column(5, "reward", pa.nulls(len(t))), "reward as null instead of double"),
        (lambda t: t.append_column("x", pa.nulls(len(t))), "an unknown column x"),
        (lambda t: t.select(t.column_names[::-1]), "the columns in another order"),
    ],
)
def test_the_schema_is_exact(change: Any, excerpt: str) -> None:  # noqa: ANN401
    (table,) = tables([row(0)], COLUMNS)
    verdict = validate([change(table)], schema.arrow_schema(COLUMNS))
    assert verdict.counts == {SCHEMA: 1} and excerpt in verdict.first[0].excerpt


def test_no_rows() -> None:
    validator = Validator(schema.arrow_schema(COLUMNS))
    validator.check(schema.arrow_schema(COLUMNS).empty_table())
    assert validator.result().ok
    assert Validator(schema.arrow_schema(COLUMNS)).result().ok


def test_ids_do_not_hold_on_to_the_tables() -> None:
    arrow = schema.arrow_schema(COLUMNS)
    validator = Validator(arrow)
    before = pa.total_allocated_bytes()
    for start in range(0, 4000, 1000):
        (table,) = [pa.Table.from_pylist([row(start + i) for i in range(1000)], schema=arrow)]
        size = table.nbytes
        validator.check(table)
        del table
    assert pa.total_allocated_bytes() - before < size / 2
    assert validator.result().rows == 4000


# Splits and files.


def conversation(name: str, query: str) -> dict[str, Any]:
    return {"id": name, "messages": says(("system", "s"), ("user", query), ("assistant", name))}


def test_a_conversation_on_both_sides_is_named() -> None:
    arrow = schema.arrow_schema(("id", "messages"))
    splits = Splits()
    for split, rows in (
        ("train", [conversation("a", "What is 1 + 1?"), conversation("b", "Why?")]),
        ("train", [conversation("c", "why?"), conversation("d", "How?")]),
        ("test", [conversation("e", "What  IS 1 + 1?\n"), conversation("f", "When?")]),
    ):
        splits.add(split, pa.Table.from_pylist(rows, schema=arrow))
    (shared,) = splits.shared()
    assert (shared.split, shared.id) == ("test", "e")
    assert (shared.other_split, shared.other_id) == ("train", "a")
    with pytest.raises(InvalidData, match="'all' has 1 conversation in.*'e' in test opens as 'a'"):
        splits.raise_if_shared("all")


def test_one_split_shares_nothing() -> None:
    arrow = schema.arrow_schema(("id", "prompt"))
    rows = [{"id": name, "prompt": says(("user", "Why?"))} for name in "ab"]
    splits = Splits()
    splits.raise_if_shared("all")
    splits.add("train", pa.Table.from_pylist(rows, schema=arrow))
    splits.raise_if_shared("all")
    splits.add("test", pa.Table.from_pylist(rows[:0], schema=arrow))
    splits.raise_if_shared("all")


def release(folder: Path, counted: dict[str, dict[str, int]], columns: str = "id turns") -> Release:
    """Each split in two files of three rows, whatever the manifest counts."""
    names = columns.split()
    configs = {}
    for config, splits in counted.items():
        entries = {}
        for split, rows in splits.items():
            files = [f"data/{config}/{split}-{i:05d}-of-00002.parquet" for i in range(2)]
            for file in files:
                path = folder / file
                path.parent.mkdir(parents=True, exist_ok=True)
                pq.write_table(pa.table({name: [1, 2, 3] for name in names}), path)
            entries[split] = SplitEntry(rows=rows, num_bytes=0, files=tuple(files))
        configs[config] = ConfigEntry(
            default=False, where=None, description="", funnel=(), splits=entries
        )
    manifest = Manifest(
        name="n", builder="sft", license=None, fingerprints={}, versions={}, slots=6, rejected={},
        made=(), version="1.0.0", generator="g", created="2026-01-01", configs=configs, files={},
        columns=tuple(ColumnEntry(name=name, type="int64", producer=Producer(by="sample"))
                      for name in ("id", "turns")),
    )  # fmt: skip
    return Release(folder, manifest)


def test_counts_equal_the_manifest(tmp_path: Path) -> None:
    check_counts(release(tmp_path, {"all": {"train": 6, "test": 6}, "few": {"train": 6}}))


@pytest.mark.parametrize(
    ("counted", "said"),
    [
        ({"all": {"train": 7}}, "'all', 'train', hold 6 rows and the manifest counts 7"),
        ({"all": {"train": 0}}, "the config 'all' is empty"),
        ({"all": {}}, "the config 'all' is empty"),
        ({"all": {"train": 6, "test": 0}}, "the split 'test' of 'all' is empty"),
    ],
)
def test_other_counts_are_an_error(
    counted: dict[str, dict[str, int]], said: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidData, match=said):
        check_counts(release(tmp_path, counted))


def test_files_are_those_of_the_manifest(tmp_path: Path) -> None:
    with pytest.raises(InvalidData, match="other columns than the manifest: seed"):
        check_counts(release(tmp_path, {"all": {"train": 6}}, "id turns seed"))
    with pytest.raises(InvalidData, match="other columns than the manifest: their order"):
        check_counts(release(tmp_path, {"all": {"train": 6}}, "turns id"))
    whole = release(tmp_path, {"all": {"train": 6}})
    (tmp_path / "data/all/more.parquet").write_bytes(b"")
    with pytest.raises(InvalidData, match="more.parquet belongs to no config"):
        check_counts(whole)
    first, second = whole.manifest.configs["all"].splits["train"].files
    (tmp_path / second).write_bytes(b"PAR1")
    with pytest.raises(InvalidData, match="00001-of-00002.parquet is damaged"):
        check_counts(whole)
    (tmp_path / first).unlink()
    with pytest.raises(InvalidData, match="00000-of-00002.parquet is missing"):
        check_counts(whole)
