"""Runs on a real Ray cluster on loopback: a head without room for workers, and nodes for one each.
Drivers are processes of their own, so that they can be killed too."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

import magpie_hub
from magpie_hub import pipeline
from magpie_hub.cluster import run_on_ray
from magpie_hub.cluster.crew import Together
from magpie_hub.cluster.worker import Coordinator
from magpie_hub.engines import EngineSpec
from magpie_hub.errors import RunLocked
from magpie_hub.run import Run
from magpie_hub.storage import open_folder
from magpie_hub.storage.locks import locked
from tests.conftest import Silent, shard_bytes
from tests.many import OVERRIDES, many

ROOT = Path(__file__).parents[1]
RAY = str(Path(sys.executable).with_name("ray"))
SAMPLING = ("rows=480", "shard_rows=80", "sample.max_tokens=6")
"""More rows than one engine takes at a time."""
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(ROOT),
    "RAY_USAGE_STATS_ENABLED": "0",
    # The cluster's own, so that none in the home folder is looked at, and no stranger gets in.
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": secrets.token_hex(32),
}
DRIVER = """
import json, sys
from magpie_hub.cluster import run_on_ray
from magpie_hub.engines import EngineSpec
from magpie_hub.errors import MagpieHubError
from tests.many import many

class Told:
    def __getattr__(self, method):
        return lambda *a, **k: print(json.dumps([method, *a, k]), file=stdout, flush=True)

stdout = sys.stdout
out, address, workers, until, *overrides = sys.argv[1:]
try:
    run_on_ray(many(*overrides), out, address=address, workers=int(workers),
               engine=EngineSpec(), progress=Told(), until=until)
except MagpieHubError as error:
    sys.exit(f"{error.exit_code}: {error}")
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def stop(processes: list[psutil.Process]) -> None:
    """Kill them, as a machine that is switched off does."""
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(processes, timeout=30)


class Node:
    """The processes of one ``ray start``."""

    def __init__(self, *arguments: str, cpus: int) -> None:
        self._handle = subprocess.Popen(
            [
                *(RAY, "start", "--block", "--node-ip-address=127.0.0.1", f"--num-cpus={cpus}"),
                *("--num-gpus=0", f"--object-store-memory={80 << 20}", "--disable-usage-stats"),
                *("--min-worker-port=0", "--max-worker-port=0", "--include-log-monitor=false"),
                *(f"--dashboard-agent-listen-port={free_port()}", *arguments),
            ],
            env=ENVIRONMENT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def processes(self) -> list[psutil.Process]:
        try:
            top = psutil.Process(self._handle.pid)
            return [top, *top.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def stop(self) -> None:
        # First those that would start others again.
        stop(self.processes())
        self._handle.wait()


class Cluster:
    def __init__(self, folder: Path) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        port = self.address.split(":")[1]
        head = (f"--port={port}", f"--temp-dir={folder}", "--include-dashboard=false")
        ports = (f"--ray-client-server-port={free_port()}",)
        self.nodes = [Node("--head", *head, *ports, cpus=0)]
        self._sockets = folder / "session_latest" / "sockets"
        self._await_nodes()

    def add_node(self) -> None:
        self.nodes.append(Node(f"--address={self.address}", cpus=1))
        self._await_nodes()

    def _await_nodes(self) -> None:
        """Two nodes that start at the same time take the same name for their sockets."""
        deadline = time.monotonic() + 120
        while len(list(self._sockets.glob("raylet*"))) < len(self.nodes):
            assert time.monotonic() < deadline, "a node of the cluster does not start"
            time.sleep(0.1)

    def stop(self) -> None:
        for node in reversed(self.nodes):
            node.stop()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    folder = Path(tempfile.mkdtemp(prefix="ray-"))  # a short name: sockets lie in it
    cluster = Cluster(folder)
    try:
        cluster.add_node()
        cluster.add_node()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)


class Driver:
    """A process that runs a recipe on the cluster; its events as they come."""

    def __init__(
        self,
        cluster: Cluster | None,
        out: Path,
        *overrides: str,
        workers: int,
        until: str,
        env: dict[str, str],
    ) -> None:
        address = cluster.address if cluster else "local"
        self._errors = tempfile.TemporaryFile("w+")
        self.handle = subprocess.Popen(
            [
                *(sys.executable, "-c", DRIVER, str(out), address, str(workers), until),
                *overrides,
            ],
            cwd=ROOT,
            env=env,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self.notes: list[str] = []

    def until(self, stage: str) -> None:
        """Wait until ``stage`` has made tokens."""
        for method, *said in self._events():
            if method == "advance" and said[0]["stage"] == stage and said[0].get("tokens"):
                return
        raise AssertionError(f"ended before {stage}: {self.said()}")

    def end(self) -> int:
        code = self.wait()
        assert code in (0, -signal.SIGKILL), self.said()
        return code

    def wait(self) -> int:
        self.notes = [said[0] for method, *said in self._events() if method == "note"]
        return self.handle.wait(timeout=60)

    def close(self) -> None:
        self.handle.kill()
        self.handle.communicate()
        self._errors.close()

    def said(self) -> str:
        self._errors.seek(0)
        return self._errors.read()

    def _events(self) -> Iterator[list[Any]]:
        # Never by `communicate`, which does not know of what was read ahead of a line.
        assert self.handle.stdout is not None
        return map(json.loads, self.handle.stdout)


@contextmanager
def driving(
    cluster: Cluster | None,
    out: Path,
    *overrides: str,
    workers: int,
    until: str = "annotate",
    env: dict[str, str] = ENVIRONMENT,
) -> Iterator[Driver]:
    driver = Driver(cluster, out, *overrides, workers=workers, until=until, env=env)
    try:
        yield driver
    finally:
        driver.close()


def workers_of(out: Path, stage: str) -> set[int]:
    """The processes that have done shards of the stage."""
    return {int(record["worker"].split()[-1]) for record in Run.open(out).accounts(stage).values()}


@pytest.mark.slow
def test_two_workers_started_here_make_the_bytes_of_one_process(tmp_path: Path) -> None:
    pipeline.run(many(*SAMPLING), tmp_path / "one", progress=Silent(), until="sample")
    out, home = tmp_path / "two", tmp_path / "home"
    home.mkdir()
    environment = {name: v for name, v in os.environ.items() if not name.startswith("RAY_")}
    environment |= {"HOME": str(home), "PYTHONPATH": str(ROOT)}
    with driving(None, out, *SAMPLING, workers=2, until="sample", env=environment) as driver:
        assert driver.end() == 0
    assert shard_bytes(out) == shard_bytes(tmp_path / "one")
    assert len(shard_bytes(out)) == 6
    assert not (home / ".ray").exists(), "a secret that later clusters would ask for"


@pytest.mark.slow
def test_an_actor_killed_in_mid_shard(
    cluster: Cluster, tmp_path: Path, alone_bytes: dict[str, bytes]
) -> None:
    out = tmp_path / "run"
    with driving(cluster, out, workers=1) as driver:
        driver.until("judge")
        (pid,) = workers_of(out, "sample")
        stop([psutil.Process(pid)])
        assert driver.end() == 0
    assert any("worker 1 was lost, another takes its shards" in note for note in driver.notes)
    assert pid not in workers_of(out, "reward")
    assert shard_bytes(out) == alone_bytes


@pytest.mark.slow
def test_a_killed_driver_and_a_plain_run_that_goes_on(
    cluster: Cluster, tmp_path: Path, alone_bytes: dict[str, bytes]
) -> None:
    out = tmp_path / "run"
    with driving(cluster, out, workers=2) as driver:
        driver.until("sample")
        assert alone_is_refused(out)
        driver.handle.kill()
        assert driver.end() == -signal.SIGKILL
    before = len(shard_bytes(out))
    deadline = time.monotonic() + 60
    while alone_is_refused(out):
        assert time.monotonic() < deadline, "the workers outlive their driver"
        time.sleep(0.2)
    assert before < len(alone_bytes)
    assert shard_bytes(out) == alone_bytes


def alone_is_refused(out: Path) -> bool:
    try:
        pipeline.run(many(), out, progress=Silent())
    except RunLocked:
        return True
    return False


@pytest.mark.slow
def test_a_model_that_loads_nowhere_ends_the_run(cluster: Cluster, tmp_path: Path) -> None:
    broken = shutil.copytree(Path(magpie_hub.__file__).parent / "bundled" / "chat", tmp_path / "m")
    (weights,) = broken.glob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:1000])
    with driving(cluster, tmp_path / "run", f"model={broken}", workers=1) as driver:
        assert driver.wait() == 1
        assert "5: 3 workers were lost before any made a row; the last said: " in driver.said()


@pytest.mark.slow
def test_what_no_worker_can_mend_ends_the_run(cluster: Cluster, tmp_path: Path) -> None:
    with driving(cluster, tmp_path / "run", workers=2, until="smaple") as driver:
        assert driver.wait() == 1
        assert "2: there is no stage 'smaple'" in driver.said()
    assert open_folder(tmp_path / "run").names() == [".lock", ".ray"]


@pytest.mark.slow
def test_a_node_that_is_switched_off(
    cluster: Cluster, tmp_path: Path, alone_bytes: dict[str, bytes]
) -> None:
    out = tmp_path / "run"
    with driving(cluster, out, workers=2) as driver:
        driver.until("judge")
        pids = workers_of(out, "sample")
        node = next(n for n in cluster.nodes[1:] if pids & {p.pid for p in n.processes()})
        node.stop()
        assert driver.end() == 0
    assert any("was lost, another takes its shards" in note for note in driver.notes)
    assert not pids & workers_of(out, "reward")
    assert shard_bytes(out) == alone_bytes


# Without a cluster.


def test_a_second_driver_is_refused(tmp_path: Path) -> None:
    with (
        locked(tmp_path / ".ray"),
        pytest.raises(RunLocked, match=rf"\.ray is being worked on by process {os.getpid()} on"),
    ):
        run_on_ray(many(), tmp_path, engine=EngineSpec(), progress=Silent())


def test_a_shard_is_one_workers_until_it_is_lost_or_gives_it_back() -> None:
    coordinator = Coordinator()
    assert coordinator.take("a", "sample", 0) is None
    assert coordinator.take("a", "sample", 0) is None
    assert coordinator.take("b", "sample", 0) == {("sample", 0)}
    coordinator.give_back("b", "sample", 0)
    assert coordinator.take("b", "sample", 0) == {("sample", 0)}
    coordinator.drop("a")
    assert coordinator.take("b", "sample", 0) is None
    coordinator.give_back("b", "sample", 0)
    assert coordinator.take("a", "sample", 0) is None


def test_what_workers_tell_is_one_story() -> None:
    told: list[tuple[object, ...]] = []

    class Told(Silent):
        def begin(self, stage: str, *, total: int, done: int) -> None:
            told.append(("begin", stage, total, done))

        def advance(self, stage: str, **counts: int) -> None:
            told.append(("advance", stage, counts))

        def end(self, stage: str) -> None:
            told.append(("end", stage))

    together = Together(Told())
    for kind, said in (
        ("begin", {"stage": "sample", "total": 8, "done": 2}),
        ("begin", {"stage": "sample", "total": 8, "done": 4}),
        ("advance", {"stage": "sample", "tokens": 9}),
    ):
        assert not together.hear([(kind, said)])
    assert together.hear([("advance", {"stage": "sample", "rows": 6})])
    together.hear([("begin", {"stage": "judge", "total": 8, "done": 0})])
    together.close()
    assert [event[:2] for event in told] == [
        ("begin", "sample"),
        ("advance", "sample"),
        ("advance", "sample"),
        ("end", "sample"),
        ("begin", "judge"),
        ("end", "judge"),
    ]
    assert told[0] == ("begin", "sample", 8, 2)


def test_the_small_recipe_has_shards_to_share() -> None:
    assert "shard_rows=4" in OVERRIDES and many().rows > 5 * many().shard_rows
