"""Batches: token budget, order and resuming; steps of several batches, shared among ranks as by one process."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rnnkit.data.aligned_data import SentenceDataset
from rnnkit.data.batch_sampler import BatchSampler, ShardSpec, StepIterator, pad_sequences, plan_epoch, shift_right
from rnnkit.data.bptt_batching import BpttBatchSampler, BpttLayout, LanguageModelBatch, LineBatchSampler
from rnnkit.text.special_tokens import BOS, PAD


def lengths(pairs: list[tuple[int, int]]) -> list[np.ndarray]:
    return [np.array([pair[side] for pair in pairs], dtype=np.int64) for side in (0, 1)]


PAIRS = st.lists(st.tuples(st.integers(1, 30), st.integers(1, 30)), min_size=1, max_size=80)


@settings(max_examples=60, deadline=None)
@given(pairs=PAIRS, budget=st.integers(1, 100), seed=st.integers(0, 5))
def test_every_sentence_once_and_every_batch_within_budget(
    pairs: list[tuple[int, int]], budget: int, seed: int
) -> None:
    sides = lengths(pairs)
    batches = plan_epoch(sides, budget, seed, epoch=2)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(pairs)))
    for batch in batches:
        longest = max(int(side[batch].max()) for side in sides)
        assert len(batch) == 1 or longest * len(batch) <= budget


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    sides = lengths([(index % 7 + 1, index % 5 + 1) for index in range(50)])

    def flat(seed: int, epoch: int) -> list[int]:
        return np.concatenate(plan_epoch(sides, 20, seed, epoch)).tolist()  # type: ignore[no-any-return]

    assert flat(1, 0) == flat(1, 0)
    assert flat(1, 0) != flat(1, 1)
    assert flat(1, 0) != flat(2, 0)


def test_sentences_of_similar_length_share_a_batch() -> None:
    sides = lengths([(length, length) for length in range(1, 41)] * 5)
    batches = plan_epoch(sides, 100, seed=1, epoch=0)
    padded = sum(len(batch) * int(sides[1][batch].max()) for batch in batches)
    assert padded < 1.1 * sides[1].sum()


def test_resumed_batches_continue() -> None:
    sides = lengths([(index % 7 + 1, index % 5 + 1) for index in range(50)])
    whole = BatchSampler(sides, 20, seed=3)
    for _ in range(whole.per_epoch + 3):
        next(whole)
    state = whole.state_dict()
    assert state == {"epoch": 1, "batch": 3}
    again = BatchSampler(sides, 20, seed=3)
    again.load_state_dict(state)
    for _ in range(whole.per_epoch):
        assert next(whole).tolist() == next(again).tolist()


def test_right_padding_and_shifted_decoder_input() -> None:
    padded, counts = pad_sequences([np.array([5, 6, 3]), np.array([7, 3])])
    assert padded.tolist() == [[5, 6, 3], [7, 3, PAD]]
    assert counts.tolist() == [3, 2]
    assert shift_right(padded).tolist() == [[BOS, 5, 6], [BOS, 7, 3]]


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
