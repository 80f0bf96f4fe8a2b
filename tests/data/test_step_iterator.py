"""Steps of several batches: every batch once, sharded among ranks in the order of one process."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from rnnkit.data.aligned_data import SentenceDataset
from rnnkit.data.batch_sampler import BatchSampler
from rnnkit.data.bptt_batching import BpttBatchSampler, BpttLayout, LanguageModelBatch, LineBatchSampler
from rnnkit.data.step_iterator import ShardSpec, StepIterator

LENGTHS = np.array([3, 5, 7, 2, 2, 4, 6, 1, 3, 3, 5])
COUNTS = st.integers(1, 4)


def test_a_shard_is_every_nth_part() -> None:
    assert ShardSpec(2, rank=1, world_size=3).select("abcdef") == "be"
    assert ShardSpec(2, rank=1, world_size=3).batches_per_step == 6


@given(COUNTS, COUNTS)
def test_ranks_share_the_batches_of_one_process(accumulate: int, processes: int) -> None:
    alone = StepIterator(BatchSampler([LENGTHS], 9, seed=1), ShardSpec(accumulate * processes))
    shares = [
        StepIterator(BatchSampler([LENGTHS], 9, seed=1), ShardSpec(accumulate, rank, processes))
        for rank in range(processes)
    ]
    for _ in range(2 * alone.per_epoch):
        whole = next(alone)
        parts = [next(share) for share in shares]
        for rank, part in enumerate(parts):
            assert [batch.tolist() for batch in part] == [batch.tolist() for batch in whole[rank::processes]]
        assert sum(map(len, parts)) == len(whole) <= accumulate * processes
        assert len({str(share.state_dict()) for share in [alone, *shares]}) == 1


@given(COUNTS)
def test_an_epoch_has_every_sentence_once_and_whole_steps(count: int) -> None:
    steps = StepIterator(BatchSampler([LENGTHS], 9, seed=3), ShardSpec(count))
    taken = [batch for step in islice(steps, steps.per_epoch) for batch in step]
    assert sorted(np.concatenate(taken)) == list(range(len(LENGTHS)))
    assert steps.state_dict()["epoch"] == 0
    next(steps)
    assert steps.state_dict() == {"epoch": 1, "batch": min(count, len(taken))}


@given(COUNTS, COUNTS, st.integers(1, 30))
def test_streams_are_divided_among_ranks(accumulate: int, processes: int, columns: int) -> None:
    text = np.arange(4, 104, dtype=np.uint16)
    whole = BpttBatchSampler(text, BpttLayout(columns, 7), seed=2)
    shares = [
        StepIterator(BpttBatchSampler(text, BpttLayout(columns, 7), seed=2), ShardSpec(accumulate, rank, processes))
        for rank in range(processes)
    ]
    for _ in range(whole.per_epoch + 1):
        piece = next(whole)
        parts = [next(share) for share in shares]
        pieces = [part[place] for place in range(accumulate) for part in parts if place < len(part)]
        assert np.array_equal(np.concatenate([part.input_BT for part in pieces]), piece.input_BT)
        assert np.array_equal(np.concatenate([part.target_BT for part in pieces]), piece.target_BT)
        assert {part.resets_state for part in pieces} == {piece.resets_state}


def test_a_batch_keeps_its_streams_throughout_an_epoch() -> None:
    text = np.arange(4, 104, dtype=np.uint16)
    steps = StepIterator(
        BpttBatchSampler(text, BpttLayout(6, 5, rotate=False), seed=2), ShardSpec(3, rank=1, world_size=2)
    )
    before = next(steps)
    after = next(steps)
    for one, other in zip(before, after, strict=True):
        assert np.array_equal(one.target_BT[:, -1], other.input_BT[:, 0]), "each goes on where it ended"


@pytest.mark.parametrize("rank", [0, 1])
def test_only_its_own_lines_are_read(rank: int, monkeypatch: pytest.MonkeyPatch) -> None:
    offsets = np.concatenate([[0], np.cumsum(LENGTHS)])
    lines = SentenceDataset(np.arange(4, 4 + offsets[-1], dtype=np.uint16), offsets)
    whole = StepIterator(LineBatchSampler(lines, 9, seed=1), ShardSpec(2))
    read: list[int] = []
    spying = LineBatchSampler(lines, 9, seed=1)
    make = spying._batch

    def spy(indices: NDArray[np.int64]) -> LanguageModelBatch:
        read.extend(indices.tolist())
        return make(indices)

    spying._batch = spy  # type: ignore[method-assign]
    part = next(StepIterator(spying, ShardSpec(1, rank, 2)))
    assert len(part) == 1
    (mine,) = next(whole)[rank : rank + 1]
    assert len(read) == len(mine.input_BT)
