"""BPTT chunks and line batches: each token once and in order, resumable from a position."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnkit.data.aligned_data import SentenceDataset
from rnnkit.data.bptt_batching import (
    MIN_CHUNK_LENGTH,
    BpttBatchSampler,
    BpttLayout,
    LanguageModelBatch,
    LineBatchSampler,
    collate_lines,
    plan_chunks,
)
from rnnkit.text.special_tokens import EOS, PAD

IDS = np.arange(10, 110, dtype=np.uint16)


def one_pass(batches: BpttBatchSampler) -> list[LanguageModelBatch]:
    return list(islice(batches, batches.per_epoch))


def joined(pieces: list[LanguageModelBatch]) -> tuple[np.ndarray, np.ndarray]:
    return (
        np.concatenate([piece.input_BT for piece in pieces], axis=1),
        np.concatenate([piece.target_BT for piece in pieces], axis=1),
    )


def test_chunks_are_consecutive_and_targets_are_shifted() -> None:
    first, second, third = one_pass(BpttBatchSampler(IDS[:21], BpttLayout(3, 3, rotate=False), seed=1))
    assert first.target_BT.tolist() == [[10, 11, 12], [17, 18, 19], [24, 25, 26]]
    assert first.input_BT.tolist() == [[EOS, 10, 11], [16, 17, 18], [23, 24, 25]]
    assert second.target_BT.tolist() == [[13, 14, 15], [20, 21, 22], [27, 28, 29]]
    assert third.target_BT.tolist() == [[16], [23], [30]]
    assert [piece.resets_state for piece in (first, second, third)] == [True, False, False]
    assert not first.padded


@given(
    length=st.integers(1, 99), columns=st.integers(1, 12), steps=st.integers(1, 11), varied=st.booleans(),
    shuffled=st.booleans(), seed=st.integers(0, 5),
)  # fmt: skip
def test_an_epoch_has_each_token_once_after_its_predecessor(
    length: int, columns: int, steps: int, varied: bool, shuffled: bool, seed: int
) -> None:
    ids = IDS[:length]
    inputs, targets = joined(one_pass(BpttBatchSampler(ids, BpttLayout(columns, steps, varied, shuffled), seed)))
    rows = min(columns, length)
    assert targets.shape == (rows, length // rows)
    assert len(set(targets.flatten().tolist())) == targets.size
    before = {10: EOS, **{int(token): int(token) - 1 for token in ids[1:]}}
    assert inputs.tolist() == [[before[token] for token in row] for row in targets.tolist()]


def test_the_remainder_of_the_streams_moves_each_epoch() -> None:
    batches = BpttBatchSampler(IDS[:23], BpttLayout(5, 4, rotate=False), seed=3)
    seen = [set(joined(one_pass(batches))[1].flatten().tolist()) for _ in range(12)]
    assert all(len(tokens) == 20 for tokens in seen)
    assert set.union(*seen) == set(IDS[:23].tolist())


def test_resuming_from_a_position() -> None:
    cutting = BpttLayout(3, 5, variable_length=True)
    batches = BpttBatchSampler(IDS, cutting, seed=4)
    for _ in range(batches.per_epoch + 2):
        next(batches)
    again = BpttBatchSampler(IDS, cutting, seed=4)
    again.load_state_dict(batches.state_dict())
    for _ in range(9):
        ours, theirs = next(again), next(batches)
        assert ours.input_BT.tolist() == theirs.input_BT.tolist()
        assert (ours.resets_state, ours.target_BT.tolist()) == (theirs.resets_state, theirs.target_BT.tolist())
    assert again.state_dict() == batches.state_dict()


def test_epochs_and_seeds_differ() -> None:
    batches = BpttBatchSampler(IDS, BpttLayout(5, 7), seed=1)
    first, second = joined(one_pass(batches))[1], joined(one_pass(batches))[1]
    assert first.tolist() != second.tolist()
    assert first.tolist() != joined(one_pass(BpttBatchSampler(IDS, BpttLayout(5, 7), seed=2)))[1].tolist()


def test_variable_chunks_are_around_their_length_or_half() -> None:
    ends = plan_chunks(100_000, BpttLayout(1, 70, variable_length=True), seed=1, epoch=0)
    lengths = np.diff(ends)[:-1]
    assert ends[0] == 0
    assert ends[-1] == 100_000
    assert lengths.min() >= MIN_CHUNK_LENGTH
    halved = lengths < 52
    assert 0.02 < halved.mean() < 0.09
    assert abs(lengths[~halved].mean() - 70) < 1
    assert plan_chunks(9, BpttLayout(1, 4), seed=1, epoch=0) == [0, 4, 8, 9]
    assert plan_chunks(8, BpttLayout(1, 4), seed=1, epoch=0) == [0, 4, 8]


def test_lines_start_from_the_zero_state_with_right_padding() -> None:
    piece = collate_lines([np.array([7, 8, EOS]), np.array([9, EOS])])
    assert piece.target_BT.tolist() == [[7, 8, EOS], [9, EOS, PAD]]
    assert piece.input_BT.tolist() == [[EOS, 7, 8], [EOS, 9, EOS]]
    assert piece.resets_state
    assert piece.padded


def test_line_batches_have_every_line_once_and_resume() -> None:
    lengths = [3, 1, 4, 1, 5, 2, 6]
    ids = np.concatenate([[*range(20 * n, 20 * n + size - 1), EOS] for n, size in enumerate(lengths, start=1)])
    lines = SentenceDataset(ids, np.concatenate([[0], np.cumsum(lengths)]))
    batches = LineBatchSampler(lines, budget=8, seed=1)
    pieces = list(islice(batches, batches.per_epoch))
    found = sorted([token for token in row if token != PAD] for piece in pieces for row in piece.target_BT.tolist())
    assert found == sorted(lines[number].tolist() for number in range(len(lines)))
    again = LineBatchSampler(lines, budget=8, seed=1)
    again.load_state_dict(batches.state_dict())
    assert next(again).target_BT.tolist() == next(batches).target_BT.tolist()


@pytest.mark.parametrize("columns", [1, 3, 200])
def test_a_short_text_has_fewer_streams(columns: int) -> None:
    batches = BpttBatchSampler(IDS[:7], BpttLayout(columns, 5), seed=1)
    assert joined(one_pass(batches))[1].shape[0] == min(columns, 7)
