"""The files of a release: what a version adds lies in files, row groups and chunks of its own."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from magpie_hub.builder import build
from magpie_hub.building import parquet
from magpie_hub.errors import InvalidData
from magpie_hub.release import Release
from tests.builders.pool import COLUMNS, HandPool, row


def release(home: Path, version: str, rows: int, **more: object) -> Release:
    pool = HandPool(rows=[row(i) for i in range(rows)], specs={}, **more)
    return build(pool, version, home / version, kind="sft", report=lambda line: None)


def files(of: Release) -> list[tuple[str, int]]:
    """Of each file of `all` its sha256 and its rows."""
    names = of.manifest.configs["all"].splits["train"].files
    return [
        (of.manifest.files[name].sha256, pq.read_metadata(of.path / name).num_rows)
        for name in names
    ]


def test_new_rows_come_in_new_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "GROUP_BYTES", 8_000)
    made = release(tmp_path, "1.0.0", 101)
    first = files(made)
    size = made.manifest.files["data/all/train-00000-of-00001.parquet"].size
    monkeypatch.setattr(parquet, "TAIL_BYTES", size * 0.9)
    assert [rows for _, rows in first] == [101]
    second = files(release(tmp_path, "1.1.0", 203))
    assert [rows for _, rows in second] == [101, 102] and second[:1] == first
    # the release before counts, not the one that stands behind
    assert files(release(tmp_path, "1.0.1", 101)) == first
    assert files(release(tmp_path, "1.2.0", 203)) == second
    third = files(release(tmp_path, "1.3.0", 210))
    assert [rows for _, rows in third] == [101, 102, 7] and third[:2] == second
    # a small file at the end is written again, not followed by another
    fourth = files(release(tmp_path, "1.4.0", 220))
    assert [rows for _, rows in fourth] == [101, 102, 17] and fourth[:2] == second


def test_fewer_rows_end_where_they_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "TAIL_BYTES", 1)
    release(tmp_path, "1.0.0", 40)
    release(tmp_path, "1.1.0", 60)
    assert [rows for _, rows in files(release(tmp_path, "2.0.0", 50))] == [40, 10]
    (tmp_path / "2.0.0/data/all/train-00000-of-00002.parquet").write_bytes(b"damaged")
    with pytest.raises(InvalidData, match="train-00000-of-00002.parquet cannot be read"):
        release(tmp_path, "2.1.0", 60)


def test_files_end_by_themselves_behind_the_old_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One more column makes no file end before the old end."""
    monkeypatch.setattr(parquet, "TAIL_BYTES", 1)
    monkeypatch.setattr(parquet, "GROUP_BYTES", 4_000)
    monkeypatch.setattr(parquet, "FILE_BYTES", 12_000)
    fewer = tuple(name for name in COLUMNS if name != "reward")
    first = files(release(tmp_path, "1.0.0", 300, names=fewer))
    ends = [rows for _, rows in first]
    assert len(first) > 3
    second = [rows for _, rows in files(release(tmp_path, "1.1.0", 300))]
    assert second == ends
    third = [rows for _, rows in files(release(tmp_path, "1.2.0", 500))]
    assert third[: len(ends)] == ends and len(third) > len(ends) + 1 and sum(third) == 500


def test_row_groups_are_few_and_texts_have_no_statistics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "GROUP_BYTES", 16_000)
    made = release(tmp_path, "1.0.0", 400)
    found = pq.read_metadata(made.path / "data/all/train-00000-of-00001.parquet")
    entry = made.manifest.configs["all"].splits["train"]
    assert found.num_row_groups <= 1.2 * entry.num_bytes / 16_000 + 1
    group = found.row_group(0)
    columns = [group.column(number) for number in range(group.num_columns)]
    told = {column.path_in_schema: column.is_stats_set for column in columns}
    assert told["id"] and told["reward"] and not told["messages.list.element.content"]
    assert all(column.has_offset_index for column in columns)
