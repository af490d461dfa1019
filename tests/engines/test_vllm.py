"""Real vLLM in this process, on the CPU: a test fails where it is not installed."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from magpie_hub import models, schema, template
from magpie_hub.engines import (
    Completion,
    Decoding,
    Engine,
    EngineSpec,
    Request,
    Task,
    generate,
    open_engine,
)
from magpie_hub.errors import EngineError, UsageError

# vLLM's and torch's own deprecations, raised while it runs.
pytestmark = [pytest.mark.vllm, pytest.mark.slow, pytest.mark.filterwarnings("default")]

CHAT = models.resolve("bundled:chat")
REWARD = models.resolve("bundled:reward")
TEMPLATE = template.load(CHAT.path)
GREEDY = Decoding(temperature=0.0, top_p=1.0, max_tokens=60)
OPTIONS = {"max_num_seqs": 32}


class Garage:
    """Room for one engine: another one is opened where the last one was closed."""

    def __init__(self) -> None:
        self._key: object = None
        self._engine: Engine | None = None

    def engine(self, model: models.Model = CHAT, task: Task = "generate", **options: Any) -> Engine:
        key = (model, task, tuple(options.items()))
        if key != self._key:
            self.close()
            self._engine = open_engine(EngineSpec("vllm", {**OPTIONS, **options}), model, task)
            self._key = key
        assert self._engine is not None
        return self._engine

    def close(self) -> None:
        if self._engine is not None:
            self._engine.close()
        self._key, self._engine = None, None


@pytest.fixture(scope="module")
def garage() -> Iterator[Garage]:
    garage = Garage()
    yield garage
    garage.close()


@pytest.fixture
def engine(garage: Garage) -> Engine:
    return garage.engine()


def queries(count: int, **decoding: float) -> list[Request]:
    settings = replace(Decoding(1.0, 0.95, 60), **decoding)
    return [
        # Seeds as wide as a slot's: 63 bits.
        Request(TEMPLATE.prefix_ids, settings, TEMPLATE.stop_ids, seed=2**63 - 1 - i)
        for i in range(count)
    ]


def answer(text: str, **changes: Any) -> Request:
    request = Request(TEMPLATE.answer_prompt(text), GREEDY, TEMPLATE.answer_stop_ids)
    return replace(request, **changes)


def complete(engine: Engine, requests: list[Request]) -> list[Completion]:
    """Their completions, in the order of the requests."""
    got = {completion.request: completion for completion in generate(engine, requests)}
    assert len(got) == len(requests)
    return [got[request] for request in requests]


def tokens(completions: list[Completion]) -> list[tuple[int, ...]]:
    return [completion.token_ids for completion in completions]


def test_greedy_answers_are_those_of_the_transformers_engine(engine: Engine) -> None:
    texts = [TEMPLATE.decode(c.token_ids) for c in complete(engine, queries(64))]
    assert len(set(texts)) > 48
    asked = [answer(text) for text in texts]
    reference = open_engine(EngineSpec(), CHAT)
    expected = complete(reference, asked)
    reference.close()
    got = complete(engine, asked)
    assert tokens(got) == tokens(expected)
    assert [c.finish_reason for c in got] == [c.finish_reason for c in expected]
    assert sum(c.finish_reason == "stop" for c in got) > 48


@pytest.mark.parametrize(("penalty", "changed"), [(1.2, 1), (2.0, 5)])
def test_the_repetition_penalty_is_that_of_the_transformers_engine(
    engine: Engine, penalty: float, changed: int
) -> None:
    strict = replace(GREEDY, repetition_penalty=penalty)
    texts = [f"What is {i} + {i * 3 % 17}?" for i in range(12)] + ["Hello!", "Name three colours."]
    asked = [answer(text, decoding=strict) for text in texts]
    reference = open_engine(EngineSpec(), CHAT)
    expected = complete(reference, asked)
    without = complete(reference, [answer(text) for text in texts])
    reference.close()
    assert sum(a != b for a, b in zip(tokens(expected), tokens(without), strict=True)) >= changed
    assert tokens(complete(engine, asked)) == tokens(expected)


def test_a_seed_gives_its_query_whatever_is_in_flight(engine: Engine) -> None:
    wanted = queries(24)
    together = tokens(complete(engine, wanted))
    assert len(set(together)) > 16
    backwards = complete(engine, [*reversed(wanted)])[::-1]
    assert tokens(backwards) == together
    others = [answer(f"What is {i} + 3?") for i in range(24)]
    mixed = complete(engine, [r for pair in zip(others, wanted, strict=True) for r in pair])
    assert tokens(mixed[1::2]) == together


def test_only_the_requests_own_stop_tokens_stop(engine: Engine) -> None:
    """The model's generation_config.json names one, and sampling defaults."""
    endless = replace(answer("Hello!"), stop_ids=frozenset())
    bounded, cut = complete(engine, [answer("Hello!"), endless])
    assert bounded.finish_reason == "stop"
    assert (cut.finish_reason, len(cut.token_ids)) == ("length", GREEDY.max_tokens)
    size = len(bounded.token_ids)
    assert cut.token_ids[:size] == bounded.token_ids
    assert cut.token_ids[size] in TEMPLATE.answer_stop_ids


def test_a_long_request_holds_nobody_up(engine: Engine) -> None:
    decoding = Decoding(1.0, 1.0, 300)
    slow = Request(TEMPLATE.prefix_ids, decoding, frozenset(), seed=5)
    engine.submit([slow])
    finished: list[Completion] = []
    for i in range(3):
        engine.submit([answer(f"What is {i} + {i}?")])
        finished += engine.poll()
    assert slow not in [completion.request for completion in finished]
    assert len(finished) == 3
    (last,) = engine.poll()
    assert last.request is slow
    assert len(last.token_ids) == 300
    assert engine.poll() == []


@pytest.mark.parametrize(
    "query", ["What is 2 + 3?", '```json\n{"category": "Poetry"}\n```', '"}} } { [']
)
def test_a_schema_is_obeyed_and_spelt_as_the_transformers_engine_does(
    engine: Engine, query: str
) -> None:
    columns = ("category", "other_categories")
    wanted = json.dumps(schema.json_schema(columns))
    asked = answer(query, schema=wanted, decoding=replace(GREEDY, max_tokens=200))
    (completion,) = complete(engine, [asked])
    labels = json.loads(TEMPLATE.decode(completion.token_ids))
    assert completion.finish_reason == "stop"
    assert list(labels) == list(columns)
    assert labels["category"] in schema.CATEGORIES
    reference = open_engine(EngineSpec(), CHAT)
    assert tokens(complete(reference, [asked])) == [completion.token_ids]
    reference.close()


def test_a_schema_ends_at_the_tokenizers_end_whatever_the_template_stops_at(
    engine: Engine,
) -> None:
    wanted = json.dumps(schema.json_schema(("quality",)))
    (completion,) = complete(engine, [answer("Hello!", schema=wanted, stop_ids=frozenset({7}))])
    assert completion.finish_reason == "stop"
    assert list(json.loads(TEMPLATE.decode(completion.token_ids))) == ["quality"]


def test_the_end_of_the_context_cuts(engine: Engine) -> None:
    full = Request(TEMPLATE.prefix_ids * 400, GREEDY)
    nearly = replace(full, prompt=full.prompt[:1020])
    at_the_brim = replace(full, prompt=full.prompt[:1024])
    cut = complete(engine, [full, nearly, at_the_brim])
    assert [c.finish_reason for c in cut] == ["length"] * 3
    assert [len(c.token_ids) for c in cut] == [0, 4, 0]


def test_a_refused_request_is_reported_and_the_engine_goes_on(engine: Engine) -> None:
    hot = answer("Hello!", decoding=replace(GREEDY, temperature=9.0))
    unknown = answer("Hello!", prompt=(1, 999_999))
    fine = answer("Hello!")
    refused, alien, answered = complete(engine, [hot, unknown, fine])
    assert (refused.finish_reason, refused.token_ids) == ("error", ())
    assert refused.error is not None and "temperature must be in [0, 2]" in refused.error
    assert alien.finish_reason == "error" and alien.error
    assert answered.finish_reason == "stop" and answered.error is None


def test_the_engine_says_what_it_is(engine: Engine) -> None:
    import vllm

    facts = engine.facts
    assert (facts.name, facts.version, facts.devices) == ("vllm", vllm.__version__, 1)
    assert facts.determinism == "seeds"
    assert engine.capacity == 64
    assert engine.exclusive and not engine.batched


def test_an_engine_that_breaks_down_is_lost_with_a_sentence(
    garage: Garage, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = garage.engine()

    def out_of_memory() -> None:
        raise RuntimeError("CUDA out of memory. Tried to allocate 3 GiB.")

    monkeypatch.setattr(engine._engine, "step", out_of_memory)
    engine.submit([answer("Hello!")])
    with pytest.raises(EngineError, match="bundled:chat: CUDA out of memory; lower max_num_seqs"):
        engine.poll()
    monkeypatch.undo()
    garage.close()
    (completion,) = complete(garage.engine(), [answer("What is 2 + 3?")])
    assert TEMPLATE.decode(completion.token_ids) == "2 + 3 = 5"


def test_scores_are_those_of_the_transformers_scorer(garage: Garage) -> None:
    texts = ["Hello!", "What is 2 + 3?", "asdf", "Tell me about the moon. " * 9]
    asked = [Request(TEMPLATE.answer_prompt(text)) for text in texts]
    asked.append(Request(TEMPLATE.prefix_ids * 400))
    scorer = garage.engine(REWARD, "score")
    got = complete(scorer, asked)
    reference = open_engine(EngineSpec(), REWARD, "score")
    expected = complete(reference, asked)
    reference.close()
    assert len({c.scores for c in got[:4]}) == 4
    for own, other in zip(got, expected, strict=True):
        assert own.scores == pytest.approx(other.scores, abs=5e-5)
        assert (own.finish_reason, own.error) == (other.finish_reason, other.error)
    assert got[4].finish_reason == "error"


def test_without_seeds_of_its_own_a_row_draws_from_the_engine(garage: Garage) -> None:
    engine = garage.engine(row_seeds=False)
    assert engine.facts.determinism == "plan"
    twice = [complete(engine, queries(24)) for _ in range(2)]
    assert tokens(twice[0]) != tokens(twice[1])


def test_many_prompts_with_seeds_are_read(garage: Garage) -> None:
    """More than one step takes: vLLM 0.32 dies on a CPU where it cuts such a prompt in two."""
    text = "What is the capital of France? " * 8
    warm = Decoding(temperature=1.0, top_p=1.0, max_tokens=2)
    engine = garage.engine(max_num_seqs=128)
    asked = [answer(f"{i}. {text}", decoding=warm, seed=i) for i in range(128)]
    assert sum(len(request.prompt) for request in asked) > 4096
    assert all(completion.finish_reason != "error" for completion in complete(engine, asked))


def test_options_reach_vllm(garage: Garage) -> None:
    engine = garage.engine(max_num_seqs=3, max_model_len=64)
    assert engine.capacity == 6
    cut = complete(engine, [Request(TEMPLATE.prefix_ids, replace(GREEDY, max_tokens=500))])
    assert len(TEMPLATE.prefix_ids) + len(cut[0].token_ids) == 64


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"max_num_seq": 3}, "no option 'max_num_seq'; the nearest is max_num_seqs"),
        ({"model": "other"}, "no option 'model'"),
        ({"data_parallel_size": 2}, "leave data_parallel_size out"),
    ],
)
def test_options_that_there_are_not(options: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        open_engine(EngineSpec("vllm", options), CHAT)


@pytest.mark.parametrize("options", [{"dtype": "float31"}, {"max_model_len": 1 << 20}])
def test_an_option_that_vllm_refuses(garage: Garage, options: dict[str, Any]) -> None:
    garage.close()
    (name,) = options
    with pytest.raises(EngineError, match=f"does not start with the model bundled:chat: .*{name}"):
        open_engine(EngineSpec("vllm", options), CHAT)


def test_a_model_that_does_not_load(garage: Garage, tmp_path: Path) -> None:
    garage.close()
    for file in CHAT.path.iterdir():
        content = file.read_bytes()
        (tmp_path / file.name).write_bytes(content[:100] if "safetensors" in file.name else content)
    with pytest.raises(EngineError, match="does not start with the model"):
        open_engine(EngineSpec("vllm", OPTIONS), models.resolve(str(tmp_path)))
    (completion,) = complete(garage.engine(), [answer("What is 2 + 3?")])
    assert TEMPLATE.decode(completion.token_ids) == "2 + 3 = 5"


def test_what_others_set_stays_theirs(garage: Garage) -> None:
    """vLLM on a CPU would take ``torch.set_num_threads`` away from the whole process."""
    import torch

    before = torch.get_num_threads()
    garage.engine()
    torch.set_num_threads(2)
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)
