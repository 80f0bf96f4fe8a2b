"""The fused output loss against the plain one."""

from __future__ import annotations

import pytest
import torch

from rnnkit.nn import losses
from rnnkit.nn.losses import fused_loss, reference_loss

ROWS, HIDDEN, VOCABULARY = 11, 5, 7


def inputs(dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, ...]:
    torch.manual_seed(4)
    hidden_NH = torch.randn(ROWS, HIDDEN, dtype=dtype, requires_grad=True)
    weight_VH = torch.randn(VOCABULARY, HIDDEN, dtype=dtype, requires_grad=True)
    bias_V = torch.randn(VOCABULARY, dtype=dtype, requires_grad=True)
    return hidden_NH, weight_VH, bias_V, torch.randint(0, VOCABULARY, (ROWS,))


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.7])
@pytest.mark.parametrize("chunk", [1, 3, 11, 512])
def test_fused_loss_equals_the_reference_in_values_and_gradients(
    smoothing: float, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(losses, "CHUNK", chunk)
    hidden_NH, weight_VH, bias_V, target_N = inputs()
    leaves = (hidden_NH, weight_VH, bias_V)
    loss, nll = fused_loss(*leaves, target_N, smoothing)
    expected_loss, expected_nll = reference_loss(*leaves, target_N, smoothing)
    torch.testing.assert_close(loss, expected_loss)
    torch.testing.assert_close(nll, expected_nll)
    # Scaled, as a mean over tokens would scale it.
    torch.testing.assert_close(
        torch.autograd.grad(loss / 13, leaves), torch.autograd.grad(expected_loss / 13, leaves), rtol=1e-4, atol=1e-6
    )


def test_in_bfloat16_loss_and_gradient_stay_close() -> None:
    hidden_NH, weight_VH, bias_V, target_N = inputs()
    leaves = (hidden_NH, weight_VH, bias_V)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss, _ = fused_loss(*leaves, target_N, 0.1)
    expected, _ = reference_loss(*leaves, target_N, 0.1)
    torch.testing.assert_close(loss, expected, rtol=0.02, atol=0.02)
    for found, wanted in zip(torch.autograd.grad(loss, leaves), torch.autograd.grad(expected, leaves), strict=True):
        torch.testing.assert_close(found, wanted, rtol=0.05, atol=0.05)


def test_gradient_by_the_logits_is_prediction_less_truth() -> None:
    """The notes: dL/dz = y_hat - y, so dL/dW = (y_hat - y) h^T and dL/dh = W^T (y_hat - y)."""
    hidden_NH, weight_VH, bias_V, target_N = inputs()
    loss, _ = fused_loss(hidden_NH, weight_VH, bias_V, target_N, 0.0)
    grad_hidden, grad_weight, grad_bias = torch.autograd.grad(loss, (hidden_NH, weight_VH, bias_V))
    error_NV = torch.softmax(hidden_NH @ weight_VH.T + bias_V, -1)
    error_NV = error_NV - torch.nn.functional.one_hot(target_N, VOCABULARY)
    torch.testing.assert_close(grad_hidden, error_NV @ weight_VH)
    torch.testing.assert_close(grad_weight, error_NV.T @ hidden_NH)
    torch.testing.assert_close(grad_bias, error_NV.sum(0))
