"""The pointer-generator against its equations."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnkit.nn import pointer_generator
from rnnkit.nn.losses import reference_loss
from rnnkit.text import special_tokens

BATCH, TARGET, SOURCE, SIZE = 3, 5, 7, 11


def weights_and_source(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    weights_BTS = torch.softmax(3 * torch.randn(BATCH, TARGET, SOURCE, generator=generator), dim=-1)
    return weights_BTS, torch.randint(0, SIZE, (BATCH, SOURCE), generator=generator)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_copy_distribution_sums_attention_per_token(seed: int) -> None:
    weights_BTS, source_BS = weights_and_source(seed)
    share_BTV = pointer_generator.copy_distribution(weights_BTS, source_BS, SIZE)
    for row in range(BATCH):
        for token in range(SIZE):
            expected_T = weights_BTS[row][:, source_BS[row] == token].sum(-1)
            torch.testing.assert_close(share_BTV[row, :, token], expected_T)
    target_BT = torch.randint(0, SIZE, (BATCH, TARGET), generator=torch.Generator().manual_seed(seed))
    found_BT = pointer_generator.copy_probability(weights_BTS, source_BS, target_BT)
    torch.testing.assert_close(found_BT, share_BTV.gather(2, target_BT.unsqueeze(2)).squeeze(2))


@pytest.mark.parametrize("gate", [-3.0, 0.0, 4.0])
def test_mixture_is_a_distribution(gate: float) -> None:
    weights_BTS, source_BS = weights_and_source(1)
    share_BTV = pointer_generator.copy_distribution(weights_BTS, source_BS, SIZE)
    log_p_BTV = torch.log_softmax(torch.randn(BATCH, TARGET, SIZE), dim=-1)
    mixed_BTV = pointer_generator.mixture_log_prob(log_p_BTV, share_BTV, torch.full((BATCH, TARGET, 1), gate)).exp()
    torch.testing.assert_close(mixed_BTV.sum(-1), torch.ones(BATCH, TARGET))
    generated = torch.sigmoid(torch.tensor(gate))
    torch.testing.assert_close(mixed_BTV, generated * log_p_BTV.exp() + (1 - generated) * share_BTV)


@pytest.mark.parametrize("gate", [-3.0, 0.0, 4.0])
def test_unattended_mass_is_generated(gate: float) -> None:
    weights_BTS, source_BS = weights_and_source(1)
    weights_BTS = weights_BTS * torch.linspace(0, 1, TARGET).view(1, TARGET, 1)
    left_BT1 = pointer_generator.unattended_mass(weights_BTS)
    torch.testing.assert_close(left_BT1[0, :, 0], torch.linspace(1, 0, TARGET))
    share_BTV = pointer_generator.copy_distribution(weights_BTS, source_BS, SIZE)
    log_p_BTV = torch.log_softmax(torch.randn(BATCH, TARGET, SIZE), dim=-1)
    mixed_BTV = pointer_generator.mixture_log_prob(
        log_p_BTV, share_BTV, torch.full((BATCH, TARGET, 1), gate), left_BT1
    ).exp()
    torch.testing.assert_close(mixed_BTV.sum(-1), torch.ones(BATCH, TARGET))
    generated = torch.sigmoid(torch.tensor(gate))
    expected_BTV = (generated + (1 - generated) * left_BT1) * log_p_BTV.exp() + (1 - generated) * share_BTV
    torch.testing.assert_close(mixed_BTV, expected_BTV)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_without_copying_is_cross_entropy(smoothing: float) -> None:
    torch.manual_seed(2)
    hidden_NH, weight_VH, bias_V = torch.randn(5, 3), torch.randn(SIZE, 3), torch.randn(SIZE)
    target_N = torch.randint(0, SIZE, (5,))
    logits_NV = torch.nn.functional.linear(hidden_NH, weight_VH, bias_V)
    found = pointer_generator.mixture_loss(logits_NV, target_N, torch.rand(5), torch.full((5,), 60.0), smoothing)
    torch.testing.assert_close(found, reference_loss(hidden_NH, weight_VH, bias_V, target_N, smoothing))


def test_loss_of_copy_only_tokens_is_finite() -> None:
    logits_NV = torch.tensor([[0.0, -200.0, 0.0], [0.0, 0.0, 0.0]], requires_grad=True)
    gate_N = torch.zeros(2, requires_grad=True)
    loss, nll = pointer_generator.mixture_loss(logits_NV, torch.tensor([1, 2]), torch.tensor([0.9, 0.0]), gate_N, 0.0)
    expected = -torch.log(torch.tensor([0.5 * 0.9, 0.5 / 3])).sum()
    torch.testing.assert_close(nll, expected)
    grads = torch.autograd.grad(loss, [logits_NV, gate_N])
    assert all(grad.isfinite().all() for grad in grads)
    assert grads[1][0] > 0 > grads[1][1], "copy the first, generate the second"


@pytest.mark.parametrize("gate", [-3.0, 0.0, 4.0])
def test_unk_probability_is_split_with_oov_tokens(gate: float) -> None:
    """Two tokens of the source are out of vocabulary: SIZE at two positions, and SIZE + 1."""
    weights_BTS, source_BS = weights_and_source(1)
    source_BS[:, 0], source_BS[:, 2:4], unknown_BS = SIZE + 1, SIZE, source_BS.clone()
    unknown_BS[:, [0, 2, 3]] = special_tokens.UNK
    logits_BTV, gate_BT1 = torch.randn(BATCH, TARGET, SIZE), torch.full((BATCH, TARGET, 1), gate)
    log_p_BTV = torch.log_softmax(logits_BTV, dim=-1)
    trained_BTV = pointer_generator.mixture_log_prob(
        log_p_BTV, pointer_generator.copy_distribution(weights_BTS, unknown_BS, SIZE), gate_BT1
    ).exp()
    share_BTV = pointer_generator.copy_distribution(weights_BTS, source_BS, SIZE + 2)
    wide_BTV = pointer_generator.mixture_log_prob(
        pointer_generator.split_unknown(log_p_BTV, share_BTV[..., SIZE:]), share_BTV, gate_BT1
    ).exp()
    others = [row for row in range(SIZE) if row != special_tokens.UNK]
    torch.testing.assert_close(wide_BTV[..., others], trained_BTV[..., others])
    torch.testing.assert_close(
        wide_BTV[..., [special_tokens.UNK, SIZE, SIZE + 1]].sum(-1), trained_BTV[..., special_tokens.UNK]
    )
    generated = torch.sigmoid(torch.tensor(gate))
    unknown_BT = log_p_BTV[..., special_tokens.UNK].exp()
    for token, places in ((SIZE, [2, 3]), (SIZE + 1, [0])):
        look_BT = weights_BTS[..., places].sum(-1)
        torch.testing.assert_close(wide_BTV[..., token], look_BT * (generated * unknown_BT + 1 - generated))
