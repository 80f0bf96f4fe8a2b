"""Masked language model against its equations: both sides of a token, all positions at once, never the token itself."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from tests.tiny_models import SIZE, filler
from torch import Tensor

from rnnkit.models.masked_lm import MaskedLM, MaskedLMConfig, prediction_mask
from rnnkit.nn import losses
from rnnkit.nn.recurrent_layer import RecurrentLayer
from rnnkit.text.special_tokens import BOS, EOS, PAD, UNK

LINES = [[4, 9, 6, 5, 12], [7], [15, 5, 4], [], [8, 8, 8, 8, 8, 8, 8]]
ARCHS = ["rnn", "gru", "lstm", "mingru"]


def padded(lines: list[list[int]]) -> tuple[Tensor, Tensor]:
    longest = max(len(line) for line in lines) + 1
    rows = [[*line, EOS, *[PAD] * (longest - len(line) - 1)] for line in lines]
    return torch.tensor(rows), torch.tensor([len(line) + 1 for line in lines])


def through(stack: Any, network: MaskedLM, ids: list[int]) -> list[Tensor]:
    """The last layer's state after each of the ids, by the cells' equations."""
    x_TE = network.embedding.weight[ids]
    for layer in stack:
        if isinstance(layer, RecurrentLayer):
            cell, state = layer.as_cell(), layer.zero_state(x_TE[:1])
            outputs = []
            for x_E in x_TE:
                state = cell(x_E.unsqueeze(0), state)
                outputs.append(state[0])
        else:
            state = layer.zero_state(x_TE[:1])
            outputs = [(state := layer.step(x_E.unsqueeze(0), state))[0] for x_E in x_TE]
        h_TH = torch.cat(outputs)
        x_TE = h_TH + x_TE if network.config.residual and h_TH.shape == x_TE.shape else h_TH
    return list(x_TE)


def by_equations(network: MaskedLM, line: list[int], position: int) -> Tensor:
    """Log-probabilities of the token at a position of a line (V,)."""
    left = through(network.forwards, network, [BOS, *line[:position]])[-1]
    right = through(network.backwards, network, [EOS, *reversed(line[position + 1 :])])[-1]
    u = network.projection.weight @ torch.cat([left, right, left * right]) + network.projection.bias
    return torch.log_softmax(network.output_weight @ u + network.output_bias, dim=0)


@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize("shape", [{}, {"layers": 1, "tied": False}, {"embedding": 5, "residual": True, "layers": 3}])
@torch.no_grad()
def test_every_position_follows_the_equations(arch: str, shape: dict[str, Any]) -> None:
    """Also in a batch with lines of other lengths."""
    network = filler(arch, **shape)
    readout_BTE = network.hidden_states(*padded(LINES))
    log_p_BTV = network.log_probabilities(readout_BTE.flatten(0, 1)).view(5, 8, SIZE)
    for line, log_p_TV in zip(LINES, log_p_BTV, strict=True):
        for position in range(len(line)):
            torch.testing.assert_close(log_p_TV[position], by_equations(network, line, position), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("arch", ARCHS)
@torch.no_grad()
def test_only_its_own_prediction_ignores_a_token(arch: str) -> None:
    """Every other position depends on it."""
    network = filler(arch, residual=True, embedding=5)
    line = [4, 9, 6, 5, 12, 7]
    before_TE = network.hidden_states(*padded([line]))[0]
    for position in range(len(line)):
        changed = [*line]
        changed[position] = 14
        after_TE = network.hidden_states(*padded([changed]))[0]
        differs = [bool((before_TE[other] != after_TE[other]).any()) for other in range(len(line))]
        assert differs == [other != position for other in range(len(line))]


def test_no_gradient_from_a_position_to_its_own_token() -> None:
    network = filler()
    ids_BT, lengths_B = padded([[4, 9, 6, 5, 12]])
    for position in range(5):
        readout = network.hidden_states(ids_BT, lengths_B)[0, position].sum()
        gradient_V = torch.autograd.grad(readout, network.embedding.weight)[0].abs().sum(1)
        read = {row for row in range(SIZE) if gradient_V[row] > 0}
        assert read == {BOS, EOS, 4, 9, 6, 5, 12} - {[4, 9, 6, 5, 12][position]}


@pytest.mark.parametrize("tied", [True, False])
def test_loss_and_gradient_sum_over_tokens_without_eos(tied: bool) -> None:
    network = filler(tied=tied)
    ids_BT, lengths_B = padded(LINES)
    loss = network.loss(ids_BT, lengths_B)
    expected = -sum(
        by_equations(network, line, position)[line[position]] for line in LINES for position in range(len(line))
    )
    torch.testing.assert_close(loss, expected)
    for name, parameter in network.named_parameters():
        (fast,) = torch.autograd.grad(loss, parameter, retain_graph=True)
        (plain,) = torch.autograd.grad(expected, parameter, retain_graph=True)  # type: ignore[arg-type]
        torch.testing.assert_close(fast, plain, atol=2e-4, rtol=2e-4, msg=name)


@torch.no_grad()
def test_exact_figures_agree_with_the_loss() -> None:
    network = filler()
    ids_BT, lengths_B = padded(LINES)
    real_BT = prediction_mask(ids_BT, lengths_B)
    assert int(real_BT.sum()) == sum(map(len, LINES))
    assert not real_BT[ids_BT == EOS].any()
    readout_NE, target_N = network.hidden_states(ids_BT, lengths_B)[real_BT], ids_BT[real_BT]
    nll_N = network.nll(readout_NE, target_N)
    torch.testing.assert_close(nll_N.sum(), network.loss(ids_BT, lengths_B))
    reference, _ = losses.reference_loss(readout_NE, network.output_weight, network.output_bias, target_N, 0.0)
    torch.testing.assert_close(nll_N.sum(), reference)


@torch.no_grad()
def test_empty_lines_have_no_loss() -> None:
    network = filler()
    assert network.loss(*padded([[], []])).item() == 0


@torch.no_grad()
def test_training_replaces_a_share_of_inputs_by_unk() -> None:
    """EOS and padding stay."""
    network = filler(blanked=0.25, dropout=0.0, dropout_input=0.0, dropout_hidden=0.0)
    network.train()
    torch.manual_seed(3)
    ids_BT, _ = padded([[4] * 50] * 40 + [[5] * 20])
    seen = [network._replace_inputs(ids_BT) for _ in range(3)]
    for read_BT in seen:
        assert torch.equal(read_BT == EOS, ids_BT == EOS)
        assert torch.equal(read_BT == PAD, ids_BT == PAD)
        share = (read_BT == UNK).sum().item() / (40 * 50 + 20)
        assert share == pytest.approx(0.25, abs=5 * math.sqrt(0.25 * 0.75 / 2020))
    assert not torch.equal(seen[0], seen[1])
    assert network.eval()._replace_inputs(ids_BT) is ids_BT


@pytest.mark.parametrize("arch", ARCHS)
def test_every_kind_of_dropout_acts_in_training_only(arch: str) -> None:
    rates = {"dropout": 0.3, "dropout_input": 0.3, "dropout_hidden": 0.3, "dropout_embedding": 0.3, "weight_drop": 0.3}
    ids_BT, lengths_B = padded(LINES)
    for name in rates:
        none: dict[str, Any] = dict.fromkeys([*rates, "blanked"], 0.0)
        network = filler(arch, **{**none, name: 0.3}).train()
        if name == "weight_drop" and arch == "mingru":
            continue  # it has no recurrent weights
        torch.manual_seed(1)
        first, second = network.hidden_states(ids_BT, lengths_B), network.hidden_states(ids_BT, lengths_B)
        assert not torch.equal(first, second), name
        network.eval()
        assert torch.equal(network.hidden_states(ids_BT, lengths_B), network.hidden_states(ids_BT, lengths_B))


def test_a_transformer_is_refused() -> None:
    with pytest.raises(ValueError, match="transformer"):
        MaskedLM(MaskedLMConfig("transformer", SIZE))
