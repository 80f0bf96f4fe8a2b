"""The file of states: whole or absent, and read in batches."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from rnnkit.data.state_cache import StateCache, States, read_states, write_states

OFFSETS = np.array([0, 3, 3, 4, 7])
STATES = np.arange(35, dtype=np.float16).reshape(7, 5)


def test_states_are_read_as_written(tmp_path: Path) -> None:
    path = tmp_path / "states" / "train.npy"
    write_states(path, iter([STATES[:3], STATES[3:3], STATES[3:]]))
    found = read_states(path, 7, 5)
    assert found is not None
    np.testing.assert_array_equal(found, STATES)
    assert [each.name for each in path.parent.iterdir()] == ["train.npy"]
    np.testing.assert_array_equal(np.load(path, allow_pickle=False), STATES.ravel())
    batch_BTD = StateCache(found, OFFSETS).batch(np.array([3, 1, 2]))
    assert batch_BTD.shape == (3, 3, 5)
    np.testing.assert_array_equal(batch_BTD[0], STATES[4:])
    assert not batch_BTD[1].any()
    np.testing.assert_array_equal(batch_BTD[2], [STATES[3], np.zeros(5), np.zeros(5)])


def test_interrupted_states_are_absent(tmp_path: Path) -> None:
    def blocks() -> Iterator[States]:
        yield STATES[:3]
        raise KeyboardInterrupt

    path = tmp_path / "train.npy"
    with pytest.raises(KeyboardInterrupt):
        write_states(path, blocks())
    assert read_states(path, 7, 5) is None


@pytest.mark.parametrize(("words", "size"), [(6, 5), (7, 6), (7, 10)])
def test_states_of_another_size_are_absent(tmp_path: Path, words: int, size: int) -> None:
    write_states(tmp_path / "train.npy", [STATES])
    assert read_states(tmp_path / "train.npy", words, size) is None


def test_damaged_states_are_absent(tmp_path: Path) -> None:
    path = tmp_path / "train.npy"
    write_states(path, [STATES])
    path.write_bytes(path.read_bytes()[:-3])
    assert read_states(path, 7, 5) is None
    np.save(path, STATES.astype(np.float32).ravel())
    assert read_states(path, 7, 5) is None
