from pathlib import Path

import pyarrow as pa
import pytest

from magpie_hub.errors import DamagedShard, RunMismatch
from magpie_hub.storage import LocalFolder
from magpie_hub.storage.shards import ShardStore

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


def test_a_half_copy_is_told_without_reading_it(store: ShardStore) -> None:
    store.write(0, pa.Table.from_pylist(ROWS, schema=SCHEMA), "x")
    whole = store.path(0).read_bytes()
    for keep in (0, 10, 400, len(whole) - 1):
        store.path(0).write_bytes(whole[:keep])
        with pytest.raises(DamagedShard, match=r"00000\.arrow is damaged; delete it"):
            store.coverage(0)
    store.path(0).write_bytes(whole)
    assert store.coverage(0) == "x"


def test_a_shard_says_how_many_of_its_rows_failed(tmp_path: Path) -> None:
    schema = pa.schema([("id", pa.string()), ("error", pa.string())])
    store = ShardStore(tmp_path, schema, "fingerprint")
    rows = [{"id": str(i), "error": "no answer" if i < 3 else None} for i in range(9)]
    store.write(0, pa.Table.from_pylist(rows, schema=schema), "x")
    store.write(1, pa.Table.from_pylist(rows[3:], schema=schema), "x")
    again = ShardStore(tmp_path, schema, "fingerprint")
    assert [again.failed(shard) for shard in range(3)] == [3, 0, 0]
    store.write(0, pa.Table.from_pylist(rows[2:], schema=schema), "x")
    assert [each.failed(0) for each in (store, again)] == [1, 1]


def test_a_shard_without_errors_counts_none(store: ShardStore) -> None:
    store.write(0, pa.Table.from_pylist(ROWS, schema=SCHEMA), "x")
    assert store.failed(0) == 0
    assert b"magpie_hub.failed" not in store.path(0).read_bytes()


def test_a_long_schema_is_read_whole(tmp_path: Path) -> None:
    schema = pa.schema([(f"a_column_with_a_long_name_{i}", pa.string()) for i in range(200)])
    ShardStore(tmp_path, schema, "f").write(0, schema.empty_table(), "x/0")
    assert ShardStore(tmp_path, schema, "f").coverage(0) == "x/0"


def test_what_a_shard_says_is_remembered_until_it_changes(
    store: ShardStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write(0, pa.Table.from_pylist(ROWS, schema=SCHEMA), "one")
    looks: list[str] = []
    head = LocalFolder.head

    def counted(self: LocalFolder, name: str, size: int) -> bytes:
        looks.append(name)
        return head(self, name, size)

    monkeypatch.setattr(LocalFolder, "head", counted)
    again = ShardStore(store.folder, SCHEMA, "fingerprint")
    assert {again.coverage(0) for _ in range(5)} == {"one"}
    assert len(looks) == 1
    store.write(0, pa.Table.from_pylist(ROWS, schema=SCHEMA), "two")
    assert (again.coverage(0), len(looks)) == ("two", 2)
    store.path(0).unlink()
    assert (again.coverage(0), store.coverage(0)) == (None, None)
