import pytest

from magpie_hub.engines import Completion, Request
from magpie_hub.stages import Steps
from magpie_hub.stages.driver import Batch, Driver
from tests.conftest import Silent
from tests.scripted import Scripted, echo


def one(number: int) -> Steps:
    [completion] = yield [Request((number,))]
    return {"got": completion.token_ids}


def two_turns(number: int) -> Steps:
    first, second = yield [Request((number,)), Request((number + 1,))]
    [third] = yield [Request((*first.token_ids, *second.token_ids))]
    return {"got": third.token_ids}


def finish(driver: Driver) -> list[Batch]:
    done = []
    while not driver.idle:
        done += driver.poll()
    return done


@pytest.mark.parametrize("batched", [False, True])
def test_each_row_gets_the_answers_to_its_own_requests(batched: bool) -> None:
    engine = Scripted(echo, batched=batched)
    driver = Driver(engine, Silent())
    batches = [
        driver.begin("s", {f"{b}-{i}": two_turns(10 * b + i) for i in range(7)}) for b in (1, 2)
    ]
    done = finish(driver)
    assert sorted(done, key=batches.index) == batches
    for b, batch in zip((1, 2), batches, strict=True):
        assert list(batch.made) == [f"{b}-{i}" for i in range(7)]
        for i, row in enumerate(batch.made.values()):
            assert row["got"] == (10 * b + i, 10 * b + i + 1)
            assert row["error"] is None
        assert (batch.prompt_tokens, batch.new_tokens) == (7 * 4, 7 * 4)
        assert batch.seconds > 0


def test_an_engine_that_batches_gets_a_shards_requests_in_whole_waves() -> None:
    engine = Scripted(echo, batched=True)
    driver = Driver(engine, Silent())
    driver.begin("s", {str(i): two_turns(i) for i in range(5)})
    driver.begin("s", {str(i): one(i) for i in range(3)})
    finish(driver)
    assert [len(wave) for wave in engine.submissions] == [10, 3, 5]


def test_without_batches_a_second_turn_does_not_wait_for_the_others() -> None:
    engine = Scripted(echo)
    driver = Driver(engine, Silent())
    driver.begin("s", {str(i): two_turns(i) for i in range(20)})
    finish(driver)
    assert [len(wave) for wave in engine.submissions][0] == 40
    assert max(len(wave) for wave in engine.submissions[1:]) < 20


def test_a_request_that_fails_marks_its_row_and_no_other() -> None:
    def script(request: Request) -> Completion:
        if request.prompt == (3,):
            return Completion(request, finish_reason="error", error="no")
        return echo(request)

    driver = Driver(Scripted(script), Silent())
    batch = driver.begin("s", {str(i): one(i) for i in range(6)})
    finish(driver)
    assert {name: row["error"] for name, row in batch.made.items() if row["error"]} == {"3": "no"}
    assert batch.failed == 1
    assert batch.made["3"] == {"got": (), "id": "3", "error": "no"}


def test_room_ends_at_the_engines_capacity() -> None:
    driver = Driver(Scripted(echo, capacity=4), Silent())
    assert driver.room and driver.idle
    driver.begin("s", {str(i): one(i) for i in range(5)})
    assert not driver.room
    assert driver.open_rows == 5
    finish(driver)
    assert driver.idle and driver.open_rows == 0
