"""Greedy, beam and exhaustive search against each other and against a worked example."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.raising import raises

from rnnkit.decoding.beam_search import beam_search, greedy_search
from rnnkit.decoding.exhaustive import exhaustive_search
from rnnkit.decoding.stepper import SearchHypothesis, SearchOptions, normalized_score
from rnnkit.errors import UsageError
from rnnkit.text.special_tokens import BOS, EOS, PAD, UNK

from .tables import from_table, random_stepper

A, B, C = 4, 5, 6
SIZE = 7

# Greedy search finds A B C EOS and misses the more probable A C B EOS.
EXAMPLE = {
    (): {A: 0.5, B: 0.2, C: 0.2, EOS: 0.1},
    (A,): {A: 0.1, B: 0.4, C: 0.3, EOS: 0.2},
    (A, B): {A: 0.2, B: 0.2, C: 0.4, EOS: 0.2},
    (A, B, C): {A: 0.0, B: 0.2, C: 0.2, EOS: 0.6},
    (A, C): {A: 0.1, B: 0.6, C: 0.2, EOS: 0.1},
    (A, C, B): {A: 0.1, B: 0.2, C: 0.1, EOS: 0.6},
}


def limits(*values: int) -> torch.Tensor:
    return torch.tensor(values)


def test_greedy_search_misses_the_better_sequence() -> None:
    (found,) = greedy_search(from_table(EXAMPLE, SIZE), limits(4), SearchOptions(beam=1, alpha=0))
    assert found[0].ids == (A, B, C)
    assert math.exp(found[0].log_p) == pytest.approx(0.5 * 0.4 * 0.4 * 0.6)
    assert math.exp(found[0].log_p) == pytest.approx(0.048)


def test_beam_search_finds_the_better_sequence() -> None:
    (found,) = beam_search(from_table(EXAMPLE, SIZE), limits(4), SearchOptions(beam=2, alpha=1))
    assert found[0].ids == (A, C, B)
    assert math.exp(found[0].log_p) == pytest.approx(0.5 * 0.3 * 0.6 * 0.6)
    assert math.exp(found[0].log_p) == pytest.approx(0.054)
    assert found[0].score == pytest.approx(math.log(0.054) / 4)


def assert_same(left: list[list[SearchHypothesis]], right: list[list[SearchHypothesis]]) -> None:
    assert [[one.ids for one in many] for many in left] == [[one.ids for one in many] for many in right]
    for many, others in zip(left, right, strict=True):
        assert [one.score for one in many] == pytest.approx([one.score for one in others], abs=1e-5)
        assert [one.log_p for one in many] == pytest.approx([one.log_p for one in others], abs=1e-5)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    alpha=st.sampled_from([0.0, 0.6, 1.0, 1.7]),
    limit=st.integers(1, 4),
    nbest=st.integers(1, 5),
    allow_unknown=st.booleans(),
)
def test_full_beam_equals_exhaustive_search(
    seed: int, alpha: float, limit: int, nbest: int, allow_unknown: bool
) -> None:
    size = 6
    options = SearchOptions(beam=size**limit, alpha=alpha, nbest=nbest, allow_unknown=allow_unknown)
    stepper = random_stepper(2, size, seed)
    assert_same(
        beam_search(stepper, limits(limit, max(1, limit - 1)), options),
        exhaustive_search(stepper, limits(limit, max(1, limit - 1)), options),
    )


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), alpha=st.sampled_from([0.0, 1.0]), sharpness=st.sampled_from([0.5, 3.0]))
def test_beam_of_one_equals_greedy_search(seed: int, alpha: float, sharpness: float) -> None:
    options = SearchOptions(beam=1, alpha=alpha)
    stepper = random_stepper(5, 9, seed, sharpness)
    limit_B = limits(3, 12, 1, 7, 5)
    assert_same(beam_search(stepper, limit_B, options), greedy_search(stepper, limit_B, options))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), beam=st.integers(1, 6), alpha=st.sampled_from([0.0, 0.8]))
def test_batch_equals_single_sentences(seed: int, beam: int, alpha: float) -> None:
    options = SearchOptions(beam=beam, alpha=alpha, nbest=beam)
    stepper = random_stepper(4, 8, seed, sharpness=2.0)
    limit_B = limits(6, 2, 9, 4)
    together = beam_search(stepper, limit_B, options)
    for sentence in range(4):
        one = torch.tensor([sentence])
        alone = random_stepper(4, 8, seed, sharpness=2.0)
        start = alone.select(alone.start(), one, torch.tensor([[0]]))
        alone.start = lambda start=start: start  # type: ignore[method-assign,misc]
        assert_same([together[sentence]], beam_search(alone, limit_B[sentence : sentence + 1], options))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), beam=st.integers(1, 8), limit=st.integers(1, 9))
def test_every_output_is_well_formed(seed: int, beam: int, limit: int) -> None:
    options = SearchOptions(beam=beam, alpha=1.0, nbest=beam)
    stepper = random_stepper(3, 8, seed)
    for hypotheses in beam_search(stepper, limits(limit, limit, limit), options):
        assert 1 <= len(hypotheses) <= beam
        assert len({one.ids for one in hypotheses}) == len(hypotheses)
        assert [one.score for one in hypotheses] == sorted((one.score for one in hypotheses), reverse=True)
        for one in hypotheses:
            assert len(one.ids) < limit or limit == 1
            assert not set(one.ids) & {PAD, UNK, BOS, EOS}
            assert one.score == pytest.approx(normalized_score(one.log_p, len(one.ids) + 1, 1.0))


def test_beam_larger_than_the_vocabulary() -> None:
    (found,) = beam_search(random_stepper(1, 6, seed=1), limits(2), SearchOptions(beam=50, nbest=50, alpha=0))
    assert {one.ids for one in found} == {(), (4,), (5,)}


def test_exhaustive_search_refuses_large_spaces() -> None:
    with raises(UsageError, 1_000_000, option="--exhaustive"):
        exhaustive_search(random_stepper(1, 100, seed=1), limits(20), SearchOptions())
