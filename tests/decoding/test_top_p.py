"""The nucleus against its definition: the smallest set whose probability reaches p."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rnnkit.decoding.top_p import keep_nucleus


@given(seed=st.integers(0, 1000), mass=st.floats(0.001, 0.999))
def test_the_nucleus_is_the_smallest_set_that_reaches_the_mass(seed: int, mass: float) -> None:
    score_BKV = 2 * torch.randn(2, 3, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    kept_BKV = keep_nucleus(score_BKV, mass)
    for scores, kept in zip(score_BKV.flatten(0, 1), kept_BKV.flatten(0, 1), strict=True):
        p_V, inside_V = torch.softmax(scores, dim=0), kept > -torch.inf
        assert torch.equal(kept[inside_V], scores[inside_V])
        assert p_V[inside_V].min() >= p_V[~inside_V].max() if not inside_V.all() else True
        assert p_V[inside_V].sum() >= mass - 1e-12
        assert p_V[inside_V].sum() - p_V[inside_V].min() < mass + 1e-12


def test_one_keeps_everything_however_small() -> None:
    score_11V = torch.tensor([[[0.0, -800.0, -5.0]]])
    assert keep_nucleus(score_11V, 1.0) is score_11V


def test_the_likeliest_is_always_kept() -> None:
    score_11V = torch.tensor([[[-1.0, -0.5, -torch.inf]]])
    assert keep_nucleus(score_11V, 1e-300).tolist() == [[[-torch.inf, -0.5, -torch.inf]]]


@pytest.mark.parametrize(("mass", "kept"), [(0.5, 1), (0.51, 2), (0.75, 2), (0.76, 3), (0.99, 4)])
def test_a_mass_just_reached_is_enough(mass: float, kept: int) -> None:
    score_11V = torch.tensor([[[0.125, 0.5, 0.125, 0.25]]], dtype=torch.float64).log()
    assert int((keep_nucleus(score_11V, mass) > -torch.inf).sum()) == kept
