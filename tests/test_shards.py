import errno
import os
from pathlib import Path

import pyarrow as pa
import pytest

from magpie_hub.errors import DamagedShard, RunMismatch, StorageError
from magpie_hub.shards import ShardStore, leftovers, write_durably

SCHEMA = pa.schema([("id", pa.string()), ("n", pa.int64()), ("tags", pa.list_(pa.string()))])
ROWS = [{"id": f"r{i}", "n": i if i % 3 else None, "tags": ["a", "b"][: i % 3]} for i in range(50)]


@pytest.fixture
def store(tmp_path: Path) -> ShardStore:
    return ShardStore(tmp_path / "queries", SCHEMA, "fingerprint")


def test_what_is_written_is_read(store: ShardStore) -> None:
    table = pa.Table.from_pylist(ROWS, schema=SCHEMA)
    store.write(3, table, "all/50")
    assert store.read(3).equals(table)
    assert store.coverage(3) == "all/50"
    assert store.coverage(0) is None
    assert [p.name for p in store.folder.iterdir()] == ["00003.arrow"]


def test_an_empty_shard_and_a_chunked_table(store: ShardStore) -> None:
    store.write(0, pa.Table.from_pylist([], schema=SCHEMA), "none")
    assert len(store.read(0)) == 0
    parts = [pa.Table.from_pylist(ROWS[i : i + 10], schema=SCHEMA) for i in range(0, 50, 10)]
    store.write(1, pa.concat_tables(parts), "x")
    assert store.read(1).to_pylist() == ROWS


def test_the_same_rows_give_the_same_bytes(store: ShardStore) -> None:
    table = pa.Table.from_pylist(ROWS, schema=SCHEMA)
    store.write(0, table, "x")
    store.write(1, pa.concat_tables([table.slice(0, 7), table.slice(7)]), "x")
    assert store.path(0).read_bytes() == store.path(1).read_bytes()


def test_no_flipped_byte_gives_other_rows(store: ShardStore) -> None:
    table = pa.Table.from_pylist(ROWS, schema=SCHEMA)
    store.write(0, table, "x")
    path = store.path(0)
    good = path.read_bytes()
    refused = 0
    for at in range(0, len(good), 7):
        path.write_bytes(good[:at] + bytes([good[at] ^ 0x55]) + good[at + 1 :])
        try:
            assert store.read(0).equals(table), f"byte {at} changed the rows unseen"
        except (DamagedShard, RunMismatch):
            refused += 1
    assert refused > len(good) // 7 // 2


@pytest.mark.parametrize("keep", [0, 10, 400, -1])
def test_a_truncated_shard_is_damaged_and_named(store: ShardStore, keep: int) -> None:
    store.write(0, pa.Table.from_pylist(ROWS, schema=SCHEMA), "x")
    store.path(0).write_bytes(store.path(0).read_bytes()[:keep])
    with pytest.raises(DamagedShard, match=r"00000\.arrow is damaged; delete it"):
        store.read(0)


def test_a_shard_of_another_run_is_refused(store: ShardStore) -> None:
    store.write(0, pa.Table.from_pylist(ROWS, schema=SCHEMA), "x")
    with pytest.raises(RunMismatch, match="another recipe"):
        ShardStore(store.folder, SCHEMA, "other").read(0)


def test_a_disk_that_refuses_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def full(stream: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(StorageError, match="No space left on device"):
        write_durably(path, full)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_leftovers_are_the_temporary_files(tmp_path: Path) -> None:
    (tmp_path / "queries").mkdir()
    (tmp_path / "queries" / ".00000.arrow.1.tmp").touch()
    (tmp_path / "queries" / "00000.arrow").touch()
    assert [p.name for p in leftovers(tmp_path)] == [".00000.arrow.1.tmp"]
