"""Autograd functions over the recurrent kernels against the equations of the cells."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rnnkit.kernels import dispatch
from rnnkit.kernels.dispatch import cpu_features
from rnnkit.nn import kinds, recurrent_autograd
from rnnkit.nn.cells import State, unroll
from rnnkit.nn.recurrent_layer import RecurrentLayer

SIZES = [(3, 7, 5, 4), (1, 1, 3, 17), (1, 5, 6, 33), (20, 1, 7, 6), (11, 4, 16, 66), (5, 3, 7, 32), (9, 2, 33, 16)]
"""Batch, steps, input size, hidden size."""


@pytest.fixture(autouse=True)
def _restored_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def make(arch: Any, batch: int, steps: int, input_size: int, size: int) -> tuple[RecurrentLayer, Tensor, State]:
    torch.manual_seed(size)
    layer = RecurrentLayer(arch, input_size, size)
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=size**-0.5)
    state = tuple(torch.randn(batch, size, requires_grad=True) for _ in range(2 if arch == "lstm" else 1))
    return layer, torch.randn(batch, steps, input_size, requires_grad=True), state


def run(layer: RecurrentLayer, x_BTE: Tensor, state: State) -> tuple[Tensor, State]:
    h_TBH, last = recurrent_autograd.run_recurrent(
        layer.arch, x_BTE.transpose(0, 1), state, layer.input_weights, layer.hidden_weights
    )
    return h_TBH.transpose(0, 1), last


def loss_of(h_BTH: Tensor, last: State) -> Tensor:
    """Return a loss of all outputs and all parts of the last state, each with its own weight."""
    torch.manual_seed(0)
    return (h_BTH.float() * torch.randn(h_BTH.shape)).sum() + sum(
        (part * torch.randn(part.shape)).sum() for part in last
    )


@pytest.mark.parametrize("arch", kinds.ARCHS)
@pytest.mark.parametrize("sizes", SIZES)
def test_kernels_and_gradients_equal_the_cells(arch: Any, sizes: tuple[int, int, int, int]) -> None:
    layer, x_BTE, state = make(arch, *sizes)
    h_BTH, last = run(layer, x_BTE, state)
    plain_BTH, plain_last = unroll(layer.as_cell(), x_BTE, state)
    torch.testing.assert_close(h_BTH, plain_BTH)
    torch.testing.assert_close(last, plain_last)
    leaves = [x_BTE, *state, *layer.parameters()]
    found = torch.autograd.grad(loss_of(h_BTH, last), leaves)
    expected = torch.autograd.grad(loss_of(plain_BTH, plain_last), leaves)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("arch", kinds.ARCHS)
def test_gradient_of_outputs_or_last_state_alone(arch: Any) -> None:
    layer, x_BTE, state = make(arch, 3, 7, 5, 4)
    plain_BTH, plain_last = unroll(layer.as_cell(), x_BTE, state)
    h_BTH, last = run(layer, x_BTE, state)
    for fast, plain in ((h_BTH[:, 2], plain_BTH[:, 2]), *zip(last, plain_last, strict=True)):
        found, expected = (
            torch.autograd.grad(part.square().sum(), [x_BTE, *state], retain_graph=True) for part in (fast, plain)
        )
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("arch", kinds.ARCHS)
def test_memory_order_does_not_matter(arch: Any) -> None:
    layer, x_BTE, state = make(arch, 5, 6, 7, 8)
    scattered_BTE = torch.randn(7, 6, 10).transpose(0, 2)[::2].detach()
    scattered_BTE.copy_(x_BTE.detach())
    scattered_BTE.requires_grad_()
    (h_BTH, _), (other_BTH, _) = run(layer, x_BTE, state), run(layer, scattered_BTE, state)
    assert torch.equal(h_BTH, other_BTH)
    (found,) = torch.autograd.grad(other_BTH.sum(), scattered_BTE)  # the gradient of a sum is an expanded tensor
    (expected,) = torch.autograd.grad((h_BTH * torch.ones(5, 6, 8)).sum(), x_BTE)
    assert torch.equal(found, expected)


@pytest.mark.parametrize("arch", kinds.ARCHS)
def test_threads_and_repetitions_are_bit_identical(arch: Any) -> None:
    layer, x_BTE, state = make(arch, 13, 5, 9, 40)
    results = []
    for threads in (1, 2, 2, 3):
        torch.set_num_threads(threads)
        h_BTH, last = run(layer, x_BTE, state)
        grads = torch.autograd.grad(loss_of(h_BTH, last), [x_BTE, *layer.parameters()])
        results.append([h_BTH, *last, *grads[:3]])
    for other in results[1:]:
        assert all(torch.equal(one, two) for one, two in zip(results[0], other, strict=True))


@pytest.mark.parametrize("arch", kinds.ARCHS)
def test_rows_of_a_batch_are_independent(arch: Any) -> None:
    layer, x_BTE, state = make(arch, 11, 4, 9, 20)
    together_BTH, _ = run(layer, x_BTE, state)
    for row in (0, 6, 10):
        alone_1TH, _ = run(layer, x_BTE[row : row + 1], tuple(part[row : row + 1] for part in state))
        assert torch.equal(alone_1TH[0], together_BTH[row])


def test_inputs_without_requires_grad_get_none() -> None:
    layer, x_BTE, state = make("lstm", 3, 7, 5, 4)
    h_BTH, _ = run(layer, x_BTE.detach(), state)
    h_BTH.sum().backward()  # type: ignore[no-untyped-call]
    assert layer.input_weights[0].grad is not None and state[1].grad is not None


def test_in_place_changes_of_outputs_are_rejected() -> None:
    layer, x_BTE, state = make("gru", 3, 7, 5, 4)
    h_BTH, _ = run(layer, x_BTE, state)
    with pytest.raises(RuntimeError, match="is being modified inplace"):
        h_BTH.mul_(2)


@pytest.mark.parametrize("arch", kinds.ARCHS)
def test_autocast_has_no_effect_without_bf16_support(arch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = make(arch, 3, 7, 5, 5)
    expected_BTH, _ = run(*odd)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(run(*odd)[0], expected_BTH)
    monkeypatch.setattr(dispatch, "cpu_features", lambda: replace(cpu_features(), avx512_bf16=False))
    even = make(arch, 3, 7, 5, 4)
    expected_BTH, _ = run(*even)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(run(*even)[0], expected_BTH)


@pytest.mark.skipif(not cpu_features().avx512_bf16, reason="this processor does not multiply bfloat16")
@pytest.mark.parametrize("arch", kinds.ARCHS)
@pytest.mark.parametrize("sizes", [(3, 7, 5, 4), (20, 3, 16, 70), (1, 5, 7, 34)])
def test_bfloat16_is_close_and_carries_float32(arch: Any, sizes: tuple[int, int, int, int]) -> None:
    layer, x_BTE, state = make(arch, *sizes)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        h_BTH, last = run(layer, x_BTE, state)
    assert h_BTH.dtype == torch.bfloat16
    assert {part.dtype for part in last} == {torch.float32}
    exact_BTH, exact_last = run(layer, x_BTE, state)
    assert (h_BTH - exact_BTH).norm() < 0.02 * exact_BTH.norm()
    leaves = [x_BTE, *state, *layer.parameters()]
    found = torch.autograd.grad(loss_of(h_BTH, last), leaves)
    expected = torch.autograd.grad(loss_of(exact_BTH, exact_last), leaves)
    for rough, exact in zip(found, expected, strict=True):
        assert rough.dtype == torch.float32
        assert (rough - exact).norm() < 0.04 * exact.norm()
