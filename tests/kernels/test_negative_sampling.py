"""Subsampling and negative sampling: frequencies, words of count 0, repeated samples; and random numbers."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from rnnkit.kernels import negative_sampling
from rnnkit.kernels.negative_sampling import (
    NO_REPEATS,
    TILE,
    TILE_LANES,
    NoiseDistribution,
    OutputSamples,
    make_noise_distribution,
    make_samples,
)
from rnnkit.kernels.word2vec_weights import no_cache
from rnnkit.kernels.word_vector_simd import kernel

SPECIAL, PADDING_ROW = 4, 1
NO_CACHE = no_cache()
SEED = np.uint64(2**63 + 11)
NEGATIVES = (1, 5, 6, 7, 20)
counts_of_vocabularies = st.lists(st.integers(0, 10**9), min_size=1, max_size=30).filter(any)


@kernel
def _sample_noise(noise: NoiseDistribution, seed: np.uint64, words: Any) -> None:
    for place in range(len(words)):
        words[place] = negative_sampling.sample_noise(noise, seed, place)


@kernel
def _sample_outputs(
    samples: OutputSamples, window: int, target: int, noise: NoiseDistribution, seed: np.uint64
) -> None:
    negative_sampling.sample_outputs(samples, window, target, noise, seed, NO_CACHE)


@kernel
def _skip_ahead(seed: np.uint64, count: int) -> np.uint64:
    return negative_sampling.skip_ahead(seed, count)


@kernel
def _subsample(segment: Any, keep_V: Any, seed: np.uint64, position: int, kept: Any) -> int:
    return negative_sampling.subsample(segment, keep_V, seed, position, kept)


def counts_of(*counts: int) -> NDArray[np.int64]:
    return np.array([0] * SPECIAL + list(counts))


def drawn(noise: NoiseDistribution, number: int) -> NDArray[np.int64]:
    words = np.empty(number, np.int64)
    _sample_noise(noise, SEED, words)
    return words


def kept(segment: NDArray[np.int32], keep_V: NDArray[np.float32], position: int = 0) -> list[int]:
    buffer = np.empty(len(segment) + 1, np.int64)
    words: list[int] = buffer[: _subsample(segment, keep_V, SEED, position, buffer)].tolist()
    return words


def by_tile(lanes: NDArray[np.float32], window: int, samples: OutputSamples) -> NDArray[np.float32]:
    """The used lanes of a window, in the order of the rows."""
    return lanes.reshape(-1, samples.tiles, TILE_LANES)[window, :, :TILE].reshape(-1)


def assert_samples(samples: OutputSamples, window: int, target: int, noise_words: list[int], is_nce: bool) -> None:
    """Check that the target and the noise words occur once, with their counts, next to padding rows."""
    words = samples.rows.reshape(-1, samples.tiles * TILE)[window]
    counts = by_tile(samples.counts, window, samples)
    counted = Counter([target, *(word for word in noise_words if is_nce or word != target)])
    assert {int(w): int(t) for w, t in zip(words, counts, strict=True) if t} == counted
    assert words[0] == target
    assert (counts > 0).sum() == len(counted), "no word occurs twice"
    assert (words[counts == 0] == PADDING_ROW).all()
    clean = len(set(noise_words) | {target}) == 1 + len(noise_words)
    assert samples.max_repeats[window] == (NO_REPEATS if clean else max(counted.values()) - 1)


@pytest.mark.parametrize("exponent", [0.0, 0.75, 1.0])
def test_noise_probability_is_a_power_of_the_count(exponent: float) -> None:
    probabilities = negative_sampling.noise_probabilities(counts_of(1, 16, 0, 81), exponent)
    assert not probabilities[[0, 1, 2, 3, 6]].any()
    assert probabilities.sum() == pytest.approx(1)
    assert probabilities[5] / probabilities[4] == pytest.approx(16**exponent)
    assert probabilities[7] / probabilities[4] == pytest.approx(81**exponent)


@given(counts_of_vocabularies, st.sampled_from([0.0, 0.75, 1.0]))
def test_alias_table_is_the_distribution(counts: list[int], exponent: float) -> None:
    counts_V = np.array(counts)
    alias_V2 = make_noise_distribution(counts_V, exponent, 5, False).alias_V2
    own_V = alias_V2[:, 0] / 2**32
    shares_V = own_V + np.bincount(alias_V2[:, 1], 1 - own_V, len(counts))
    np.testing.assert_allclose(
        shares_V / len(counts), negative_sampling.noise_probabilities(counts_V, exponent), atol=1e-8
    )


@given(counts_of_vocabularies)
def test_words_of_count_0_are_never_sampled(counts: list[int]) -> None:
    """Neither from their own column, whose first number is then 0, nor as the alias of another column."""
    alias_V2 = make_noise_distribution(np.array(counts), 0.75, 5, False).alias_V2
    never = np.flatnonzero(np.array(counts) == 0)
    assert not alias_V2[never, 0].any()
    assert not np.isin(alias_V2[:, 1], never).any()


def test_noise_words_have_the_expected_frequencies() -> None:
    counts_V, number = counts_of(1, 5, 0, 100, 2000, 7), 200_000
    noise = make_noise_distribution(counts_V, 0.75, 5, False)
    expected_V = number * negative_sampling.noise_probabilities(counts_V, 0.75)
    met_V = np.bincount(drawn(noise, number), minlength=len(counts_V))
    assert not met_V[counts_V == 0].any()
    assert (np.abs(met_V - expected_V) <= 4 * np.sqrt(expected_V)).all()


def test_logit_offsets_are_nonzero_for_nce_only() -> None:
    counts_V = counts_of(1, 5, 100)
    expected = np.log(7 * negative_sampling.noise_probabilities(counts_V, 0.75)[SPECIAL:])
    np.testing.assert_allclose(
        make_noise_distribution(counts_V, 0.75, 7, True).logit_offsets_V[SPECIAL:], expected, rtol=1e-6
    )
    assert not make_noise_distribution(counts_V, 0.75, 7, False).logit_offsets_V.any()
    assert np.isfinite(make_noise_distribution(counts_V, 0.75, 7, True).logit_offsets_V).all()


@pytest.mark.parametrize("is_nce", [False, True])
@pytest.mark.parametrize("negatives", NEGATIVES)
@pytest.mark.parametrize("words", [2, 3, 11, 1000])
def test_no_word_occurs_twice_in_a_window(words: int, negatives: int, is_nce: bool) -> None:
    """Windows are sampled repeatedly into the same buffers, so nothing of an earlier sample may remain."""
    noise, samples = (
        make_noise_distribution(counts_of(*range(1, words + 1)), 0.75, negatives, is_nce),
        make_samples(3, negatives, PADDING_ROW),
    )
    for turn in range(30):
        window, target, index = turn % 3, SPECIAL + turn % words, turn * negatives
        _sample_outputs(samples, window, target, noise, np.uint64(_skip_ahead(SEED, index)))
        noise_words = drawn(noise, index + negatives)[index:].tolist()
        assert_samples(samples, window, target, noise_words, is_nce)
        if is_nce:
            rows = samples.rows.reshape(3, -1)[window, : negatives + 1]
            offsets = by_tile(samples.logit_offsets, window, samples)[: negatives + 1]
            np.testing.assert_array_equal(
                offsets[rows != PADDING_ROW], noise.logit_offsets_V[rows[rows != PADDING_ROW]]
            )


def test_new_samples_mark_the_target() -> None:
    samples = make_samples(2, 7, PADDING_ROW)
    assert samples.tiles == 2
    assert samples.signs.tolist() == [1, *[-1] * 15]
    assert by_tile(samples.counts, 1, samples).tolist() == [1] * 8 + [0] * 4
    assert samples.counts.sum() == 16


def test_keep_probability_equals_word2vec() -> None:
    keep_V = negative_sampling.keep_probabilities(counts_of(900, 99, 1, 0), 1e-2)
    share = 0.9
    assert keep_V[SPECIAL] == pytest.approx(np.sqrt(1e-2 / share) + 1e-2 / share)
    assert keep_V[SPECIAL:].tolist() == pytest.approx([keep_V[SPECIAL], 0.4188, 1, 0], abs=1e-4)
    assert not keep_V[:SPECIAL].any()


def test_threshold_0_keeps_all_words() -> None:
    assert negative_sampling.keep_probabilities(counts_of(900, 1, 0), 0).tolist() == [0, 0, 0, 0, 1, 1, 0]


def test_words_are_kept_with_the_expected_frequencies() -> None:
    keep_V = np.array([0, 0, 0, 0, 1, 0.25, 0], np.float32)
    ids = np.tile(np.array([4, 5, 6, 0], np.int32), 20_000)
    met_V = np.bincount(kept(ids, keep_V), minlength=7)
    assert met_V[4] == 20_000
    assert met_V[5] == pytest.approx(5000, abs=4 * np.sqrt(20_000 * 0.25 * 0.75))
    assert met_V.sum() == met_V[4] + met_V[5]


def test_subsampling_depends_on_the_position() -> None:
    ids = np.arange(SPECIAL, SPECIAL + 50, dtype=np.int32)
    keep_V = np.full(SPECIAL + 50, 0.5, np.float32)
    whole = kept(ids, keep_V)
    assert 0 < len(whole) < 50
    assert kept(ids[:20], keep_V) + kept(ids[20:], keep_V, position=20) == whole


seeds = st.integers(0, 2**64 - 1).map(np.uint64)


def test_numbers_are_those_of_splitmix64() -> None:
    """The published generator increments before it mixes, so its first number is number 1."""
    assert [negative_sampling.random_bits(np.uint64(1234567), index) for index in range(1, 6)] == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


@given(seeds, st.integers(0, 2**40))
def test_numbers_are_independent_of_the_order(seed: np.uint64, index: int) -> None:
    state = (int(seed) + index * 0x9E3779B97F4A7C15) % 2**64
    assert negative_sampling.random_bits(seed, index) == negative_sampling.random_bits(np.uint64(state), 0)


@given(seeds, st.integers(1, 2**31))
def test_bounded_integer_scales_the_high_bits(drawn: np.uint64, limit: int) -> None:
    assert negative_sampling.bounded_integer(drawn, limit) == (int(drawn) >> 32) * limit >> 32


def test_bounded_integer_reaches_both_ends() -> None:
    assert negative_sampling.bounded_integer(np.uint64(0), 7) == 0
    assert negative_sampling.bounded_integer(np.uint64(2**64 - 1), 7) == 6


@given(seeds)
def test_high_and_low_bits_make_the_number(drawn: np.uint64) -> None:
    assert int(negative_sampling.bounded_integer(drawn, 2**32)) << 32 | int(negative_sampling.low_bits(drawn)) == drawn
