"""Linear layers with packed weights: equal to `nn.Linear`, row by row."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some

from rnnkit.kernels.dispatch import cpu_features
from rnnkit.nn.inference_layers import PackedLinear

pytestmark = pytest.mark.skipif(not cpu_features().avx2_fma, reason="the kernels do not suit this processor")


def make(inputs: int, outputs: int, seed: int = 1) -> PackedLinear:
    torch.manual_seed(seed)
    return PackedLinear(torch.randn(outputs, inputs), torch.randn(outputs))


@given(some.integers(1, 60), some.integers(1, 70), some.integers(1, 90), some.integers(0, 99))
def test_equals_nn_linear(rows: int, inputs: int, outputs: int, seed: int) -> None:
    packed = make(inputs, outputs, seed)
    x_NI = torch.randn(rows, inputs)
    torch.testing.assert_close(packed(x_NI), packed.reference(x_NI), rtol=1e-5, atol=1e-4)


def test_rows_are_independent() -> None:
    packed, x_NI = make(35, 70), torch.randn(53, 35)
    together_NO = packed(x_NI)
    for rows in (slice(0, 1), slice(3, 10), slice(20, 53)):
        assert torch.equal(packed(x_NI[rows]), together_NO[rows])


def test_accepts_any_shape_and_no_bias() -> None:
    torch.manual_seed(1)
    packed, x = PackedLinear(torch.randn(5, 12)), torch.randn(2, 3, 12)
    assert packed.in_features == 12
    assert packed(x).shape == (2, 3, 5)
    torch.testing.assert_close(packed(x), packed.reference(x), rtol=1e-5, atol=1e-5)
    assert packed(x[:0]).shape == (0, 3, 5)


@pytest.mark.parametrize("ids", [[0], [4, 2], list(range(9))])
def test_selected_outputs_equal_those_of_the_layer(ids: list[int]) -> None:
    packed, x_NI = make(20, 9), torch.randn(3, 20)
    assert torch.equal(packed.select_outputs(torch.tensor(ids))(x_NI), packed(x_NI)[:, ids])
