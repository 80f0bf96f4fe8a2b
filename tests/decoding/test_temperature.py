"""Temperature against its equation, and at its ends."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rnnkit.decoding.temperature import temper


@given(seed=st.integers(0, 1000), temperature=st.floats(0.2, 5))
def test_probabilities_are_raised_to_one_over_the_temperature(seed: int, temperature: float) -> None:
    score_BKV = torch.randn(2, 3, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    p_BKV = torch.softmax(score_BKV, dim=-1) ** (1 / temperature)
    expected_BKV = p_BKV / p_BKV.sum(dim=-1, keepdim=True)
    torch.testing.assert_close(temper(score_BKV, temperature).exp(), expected_BKV)


def test_one_leaves_log_probabilities_as_they_are() -> None:
    log_p_BKV = torch.log_softmax(torch.randn(3, 1, 5, dtype=torch.float64), dim=-1)
    torch.testing.assert_close(temper(log_p_BKV, 1.0), log_p_BKV)


@pytest.mark.parametrize("temperature", [1e-3, 1e-30, 5e-324])
def test_towards_zero_the_likeliest_takes_everything(temperature: float) -> None:
    score_11V = torch.tensor([[[-3.0, -1.0, -1.1, -torch.inf]]], dtype=torch.float64)
    assert temper(score_11V, temperature).exp().tolist() == [[[0.0, 1.0, pytest.approx(0, abs=1e-40), 0.0]]]


def test_towards_infinity_all_that_is_possible_is_equally_likely() -> None:
    score_11V = torch.tensor([[[-3.0, -1.0, -40.0, -torch.inf]]], dtype=torch.float64)
    assert temper(score_11V, 1e12).exp().squeeze().tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0])
