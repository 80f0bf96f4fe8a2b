"""Int8 linear layers: the kernels against the reference, the rounding error, and independence of rows."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some

from rnnkit.kernels import dispatch
from rnnkit.kernels.dispatch import cpu_features, int8_is_fast
from rnnkit.nn.inference_layers import INT8_MAX, Int8Linear


@pytest.mark.parametrize(
    ("avx2", "avx512", "onednn", "expected"),
    [(True, True, True, True), (False, True, True, False), (True, False, True, False), (True, True, False, False)],
)
def test_int8_is_fast_needs_avx512_and_onednn(
    avx2: bool, avx512: bool, onednn: bool, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    features = replace(cpu_features(), avx2_fma=avx2, avx512_bytes=avx512)
    monkeypatch.setattr(dispatch, "cpu_features", lambda: features)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: onednn)
    assert int8_is_fast() is expected


def make(inputs: int, outputs: int, seed: int = 1) -> tuple[Int8Linear, torch.Tensor, torch.Tensor]:
    torch.manual_seed(seed)
    weight_OI, bias_O = torch.randn(outputs, inputs), torch.randn(outputs)
    return Int8Linear(weight_OI, bias_O), weight_OI, bias_O


@given(some.integers(1, 9), some.integers(1, 70), some.integers(1, 40), some.integers(0, 99))
def test_kernels_equal_the_reference(rows: int, inputs: int, outputs: int, seed: int) -> None:
    quantized, _, _ = make(inputs, outputs, seed)
    x_NI = torch.randn(rows, inputs)
    torch.testing.assert_close(quantized(x_NI), quantized.reference(x_NI), rtol=1e-5, atol=1e-5)


def test_error_is_within_the_rounding_bound() -> None:
    quantized, weight_OI, bias_O = make(67, 33)
    x_NI = torch.randn(50, 67)
    wanted_NO = torch.nn.functional.linear(x_NI, weight_OI, bias_O)
    half_step_N = x_NI.abs().amax(1) / INT8_MAX / 2
    half_step_O = weight_OI.abs().amax(1) / INT8_MAX / 2
    bound_NO = half_step_N[:, None] * weight_OI.abs().sum(1) + half_step_O * x_NI.abs().sum(1)[:, None] * 1.01
    assert ((quantized(x_NI) - wanted_NO).abs() <= bound_NO + 1e-4).all()
    assert (quantized(x_NI) - wanted_NO).norm() < 0.02 * wanted_NO.norm()


def test_rows_are_independent() -> None:
    quantized, _, _ = make(35, 18)
    x_NI = torch.randn(7, 35) * torch.tensor([1.0, 1e3, 1e-3, 5, 0, 1, 2]).unsqueeze(1)
    together_NO = quantized(x_NI)
    for row in range(7):
        assert torch.equal(quantized(x_NI[row : row + 1]), together_NO[row : row + 1])
    assert torch.equal(together_NO[4], quantized.bias_O), "a row of zeros leaves the bias"


def test_accepts_any_shape_and_no_bias() -> None:
    torch.manual_seed(1)
    weight_OI = torch.randn(5, 12)
    quantized = Int8Linear(weight_OI)
    x = torch.randn(2, 3, 12)
    assert quantized(x).shape == (2, 3, 5)
    assert torch.equal(quantized(x)[1, 2], quantized(x[1, 2].unsqueeze(0))[0])


@pytest.mark.parametrize("ids", [[0], [4, 2], list(range(9))])
def test_selected_outputs_equal_those_of_the_layer(ids: list[int]) -> None:
    quantized, _, _ = make(20, 9)
    x_NI = torch.randn(3, 20)
    assert torch.equal(quantized.select_outputs(torch.tensor(ids))(x_NI), quantized(x_NI)[:, ids])
