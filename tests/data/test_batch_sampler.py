"""Batches: token budget, order, and resuming."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnkit.data.batch_sampler import BatchSampler, pad_sequences, plan_epoch, shift_right
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
