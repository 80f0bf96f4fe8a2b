"""The fused loss against the reference, and exact probabilities."""

from __future__ import annotations

import math

import pytest
import torch

from rnnkit.nn import losses
from rnnkit.nn.losses import exact_nll, fused_loss, fused_loss_and_nll, log_probabilities, reference_loss

ROWS, HIDDEN, VOCABULARY = 11, 5, 7


def inputs(dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, ...]:
    torch.manual_seed(4)
    hidden_NH = torch.randn(ROWS, HIDDEN, dtype=dtype, requires_grad=True)
    weight_VH = torch.randn(VOCABULARY, HIDDEN, dtype=dtype, requires_grad=True)
    bias_V = torch.randn(VOCABULARY, dtype=dtype, requires_grad=True)
    return hidden_NH, weight_VH, bias_V, torch.randint(0, VOCABULARY, (ROWS,))


def rows_at_once(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(losses, "CHUNK_BYTES", rows * VOCABULARY * 4)
    monkeypatch.setattr(losses, "MIN_CHUNK_ROWS", 1)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.7])
@pytest.mark.parametrize("chunk", [1, 3, 11, 512])
def test_fused_loss_and_gradients_equal_the_reference(
    smoothing: float, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows_at_once(chunk, monkeypatch)
    hidden_NH, weight_VH, bias_V, target_N = inputs()
    leaves = (hidden_NH, weight_VH, bias_V)
    loss, nll = fused_loss(*leaves, target_N, smoothing)
    expected_loss, expected_nll = reference_loss(*leaves, target_N, smoothing)
    torch.testing.assert_close(loss, expected_loss, rtol=1e-5, atol=0)
    torch.testing.assert_close(nll, expected_nll, rtol=1e-5, atol=0)
    # Scaled, as by a mean over tokens.
    torch.testing.assert_close(
        torch.autograd.grad(loss / 13, leaves), torch.autograd.grad(expected_loss / 13, leaves), rtol=1e-4, atol=1e-6
    )


def test_float64_gradients_keep_their_precision() -> None:
    hidden_NH, weight_VH, bias_V, target_N = inputs(torch.float64)
    leaves = (hidden_NH, weight_VH, bias_V)
    found = torch.autograd.grad(fused_loss(*leaves, target_N, 0.1)[0], leaves)
    wanted = torch.autograd.grad(reference_loss(*leaves, target_N, 0.1)[0], leaves)
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-7)  # the loss itself is in float32


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16, torch.float16])
def test_improbable_targets_do_not_underflow(kind: torch.dtype) -> None:
    hidden_NH, weight_VH, bias_V, target_N = inputs()
    target_N[::2] = torch.argmin(hidden_NH @ weight_VH.T, dim=-1)[::2]
    loss, nll = fused_loss(100 * hidden_NH, weight_VH, bias_V, target_N, dtype=kind)
    expected, _ = reference_loss(100 * hidden_NH, weight_VH, bias_V, target_N, 0.0)
    assert expected > 2000, "no target here is as improbable as float32 cannot say"
    torch.testing.assert_close(nll, expected, rtol=1e-5 if kind == torch.float32 else 0.01, atol=0)
    assert nll == loss


def test_impossible_target_has_the_right_loss() -> None:
    hidden_NH, weight_VH, bias_V, target_N = inputs()
    bias_V = torch.zeros(VOCABULARY)
    bias_V[target_N[0]] = -200.0
    _, nll_N = fused_loss_and_nll(hidden_NH, 0 * weight_VH, bias_V, target_N)
    others = math.log(VOCABULARY - 1)
    expected = [200 + others if target == target_N[0] else others for target in target_N]
    assert nll_N.tolist() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("kind", "tolerance"), [(torch.bfloat16, 0.05), (torch.float16, 0.004)])
def test_16_bit_loss_and_gradient_are_close(kind: torch.dtype, tolerance: float) -> None:
    hidden_NH, weight_VH, bias_V, target_N = inputs()
    leaves = (hidden_NH, weight_VH, bias_V)
    with torch.autocast("cpu", dtype=kind):
        loss, _ = fused_loss(*leaves, target_N, 0.1)
    expected, _ = reference_loss(*leaves, target_N, 0.1)
    torch.testing.assert_close(loss, expected, rtol=tolerance / 2, atol=tolerance / 2)
    for found, wanted in zip(torch.autograd.grad(loss, leaves), torch.autograd.grad(expected, leaves), strict=True):
        torch.testing.assert_close(found, wanted, rtol=tolerance, atol=tolerance)


def test_float16_subnormal_probability_is_not_used() -> None:
    """For a target of probability 9e-8, which float16 rounds to 1.2e-7, the loss comes from the logits."""
    weight_VH, bias_V = torch.zeros(VOCABULARY, 3), torch.zeros(VOCABULARY)
    bias_V[4] = 16.2
    _, nll_N = fused_loss_and_nll(torch.zeros(5, 3), weight_VH, bias_V, torch.full((5,), 2), dtype=torch.float16)
    assert nll_N.tolist() == pytest.approx([16.2] * 5, abs=0.01)


def test_dtype_argument_equals_autocast() -> None:
    hidden_NH, weight_VH, bias_V, target_N = inputs()
    leaves = (hidden_NH, weight_VH, bias_V)
    named, _ = fused_loss(*leaves, target_N, dtype=torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        autocast, _ = fused_loss(*leaves, target_N)
        exact, _ = fused_loss(*leaves, target_N, dtype=torch.float32)
    assert named == autocast
    assert named != exact
    torch.testing.assert_close(exact, fused_loss(*leaves, target_N)[0])


def test_bfloat16_gradient_is_unbiased() -> None:
    """Rounding errors must cancel, else they would be learned: their component along the gradient is near zero."""
    torch.manual_seed(5)
    rows, size, width = 3000, 301, 17
    hidden_NH, weight_VH, bias_V = torch.randn(rows, width), torch.randn(size, width), torch.randn(size)
    leaves = tuple(leaf.requires_grad_() for leaf in (hidden_NH, weight_VH, bias_V))
    target_N = torch.randint(0, size, (rows,))
    found = torch.autograd.grad(fused_loss(hidden_NH, weight_VH, bias_V, target_N, dtype=torch.bfloat16)[0], leaves)
    wanted = torch.autograd.grad(reference_loss(hidden_NH, weight_VH, bias_V, target_N, 0.0)[0], leaves)
    for grad, right in zip(found, wanted, strict=True):
        error, right = (grad - right).double(), right.double()
        share = (error * right).sum() / (right * right).sum()
        assert abs(share) < 4 * error.std() / right.norm() + 5e-4


def test_row_nll_sums_to_the_loss() -> None:
    hidden_NH, weight_VH, bias_V, target_N = inputs()
    loss, nll_N = fused_loss_and_nll(hidden_NH, weight_VH, bias_V, target_N)
    log_p_NV = torch.log_softmax(hidden_NH @ weight_VH.T + bias_V, -1)
    torch.testing.assert_close(nll_N, -log_p_NV[range(ROWS), target_N])
    torch.testing.assert_close(loss, nll_N.sum())
    assert not nll_N.requires_grad


def test_loss_without_gradients_is_the_same() -> None:
    hidden_NH, weight_VH, bias_V, target_N = inputs()
    leaves = (hidden_NH, weight_VH, bias_V)
    with torch.no_grad():
        loss, _ = fused_loss(*leaves, target_N, 0.1)
    assert not loss.requires_grad
    assert loss == fused_loss(*leaves, target_N, 0.1)[0]


def test_no_rows_give_zero_loss() -> None:
    hidden_NH, weight_VH, bias_V, target_N = inputs()
    loss, nll = fused_loss(hidden_NH[:0], weight_VH, bias_V, target_N[:0], 0.1)
    assert loss == nll == 0
    grad_hidden, grad_weight = torch.autograd.grad(loss, (hidden_NH, weight_VH))
    assert not grad_hidden.any() and not grad_weight.any()


def test_logit_gradient_is_prediction_minus_target() -> None:
    """dL/dz = y_hat - y, hence dL/dW = (y_hat - y) h^T and dL/dh = W^T (y_hat - y)."""
    hidden_NH, weight_VH, bias_V, target_N = inputs()
    loss, _ = fused_loss(hidden_NH, weight_VH, bias_V, target_N, 0.0)
    grad_hidden, grad_weight, grad_bias = torch.autograd.grad(loss, (hidden_NH, weight_VH, bias_V))
    error_NV = torch.softmax(hidden_NH @ weight_VH.T + bias_V, -1)
    error_NV = error_NV - torch.nn.functional.one_hot(target_N, VOCABULARY)
    torch.testing.assert_close(grad_hidden, error_NV @ weight_VH)
    torch.testing.assert_close(grad_weight, error_NV.T @ hidden_NH)
    torch.testing.assert_close(grad_bias, error_NV.sum(0))


@pytest.mark.parametrize("chunk", [1, 3, 512])
def test_exact_nll_equals_the_reference_under_autocast(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rows_at_once(chunk, monkeypatch)
    hidden_NH, weight_VH, bias_V, target_N = inputs()
    leaves = (hidden_NH, weight_VH, bias_V)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        nll_N = exact_nll(*leaves, target_N)
    assert nll_N.dtype == torch.float32 and nll_N.shape == (ROWS,) and not nll_N.requires_grad
    torch.testing.assert_close(nll_N.sum(), reference_loss(*leaves, target_N, 0.0)[1], rtol=1e-6, atol=0)


def test_exact_nll_does_not_depend_on_the_batch() -> None:
    torch.manual_seed(6)
    hidden_NH, weight_VH, bias_V = torch.randn(101, 33), torch.randn(1009, 33), torch.randn(1009)
    target_N = torch.randint(0, 1009, (101,))
    whole_N = exact_nll(hidden_NH, weight_VH, bias_V, target_N)
    for size in (1, 7, 50):
        pieces = zip(torch.split(hidden_NH, size), torch.split(target_N, size), strict=True)
        apart_N = torch.cat([exact_nll(h, weight_VH, bias_V, t) for h, t in pieces])
        torch.testing.assert_close(apart_N, whole_N, rtol=2e-6, atol=2e-6)


def test_log_probabilities_agree_with_exact_nll() -> None:
    hidden_NH, weight_VH, bias_V, target_N = inputs()
    leaves = (hidden_NH, weight_VH, bias_V)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        log_p_NV = log_probabilities(*leaves)
    assert log_p_NV.dtype == torch.float32
    torch.testing.assert_close(log_p_NV.exp().sum(-1), torch.ones(ROWS))
    torch.testing.assert_close(-log_p_NV[range(ROWS), target_N], exact_nll(*leaves, target_N))


@pytest.mark.parametrize(("count", "most", "sizes"), [(11, 4, [3, 4, 4]), (8, 4, [4, 4]), (3, 5, [3]), (0, 4, [])])
def test_chunks_are_balanced_and_within_the_byte_limit(
    count: int, most: int, sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows_at_once(most, monkeypatch)
    chunks = list(losses._row_chunks(count, VOCABULARY, torch.empty(0)))
    assert [rows.stop - rows.start for rows in chunks] == sizes
    assert [row for rows in chunks for row in range(rows.start, rows.stop)] == list(range(count))


def test_chunks_of_a_huge_vocabulary_have_a_minimum_of_rows() -> None:
    chunks = list(losses._row_chunks(700, 10_000_000, torch.empty(0)))
    assert [rows.stop - rows.start for rows in chunks] == [233, 233, 234]
