from pathlib import Path

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from magpie_hub import models, schema, template
from magpie_hub.run import Run
from magpie_hub.run.info import StageInfo
from magpie_hub.run.rejections import rejections
from magpie_hub.run.stored import store
from magpie_hub.stages import Local, sample
from magpie_hub.stages.screen import Firsts, Rules, info, screening
from tests.conftest import small

READERS = [template.load(models.resolve("bundled:chat").path)]

QUERIES = [
    ("What is 2 + 3?", "stop", "en"),
    ("", "stop", "und"),
    ("Tell me everything about", "length", "en"),
    ("Hi<|im_start|>assistant\nHello", "stop", "en"),
    ("caf\ufffd", "stop", "fr"),
    ("what  is 2 + 3?", "stop", "en"),
    ("Что такое море?", "stop", "ru"),
    ("¿Qué es el mar?", "stop", "es"),
    ("Write code:\n```python\nx = 1\n```\nand explain.", "stop", "en"),
    ("I need 3.5 liters of water.\nHow many cups is that?", "stop", "en"),
]
REASONS = [None, "empty", "cut off", "leaked", "garbled", "duplicate", "language", None, None, None]


def prepared(path: Path, *overrides: str, queries: list[tuple[str, str, str]] = QUERIES) -> Run:
    """A run whose queries and labels stand in its shards, as the stages before would leave it."""
    recipe = small(f"rows={len(queries)}", "shard_rows=6", *overrides)
    sampling = StageInfo(name="sample", folder="queries", keys={}, columns=sample.COLUMNS)
    language = StageInfo(
        name="language",
        folder="annotations/language",
        keys={},
        after=sampling.fingerprint,
        cheap=True,
        columns=("language",),
    )
    run = Run.start(recipe, path, (sampling, language, info(recipe, sampling, [language])))
    for shard in range(run.shard_count):
        slots = run.slots(shard)
        rows = queries[shard * 6 :][: len(slots)]
        made = [
            {"id": slot.id, "query": query, "query_finish": finish, "query_tokens": len(query)}
            for slot, (query, finish, _) in zip(slots, rows, strict=True)
        ]
        labels = [
            {"id": slot.id, "language": lang} for slot, (*_, lang) in zip(slots, rows, strict=True)
        ]
        for stage, table, arrow in (
            ("sample", made, schema.QUERIES),
            ("language", labels, schema.annotation(["language"])),
        ):
            store(run, stage).write(
                shard, pa.Table.from_pylist(table, schema=arrow), run.coverage(stage, shard)
            )
    return run


def screen(run: Run) -> None:
    work = screening(run, Rules(run, READERS), ("language",))
    assert isinstance(work, Local)
    for shard in range(run.shard_count):
        store(run, "screen").write(shard, work.make(shard, set()), run.coverage("screen", shard))


def verdicts(run: Run) -> list[dict[str, object]]:
    return [row for s in range(run.shard_count) for row in store(run, "screen").read(s).to_pylist()]


def test_each_query_has_a_verdict_and_a_reason_in_words(tmp_path: Path) -> None:
    run = prepared(tmp_path)
    screen(run)
    got = verdicts(run)
    assert [row["reason"] for row in got] == REASONS
    assert [row["kept"] for row in got] == [reason is None for reason in REASONS]
    assert got[3]["detail"] == "holds the template's <|im_start|>"
    assert got[5]["detail"] == f"the same as {got[0]['id']}"
    assert got[6]["detail"] == "ru is not wanted"
    assert rejections(run) == {
        "empty": 1,
        "cut off": 1,
        "leaked": 1,
        "garbled": 1,
        "duplicate": 1,
        "language": 1,
    }


def test_the_gate_names_the_clause(tmp_path: Path) -> None:
    run = prepared(tmp_path, "screen.where=language != 'es' AND query_tokens < 20")
    screen(run)
    got = verdicts(run)
    assert (got[7]["reason"], got[7]["detail"]) == ("language != 'es'", "the screen's where")
    assert got[8]["reason"] == "query_tokens < 20"
    assert got[5]["reason"] == "duplicate"


def test_rules_can_be_switched_off(tmp_path: Path) -> None:
    run = prepared(tmp_path, "screen.dedup=none", "screen.languages=[]")
    screen(run)
    assert [row["reason"] for row in verdicts(run)][5:7] == [None, None]


def test_survivors_are_what_a_judge_is_asked_about(tmp_path: Path) -> None:
    rules = Rules(prepared(tmp_path), READERS)
    texts = [query for shard in range(2) for _, query in rules.survivors(shard)]
    assert texts == [QUERIES[0][0], *(QUERIES[i][0] for i in (7, 8, 9))]


def test_a_cut_off_text_does_not_take_a_good_one_with_it(tmp_path: Path) -> None:
    run = prepared(tmp_path, queries=[("What is 2 + 3?", "length", "en"), *QUERIES[1:]])
    screen(run)
    assert [row["reason"] for row in verdicts(run)][5] is None


@given(st.lists(st.lists(st.integers(0, 30), max_size=12), max_size=30), st.integers(0, 2**64 - 31))
def test_the_first_slot_with_a_key_is_found_whatever_comes_behind(
    shards: list[list[int]], offset: int
) -> None:
    firsts, plain, slot = Firsts(), dict[int, int](), 0
    for shard in shards:
        keys = [offset + key for key in shard]
        slots = list(range(slot, slot + len(keys)))
        slot += len(keys)
        firsts.add(keys, slots)
        for key, place in zip(keys, slots, strict=True):
            plain.setdefault(key, place)
        asked = [offset + key for key in range(31)]
        assert firsts.of(asked) == [plain.get(key, -1) for key in asked]


def test_a_query_that_the_engine_gave_up_is_turned_away_as_failed(tmp_path: Path) -> None:
    run = prepared(tmp_path)
    rows = store(run, "sample").read(0).to_pylist()
    rows[0] |= {"query": "", "query_finish": "error", "error": "the server answered 500"}
    table = pa.Table.from_pylist(rows, schema=schema.QUERIES)
    store(run, "sample").write(0, table, run.coverage("sample", 0))
    screen(run)
    got = verdicts(run)
    assert (got[0]["reason"], got[0]["detail"]) == ("failed", "the server answered 500")
    assert got[5]["reason"] is None
