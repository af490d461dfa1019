from pathlib import Path

import pytest

from magpie_hub.engines import Completion, Request
from magpie_hub.errors import HubError, InvalidData, RecipeError
from magpie_hub.pipeline.plan import Plan
from magpie_hub.rows.pool import RunPool
from magpie_hub.run import Run
from magpie_hub.run.rejections import rejections
from magpie_hub.run.stored import store
from tests.pipeline.test_scheduler import CHAT, Opened, is_answer, is_query, plain, scheduled, speak

MAIL = "Write to anna.schmidt@gmail.com about it."


def script(request: Request) -> Completion:
    """A few answers hold an address, some repeat a benchmark's words."""
    if is_query(request) and request.seed % 9 == 0:
        return Completion(
            request, tuple(CHAT.renderer.ids("How many legs do ten cats have in all?"))
        )
    if is_answer(request) and request.seed % 5 == 0:
        return Completion(request, tuple(CHAT.renderer.ids(MAIL)))
    return speak(request)


def made(out: Path, *overrides: str) -> Run:
    line, run = scheduled(plain(*overrides), out, Opened(script))
    assert line.work()
    return run


def rows(run: Run) -> list[dict[str, object]]:
    return [row for table in RunPool(run).shards() for row in table.to_pylist()]


def test_each_answered_row_is_looked_at(tmp_path: Path) -> None:
    where = "configs.all.where=NOT refusal AND response_chars > 3 AND leaked IS NULL"
    run = made(tmp_path / "run", "annotate.text={}", "screen.dedup=none", where)
    for row in rows(run):
        query, answer = (message["content"] for message in row["messages"])  # type: ignore[attr-defined]
        assert (row["query_chars"], row["response_chars"]) == (len(query), len(answer))
        assert row["refusal"] is False and row["loop"] is False
        assert row["format"] == []
    assert RunPool(run).producers()["refusal"].by == "text"


def test_what_is_found_blocks_the_release(tmp_path: Path) -> None:
    run = made(tmp_path / "run", "annotate.pii={}")
    with pytest.raises(InvalidData, match=r"row \S+ holds email, and nothing like it is released"):
        rows(run)


def test_or_is_left_out_and_counted(tmp_path: Path) -> None:
    run = made(tmp_path / "run", "annotate.pii={action: drop}")
    got = rows(run)
    assert all(row["pii"] == [] for row in got)
    assert rejections(run)["pii"] > 0
    assert len(got) + sum(rejections(run).values()) == run.info.rows


def test_or_is_published_with_its_label(tmp_path: Path) -> None:
    run = made(tmp_path / "run", "annotate.pii={action: keep}")
    found = [row for row in rows(run) if row["pii"]]
    assert found and all(row["pii"] == ["email"] for row in found)
    assert all(MAIL in str(row["messages"]) for row in found)


def test_a_benchmarks_words_turn_a_query_away_before_it_is_judged(tmp_path: Path) -> None:
    (tmp_path / "bench.jsonl").write_text(
        '{"question": "Say: how many legs do ten cats have in all?", "answer": "40"}\n'
    )
    against = f"[{{name: legs, file: '{tmp_path / 'bench.jsonl'}', fields: [question]}}]"
    run = made(
        tmp_path / "run",
        f"annotate.contamination={{words: 8, against: {against}}}",
        "screen.dedup=none",
    )
    turned = [
        row
        for shard in range(run.shard_count)
        for row in store(run, "screen").read(shard).to_pylist()
        if row["reason"] == "contaminated"
    ]
    assert turned and {row["detail"] for row in turned} == {"shares words with legs:0"}
    judged = {
        i for s in range(run.shard_count) for i in store(run, "judge").read(s)["id"].to_pylist()
    }
    assert not judged & {row["id"] for row in turned}


def test_a_benchmark_that_cannot_be_reached_is_a_sentence(tmp_path: Path) -> None:
    against = "[{name: maths, hub: nobody/nothing, fields: [question]}]"
    recipe = plain(f"annotate.contamination={{against: {against}}}")
    line, _ = scheduled(recipe, tmp_path / "run", Opened(script))
    with pytest.raises(HubError, match="maths cannot be loaded from nobody/nothing"):
        line.work()


@pytest.mark.parametrize(
    ("against", "sentence"),
    [
        ("{name: x, file: none.jsonl}", "none.jsonl cannot be read"),
        ("{name: x}", "give a file or a hub, one of them"),
        ("{name: x, file: a, hub: b}", "give a file or a hub, one of them"),
    ],
)
def test_a_benchmark_that_is_none(against: str, sentence: str) -> None:
    with pytest.raises(RecipeError, match=sentence):
        Plan(plain(f"annotate.contamination={{against: [{against}]}}"))


def test_an_annotator_that_is_added_computes_only_itself(tmp_path: Path) -> None:
    made(tmp_path / "run")
    opened = Opened(script)
    line, run = scheduled(plain("annotate.text={}"), tmp_path / "run", opened)
    assert line.work()
    assert opened.engines == []
    assert not run.missing("text")
