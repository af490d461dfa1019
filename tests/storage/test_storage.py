import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pytest
from fsspec.implementations.local import LocalFileSystem

from magpie_hub import pipeline
from magpie_hub.errors import DamagedShard, StorageError, UsageError
from magpie_hub.run import Run
from magpie_hub.run.status import status
from magpie_hub.storage import Folder, RemoteFolder, leftovers, open_folder, write_atomically
from magpie_hub.storage.shards import Headers, ShardStore
from tests.conftest import Silent, shard_bytes
from tests.many import many


class Renaming(LocalFileSystem):
    """A filesystem with folders and renames behind a URL, as SFTP is one."""

    protocol = ("renaming",)

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return super()._strip_protocol(path.removeprefix("renaming://"))


@pytest.fixture
def memory() -> Iterator[str]:
    url = "memory://bucket/run"
    yield url
    fsspec.filesystem("memory").store.clear()
    fsspec.filesystem("memory").pseudo_dirs[:] = [""]


@pytest.fixture(params=["path", "file", "memory", "renaming"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, memory: str) -> Folder:
    fsspec.register_implementation("renaming", Renaming, clobber=True)
    return open_folder(
        {
            "path": tmp_path / "run",
            "file": f"file://{tmp_path}/a%20b",
            "memory": memory,
            "renaming": f"renaming://{tmp_path}/run",
        }[request.param]
    )


def test_every_filesystem_does_the_same(folder: Folder) -> None:
    inside = folder.child("queries")
    assert inside is folder.child("queries")
    assert (inside.names(), inside.stamp("a")) == ([], None)
    with pytest.raises(FileNotFoundError):
        inside.read("a")
    inside.delete("a")
    inside.write("a", b"0123456789")
    inside.write("b", b"x", durable=False)
    assert inside.read("a") == b"0123456789"
    assert (inside.head("a", 4), inside.head("a", 99)) == (b"0123", b"0123456789")
    assert (inside.tail("a", 4), inside.tail("a", 99)[-1:]) == (b"6789", b"9")
    assert inside.names() == ["a", "b"]
    assert folder.names() == ["queries"]
    before = inside.stamp("a")
    assert inside.stamp("a") == before
    inside.write("a", b"9876543210")
    assert inside.stamp("a") not in (before, None)
    inside.delete("a")
    assert (inside.names(), inside.stamp("a")) == (["b"], None)


def test_what_others_write_elsewhere_is_seen_after_a_refresh(memory: str) -> None:
    ours, theirs = open_folder(memory), open_folder(memory)
    assert ours.child("a").stamp("x") is None
    theirs.child("a").write("x", b"1")
    assert ours.child("a").stamp("x") is None
    ours.refresh()
    assert ours.child("a").stamp("x") is not None


def test_only_what_is_on_this_machine_has_a_path(memory: str, tmp_path: Path) -> None:
    assert open_folder(f"file://{tmp_path}").path == tmp_path
    assert open_folder(str(tmp_path)).path == tmp_path
    with pytest.raises(UsageError, match=f"^{memory} is not on this machine; copy the run to a"):
        _ = open_folder(memory).path


def test_a_url_that_nothing_opens() -> None:
    with pytest.raises(
        UsageError, match=r"^nope://x cannot be opened: Protocol not known: nope\.$"
    ):
        open_folder("nope://x")


def test_no_fsspec_for_local_paths(tmp_path: Path) -> None:
    code = (
        "import sys; from magpie_hub.storage import open_folder; "
        f"open_folder({str(tmp_path)!r}).write('a', b'1'); open_folder('file://{tmp_path}'); "
        "sys.exit('fsspec' in sys.modules)"
    )
    assert os.spawnl(os.P_WAIT, sys.executable, sys.executable, "-c", code) == 0


class Refusing:
    """A filesystem whose every call ends in ``error``."""

    protocol = "s3"

    def __init__(self, error: Exception) -> None:
        self._error = error

    def invalidate_cache(self, path: str) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        def refuse(*_: object, **__: object) -> None:
            raise self._error

        return refuse


@pytest.mark.parametrize(
    "error", [PermissionError("Access\nDenied."), TimeoutError("no answer"), OSError("broken")]
)
def test_a_filesystem_that_refuses_is_one_sentence(error: Exception) -> None:
    folder = RemoteFolder(Refusing(error), "b/run", "s3://b/run")
    for ask in (
        lambda: folder.read("x"),
        lambda: folder.head("x", 1),
        lambda: folder.write("x", b""),
        lambda: folder.names(),
        lambda: folder.delete("x"),
    ):
        with pytest.raises(StorageError, match=r"^s3://b/run cannot be used \(.*\); check") as said:
            ask()
        assert "\n" not in str(said.value)


def test_a_bucket_that_is_not_there() -> None:
    folder = RemoteFolder(Refusing(FileNotFoundError("no such bucket")), "b/run", "s3://b/run")
    assert folder.names() == []
    with pytest.raises(StorageError, match=r"s3://b/run cannot be used \(no such bucket\)"):
        folder.write("x", b"")


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, hard))
    try:
        with pytest.raises(StorageError, match=f"^{path} could not be written .*make room"):
            write_atomically(path, bytes(1 << 20))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_leftovers_are_the_temporary_files(tmp_path: Path) -> None:
    (tmp_path / "queries").mkdir()
    (tmp_path / "queries" / ".00000.arrow.1f.tmp").touch()
    (tmp_path / "queries" / "00000.arrow").touch()
    assert [p.name for p in leftovers(tmp_path)] == [".00000.arrow.1f.tmp"]


SCHEMA = pa.schema([("id", pa.string()), ("error", pa.string())])


def table(*errors: str | None) -> pa.Table:
    return pa.table({"id": [str(i) for i in range(len(errors))], "error": errors}, schema=SCHEMA)


def test_shards_elsewhere_have_the_bytes_of_those_here(folder: Folder, tmp_path: Path) -> None:
    there, here = (ShardStore(each, SCHEMA, "f") for each in (folder, tmp_path / "here"))
    for store in (there, here):
        store.write(7, table(None, "timeout", None), "x/3")
    assert folder.read("00007.arrow") == here.path(7).read_bytes()
    again = ShardStore(folder, SCHEMA, "f")
    assert (again.coverage(7), again.failed(7), again.coverage(8)) == ("x/3", 1, None)
    assert again.read(7).equals(table(None, "timeout", None))


def test_shards_are_read_ahead_in_their_order(folder: Folder) -> None:
    store = ShardStore(folder, SCHEMA, "f")
    for shard in range(70):
        store.write(shard, table(str(shard)), "x")
    read = store.read_each(range(2, 69))
    assert [rows["error"].to_pylist() for rows in read] == [[str(n)] for n in range(2, 69)]
    with pytest.raises(DamagedShard, match=r"00070\.arrow is missing"):
        list(store.read_each(range(69, 71)))


def test_headers_are_read_once_until_a_shard_changes(
    memory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = open_folder(memory)
    store = ShardStore(open_folder(memory), SCHEMA, "f")
    for shard in range(40):
        store.write(shard, table(None, "x"), "c/2")
    reads: list[str] = []
    head = RemoteFolder.head

    def counted(self: RemoteFolder, name: str, size: int) -> bytes:
        reads.append(name)
        return head(self, name, size)

    monkeypatch.setattr(RemoteFolder, "head", counted)
    headers = Headers(folder)
    found = headers.load(range(41))
    assert [h and h.coverage for h in found] == ["c/2"] * 40 + [None]
    assert len(reads) == 40
    assert headers.failed(10, 19) == 10
    time.sleep(0.01)
    store.write(12, table(None, None), "c/2")
    folder.refresh()
    headers.load(range(41))
    assert reads[40:] == ["00012.arrow"]
    assert headers.failed(10, 19) == 9


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """A bucket on a real S3 server on loopback, and the environment that leads there."""
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    environment = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "tests",
        "AWS_SECRET_ACCESS_KEY": "tests",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            filesystem = fsspec.filesystem("s3", skip_instance_cache=True)
            deadline = time.monotonic() + 60
            while True:
                try:
                    filesystem.mkdir("bucket")
                    break
                except OSError:
                    assert server.poll() is None and time.monotonic() < deadline
                    time.sleep(0.2)
            yield "s3://bucket"
    finally:
        fsspec.filesystem("s3").clear_instance_cache()
        server.terminate()
        server.wait()


@pytest.mark.slow
def test_s3_is_a_filesystem_as_any(s3: str) -> None:
    folder, inside = open_folder(f"{s3}/x"), open_folder(f"{s3}/x/queries")
    assert (inside.names(), inside.stamp("a")) == ([], None)
    with pytest.raises(FileNotFoundError):
        inside.read("a")
    inside.delete("a")
    inside.write("a", b"0123456789")
    assert inside.read("a") == b"0123456789"
    assert (inside.head("a", 4), inside.head("a", 99)) == (b"0123", b"0123456789")
    assert (inside.names(), folder.names()) == (["a"], ["queries"])
    theirs = open_folder(f"{s3}/x/queries")
    before = theirs.stamp("a")
    inside.write("a", b"9876543210")
    theirs.refresh()
    assert theirs.stamp("a") not in (before, None)
    inside.delete("a")
    assert inside.names() == []


@pytest.mark.slow
def test_a_bucket_that_is_not_there_on_s3(s3: str) -> None:
    with pytest.raises(
        StorageError, match=r"^s3://no-such-bucket/run\S* cannot be used \(.*does not exist\)"
    ):
        pipeline.run(many(), "s3://no-such-bucket/run", progress=Silent())


@pytest.mark.slow
def test_without_credentials_s3_is_one_sentence(monkeypatch: pytest.MonkeyPatch, s3: str) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    fsspec.filesystem("s3").clear_instance_cache()
    try:
        with pytest.raises(StorageError, match=r"s3://bucket/run.* cannot be used \(.*credentials"):
            Run.open(f"{s3}/run")
    finally:
        fsspec.filesystem("s3").clear_instance_cache()


@pytest.mark.slow
def test_a_run_on_s3_stopped_and_continued_has_the_bytes_of_one_here(
    s3: str, alone: Path, tmp_path: Path
) -> None:
    out = f"{s3}/many/run"
    for until in ("screen", "annotate"):
        pipeline.run(many(), out, progress=Silent(), until=until)
    run = Run.open(out)
    assert status(run).finished
    assert all(run.accounts(stage.name).keys() == set(range(6)) for stage in run.info.stages)
    with pytest.raises(UsageError, match="s3://bucket/many/run is not on this machine; copy"):
        _ = run.path
    # Nothing is done again, and nothing is left behind.
    pipeline.run(many(), out, progress=(again := Silent()))
    assert again.stages == []
    assert open_folder(out).child(".locks").names() == []
    copy = tmp_path / "copy"
    fsspec.filesystem("s3").get(f"{out}/", f"{copy}/", recursive=True)
    assert shard_bytes(copy) == shard_bytes(alone)
    pipeline.run(many(), copy, progress=again)
    assert again.stages == []
