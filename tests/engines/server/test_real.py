"""The server engine against real servers on loopback: vLLM's own, and one that takes text alone."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from urllib.request import urlopen

import pytest

from magpie_hub import models, template
from magpie_hub.engines import (
    Completion,
    Decoding,
    Engine,
    EngineSpec,
    Request,
    generate,
    open_engine,
)
from magpie_hub.models import Model

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("vllm") is None, reason="needs the vllm extra"),
]

CHAT_MODEL = models.resolve("bundled:chat")
REWARD_MODEL = models.resolve("bundled:reward")
CHAT = template.load(CHAT_MODEL.path)
GREEDY = Decoding(temperature=0.0, top_p=1.0, max_tokens=60)
QUERIES = [f"What is {i} + {i * 3 % 17}?" for i in range(16)] + [
    f"Name {i} colours of the rainbow, please." for i in range(16)
]
SCHEMA = {
    "type": "object",
    "properties": {
        "quality": {"enum": ["poor", "good"]},
        "why": {"type": "string", "maxLength": 30},
    },
    "required": ["quality", "why"],
    "additionalProperties": False,
}
ENVIRONMENT = {
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "OMP_NUM_THREADS": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_LOGGING_LEVEL": "WARNING",
}
BOUND = {"backend": "guidance", "disable_any_whitespace": True}


@contextmanager
def running(log: Path, command: list[str], **environment: str) -> Iterator[str]:
    """The URL of a server that is up; it is gone afterwards, with its children."""
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        port = chosen.getsockname()[1]
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            env=os.environ | ENVIRONMENT | environment,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        until_up(url, process, log)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def until_up(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 300
    while time.monotonic() < end and process.poll() is None:
        try:
            with urlopen(f"{url}/health", timeout=5):
                return
        except OSError:
            time.sleep(0.5)
    pytest.fail(f"the server did not come up:\n{log.read_text()[-4000:]}")


def vllm(model: Model, *arguments: str) -> list[str]:
    # The model's generation_config.json is left in force: what a request says must overrule it.
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
    command += ["--model", str(model.path), "--served-model-name", model.ref, "--dtype", "float32"]
    command += ["--enforce-eager", "--max-num-seqs", "32", "--block-size", "32"]
    return [*command, "--kv-cache-memory-bytes", str(64 << 20), *arguments]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    log = tmp_path_factory.mktemp("vllm") / "log"
    command = vllm(CHAT_MODEL, "--structured-outputs-config", json.dumps(BOUND))
    with running(log, command) as url:
        engine = open_engine(EngineSpec("server", {"url": url}), CHAT_MODEL)
        yield engine
        engine.close()


def answers(decoding: Decoding, schema: str | None = None) -> list[Request]:
    return [
        Request(
            prompt=tuple(CHAT.answer_prompt(query)),
            decoding=decoding,
            stop_ids=CHAT.answer_stop_ids,
            seed=2**62 + i,
            schema=schema,
        )
        for i, query in enumerate(QUERIES)
    ]


def outcome(completions: list[Completion]) -> list[tuple[str, tuple[int, ...], str | None]]:
    return [(c.finish_reason, c.token_ids, c.error) for c in completions]


def in_order(engine: Engine, asked: list[Request]) -> list[Completion]:
    got = {completion.request: completion for completion in generate(engine, asked)}
    return [got[request] for request in asked]


@pytest.fixture(scope="module")
def expected() -> list[Completion]:
    """Greedy answers, by the transformers engine."""
    here = open_engine(EngineSpec(), CHAT_MODEL)
    completions = in_order(here, answers(GREEDY))
    here.close()
    assert sum(c.finish_reason == "stop" for c in completions) >= 28
    return completions


def test_greedy_answers_are_those_of_the_transformers_engine(
    engine: Engine, expected: list[Completion]
) -> None:
    assert outcome(in_order(engine, answers(GREEDY))) == outcome(expected)


@pytest.mark.skipif(find_spec("accelerate") is None, reason="transformers serve needs accelerate")
def test_so_they_are_by_a_server_that_takes_text_alone(
    expected: list[Completion], tmp_path: Path
) -> None:
    folder = str(CHAT_MODEL.path)
    command = [str(Path(sys.executable).with_name("transformers")), "serve", folder]
    # It lists the models of the Hub's cache, and fails where there is no such folder.
    with running(
        tmp_path / "log",
        [*command, "--device", "cpu", "--dtype", "float32"],
        HF_HUB_CACHE=str(tmp_path),
    ) as url:
        options = {"url": url, "served_model": folder, "concurrency": 4}
        there = open_engine(EngineSpec("server", options), CHAT_MODEL)
        got = in_order(there, answers(GREEDY))
        there.close()
    assert [c.finish_reason for c in got] == [c.finish_reason for c in expected]
    # What comes back is text: its tokens are those of the tokenizer, not always the model's.
    decode = template.load(CHAT_MODEL.path).decode
    assert [decode(c.token_ids) for c in got] == [decode(c.token_ids) for c in expected]


def test_a_seed_gives_its_answer_again(engine: Engine) -> None:
    warm = Decoding(temperature=1.0, top_p=0.95, max_tokens=60)
    first, second = in_order(engine, answers(warm)), in_order(engine, answers(warm))
    assert [c.token_ids for c in first] == [c.token_ids for c in second]
    assert len({c.token_ids for c in first}) >= 24


def test_queries_stop_by_themselves_or_at_their_limit(engine: Engine) -> None:
    def queries(max_tokens: int, stops: frozenset[int]) -> list[Request]:
        decoding = Decoding(temperature=1.0, top_p=1.0, max_tokens=max_tokens)
        return [Request(CHAT.prefix_ids, decoding, stops, seed=i) for i in range(40)]

    ended = in_order(engine, queries(80, CHAT.stop_ids))
    assert sum(c.finish_reason == "stop" for c in ended) >= 36
    assert not any(CHAT.stop_ids & set(c.token_ids) for c in ended)
    cut = in_order(engine, queries(2, CHAT.stop_ids))
    assert {len(c.token_ids) for c in cut if c.finish_reason == "length"} == {2}
    # Without stops of the request's own, the end of text is a token like any other.
    endless = in_order(engine, queries(80, frozenset()))
    assert {(c.finish_reason, len(c.token_ids)) for c in endless} == {("length", 80)}


def test_an_output_obeys_its_schema(engine: Engine) -> None:
    short = Decoding(temperature=0.0, top_p=1.0, max_tokens=200)
    for completion in in_order(engine, answers(short, json.dumps(SCHEMA))[:8]):
        assert completion.finish_reason == "stop"
        told = json.loads(CHAT.decode(completion.token_ids))
        assert set(told) == {"quality", "why"} and told["quality"] in ("poor", "good")


def test_the_end_of_the_context_is_a_length(engine: Engine) -> None:
    full, near = in_order(
        engine, [Request((5,) * 2000, GREEDY), Request((5,) * 1000, GREEDY, frozenset())]
    )
    assert (full.finish_reason, full.token_ids) == ("length", ())
    assert (near.finish_reason, len(near.token_ids)) == ("length", 24)


def test_the_server_tells_what_it_is(engine: Engine) -> None:
    assert engine.facts.version.startswith("vllm ")


def test_scores_are_those_of_the_transformers_engine(tmp_path: Path) -> None:
    asked = [Request(tuple(CHAT.conversation(query, "Yes."))) for query in QUERIES]
    here = open_engine(EngineSpec(), REWARD_MODEL, "score")
    expected = in_order(here, asked)
    here.close()
    with running(tmp_path / "log", vllm(REWARD_MODEL, "--runner", "pooling")) as url:
        spec = EngineSpec("server", models={REWARD_MODEL.ref: {"url": url}})
        there = open_engine(spec, REWARD_MODEL, "score")
        got = in_order(there, asked)
        there.close()
    assert len(got) == 32
    for one, other in zip(got, expected, strict=True):
        assert one.scores == pytest.approx(other.scores, abs=1e-3)
