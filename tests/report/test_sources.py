"""Rows of every kind of run, with what became of them and what was said."""

from __future__ import annotations

from pathlib import Path

from magpie_hub.engines import Completion, Request
from magpie_hub.report.data import collect
from magpie_hub.rows.pool import RunPool
from magpie_hub.run import Run
from magpie_hub.run.rejections import rejections
from tests.pipeline.test_scheduler import CHAT, Opened, is_answer, is_query, plain, scheduled, speak
from tests.stages.test_extend import talk

SEVERAL = ("respond.answers=3", "respond.temperature=1.0", "annotate.judge=null")


def made(out: Path, *overrides: str) -> Run:
    """Each fourth query has an e-mail address; answers are of different lengths."""

    def script(request: Request) -> Completion:
        if is_query(request):
            also = " Write to anna.schmidt@gmail.com." if request.seed % 4 == 0 else ""
            return Completion(
                request, tuple(CHAT.renderer.ids(f"What is {request.seed % 997} + 2?{also}"))
            )
        if is_answer(request):
            return Completion(request, tuple(CHAT.renderer.ids("So it is. " * (request.seed % 4))))
        return speak(request)

    line, run = scheduled(plain("rows=24", *overrides), out, Opened(script))
    assert line.work()
    return run


def fates_of(run: Run) -> dict[str, int]:
    fates = collect(run.path)["rows"]["fates"]
    return {fate["reason"]: fate["of"] for fate in fates if not fate["kept"]}


def test_pairs_show_both_answers_and_why_there_are_none(tmp_path: Path) -> None:
    run = made(tmp_path / "run", "builder=preference", *SEVERAL)
    document = collect(run.path)
    pool = {row["id"]: row for table in RunPool(run).shards() for row in table.to_pylist()}
    assert fates_of(run) == rejections(run) and sum(rejections(run).values()) > 0
    rows, kept = document["rows"], 0
    for name, fate, said in zip(rows["ids"], rows["fate"], rows["texts"], strict=True):
        texts = {rows["roles"][role]: text for role, text, _ in said}
        if rows["fates"][fate]["kept"]:
            kept += 1
            assert texts == {
                "user": pool[name]["prompt"][0]["content"],
                "chosen": pool[name]["chosen"][0]["content"],
                "rejected": pool[name]["rejected"][0]["content"],
            }
    assert 0 < kept == document["overview"]["kept"]
    stages = {fate["stage"] for fate in rows["fates"]} - {"kept"}
    assert stages <= {"screen", "respond", "choose"} and "choose" in stages
    assert any(number["name"] == "margin" for number in rows["numbers"])


def test_conversations_show_all_their_turns(tmp_path: Path) -> None:
    def one_turn(text: str, request: Request) -> str:
        again = text.count(CHAT.prefix) > 1 and request.seed % 3 == 0
        return "thanks" if again and text.endswith(CHAT.prefix) else f"It is {request.seed}."

    run, _, _ = talk(tmp_path / "run", one_turn, "builder=multi_turn")
    rows = collect(run.path)["rows"]
    said = {
        row["id"]: [message["content"] for message in row["messages"]]
        for table in RunPool(run).shards(("id", "messages"))
        for row in table.to_pylist()
    }
    for name, fate, turns in zip(rows["ids"], rows["fate"], rows["texts"], strict=True):
        if rows["fates"][fate]["kept"]:
            assert [text for _, text, _ in turns] == said[name] and len(turns) >= 4
    assert fates_of(run) == rejections(run)
    assert rows["fates"][0]["of"] == len(said) - sum(
        count for reason, count in fates_of(run).items() if reason.startswith("one turn")
    )


def test_personal_data_blocks_no_report(tmp_path: Path) -> None:
    run = made(tmp_path / "run", "annotate.pii={}")
    rows = collect(run.path)["rows"]
    pii = next(label for label in rows["labels"] if label["name"] == "pii")
    assert pii["values"] == ["email"] and pii["multi"]
    asked = {name: said[0][1] for name, said in zip(rows["ids"], rows["texts"], strict=True)}
    found = [
        ("anna" in asked[name], codes)
        for name, fate, codes in zip(rows["ids"], rows["fate"], pii["codes"], strict=True)
        if rows["fates"][fate]["kept"]
    ]
    assert {has for has, _ in found} == {True, False}
    assert all(codes == [0 if has else -1] for has, codes in found)


def test_dropped_personal_data_is_shown_with_its_answer(tmp_path: Path) -> None:
    run = made(tmp_path / "run", "annotate.pii={action: drop}")
    rows = collect(run.path)["rows"]
    assert fates_of(run)["pii"] == rejections(run)["pii"] > 0
    for fate, said in zip(rows["fate"], rows["texts"], strict=True):
        if rows["fates"][fate]["reason"] == "pii":
            assert rows["fates"][fate]["stage"] == "pii"
            assert [rows["roles"][role] for role, _, _ in said] == ["user", "assistant"]


def test_what_the_engine_gave_up_is_neither_kept_nor_lost(tmp_path: Path) -> None:
    def failing(request: Request) -> Completion:
        if is_answer(request) and request.seed % 3 == 0:
            return Completion(request, finish_reason="error", error="out of luck")
        return speak(request)

    line, run = scheduled(plain("rows=24"), tmp_path / "run", Opened(failing))
    assert line.work()
    document = collect(run.path)
    fates = {(f["stage"], f["reason"]): f["of"] for f in document["rows"]["fates"]}
    assert fates["respond", "failed"] > 0 and sum(fates.values()) == 24
    assert fates["kept", "kept"] == sum(len(table) for table in RunPool(run).shards(("id",)))
