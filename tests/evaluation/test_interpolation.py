"""Mixtures of components, and weights that fit."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnkit.evaluation import interpolation
from rnnkit.evaluation.interpolation import FloatArray, fit_weights, interpolate


def components(rows: int, tokens: int = 57, seed: int = 1) -> FloatArray:
    """Random logarithms of probabilities."""
    return np.log(np.random.default_rng(seed).uniform(1e-6, 1, size=(rows, tokens)))


def likelihood(log_p_KN: FloatArray, weights_K: FloatArray) -> float:
    return float(interpolate(log_p_KN, weights_K).mean())


def test_a_mixture_is_the_weighted_sum_of_probabilities() -> None:
    log_p_KN, weights_K = components(3), np.array([0.2, 0.5, 0.3])
    np.testing.assert_allclose(np.exp(interpolate(log_p_KN, weights_K)), weights_K @ np.exp(log_p_KN), rtol=1e-12)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_a_model_mixed_with_itself_is_itself(share: float) -> None:
    own_N = components(1)[0]
    np.testing.assert_allclose(interpolate(np.stack([own_N, own_N]), np.array([share, 1 - share])), own_N, rtol=1e-12)


def test_probabilities_too_small_for_a_number_mix_nevertheless() -> None:
    log_p_KN = np.array([[-2000.0, -1.0], [-2001.0, -np.inf]])
    expected = [-2000 + np.log(0.5 + 0.5 * np.exp(-1)), -1 + np.log(0.5)]
    np.testing.assert_allclose(interpolate(log_p_KN, np.array([0.5, 0.5])), expected)


def test_what_every_component_rules_out_stays_ruled_out() -> None:
    log_p_KN = np.array([[-np.inf, -1.0], [-np.inf, -2.0]])
    assert interpolate(log_p_KN, np.array([0.5, 0.5]))[0] == -np.inf
    assert interpolate(log_p_KN[:1], np.array([1.0]))[0] == -np.inf
    weights_K = fit_weights(log_p_KN, [None, None])
    assert weights_K[0] == pytest.approx(1, abs=1e-3)


def test_fitting_recovers_the_weights_of_sampled_tokens() -> None:
    random = np.random.default_rng(5)
    p_KV = random.dirichlet(np.full(40, 0.2), size=3)
    true_K = np.array([0.6, 0.3, 0.1])
    drawn_N = random.choice(40, size=40_000, p=true_K @ p_KV)
    np.testing.assert_allclose(fit_weights(np.log(p_KV[:, drawn_N]), [None] * 3), true_K, atol=0.02)


def test_fitting_finds_the_better_of_two_models() -> None:
    worse_N = components(1)[0]
    weights_K = fit_weights(np.stack([worse_N + 1, worse_N]), [None, None])
    assert weights_K[0] > 0.999


def test_no_weights_on_a_grid_are_better_than_the_fitted_ones() -> None:
    log_p_KN = components(2, 400)
    found = likelihood(log_p_KN, fit_weights(log_p_KN, [None, None]))
    assert all(likelihood(log_p_KN, np.array([share, 1 - share])) <= found + 1e-6 for share in np.linspace(0, 1, 101))


@given(st.integers(1, 5), st.integers(1, 40), st.integers(0, 1000), st.integers(1, 6))
def test_no_round_lowers_the_likelihood(rows: int, tokens: int, seed: int, rounds: int) -> None:
    log_p_KN = components(rows, tokens, seed)
    reached = []
    for most in range(rounds + 1):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(interpolation, "MAX_EM_ITERATIONS", most)
            weights_K = fit_weights(log_p_KN, [None] * rows)
        assert weights_K.sum() == pytest.approx(1)
        assert (weights_K >= 0).all()
        reached.append(likelihood(log_p_KN, weights_K))
    assert all(later >= earlier - 1e-12 for earlier, later in itertools.pairwise(reached))


def test_given_weights_stay_and_the_others_share_the_rest() -> None:
    log_p_KN = components(4, 300)
    weights_K = fit_weights(log_p_KN, [None, 0.25, None, 0.15])
    assert (weights_K[1], weights_K[3]) == (0.25, 0.15)
    assert weights_K.sum() == pytest.approx(1)
    found = likelihood(log_p_KN, weights_K)
    for share in np.linspace(0, 0.6, 61):
        assert likelihood(log_p_KN, np.array([share, 0.25, 0.6 - share, 0.15])) <= found + 1e-6


def test_with_nothing_to_fit_the_weights_are_those_given() -> None:
    assert fit_weights(components(2), [0.75, 0.25]).tolist() == [0.75, 0.25]
    assert fit_weights(components(1), [None]).tolist() == [1.0]
