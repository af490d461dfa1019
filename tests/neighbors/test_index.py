from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magpie_hub.errors import InvalidData, RunMismatch, UsageError
from magpie_hub.neighbors.index import Index
from magpie_hub.neighbors.pieces import Row
from tests.neighbors import vectors as sets

DIMENSIONS = 48


def open_index(folder: Path, *, block_rows: int = 100, fingerprint: str = "model") -> Index:
    return Index(folder, dimensions=DIMENSIONS, fingerprint=fingerprint, block_rows=block_rows)


def name(shard: int, row: int) -> str:
    return f"{shard}/{row}"


def rows_of(shard: int, vectors: sets.Vectors) -> list[Row]:
    """Their texts spell their vectors."""
    return [Row(row, name(shard, row), each.tobytes().hex()) for row, each in enumerate(vectors)]


def embed(texts: list[str]) -> sets.Vectors:
    return np.stack([np.frombuffer(bytes.fromhex(text), np.float32) for text in texts])


def add(index: Index, shard: int, vectors: sets.Vectors) -> None:
    index.put(shard, rows_of(shard, vectors), embed)


def shards_of(vectors: sets.Vectors, rows: int) -> dict[int, sets.Vectors]:
    return {
        i: vectors[start : start + rows] for i, start in enumerate(range(0, len(vectors), rows))
    }


def assert_right(index: Index, shards: dict[int, sets.Vectors]) -> None:
    """As float64 brute force over all of them has it, ids and places too."""
    order = sorted(shards)
    distance, nearest, repeats = sets.brute(np.concatenate([shards[s] for s in order]), 0.05)
    places = [(shard, row) for shard in order for row in range(len(shards[shard]))]
    start = 0
    for shard in order:
        found = index.result(shard)
        part = slice(start, start + len(shards[shard]))
        np.testing.assert_allclose(found.distance, distance[part], rtol=1e-12, atol=1e-15)
        np.testing.assert_array_equal(found.repeats, repeats[part])
        expected = [places[i] for i in nearest[part]]
        assert list(zip(found.shard.tolist(), found.row.tolist(), strict=True)) == expected
        assert found.id == [name(*place) for place in expected]
        start += len(shards[shard])


def snapshot(index: Index) -> list[list[object]]:
    found = [index.result(shard) for shard in index.shards()]
    return [[part.tolist() if isinstance(part, np.ndarray) else part for part in f] for f in found]


def test_shards_together(tmp_path: Path) -> None:
    shards = shards_of(sets.clustered(530, 0.16), 40)
    index = open_index(tmp_path)
    for shard, vectors in shards.items():
        add(index, shard, vectors)
    assert index.pending() > 1
    heard: list[tuple[int, int]] = []
    pairs = index.pending()
    index.compute(lambda done, total: heard.append((done, total)))
    assert heard == [(i, pairs) for i in range(1, pairs + 1)]
    assert index.pending() == 0
    assert_right(index, shards)
    assert_right(open_index(tmp_path), shards)


def test_shards_one_by_one_in_any_order_give_the_same(tmp_path: Path) -> None:
    shards = shards_of(np.concatenate([sets.clustered(300, 0.16), sets.duplicated(90, 7)]), 30)
    whole, bit_by_bit = open_index(tmp_path / "whole"), open_index(tmp_path / "bits")
    for shard, vectors in shards.items():
        add(whole, shard, vectors)
    whole.compute()
    for shard in np.random.default_rng(0).permutation(list(shards)).tolist():
        add(bit_by_bit, shard, shards[shard])
        bit_by_bit.compute()
    assert_right(whole, shards)
    assert snapshot(bit_by_bit) == snapshot(whole)


def test_a_new_shard_meets_the_old_and_no_old_pair_meets_again(tmp_path: Path) -> None:
    shards = shards_of(sets.random(400), 100)
    index = open_index(tmp_path)
    for shard, vectors in shards.items():
        add(index, shard, vectors)
    index.compute()
    shards[9] = sets.random(50, seed=9)
    add(index, 9, shards[9])
    assert index.pending() == 5  # four old blocks and itself
    with pytest.raises(UsageError, match="not all known"):
        index.result(0)
    index.compute()
    assert_right(index, shards)


def test_small_blocks_become_one(tmp_path: Path) -> None:
    index = open_index(tmp_path, block_rows=1000)
    for shard in range(12):
        add(index, shard, sets.random(10, seed=shard))
        assert index.pending() <= 3
        index.compute()
    assert len(list((tmp_path / "blocks").iterdir())) <= 2
    assert_right(index, {shard: sets.random(10, seed=shard) for shard in range(12)})


def test_a_shard_that_gains_rows_embeds_and_compares_these_alone(tmp_path: Path) -> None:
    """Rows come behind and between those that are there, and stand in their order all the same."""
    shards = shards_of(np.concatenate([sets.clustered(260, 0.16), sets.duplicated(40, 3)]), 100)
    index = open_index(tmp_path)
    for shard, vectors in shards.items():
        rows = rows_of(shard, vectors)
        index.put(shard, rows[:50:2] if shard == 1 else rows[:70], embed)
    index.compute()
    old = {file: file.read_bytes() for file in (tmp_path / "pieces").iterdir()}
    asked: list[str] = []
    for shard, vectors in shards.items():
        index.put(shard, rows_of(shard, vectors), lambda texts: embed(asked.extend(texts) or texts))
    assert len(asked) == 75 + 2 * 30
    assert all(file.read_bytes() == data for file, data in old.items())
    assert index.pending() == 3 * 2 + 6  # three new blocks with two old ones and with each other
    index.compute()
    assert_right(index, shards)
    assert index.rows(1).ids == [name(1, row) for row in range(100)]
    np.testing.assert_array_equal(index.rows(1).vectors, shards[1])
    whole = open_index(tmp_path / "whole")
    for shard, vectors in shards.items():
        add(whole, shard, vectors)
    whole.compute()
    assert snapshot(whole) == snapshot(index)


def test_rows_that_go_are_known_of_no_more(tmp_path: Path) -> None:
    vectors, asked = sets.clustered(90, 0.1), 0

    def counted(texts: list[str]) -> sets.Vectors:
        nonlocal asked
        asked += len(texts)
        return embed(texts)

    index = open_index(tmp_path)
    for shard in range(3):
        index.put(shard, rows_of(shard, vectors[30 * shard : 30 * shard + 30]), counted)
    index.compute()
    gone = {row.id for row in rows_of(1, vectors[30:60])[::3]}
    assert any(set(index.result(shard).id) & gone for shard in (0, 2))
    index.put(1, [row for row in rows_of(1, vectors[30:60]) if row.id not in gone], counted)
    with pytest.raises(UsageError, match="not all known"):
        index.result(0)
    index = open_index(tmp_path)
    index.compute()
    assert asked == 90
    left = np.delete(vectors, range(30, 60, 3), axis=0)
    distance, _, repeats = sets.brute(left, 0.05)
    found = [index.result(shard) for shard in range(3)]
    np.testing.assert_allclose(np.concatenate([each.distance for each in found]), distance)
    np.testing.assert_array_equal(np.concatenate([each.repeats for each in found]), repeats)
    assert not gone & {name for each in found for name in each.id}


def test_another_text_of_a_row_is_another_vector(tmp_path: Path) -> None:
    index, vectors = open_index(tmp_path), sets.random(20)
    add(index, 0, vectors)
    index.compute()
    vectors[7] = sets.random(1, seed=9)
    add(index, 0, vectors)
    index.compute()
    assert_right(index, {0: vectors})


def test_the_same_shard_again_is_nothing_and_another_is_all_anew(tmp_path: Path) -> None:
    shards = shards_of(sets.clustered(300, 0.16), 100)
    index = open_index(tmp_path)
    for shard, vectors in shards.items():
        add(index, shard, vectors)
    index.compute()
    add(index, 1, shards[1])
    assert index.pending() == 0
    shards[1] = sets.clustered(80, 0.1, seed=4)
    add(index, 1, shards[1])
    assert index.pending() == 6
    with pytest.raises(UsageError, match="not all known"):
        index.result(0)
    index.compute()
    assert_right(open_index(tmp_path), shards)


def test_shards_of_no_row_and_of_one(tmp_path: Path) -> None:
    index = open_index(tmp_path)
    add(index, 0, sets.random(0))
    add(index, 1, sets.random(1))
    index.compute()
    assert len(index.result(0).distance) == 0
    alone = index.result(1)
    assert np.isinf(alone.distance[0]) and alone.id == [None]
    assert (alone.shard[0], alone.row[0], alone.repeats[0]) == (-1, -1, 0)


@settings(max_examples=15, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 30), min_size=1, max_size=6),
    stops=st.lists(st.booleans(), min_size=6, max_size=6),
    block_rows=st.sampled_from([1, 20, 60]),
    seed=st.integers(0, 1000),
)
def test_any_shards_and_any_stops(
    sizes: list[int],
    stops: list[bool],
    block_rows: int,
    seed: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    index = open_index(tmp_path_factory.mktemp("index"), block_rows=block_rows)
    shards = {i: sets.clustered(size, 0.16, seed=seed + i) for i, size in enumerate(sizes)}
    if sum(sizes) < 2:
        return
    for (shard, vectors), stop in zip(shards.items(), stops, strict=False):
        add(index, shard, vectors)
        if stop:
            index.compute()
    index.compute()
    assert_right(index, shards)


class Stop(Exception):
    pass


def test_a_stop_after_each_write_costs_a_pair_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process ends before its n-th write, for every n; the next goes on from there."""
    from magpie_hub.storage import LocalFolder

    shards = shards_of(sets.clustered(240, 0.16), 40)
    write, left = LocalFolder.write, 0

    def until(self: LocalFolder, name: str, data: bytes, *, durable: bool = True) -> None:
        nonlocal left
        if not left:
            raise Stop
        left -= 1
        write(self, name, data, durable=durable)

    for shard, vectors in shards.items():
        add(open_index(tmp_path), shard, vectors)
    pending, turns = 1000, 0
    monkeypatch.setattr(LocalFolder, "write", until)
    while True:
        # Three: a plan or the two halves of a pair, and a half one.
        left, turns = 3 if turns % 2 else 2, turns + 1
        index = open_index(tmp_path)
        try:
            index.compute()
            break
        except Stop:
            now = open_index(tmp_path).pending()
            assert now < pending
            pending = now
    assert turns > 3
    assert_right(index, shards)


CHILD = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    from tests.neighbors.test_index import open_index
    index = open_index(Path(sys.argv[1]), block_rows=500)
    index.compute(lambda done, total: print(done, total, flush=True))
    """
)


def start(folder: Path) -> subprocess.Popen[str]:
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": str(root)}
    command = [sys.executable, "-c", CHILD, str(folder)]
    return subprocess.Popen(command, cwd=root, env=environment, stdout=subprocess.PIPE, text=True)


def test_a_killed_computation_goes_on(tmp_path: Path) -> None:
    shards = shards_of(sets.clustered(4000, 0.2), 250)
    index = open_index(tmp_path, block_rows=500)
    for shard, vectors in shards.items():
        add(index, shard, vectors)
    kills, total = 0, index.pending()
    while kills < 3:
        before = open_index(tmp_path, block_rows=500).pending()
        with start(tmp_path) as child:
            assert child.stdout is not None
            for _ in range(2):
                child.stdout.readline()
            time.sleep(0.03 * kills)
            child.send_signal(signal.SIGKILL)
        assert child.returncode == -signal.SIGKILL
        assert open_index(tmp_path, block_rows=500).pending() <= before - 2
        kills += 1
    assert open_index(tmp_path, block_rows=500).pending() < total
    with start(tmp_path) as child:
        child.communicate()
    assert child.returncode == 0
    assert_right(open_index(tmp_path, block_rows=500), shards)


MEMORY = textwrap.dedent(
    """
    import resource, sys
    import numpy as np
    from magpie_hub.neighbors.index import Index
    from magpie_hub.neighbors.pieces import Row
    index = Index(sys.argv[1], dimensions=384, fingerprint="m", block_rows=2000)
    draw = np.random.default_rng(0)
    def vectors(rows):
        made = draw.standard_normal((rows, 384)).astype(np.float32)
        return made / np.linalg.norm(made, axis=1, keepdims=True)
    def add(shard):
        rows = [Row(i, f"{shard}/{i}", "") for i in range(2000)]
        index.put(shard, rows, lambda texts: vectors(len(texts)))
    add(0)
    index.compute()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for shard in range(1, 10):
        add(shard)
    index.compute()
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
    """
)


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in KiB on Linux")
def test_memory_is_that_of_two_blocks(tmp_path: Path) -> None:
    """20,000 rows are 30 MB of vectors and 1.6 GB of products; a block of 2,000 is 3 MB."""
    command = [sys.executable, "-c", MEMORY, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert float(done.stdout) < 100


def test_another_model_or_another_shape_is_refused(tmp_path: Path) -> None:
    index = open_index(tmp_path)
    add(index, 0, sets.random(20))
    index.compute()
    with pytest.raises(RunMismatch, match="another model"):
        open_index(tmp_path, fingerprint="other")
    rows = rows_of(1, sets.random(2))
    for wrong in (sets.random(1), sets.random(2, 5)):
        with pytest.raises(UsageError, match="give one for each text"):
            index.put(1, rows, lambda _, wrong=wrong: wrong)
    with pytest.raises(InvalidData, match="length 1"):
        index.put(1, rows, lambda _: sets.random(2) * np.float32(2))
    assert index.shards() == [0]
