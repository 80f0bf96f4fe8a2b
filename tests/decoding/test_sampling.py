"""Sampling: frequencies against probabilities, limits of each option, and independence of the batch."""

from __future__ import annotations

import math
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnkit.decoding.beam_search import greedy_search
from rnnkit.decoding.sampling import (
    SamplingOptions,
    apply_temperature,
    filter_top_k,
    filter_top_p,
    random_numbers,
    sample,
    sample_tokens,
)
from rnnkit.decoding.stepper import SearchHypothesis, SearchOptions, normalized_score
from rnnkit.text.special_tokens import BOS, EOS, PAD, UNK

from .tables import Prefixes, PrefixStepper, from_table, random_stepper

A, B, C = 4, 5, 6
SIZE = 7
TABLE = {
    (): {A: 0.5, B: 0.3, EOS: 0.2},
    (A,): {B: 0.25, C: 0.6, EOS: 0.15},
    (B,): {EOS: 0.9, C: 0.1},
}
PLAIN = SearchOptions(beam=1, alpha=0)


def sampled(samples: int, sampling: SamplingOptions, seed: int = 5, limit: int = 3) -> list[SearchHypothesis]:
    numbers = random_numbers(seed, [1], samples, limit)
    (found,) = sample(from_table(TABLE, SIZE), torch.tensor([limit]), PLAIN, sampling, numbers)
    return found


def assert_frequencies(found: list[SearchHypothesis], expected: dict[tuple[int, ...], float]) -> None:
    """Apply Pearson's chi-squared test; a correct sampler fails for one seed in ten thousand."""
    counted = Counter(one.ids for one in found)
    assert set(counted) <= set(expected)
    total = len(found)
    statistic = sum((counted[ids] - total * p) ** 2 / (total * p) for ids, p in expected.items())
    freedom = len(expected) - 1
    assert statistic < freedom + 4 * math.sqrt(2 * freedom) + 8


def outputs(
    first: dict[int, float], after_a: dict[int, float], after_b: dict[int, float]
) -> dict[tuple[int, ...], float]:
    """Compute the probabilities of the table's outputs of at most three tokens, EOS included."""
    tables = {A: after_a, B: after_b}
    expected: dict[tuple[int, ...], float] = {}
    for token, p in first.items():
        for follower, q in tables.get(token, {EOS: 1.0}).items():
            ids = tuple(one for one in (token, follower) if one != EOS)
            expected[ids] = expected.get(ids, 0.0) + p * q
    return expected


def test_frequencies_match_probabilities() -> None:
    assert_frequencies(sampled(20_000, SamplingOptions()), outputs(TABLE[()], TABLE[(A,)], TABLE[(B,)]))


def test_temperature_changes_frequencies() -> None:
    def squared(table: dict[int, float]) -> dict[int, float]:
        total = sum(p**2 for p in table.values())
        return {token: p**2 / total for token, p in table.items()}

    expected = outputs(squared(TABLE[()]), squared(TABLE[(A,)]), squared(TABLE[(B,)]))
    assert_frequencies(sampled(20_000, SamplingOptions(temperature=0.5)), expected)


def test_top_k_frequencies_match_renormalized_probabilities() -> None:
    expected = outputs({A: 5 / 8, B: 3 / 8}, {B: 0.25 / 0.85, C: 0.6 / 0.85}, TABLE[(B,)])
    assert_frequencies(sampled(20_000, SamplingOptions(top_k=2)), expected)


def test_top_p_frequencies_match_renormalized_probabilities() -> None:
    expected = outputs({A: 5 / 8, B: 3 / 8}, {B: 0.25 / 0.85, C: 0.6 / 0.85}, {EOS: 1.0})
    assert_frequencies(sampled(20_000, SamplingOptions(top_p=0.7)), expected)


def test_temperature_is_applied_before_top_p() -> None:
    # Squared and renormalized, A alone has 0.66.
    found = sampled(2000, SamplingOptions(temperature=0.5, top_p=0.6))
    assert {one.ids[:1] for one in found} == {(A,)}


def assert_same(left: list[list[SearchHypothesis]], right: list[list[SearchHypothesis]]) -> None:
    assert [[one.ids for one in many] for many in left] == [[one.ids for one in many] for many in right]
    for many, others in zip(left, right, strict=True):
        assert [one.log_p for one in many] == pytest.approx([one.log_p for one in others], abs=1e-5)


@settings(max_examples=30)
@given(
    seed=st.integers(0, 1000),
    which=st.sampled_from([SamplingOptions(top_k=1), SamplingOptions(temperature=1e-6), SamplingOptions(top_p=1e-9)]),
)
def test_sampling_one_token_equals_greedy_search(seed: int, which: SamplingOptions) -> None:
    stepper = random_stepper(5, 9, seed, sharpness=2.0)
    limit_B = torch.tensor([3, 12, 1, 7, 5])
    numbers = random_numbers(seed, range(1, 6), 1, 12)
    assert_same(sample(stepper, limit_B, PLAIN, which, numbers), greedy_search(stepper, limit_B, PLAIN))


@settings(max_examples=20)
@given(seed=st.integers(0, 1000))
def test_neutral_options_equal_plain_sampling(seed: int) -> None:
    limit_B, numbers = torch.tensor([6, 9, 4]), random_numbers(seed, [1, 2, 3], 2, 9)
    plain = sample(random_stepper(3, 9, seed), limit_B, PLAIN, SamplingOptions(), numbers)
    for same in (SamplingOptions(top_p=1.0), SamplingOptions(top_k=9), SamplingOptions(temperature=1.0, top_k=50)):
        assert_same(sample(random_stepper(3, 9, seed), limit_B, PLAIN, same, numbers), plain)


@settings(max_examples=20)
@given(seed=st.integers(0, 1000))
def test_batch_equals_single_sentences(seed: int) -> None:
    limit_B = torch.tensor([6, 2, 9, 4])
    sampling = SamplingOptions(temperature=1.3, top_k=5)
    together = sample(random_stepper(4, 8, seed), limit_B, PLAIN, sampling, random_numbers(3, [7, 8, 9, 10], 3, 9))
    for sentence in range(4):
        numbers = random_numbers(3, [7 + sentence], 3, int(limit_B[sentence]))
        alone = sample(_only(sentence, seed), limit_B[sentence : sentence + 1], PLAIN, sampling, numbers)
        assert_same([together[sentence]], alone)


def _only(sentence: int, seed: int) -> PrefixStepper:
    stepper = random_stepper(4, 8, seed)
    start: Prefixes = stepper.select(stepper.start(), torch.tensor([sentence]), torch.tensor([[0]]))
    stepper.start = lambda: start  # type: ignore[method-assign]
    return stepper


def test_random_numbers_depend_on_seed_line_and_sample() -> None:
    """They do not depend on the other lines, nor on the number of samples and steps."""
    numbers = random_numbers(11, [3, 4], 2, 5)
    assert numbers.shape == (2, 2, 5)
    assert numbers.dtype == torch.float64
    assert torch.equal(random_numbers(11, [4], 1, 3)[0, 0], numbers[1, 0, :3])
    assert len(set(numbers.flatten().tolist())) == 20, "no two outputs share theirs"
    assert not torch.equal(random_numbers(12, [3, 4], 2, 5), numbers)


def test_forbidden_tokens_are_not_sampled() -> None:
    """Log-probabilities of the samples are the model's, not renormalized."""
    table = {(): {PAD: 0.2, BOS: 0.2, UNK: 0.3, A: 0.2, EOS: 0.1}, (A,): {UNK: 0.6, EOS: 0.4}}
    numbers = random_numbers(1, [1], 500, 4)
    (found,) = sample(from_table(table, SIZE), torch.tensor([4]), PLAIN, SamplingOptions(temperature=2.0), numbers)
    assert {one.ids for one in found} == {(), (A,)}
    for one in found:
        assert math.exp(one.log_p) == pytest.approx(0.1 if one.ids == () else 0.2 * 0.4)
    allowed = SearchOptions(beam=1, alpha=0, allow_unknown=True)
    (found,) = sample(from_table(table, SIZE), torch.tensor([4]), allowed, SamplingOptions(), numbers)
    assert any(UNK in one.ids for one in found)
    assert not any({PAD, BOS} & set(one.ids) for one in found)


def test_samples_are_sorted_by_score() -> None:
    options = SearchOptions(beam=1, alpha=0.7)
    numbers = random_numbers(1, [1, 2], 9, 6)
    for found in sample(random_stepper(2, 8, seed=3), torch.tensor([6, 4]), options, SamplingOptions(), numbers):
        assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
        for one in found:
            assert one.score == pytest.approx(normalized_score(one.log_p, len(one.ids) + 1, 0.7))


def test_number_near_one_samples_the_last_possible_token() -> None:
    score_11V = torch.tensor([[[-torch.inf, -1.0, -2.0, -torch.inf, -torch.inf]]], dtype=torch.float64)
    almost_one = math.nextafter(1.0, 0.0)
    assert sample_tokens(score_11V, torch.tensor([[almost_one]], dtype=torch.float64)).item() == 2
    assert sample_tokens(score_11V, torch.tensor([[1.0]], dtype=torch.float64)).item() == 2
    assert sample_tokens(score_11V, torch.tensor([[0.0]], dtype=torch.float64)).item() == 1


@given(seed=st.integers(0, 1000), temperature=st.floats(0.2, 5))
def test_temperature_equals_its_equation(seed: int, temperature: float) -> None:
    score_BKV = torch.randn(2, 3, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    p_BKV = torch.softmax(score_BKV, dim=-1) ** (1 / temperature)
    expected_BKV = p_BKV / p_BKV.sum(dim=-1, keepdim=True)
    torch.testing.assert_close(apply_temperature(score_BKV, temperature).exp(), expected_BKV)


def test_temperature_one_is_identity() -> None:
    log_p_BKV = torch.log_softmax(torch.randn(3, 1, 5, dtype=torch.float64), dim=-1)
    torch.testing.assert_close(apply_temperature(log_p_BKV, 1.0), log_p_BKV)


@pytest.mark.parametrize("temperature", [1e-3, 1e-30, 5e-324])
def test_low_temperature_concentrates_on_the_maximum(temperature: float) -> None:
    score_11V = torch.tensor([[[-3.0, -1.0, -1.1, -torch.inf]]], dtype=torch.float64)
    assert apply_temperature(score_11V, temperature).exp().tolist() == [[[0.0, 1.0, pytest.approx(0, abs=1e-40), 0.0]]]


def test_high_temperature_is_uniform_over_possible_tokens() -> None:
    score_11V = torch.tensor([[[-3.0, -1.0, -40.0, -torch.inf]]], dtype=torch.float64)
    assert apply_temperature(score_11V, 1e12).exp().squeeze().tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0])


@pytest.mark.parametrize("count", [1, 2, 5, 7])
def test_top_k_keeps_the_greatest_scores(count: int) -> None:
    score_BKV = torch.randn(3, 2, 7)
    kept_BKV = filter_top_k(score_BKV, count)
    for scores, kept in zip(score_BKV.flatten(0, 1).tolist(), kept_BKV.flatten(0, 1).tolist(), strict=True):
        best = sorted(scores, reverse=True)[:count]
        assert kept == [score if score in best else -torch.inf for score in scores]


def test_top_k_above_vocabulary_size_keeps_all() -> None:
    score_BKV = torch.randn(1, 2, 5)
    assert torch.equal(filter_top_k(score_BKV, 6), score_BKV)


def test_top_k_keeps_exactly_k_of_equal_scores() -> None:
    assert int((filter_top_k(torch.zeros(1, 1, 9), 4) > -torch.inf).sum()) == 4


def test_top_k_keeps_impossible_tokens_impossible() -> None:
    score_11V = torch.tensor([[[-torch.inf, 0.5, -torch.inf]]])
    assert filter_top_k(score_11V, 2).tolist() == [[[-torch.inf, 0.5, -torch.inf]]]


@given(seed=st.integers(0, 1000), mass=st.floats(0.001, 0.999))
def test_nucleus_is_the_smallest_set_with_the_mass(seed: int, mass: float) -> None:
    score_BKV = 2 * torch.randn(2, 3, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    kept_BKV = filter_top_p(score_BKV, mass)
    for scores, kept in zip(score_BKV.flatten(0, 1), kept_BKV.flatten(0, 1), strict=True):
        p_V, inside_V = torch.softmax(scores, dim=0), kept > -torch.inf
        assert torch.equal(kept[inside_V], scores[inside_V])
        assert p_V[inside_V].min() >= p_V[~inside_V].max() if not inside_V.all() else True
        assert p_V[inside_V].sum() >= mass - 1e-12
        assert p_V[inside_V].sum() - p_V[inside_V].min() < mass + 1e-12


def test_top_p_one_keeps_everything() -> None:
    score_11V = torch.tensor([[[0.0, -800.0, -5.0]]])
    assert filter_top_p(score_11V, 1.0) is score_11V


def test_top_p_always_keeps_the_maximum() -> None:
    score_11V = torch.tensor([[[-1.0, -0.5, -torch.inf]]])
    assert filter_top_p(score_11V, 1e-300).tolist() == [[[-torch.inf, -0.5, -torch.inf]]]


@pytest.mark.parametrize(("mass", "kept"), [(0.5, 1), (0.51, 2), (0.75, 2), (0.76, 3), (0.99, 4)])
def test_nucleus_ends_when_the_mass_is_reached(mass: float, kept: int) -> None:
    score_11V = torch.tensor([[[0.125, 0.5, 0.125, 0.25]]], dtype=torch.float64).log()
    assert int((filter_top_p(score_11V, mass) > -torch.inf).sum()) == kept
