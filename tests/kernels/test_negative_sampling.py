"""What is drawn: how often, what is never drawn, and what becomes of words that are drawn twice."""

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
from rnnkit.kernels.row_cache import no_cache
from rnnkit.kernels.word_vector_compiler import kernel

SPECIAL, SPARE = 4, 1
ALONE = no_cache()
SEED = np.uint64(2**63 + 11)
NEGATIVES = (1, 5, 6, 7, 20)
counts_of_vocabularies = st.lists(st.integers(0, 10**9), min_size=1, max_size=30).filter(any)


@kernel
def _draw(noise: NoiseDistribution, seed: np.uint64, words: Any) -> None:
    for place in range(len(words)):
        words[place] = negative_sampling.sample_noise(noise, seed, place)


@kernel
def _draw_outputs(
    draws: OutputSamples,
    window: int,
    target: int,
    negatives: int,
    noise: NoiseDistribution,
    contrastive: bool,
    seed: np.uint64,
    index: int,
) -> None:
    negative_sampling.sample_outputs(draws, window, target, negatives, noise, contrastive, seed, index, SPARE, ALONE)


@kernel
def _keep(ids: Any, start: int, stop: int, keep_V: Any, seed: np.uint64, before: int, kept: Any) -> int:
    return negative_sampling.subsample(ids, start, stop, keep_V, seed, before, kept)


def counts_of(*counts: int) -> NDArray[np.int64]:
    return np.array([0] * SPECIAL + list(counts))


def drawn(noise: NoiseDistribution, number: int) -> NDArray[np.int64]:
    words = np.empty(number, np.int64)
    _draw(noise, SEED, words)
    return words


def kept(ids: NDArray[np.int32], start: int, stop: int, keep_V: NDArray[np.float32], before: int) -> list[int]:
    room = np.empty(stop - start + 1, np.int64)
    words: list[int] = room[: _keep(ids, start, stop, keep_V, SEED, before, room)].tolist()
    return words


def by_tile(lanes: NDArray[np.float32], window: int, draws: OutputSamples) -> NDArray[np.float32]:
    """The lanes of a window that have rows, in the order of the rows."""
    return lanes.reshape(-1, draws.tiles, TILE_LANES)[window, :, :TILE].reshape(-1)


def assert_draws(draws: OutputSamples, window: int, target: int, noise_words: list[int], contrastive: bool) -> None:
    """The target and the noise words are there, each once, with its total; what is left over is spare."""
    words = draws.rows.reshape(-1, draws.tiles * TILE)[window]
    totals = by_tile(draws.totals, window, draws)
    counted = Counter([target, *(word for word in noise_words if contrastive or word != target)])
    assert {int(w): int(t) for w, t in zip(words, totals, strict=True) if t} == counted
    assert words[0] == target
    assert (totals > 0).sum() == len(counted), "no word stands there twice"
    assert (words[totals == 0] == SPARE).all()
    clean = len(set(noise_words) | {target}) == 1 + len(noise_words)
    assert draws.repeated[window] == (NO_REPEATS if clean else max(counted.values()) - 1)


@pytest.mark.parametrize("exponent", [0.0, 0.75, 1.0])
def test_noise_probability_goes_with_a_power_of_the_count(exponent: float) -> None:
    probabilities = negative_sampling.noise_probabilities(counts_of(1, 16, 0, 81), exponent)
    assert not probabilities[[0, 1, 2, 3, 6]].any()
    assert probabilities.sum() == pytest.approx(1)
    assert probabilities[5] / probabilities[4] == pytest.approx(16**exponent)
    assert probabilities[7] / probabilities[4] == pytest.approx(81**exponent)


@given(counts_of_vocabularies, st.sampled_from([0.0, 0.75, 1.0]))
def test_alias_table_is_the_distribution(counts: list[int], exponent: float) -> None:
    counts_V = np.array(counts)
    columns_V2 = make_noise_distribution(counts_V, exponent, 5, False).columns_V2
    own_V = columns_V2[:, 0] / 2**32
    shares_V = own_V + np.bincount(columns_V2[:, 1], 1 - own_V, len(counts))
    np.testing.assert_allclose(
        shares_V / len(counts), negative_sampling.noise_probabilities(counts_V, exponent), atol=1e-8
    )


@given(counts_of_vocabularies)
def test_words_never_met_are_never_drawn(counts: list[int]) -> None:
    """Neither by a column of their own, whose first number is then 0, nor as what another column holds too."""
    columns_V2 = make_noise_distribution(np.array(counts), 0.75, 5, False).columns_V2
    never = np.flatnonzero(np.array(counts) == 0)
    assert not columns_V2[never, 0].any()
    assert not np.isin(columns_V2[:, 1], never).any()


def test_draws_come_as_often_as_they_should() -> None:
    counts_V, number = counts_of(1, 5, 0, 100, 2000, 7), 200_000
    noise = make_noise_distribution(counts_V, 0.75, 5, False)
    expected_V = number * negative_sampling.noise_probabilities(counts_V, 0.75)
    met_V = np.bincount(drawn(noise, number), minlength=len(counts_V))
    assert not met_V[counts_V == 0].any()
    assert (np.abs(met_V - expected_V) <= 4 * np.sqrt(expected_V)).all()


def test_offsets_are_for_noise_contrastive_estimation_alone() -> None:
    counts_V = counts_of(1, 5, 100)
    expected = np.log(7 * negative_sampling.noise_probabilities(counts_V, 0.75)[SPECIAL:])
    np.testing.assert_allclose(
        make_noise_distribution(counts_V, 0.75, 7, True).offsets_V[SPECIAL:], expected, rtol=1e-6
    )
    assert not make_noise_distribution(counts_V, 0.75, 7, False).offsets_V.any()
    assert np.isfinite(make_noise_distribution(counts_V, 0.75, 7, True).offsets_V).all()


@pytest.mark.parametrize("contrastive", [False, True])
@pytest.mark.parametrize("negatives", NEGATIVES)
@pytest.mark.parametrize("words", [2, 3, 11, 1000])
def test_no_word_stands_in_a_window_twice(words: int, negatives: int, contrastive: bool) -> None:
    """Windows are drawn over and over in the same room, so that nothing of an earlier draw may be left."""
    noise, draws = (
        make_noise_distribution(counts_of(*range(1, words + 1)), 0.75, negatives, contrastive),
        make_samples(3, negatives, SPARE),
    )
    for turn in range(30):
        window, target, index = turn % 3, SPECIAL + turn % words, turn * negatives
        _draw_outputs(draws, window, target, negatives, noise, contrastive, SEED, index)
        noise_words = drawn(noise, index + negatives)[index:].tolist()
        assert_draws(draws, window, target, noise_words, contrastive)
        if contrastive:
            rows = draws.rows.reshape(3, -1)[window, : negatives + 1]
            offsets = by_tile(draws.offsets, window, draws)[: negatives + 1]
            np.testing.assert_array_equal(offsets[rows != SPARE], noise.offsets_V[rows[rows != SPARE]])


def test_room_for_draws_says_which_is_the_word_that_was_there() -> None:
    draws = make_samples(2, 7, SPARE)
    assert draws.tiles == 2
    assert draws.signs.tolist() == [1, *[-1] * 15]
    assert by_tile(draws.totals, 1, draws).tolist() == [1] * 8 + [0] * 4
    assert draws.totals.sum() == 16


def test_keep_probability_is_that_of_word2vec() -> None:
    keep_V = negative_sampling.keep_probabilities(counts_of(900, 99, 1, 0), 1e-2)
    share = 0.9
    assert keep_V[SPECIAL] == pytest.approx(np.sqrt(1e-2 / share) + 1e-2 / share)
    assert keep_V[SPECIAL:].tolist() == pytest.approx([keep_V[SPECIAL], 0.4188, 1, 0], abs=1e-4)
    assert not keep_V[:SPECIAL].any()


def test_all_words_are_kept_where_none_is_to_be_thinned_out() -> None:
    assert negative_sampling.keep_probabilities(counts_of(900, 1, 0), 0).tolist() == [0, 0, 0, 0, 1, 1, 0]


def test_words_are_kept_as_often_as_they_should() -> None:
    keep_V = np.array([0, 0, 0, 0, 1, 0.25, 0], np.float32)
    ids = np.tile(np.array([4, 5, 6, 0], np.int32), 20_000)
    met_V = np.bincount(kept(ids, 0, len(ids), keep_V, 0), minlength=7)
    assert met_V[4] == 20_000
    assert met_V[5] == pytest.approx(5000, abs=4 * np.sqrt(20_000 * 0.25 * 0.75))
    assert met_V.sum() == met_V[4] + met_V[5]


def test_place_in_the_text_says_what_is_kept() -> None:
    ids = np.arange(SPECIAL, SPECIAL + 50, dtype=np.int32)
    keep_V = np.full(SPECIAL + 50, 0.5, np.float32)
    whole = kept(ids, 0, 50, keep_V, 0)
    assert 0 < len(whole) < 50
    assert kept(ids, 0, 20, keep_V, 0) + kept(ids[20:], 0, 30, keep_V, 20) == whole
    assert kept(ids, 0, 20, keep_V, 0) + kept(ids, 20, 50, keep_V, 0) == whole
