from __future__ import annotations

import json
import os
import re
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
from magpie_hub.engines.server import crew
from magpie_hub.engines.server.dialects import Vocabulary
from magpie_hub.errors import EngineError, UsageError
from magpie_hub.models import Model
from tests.engines.server.fake import HANG, RESET, FakeServer, Fault

MODEL = models.resolve("bundled:chat")
CHAT = template.load(MODEL.path)
VOCABULARY = Vocabulary.load(MODEL)
STOP = frozenset(VOCABULARY.ids("<|im_end|>"))
WARM = Decoding(temperature=1.0, top_p=0.9, max_tokens=50)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "_BACKOFF", 0.02)
    monkeypatch.delenv("MAGPIE_HUB_SERVER_KEY", raising=False)


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    with FakeServer(VOCABULARY) as server:
        yield server


class opened:  # noqa: N801 (reads as the statement it is)
    """An engine on fakes, which have forgotten its opening."""

    def __init__(self, *fakes: FakeServer, model: Model = MODEL, **options: Any) -> None:
        self.fakes = fakes
        urls = [fake.url for fake in fakes]
        self.engine = open_engine(EngineSpec("server", {"url": urls, **options}), model)

    def __enter__(self) -> Engine:
        for fake in self.fakes:
            fake.forget()
        return self.engine

    def __exit__(self, *_: object) -> None:
        self.engine.close()


def requests(count: int, **changes: Any) -> list[Request]:
    settings = {"prompt": CHAT.prefix_ids, "decoding": WARM, "stop_ids": STOP} | changes
    return [Request(seed=100 + i, **settings) for i in range(count)]


def answered(completions: list[Completion]) -> bool:
    """Whether each has the fake's words for its own seed."""
    return all(
        VOCABULARY.text(c.token_ids) == f"Answer {c.request.seed}" and c.finish_reason == "stop"
        for c in completions
    )


def test_every_request_is_answered_once_and_cut_at_its_stop(fake: FakeServer) -> None:
    with opened(fake, concurrency=4) as engine:
        asked = requests(30)
        got = list(generate(engine, asked))
        assert engine.facts.version == "vllm 1.2.3"
    assert {c.request for c in got} == set(asked) and len(got) == 30
    assert answered(got)
    body = fake.completions[0]
    assert body["prompt"] == list(CHAT.prefix_ids)
    assert body["model"] == "served"


def test_no_more_are_in_flight_than_was_said(fake: FakeServer) -> None:
    with FakeServer(VOCABULARY) as other, opened(fake, other, concurrency=3) as engine:
        assert engine.capacity == 12
        fake.gate.clear()
        other.gate.clear()
        engine.submit(requests(20))
        until(lambda: fake.flying + other.flying == 6)
        time.sleep(0.05)
        fake.gate.set()
        other.gate.set()
        got: list[Completion] = []
        while completions := engine.poll():
            got += completions
        assert fake.most_flying == other.most_flying == 3
    assert len(got) == 20 and answered(got)
    assert fake.completions and other.completions


def test_nothing_in_flight_is_nothing_to_wait_for(fake: FakeServer) -> None:
    with opened(fake) as engine:
        assert engine.poll() == []
        list(generate(engine, requests(1)))
        assert engine.poll() == []


@pytest.mark.parametrize("faults", [[Fault(500)] * 2, [Fault(503), RESET], [RESET], [Fault(429)]])
def test_what_passes_is_tried_again(fake: FakeServer, faults: list[Fault]) -> None:
    with opened(fake) as engine:
        fake.faults.extend(faults)
        (completion,) = generate(engine, requests(1))
    assert answered([completion])
    assert len(fake.completions) == len(faults) + 1


def test_a_server_says_when_to_come_back(fake: FakeServer) -> None:
    with opened(fake, concurrency=1) as engine:
        fake.faults.append(Fault(429, headers={"Retry-After": "1"}))
        start = time.monotonic()
        got = list(generate(engine, requests(3)))
    assert answered(got) and len(got) == 3
    assert 1 <= time.monotonic() - start < 5
    assert len(fake.completions) == 4, "nobody else may come before"


def test_who_does_not_want_to_wait_goes_elsewhere(fake: FakeServer) -> None:
    with FakeServer(VOCABULARY) as other, opened(fake, other) as engine:
        fake.always = Fault(429, headers={"Retry-After": "Wed, 21 Oct 2099 07:28:00 GMT"})
        got = list(generate(engine, requests(2)))
        assert answered(got) and len(got) == 2
        assert len(fake.completions) == 1


def test_the_third_failure_is_the_requests_own(fake: FakeServer) -> None:
    with opened(fake, concurrency=1) as engine:
        fake.faults.extend([Fault(500)] * 3)
        failed, good = list(generate(engine, requests(1))) + list(generate(engine, requests(1)))
    assert failed.finish_reason == "error" and failed.token_ids == ()
    assert failed.error == f"{fake.url} answered 500: out of order, at the third try"
    assert answered([good])


def test_a_server_that_hangs_is_not_waited_for(fake: FakeServer) -> None:
    with opened(fake, timeout=0.2) as engine:
        fake.faults.append(HANG)
        (completion,) = generate(engine, requests(1))
        assert answered([completion])
        fake.always = HANG
        (completion,) = generate(engine, requests(1))
    assert completion.finish_reason == "error"
    assert completion.error is not None and "did not answer within 0.2 s" in completion.error


def test_what_is_refused_is_not_tried_again(fake: FakeServer) -> None:
    with opened(fake) as engine:
        fake.always = Fault(400, "this prompt is no good.")
        (completion,) = generate(engine, requests(1))
    assert completion.error == f"{fake.url} answered 400: this prompt is no good"
    assert len(fake.completions) == 1


def test_a_retry_goes_elsewhere(fake: FakeServer) -> None:
    with FakeServer(VOCABULARY) as other, opened(fake, other) as engine:
        fake.always = Fault(500)
        got = list(generate(engine, requests(10)))
        assert answered(got) and len(got) == 10
        assert fake.completions


def test_one_server_dies_and_the_other_does_its_work(fake: FakeServer) -> None:
    with FakeServer(VOCABULARY) as other, opened(fake, other, concurrency=2) as engine:
        asked = requests(60)
        got = []
        for completion in generate(engine, asked):
            got.append(completion)
            if len(got) == 10:
                assert fake.completions
                fake.stop()
    assert {c.request for c in got} == set(asked) and len(got) == 60
    assert answered(got)


def test_a_server_that_comes_back_is_asked_again(fake: FakeServer) -> None:
    with opened(fake, patience=30) as engine:
        fake.stop()
        engine.submit(requests(5))
        with FakeServer(VOCABULARY, port=fake.port) as back:
            got: list[Completion] = []
            while completions := engine.poll():
                got += completions
            assert len(back.completions) == 5
    assert len(got) == 5 and answered(got)


def test_a_gateway_without_a_server_is_given_time(fake: FakeServer) -> None:
    with opened(fake, patience=30) as engine:
        fake.always = Fault(503)
        fake.health = 503
        engine.submit(requests(20))
        until(lambda: len(fake.completions) == 20)
        time.sleep(0.5)
        assert len(fake.completions) == 20, "until it is healthy, nothing is sent"
        fake.always = None
        fake.health = 200
        got: list[Completion] = []
        while completions := engine.poll():
            got += completions
    assert len(got) == 20 and answered(got)


def test_no_server_at_all_ends_the_engine(fake: FakeServer) -> None:
    with FakeServer(VOCABULARY) as other, opened(fake, other, patience=0.3) as engine:
        engine.submit(requests(4))
        while engine.poll():
            pass
        fake.stop()
        other.stop()
        engine.submit(requests(4))
        start = time.monotonic()
        with pytest.raises(EngineError, match=f"{fake.url}, {other.url} went away") as caught:
            engine.poll()
        assert 0.3 <= time.monotonic() - start < 5
        assert caught.value.exit_code == 5
        with pytest.raises(EngineError, match="went away"):
            engine.poll()


def test_a_fault_of_ours_does_not_hang(fake: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(fake) as engine:
        monkeypatch.setattr("magpie_hub.engines.server.client.body", lambda *_: 1 / 0)
        engine.submit(requests(1))
        with pytest.raises(ZeroDivisionError):
            engine.poll()


@pytest.fixture
def heard() -> Iterator[None]:
    """Ctrl-C, which whoever starts the tests in the background has them ignore."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heard")
def test_ctrl_c_ends_a_poll(fake: FakeServer) -> None:
    with opened(fake) as engine:
        fake.gate.clear()
        engine.submit(requests(1))
        timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            engine.poll()
        timer.join()


def test_closing_drops_what_is_in_flight_and_ends_the_thread(fake: FakeServer) -> None:
    before = threading.active_count()
    with opened(fake) as engine:
        fake.gate.clear()
        engine.submit(requests(3))
        until(lambda: fake.flying == 3)
    engine.close()
    assert not [t for t in threading.enumerate() if t.name == "magpie-hub server"]
    assert engine.poll() == []
    fake.gate.set()
    until(lambda: threading.active_count() <= before)


def test_a_context_that_is_full_is_a_length(fake: FakeServer) -> None:
    fake.context = 20
    with opened(fake) as engine:
        full, cut = generate_in_order(
            engine, [*requests(1, prompt=(5,) * 20), *requests(1, prompt=(5,) * 18)]
        )
    assert (full.finish_reason, full.token_ids) == ("length", ())
    assert (cut.finish_reason, len(cut.token_ids)) == ("length", 2)
    assert [body["max_tokens"] for body in fake.completions] == [2]


def test_prompts_go_as_text_where_ids_are_refused() -> None:
    with FakeServer(VOCABULARY, kind="other", takes_ids=False) as fake, opened(fake) as engine:
        got = list(generate(engine, requests(5)))
        (other,) = generate(
            engine, requests(1, prompt=tuple(VOCABULARY.ids(c)[0] for c in "Hello"))
        )
        bodies = fake.completions
    assert answered(got) and len(got) == 5
    assert [body["prompt"] for body in bodies] == [CHAT.prefix] * 5
    assert bodies[0]["stop"] == ["<|im_end|>"]
    assert other.finish_reason == "error"
    assert other.error is not None and "not exactly its tokens" in other.error


def test_an_output_in_text_is_cut_at_the_stop_too() -> None:
    words = "One<|im_end|>two"
    with FakeServer(VOCABULARY, kind="other", answer=words) as fake, opened(fake) as engine:
        (completion,) = generate(engine, requests(1))
    assert VOCABULARY.text(completion.token_ids) == "One"
    assert completion.finish_reason == "stop"


def test_a_bos_is_not_doubled(tmp_path: Path) -> None:
    """The prefix begins with <|im_start|>, which is this tokenizer's BOS."""
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(MODEL.path / name, folder / name)
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(
        json.dumps(config | {"bos_token": "<|im_start|>"})
    )
    model = Model("with-bos", folder, "sha256:0")
    with (
        FakeServer(VOCABULARY, kind="other", takes_ids=False, adds_bos=True) as fake,
        opened(fake, model=model) as engine,
    ):
        (good,) = generate(engine, requests(1))
        (bare,) = generate(engine, requests(1, prompt=VOCABULARY.ids("Hello")))
        bodies = fake.completions
    assert answered([good])
    assert [body["prompt"] for body in bodies] == [CHAT.prefix.removeprefix("<|im_start|>")]
    assert bare.error is not None and "a BOS token before every prompt" in bare.error


def test_a_server_that_reads_other_tokens_is_refused() -> None:
    with FakeServer(VOCABULARY, kind="other", takes_ids=False, miscounts=3) as fake:
        refuses(fake, EngineError, "counts 4 tokens where the tokenizer of bundled:chat has 1")


def test_a_prompt_that_was_read_otherwise_is_an_error() -> None:
    with FakeServer(VOCABULARY, kind="other", takes_ids=False) as fake, opened(fake) as engine:
        fake.miscounts = 1
        (completion,) = generate(engine, requests(1))
    assert completion.finish_reason == "error"
    assert completion.error == f"{fake.url} read 4 tokens where the prompt has 3"


@pytest.mark.parametrize(
    "fault",
    [Fault(404, "Not Found"), Fault(501, "no"), Fault(400, "This is a chat model; use chat.")],
)
def test_a_server_that_only_chats_is_refused(fake: FakeServer, fault: Fault) -> None:
    fake.always = fault
    refuses(fake, EngineError, "a chat endpoint would put its own template around it")


def test_a_redirect_is_not_followed(fake: FakeServer) -> None:
    with FakeServer(VOCABULARY) as other:
        fake.always = Fault(307, "elsewhere", {"Location": f"{other.url}/v1/completions"})
        refuses(fake, EngineError, "answered 307")
        assert other.asked == []


def test_the_served_model_is_chosen_by_name(fake: FakeServer) -> None:
    fake.models = ["base", "bundled:chat", "lora"]
    with opened(fake) as engine:
        list(generate(engine, requests(1)))
    with opened(fake, served_model="lora") as engine:
        list(generate(engine, requests(1)))
        assert [body["model"] for body in fake.completions] == ["lora"]
    refuses(fake, UsageError, "no model 'lara'; it has: base, bundled:chat, lora", "lara")
    fake.models = ["one", "two"]
    refuses(fake, UsageError, "no model 'bundled:chat'; it has: one, two")


def test_the_key_is_sent_and_never_told(fake: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "sk-secret")
    with opened(fake, api_key_env="MY_KEY") as engine:
        fake.always = Fault(400, "the key sk-secret may not do this")
        (completion,) = generate(engine, requests(1))
    assert {asked.authorization for asked in fake.asked} == {"Bearer sk-secret"}
    assert completion.error == f"{fake.url} answered 400: the key *** may not do this"
    fake.always = Fault(401, "sk-secret is not known here")
    monkeypatch.setenv("MAGPIE_HUB_SERVER_KEY", "sk-secret")
    refuses(fake, UsageError, re.escape("without a key (401)"))
    with pytest.raises(UsageError, match="NO_SUCH_KEY, which is not set"):
        opened(fake, api_key_env="NO_SUCH_KEY")


def test_loopback_needs_no_proxy(fake: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with opened(fake) as engine:
        assert answered(list(generate(engine, requests(2))))


def test_a_url_may_end_in_v1(fake: FakeServer) -> None:
    options = {"url": f"{fake.url}/v1/, {fake.url}"}
    engine = open_engine(EngineSpec("server", options), MODEL)
    assert engine.facts.devices == 1
    engine.close()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "--engine-arg url=http://127.0.0.1:8000"),
        ({"url": "127.0.0.1:8000"}, "looks like http://127.0.0.1:8000"),
        ({"url": []}, "give one URL or several"),
        ({"url": "http://127.0.0.1:99999"}, "Port out of range"),
        ({"url": "http://me:secret@127.0.0.1:1"}, "not into the URL"),
        ({"url": "http://127.0.0.1:1", "concurency": 3}, "did you mean 'concurrency'"),
        ({"url": "http://127.0.0.1:1", "zzz": 3}, "it has: url, served_model"),
        ({"url": "http://127.0.0.1:1", "timeout": -1}, "option 'timeout': Input should be greater"),
    ],
)
def test_options_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)) as caught:
        open_engine(EngineSpec("server", options), MODEL)
    assert "secret" not in str(caught.value)


def test_no_server_is_said_at_once(fake: FakeServer) -> None:
    fake.stop()
    refuses(fake, EngineError, "no server answers at http://127.0.0.1")


def test_scores_are_read_from_vllm_alone(fake: FakeServer) -> None:
    def scorer(server: FakeServer) -> Engine:
        spec = EngineSpec("server", models={MODEL.ref: {"url": server.url}})
        return open_engine(spec, MODEL, "score")

    engine = scorer(fake)
    (completion,) = generate(engine, [Request(prompt=(5, 6, 7))])
    engine.close()
    assert completion.scores == (3.0,)
    assert fake.asked[-1].body["use_activation"] is False
    fake.always = Fault(501, "The model does not support Pooling API")
    with pytest.raises(EngineError, match="Pooling API.*score with the transformers engine"):
        scorer(fake)
    with FakeServer(VOCABULARY, kind="sglang") as other:
        with pytest.raises(EngineError, match="score with the transformers engine"):
            scorer(other)


def test_a_schema_needs_a_server_that_can_hold_to_it() -> None:
    with FakeServer(VOCABULARY, kind="other") as fake, opened(fake) as engine:
        with pytest.raises(EngineError, match="cannot be held to a JSON schema"):
            engine.submit(requests(1, schema="{}"))
        assert engine.poll() == []


@pytest.mark.parametrize("kind", ["sglang", "other"])
def test_a_repetition_penalty_needs_a_server_that_has_it(kind: str) -> None:
    """And counts the prompt: SGLang's counts only what it wrote itself."""
    strict = Decoding(0.0, 1.0, 20, repetition_penalty=1.2)
    with FakeServer(VOCABULARY, kind=kind) as fake, opened(fake) as engine:
        with pytest.raises(EngineError, match=f"{fake.url} has no repetition penalty that counts"):
            engine.submit(requests(1, decoding=strict))
        assert engine.poll() == [] and fake.completions == []


def refuses(
    fake: FakeServer, kind: type[Exception], message: str, served_model: str | None = None
) -> None:
    with pytest.raises(kind, match=message) as caught:
        opened(fake, served_model=served_model)
    assert "sk-secret" not in str(caught.value)


def generate_in_order(engine: Engine, asked: list[Request]) -> list[Completion]:
    got = {completion.request: completion for completion in generate(engine, asked)}
    return [got[request] for request in asked]


def until(condition: Any) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)
