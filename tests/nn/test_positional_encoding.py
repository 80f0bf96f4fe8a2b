"""Sinusoidal and rotary positions."""

from __future__ import annotations

import math

import pytest
import torch

from rnnkit.nn import positional_encoding
from rnnkit.nn.positional_encoding import SinusoidalPositions, apply_rotary, sinusoidal_encoding


@pytest.mark.parametrize("size", [4, 5])
def test_sinusoids_equal_the_equation_of_the_paper(size: int) -> None:
    table_TE = sinusoidal_encoding(7, size, start=3)
    for place in range(7):
        for column in range(size):
            angle = (place + 3) / 10_000 ** ((column - column % 2) / size)
            expected = math.cos(angle) if column % 2 else math.sin(angle)
            assert table_TE[place, column].item() == pytest.approx(expected, abs=1e-6)


def test_sinusoids_with_a_start_are_a_slice_of_the_whole() -> None:
    torch.testing.assert_close(
        sinusoidal_encoding(5, 6, start=1000), sinusoidal_encoding(1005, 6)[1000:], rtol=0, atol=0
    )


def test_a_start_position_continues_the_encoding() -> None:
    torch.manual_seed(0)
    module = SinusoidalPositions()
    x_BTE = torch.randn(3, 7, 6)
    whole_BTE = module(x_BTE)
    torch.testing.assert_close(torch.cat([module(x_BTE[:, :4]), module(x_BTE[:, 4:], 4)], 1), whole_BTE)
    added_BTE = whole_BTE - x_BTE
    torch.testing.assert_close(added_BTE[0], added_BTE[2])
    assert (added_BTE[0].diff(dim=0).abs().sum(-1) > 0).all(), "two places look alike"


@pytest.mark.parametrize("size", [2, 5, 8])
def test_rotary_scores_depend_on_distance_only(size: int) -> None:
    torch.manual_seed(1)
    q_D, k_D = torch.randn(size), torch.randn(size)
    q_T, k_T = (apply_rotary(vector.expand(1, 1, 9, size)).squeeze() for vector in (q_D, k_D))
    scores_TT = q_T @ k_T.T
    for distance in range(-8, 9):
        along = scores_TT.diagonal(distance)
        torch.testing.assert_close(along, along[:1].expand_as(along))
    assert scores_TT[0].std() > 0.01, "no distance makes any difference"
    torch.testing.assert_close(apply_rotary(q_D.expand(1, 1, 4, size), start=5).squeeze(), q_T[5:])
    later_T = (
        apply_rotary(q_D.expand(1, 1, 9, size), start=5).squeeze()
        @ apply_rotary(k_D.expand(1, 1, 9, size), 5).squeeze().T
    )
    torch.testing.assert_close(later_T, scores_TT)


def test_rotary_rotates_each_pair() -> None:
    x_D = torch.tensor([1.0, 2.0, 3.0, 4.0])
    turned_D = apply_rotary(x_D.expand(1, 1, 4, 4))[0, 0, 3]
    for pair, angle in enumerate([3.0, 3.0 / 100]):
        number = complex(x_D[pair], x_D[pair + 2]) * complex(math.cos(angle), math.sin(angle))
        assert complex(turned_D[pair], turned_D[pair + 2]) == pytest.approx(number, rel=1e-6)
    torch.testing.assert_close(apply_rotary(torch.ones(1, 1, 3, 5))[..., -1], torch.ones(1, 1, 3))


def test_rotary_keeps_norms_and_accepts_empty_input() -> None:
    x_BNTD = torch.randn(2, 3, 70, 6, dtype=torch.float64)
    torch.testing.assert_close(apply_rotary(x_BNTD, 50).norm(dim=-1), x_BNTD.norm(dim=-1), rtol=1e-6, atol=0)
    assert apply_rotary(x_BNTD[:, :, :0], 5).shape == (2, 3, 0, 6)


def test_table_from_inference_mode_works_in_training() -> None:
    positional_encoding._cached_rotary_table.cache_clear()
    with torch.inference_mode():
        apply_rotary(torch.ones(1, 1, 3, 4))
    x_BNTD = torch.ones(1, 1, 3, 4, requires_grad=True)
    (grad,) = torch.autograd.grad(apply_rotary(x_BNTD).sum(), x_BNTD)
    assert grad.shape == x_BNTD.shape
