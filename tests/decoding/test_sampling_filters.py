"""Temperature, top-k and top-p against their definitions."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rnnkit.decoding.sampling import apply_temperature, filter_top_k, filter_top_p


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
