"""Sampled softmax against its equation, the exact loss and the properties of the sampling."""

from __future__ import annotations

import pytest
import torch

from rnnkit.nn.losses import (
    NO_TOKEN,
    SIZE_MULTIPLE,
    VocabularySample,
    propose,
    reference_loss,
    reference_sampled_loss,
    sampled_loss,
    unigram_weights,
)

ROWS, HIDDEN, VOCABULARY = 11, 5, 31


def inputs() -> tuple[torch.Tensor, ...]:
    torch.manual_seed(4)
    hidden_NH = torch.randn(ROWS, HIDDEN, requires_grad=True)
    weight_VH = torch.randn(VOCABULARY, HIDDEN, requires_grad=True)
    bias_V = torch.randn(VOCABULARY, requires_grad=True)
    return hidden_NH, weight_VH, bias_V, torch.randint(0, VOCABULARY, (ROWS,))


def zipf_weights(size: int) -> torch.Tensor:
    """Return weights by Zipf's law for ids in order of falling frequency: log((v + 2) / (v + 1))."""
    ids_V = torch.arange(size, dtype=torch.float64)
    return torch.log((ids_V + 2) / (ids_V + 1))


def sample(count: int, seed: int = 0) -> VocabularySample:
    proposal = propose(zipf_weights(VOCABULARY), count)
    torch.manual_seed(seed)
    return proposal.draw()


@pytest.mark.parametrize("count", [1, 3, 7, VOCABULARY])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_loss_and_gradients_equal_the_equation(count: int, seed: int) -> None:
    hidden_NH, weight_VH, bias_V, target_N = inputs()
    leaves = (hidden_NH, weight_VH, bias_V)
    drawn = sample(count, seed)
    target_N[:2] = drawn.ids_K[0].clamp(min=0)  # a target in the sample, unless it is empty
    loss, nll_N = sampled_loss(hidden_NH, weight_VH, bias_V, target_N, drawn)
    expected, expected_N = reference_sampled_loss(hidden_NH, weight_VH, bias_V, target_N, drawn)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(nll_N, expected_N)
    found, wanted = (torch.autograd.grad(value / 13, leaves) for value in (loss, expected))
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)


def test_full_sample_gives_the_exact_loss() -> None:
    hidden_NH, weight_VH, bias_V, target_N = inputs()
    leaves = (hidden_NH, weight_VH, bias_V)
    drawn = sample(VOCABULARY + 5)
    target_N[:2] = torch.tensor([0, VOCABULARY - 1])
    assert drawn.ids_K.tolist() == [*range(VOCABULARY), *[NO_TOKEN] * (SIZE_MULTIPLE - VOCABULARY)]
    loss, _ = sampled_loss(hidden_NH, weight_VH, bias_V, target_N, drawn)
    exact, _ = reference_loss(hidden_NH, weight_VH, bias_V, target_N, 0.0)
    torch.testing.assert_close(loss, exact)
    torch.testing.assert_close(torch.autograd.grad(loss, leaves), torch.autograd.grad(exact, leaves))


def test_estimated_partition_function_is_unbiased() -> None:
    hidden_NH, weight_VH, bias_V, target_N = (part.detach() for part in inputs())
    proposal = propose(zipf_weights(VOCABULARY), 7)
    exact_N = -torch.log_softmax(hidden_NH @ weight_VH.T + bias_V, -1)[range(ROWS), target_N]
    ratios_DN = torch.empty(400, ROWS, dtype=torch.float64)
    for ratios_N in ratios_DN:
        parts = hidden_NH, weight_VH, bias_V, target_N, proposal.draw()
        ratios_N.copy_((reference_sampled_loss(*parts)[1] - exact_N).exp())
    standard_errors_N = ratios_DN.std(0) / len(ratios_DN) ** 0.5
    assert standard_errors_N.max() < 0.15, "so large an error would pass for no error"
    assert ((ratios_DN.mean(0) - 1).abs() < 4 * standard_errors_N + 1e-6).all()


def test_tokens_are_drawn_with_their_inclusion_probability() -> None:
    torch.manual_seed(1)
    counts_V = torch.tensor([0, 900, 300, 90, 40, 11, 7, 3, 2, 1, 1])
    proposal = propose(unigram_weights(counts_V), 5)
    inclusion_V = proposal.log_inclusion_V.exp()
    assert inclusion_V.sum().item() == pytest.approx(5)
    assert inclusion_V[1] == 1 and 0 < inclusion_V[0] == inclusion_V[9] < inclusion_V[7] < 1
    drawn_V = torch.zeros(len(counts_V))
    turns = 4000
    for _ in range(turns):
        ids_K = proposal.draw().ids_K
        assert len(ids_K) == SIZE_MULTIPLE
        real_K = ids_K[ids_K != NO_TOKEN]
        assert (real_K.diff() > 0).all()
        drawn_V[real_K] += 1
    spread_V = (inclusion_V * (1 - inclusion_V) / turns).sqrt()
    assert ((drawn_V / turns - inclusion_V).abs() <= 4 * spread_V + 1e-6).all()


def test_sample_may_be_empty() -> None:
    hidden_NH, weight_VH, bias_V, target_N = inputs()
    torch.manual_seed(0)
    proposal = propose(torch.ones(VOCABULARY), 1)
    empty = next(drawn for drawn in (proposal.draw() for _ in range(99)) if set(drawn.ids_K.tolist()) == {NO_TOKEN})
    loss, nll_N = sampled_loss(hidden_NH, weight_VH, bias_V, target_N, empty)
    assert loss == 0 and not nll_N.any()


def test_sample_sizes_are_padded_to_a_multiple() -> None:
    proposal = propose(zipf_weights(1000), 130)
    sizes = {len(proposal.draw().ids_K) for _ in range(200)}
    assert sizes <= {64, 128, 192, 256} and len(sizes) > 1


def test_inclusion_probabilities_are_capped_at_one() -> None:
    weights_V = torch.tensor([1e6, 1e3, 1.0, 1.0, 1.0, 1.0])
    assert propose(weights_V, 3).inclusion_V.tolist() == pytest.approx([1, 1, 0.25, 0.25, 0.25, 0.25])
    assert propose(weights_V, 2).inclusion_V[1] < 1
    assert propose(torch.ones(3), 1).inclusion_V.tolist() == pytest.approx([1 / 3] * 3)
    assert propose(weights_V, 6).inclusion_V.tolist() == propose(weights_V, 60).inclusion_V.tolist() == [1.0] * 6


def test_samples_come_from_the_global_generator() -> None:
    proposal = propose(zipf_weights(101), 7)
    torch.manual_seed(3)
    proposal.draw()
    state = torch.get_rng_state()
    following = [proposal.draw().ids_K.tolist() for _ in range(3)]
    torch.set_rng_state(state)
    assert [proposal.draw().ids_K.tolist() for _ in range(3)] == following
    assert following[0] != following[1]


def test_only_sampled_rows_get_a_gradient() -> None:
    hidden_NH, weight_VH, bias_V, target_N = inputs()
    drawn = sample(3)
    loss, _ = sampled_loss(hidden_NH, weight_VH, bias_V, target_N, drawn)
    grad_VH, grad_V = torch.autograd.grad(loss, (weight_VH, bias_V))
    used = (set(drawn.ids_K.tolist()) | set(target_N.tolist())) - {NO_TOKEN}
    assert set(grad_VH.abs().sum(1).nonzero().flatten().tolist()) == used
    assert set(grad_V.nonzero().flatten().tolist()) == used


def test_bfloat16_is_close_and_follows_autocast() -> None:
    hidden_NH, weight_VH, bias_V, target_N = inputs()
    leaves = (hidden_NH, weight_VH, bias_V)
    drawn = sample(7)
    named, _ = sampled_loss(*leaves, target_N, drawn, torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss, _ = sampled_loss(*leaves, target_N, drawn)
    exact, _ = reference_sampled_loss(*leaves, target_N, drawn)
    assert named == loss != exact
    torch.testing.assert_close(loss, exact, rtol=0.02, atol=0.02)
    for found, wanted in zip(torch.autograd.grad(loss, leaves), torch.autograd.grad(exact, leaves), strict=True):
        torch.testing.assert_close(found, wanted, rtol=0.05, atol=0.05)


def test_samples_are_drawn_on_the_cpu_for_any_device() -> None:
    proposal = propose(zipf_weights(9), 4, torch.device("meta"))
    assert proposal.log_inclusion_V.is_meta and not proposal.inclusion_V.is_meta
    assert proposal.draw().ids_K.is_meta


def test_gradient_vanishes_at_the_true_probabilities() -> None:
    """The mean gradient over samples of 4 of 31 tokens, and over targets drawn by their probability, is zero."""
    p_V = torch.softmax(torch.linspace(2, -2, VOCABULARY), 0)
    bias_V = p_V.log().requires_grad_()
    target_N = torch.repeat_interleave(torch.arange(VOCABULARY), (p_V * 500).round().long())
    p_V = torch.bincount(target_N) / len(target_N)
    bias_V.data = p_V.log()
    proposal = propose(unigram_weights(p_V * 500), 4)
    hidden_NH, weight_VH = torch.zeros(len(target_N), 1), torch.zeros(VOCABULARY, 1)
    torch.manual_seed(7)
    grads_DV = torch.empty(400, VOCABULARY)
    for grad_V in grads_DV:
        loss, _ = sampled_loss(hidden_NH, weight_VH, bias_V, target_N, proposal.draw())
        grad_V.copy_(torch.autograd.grad(loss / len(target_N), [bias_V])[0])
    z_V = grads_DV.mean(0) / (grads_DV.std(0) / len(grads_DV) ** 0.5)
    assert z_V.abs().max() < 4
    assert (z_V**2).mean() < 2  # 1 for chance alone
