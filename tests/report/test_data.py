"""What a report shows, beside what the run itself says."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from magpie_hub import pipeline
from magpie_hub.builder import build
from magpie_hub.building.pools import open_pool
from magpie_hub.engines import Completion, Request
from magpie_hub.errors import UsageError
from magpie_hub.release import Release
from magpie_hub.report import rows as walking
from magpie_hub.report import shown
from magpie_hub.report.data import collect
from magpie_hub.run import Run
from magpie_hub.run.stored import store
from tests.conftest import Silent, small
from tests.pipeline.test_scheduler import CHAT, Opened, is_query, plain, scheduled, speak

Document = dict[str, Any]
HOSTILE = "</script><script>alert(1)</script> <!-- {{policy}} \u202e\u0000 \x1b[31m 🐦"


@pytest.fixture(scope="module")
def whole(small_run: Run) -> Document:
    return collect(small_run.path)


@pytest.fixture(scope="module")
def released(small_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Release:
    """1.0.0 and 1.1.0 in a copy of the run."""
    folder = tmp_path_factory.mktemp("released") / "run"
    shutil.copytree(small_run.path, folder)
    pool, options = open_pool([folder]), {"kind": "sft", "report": str, "any_version": True}
    build(pool, "1.0.0", folder / "releases/1.0.0", **options)
    return build(pool, "1.1.0", folder / "releases/1.1.0", **options)


def stored(run: Run, stage: str) -> pl.DataFrame:
    tables = [pl.DataFrame(store(run, stage).read(s)) for s in range(run.shard_count)]
    return pl.concat(tables)


def label(document: Document, name: str) -> dict[str, Any]:
    return next(each for each in document["rows"]["labels"] if each["name"] == name)


def number(document: Document, name: str) -> dict[str, Any]:
    return next(each for each in document["rows"]["numbers"] if each["name"] == name)


def counted(document: Document, name: str, *, kept: bool) -> Counter[str | None]:
    """The values of the rows shown, by name."""
    values, rows = label(document, name), document["rows"]
    return Counter(
        None if code < 0 else values["values"][code]
        for code, fate in zip(values["codes"], rows["fate"], strict=True)
        if rows["fates"][fate]["kept"] == kept
    )


def same(document: Document) -> str:
    return json.dumps(document, allow_nan=False)


def test_every_query_is_there_with_what_became_of_it(whole: Document, small_run: Run) -> None:
    verdicts = stored(small_run, "screen")
    reasons = dict(verdicts["reason"].drop_nulls().value_counts().iter_rows())
    rows = whole["rows"]
    assert {f["reason"]: f["of"] for f in rows["fates"] if f["stage"] == "screen"} == reasons
    assert rows["count"] == sum(fate["of"] for fate in rows["fates"]) == 48
    assert rows["fates"][0]["kept"] and whole["overview"]["kept"] == rows["fates"][0]["of"]
    assert rows["ids"] == stored(small_run, "sample")["id"].to_list()
    assert rows["how"] == "All 48 rows."
    for name in ("fate", "detail", "ids", "texts"):
        assert len(rows[name]) == 48
    for each in [*rows["labels"]]:
        assert len(each["codes"]) == 48
    details = dict(verdicts.select("id", "detail").iter_rows())
    assert rows["detail"] == [details[name] or "" for name in rows["ids"]]


def test_what_is_counted_is_what_polars_counts(whole: Document, small_run: Run) -> None:
    verdicts = stored(small_run, "screen").select("id", "kept")
    judged = verdicts.join(stored(small_run, "judge"), on="id", how="left")
    told = verdicts.join(stored(small_run, "language"), on="id", how="left")
    for name, frame in (("quality", judged), ("category", judged), ("language", told)):
        for kept in (True, False):
            values = frame.filter(pl.col("kept") == kept)[name].to_list()
            assert counted(whole, name, kept=kept) == Counter(values)
            every = label(whole, name)
            exact = dict(
                zip(every["values"], every["all"]["kept" if kept else "rejected"], strict=True)
            )
            assert {v: n for v, n in exact.items() if n} == Counter(v for v in values if v)
            assert every["all"]["unlabelled"][not kept] == values.count(None)
    rewards = dict(stored(small_run, "reward").select("id", "reward").iter_rows())
    shown_rewards = zip(whole["rows"]["ids"], number(whole, "reward")["values"], strict=True)
    for name, value in shown_rewards:
        assert (value is None) == (rewards.get(name) is None)
        assert value is None or value == pytest.approx(rewards[name], rel=1e-3)


def test_labels_stand_in_their_order(whole: Document) -> None:
    quality = label(whole, "quality")
    order = ["very poor", "poor", "average", "good", "excellent"]
    assert quality["ordered"] and quality["values"] == [v for v in order if v in quality["values"]]
    category = label(whole, "category")
    both = [sum(each) for each in zip(*list(category["all"].values())[:2], strict=True)]
    assert both == sorted(both, reverse=True)
    cells = label(whole, "cell")["values"]
    assert cells == ["T 1.0, p 0.95", "T 1.2, p 1.0"]


def test_the_flow_parts_the_sampled_queries(whole: Document) -> None:
    flow = whole["flow"]
    rows = {node["name"]: node["rows"] for node in flow["nodes"]}
    assert rows["sampled"] == 48
    ends = set(rows) - {link["source"] for link in flow["links"]}
    assert sum(rows[name] for name in ends) == 48
    assert rows["kept"] == whole["overview"]["kept"]
    for name in rows:
        into = [link["rows"] for link in flow["links"] if link["target"] == name]
        out = [link["rows"] for link in flow["links"] if link["source"] == name]
        assert name == "sampled" or into == [rows[name]]
        assert not out or sum(out) == rows[name]
    fates = whole["rows"]["fates"]
    assert all(fates[n["fate"]]["of"] == n["rows"] for n in flow["nodes"] if "fate" in n)


def test_texts_are_what_was_said(whole: Document, small_run: Run) -> None:
    queries = dict(stored(small_run, "sample").select("id", "query").iter_rows())
    answers = dict(stored(small_run, "respond").select("id", "response").iter_rows())
    rows = whole["rows"]
    assert rows["text_limit"] == shown.TEXT
    for name, fate, said in zip(rows["ids"], rows["fate"], rows["texts"], strict=True):
        roles = [rows["roles"][role] for role, _, _ in said]
        if rows["fates"][fate]["kept"]:
            assert roles == ["user", "assistant"]
            assert [text for _, text, _ in said] == [queries[name], answers[name]]
        elif rows["fates"][fate]["stage"] == "screen":
            assert [text for _, text, _ in said] == ([queries[name]] if queries[name] else [])


def test_stages_are_those_of_the_accounts(whole: Document, small_run: Run) -> None:
    stages = whole["stages"]
    assert [each["stage"] for each in stages["items"]] == [s.name for s in small_run.info.stages]
    spent = [r for s in small_run.info.stages for r in small_run.accounts(s.name).values()]
    new = sum(record.get("new_tokens", 0) for record in spent)
    assert stages["total"]["new_tokens"] == new == whole["overview"]["new_tokens"]
    kept = whole["overview"]["kept"]
    assert stages["total"]["per_1000_kept"]["new_tokens"] == pytest.approx(
        1000 * new / kept, rel=1e-3
    )


def test_judges_are_compared_over_all_kept_rows(whole: Document, small_run: Run) -> None:
    (item,) = whole["judges"]["items"]
    both = stored(small_run, "judge").join(stored(small_run, "reward"), on="id")
    assert sum(map(sum, item["counts"])) == len(both.drop_nulls(["quality", "reward"]))
    assert -1 <= item["agreement"] <= 1


def test_a_report_is_the_same_each_time(whole: Document, small_run: Run) -> None:
    assert same(collect(small_run.path)) == same(whole)


def test_of_many_rows_a_seeded_sample_is_shown_and_stated(
    small_run: Run, monkeypatch: pytest.MonkeyPatch, whole: Document
) -> None:
    monkeypatch.setattr(walking, "ALL", 12)
    monkeypatch.setattr(walking, "REJECTED", 4)
    monkeypatch.setattr(walking, "FEWEST", 2)
    monkeypatch.setattr(walking, "_BATCH", 20)
    drawn = collect(small_run.path)
    rows = drawn["rows"]
    kept, fates = whole["overview"]["kept"], rows["fates"]
    assert fates[0]["shown"] == 12 < fates[0]["of"] == kept == drawn["overview"]["kept"]
    assert all(fate["shown"] >= min(2, fate["of"]) for fate in fates)
    assert rows["count"] == sum(fate["shown"] for fate in fates) == len(rows["ids"])
    rejected = rows["count"] - 12
    assert rows["how"] == (
        f"A sample: 12 of {kept} kept and {rejected} of {48 - kept} rejected rows, drawn evenly "
        "with seed 0."
    )
    assert rows["ids"] == sorted(rows["ids"])
    assert rows["ids"][:12] != whole["rows"]["ids"][:12]
    assert same(collect(small_run.path)) == same(drawn)
    # Exact counts do not depend on it.
    for one, other in zip(rows["labels"], whole["rows"]["labels"], strict=True):
        assert one["all"] == other["all"]
    assert drawn["flow"] == whole["flow"] and drawn["judges"] == whole["judges"]


def test_texts_are_cut_until_all_fits(
    small_run: Run, whole: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = len(json.dumps(whole, ensure_ascii=False, separators=(",", ":")).encode())
    monkeypatch.setattr("magpie_hub.report.data.BYTES", size - 500)
    cut = collect(small_run.path)["rows"]
    assert cut["text_limit"] < shown.TEXT
    for short, full in zip(cut["texts"], whole["rows"]["texts"], strict=True):
        for (_, text, off), (_, before, _) in zip(short, full, strict=True):
            assert before.startswith(text) and len(text) + off == len(before)
    assert any(off for said in cut["texts"] for _, _, off in said)


def test_a_release_in_its_run_is_shown_with_what_was_rejected(
    released: Release, whole: Document
) -> None:
    document = collect(released.path)
    assert (document["kind"], document["version"], document["title"]) == (
        *("release", "1.1.0"),
        "small",
    )
    assert document["rows"]["fates"] == whole["rows"]["fates"]
    assert [config["name"] for config in document["overview"]["configs"]] == ["filtered", "all"]
    changes = document["changes"]
    assert (changes["old"], changes["new"]) == ("1.0.0", "1.1.0")
    assert {config["name"] for config in changes["configs"]} == {"filtered", "all"}
    assert all(config["old"] == config["new"] for config in changes["configs"])
    for share in changes["shares"]:
        assert sum(share["old"]) == pytest.approx(1, abs=0.01) and share["old"] == share["new"]


def test_a_release_alone_says_what_it_lacks(released: Release, tmp_path: Path) -> None:
    alone = tmp_path / "release"
    shutil.copytree(released.path, alone)
    document = collect(alone)
    manifest = released.manifest
    rows = document["rows"]
    assert {"map", "rejected", "stages"} <= document["missing"].keys()
    assert document["stages"] is None
    assert rows["count"] == manifest.configs["all"].rows == document["overview"]["kept"]
    assert {f["reason"]: (f["of"], f["shown"]) for f in rows["fates"][1:]} == {
        reason: (count, 0) for reason, count in manifest.rejected.items()
    }
    assert (
        sum(node["rows"] for node in document["flow"]["nodes"] if node["name"] == "sampled") == 48
    )
    quality = pl.read_parquet(alone / "data/all/*.parquet")["quality"].to_list()
    assert counted(document, "quality", kept=True) == Counter(quality)
    said = pl.read_parquet(alone / "data/all/*.parquet")["messages"].to_list()
    assert [[text for _, text, _ in turns] for turns in rows["texts"]] == [
        [message["content"] for message in each] for each in said
    ]


def test_a_run_stopped_midway_counts_what_is_not_finished(tmp_path: Path) -> None:
    run = pipeline.run(small("rows=20"), tmp_path / "run", progress=Silent(), until="screen")
    document = collect(run.path)
    fates = {(f["stage"], f["reason"]): f["of"] for f in document["rows"]["fates"]}
    passed = stored(run, "screen")["kept"].sum()
    assert fates["pending", "not finished"] == passed and document["overview"]["kept"] == 0
    assert not document["overview"]["finished"] and sum(fates.values()) == 20
    assert document["stages"]["items"][0]["per_1000_kept"]["hours"] is None
    assert document["judges"] is None and "judges" in document["missing"]


def test_an_empty_run_has_nothing_to_show(tmp_path: Path, small_run: Run) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    for name in ("run.json", "recipe.yaml"):
        shutil.copy(small_run.path / name, folder)
    document = collect(folder)
    assert document["rows"]["count"] == 0 and document["overview"]["sampled"] == 0
    assert document["flow"] is None and document["pairs"] is None and document["stages"] is None
    assert {"flow", "labels", "numbers", "map", "pairs", "judges", "stages", "changes"} <= (
        document["missing"].keys()
    )
    same(document)


def test_what_models_wrote_is_text(tmp_path: Path) -> None:
    def hostile(request: Request) -> Completion:
        if is_query(request):
            return Completion(request, tuple(CHAT.renderer.ids(f"{request.seed % 97} {HOSTILE}")))
        return speak(request)

    line, run = scheduled(plain("rows=12"), tmp_path / "run", Opened(hostile))
    assert line.work()
    rows = collect(run.path)["rows"]
    queries = dict(stored(run, "sample").select("id", "query").iter_rows())
    assert rows["count"] == 12 and any("</script>" in text for text in queries.values())
    said = {name: turns[0][1] for name, turns in zip(rows["ids"], rows["texts"], strict=True)}
    assert said == {name: query[: shown.TEXT // 2] for name, query in queries.items()}


def test_a_folder_that_is_neither_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="neither a run nor a release"):
        collect(tmp_path)
