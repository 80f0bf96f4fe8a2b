"""Language models of every architecture: states, causality, losses."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from rnnkit.models import language_model
from rnnkit.models.language_model import LanguageModelNetwork, LMConfig, flatten_time_major, select_predictions
from rnnkit.nn.kinds import LANGUAGE_ARCHS
from rnnkit.text.special_tokens import PAD

V, T, B = 13, 11, 3


def make(arch: str = "lstm", **changes: Any) -> LanguageModelNetwork:
    torch.manual_seed(5)
    sizes = {"embedding": 8, "hidden": 8} if arch == "transformer" else {"embedding": 6, "hidden": 10}
    config = LMConfig(arch, V, layers=2, heads=2, memory=64, **{**sizes, **changes})  # type: ignore[arg-type]
    return LanguageModelNetwork(config)


def text(rows: int = B, steps: int = T) -> Tensor:
    return torch.randint(4, V, (rows, steps), generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("arch", LANGUAGE_ARCHS)
@pytest.mark.parametrize("residual", [False, True])
def test_a_carried_state_equals_one_long_segment(arch: str, residual: bool) -> None:
    network = make(arch, residual=residual).eval()
    ids_BT = text()
    whole = network.hidden_states(ids_BT, network.initial_state(B)).hidden_BTE
    for steps in (1, 3, 7):
        state = network.initial_state(B)
        parts = []
        for begin in range(0, T, steps):
            output = network.hidden_states(ids_BT[:, begin : begin + steps], state)
            state = output.state
            parts.append(output.hidden_BTE)
        torch.testing.assert_close(torch.cat(parts, dim=1), whole, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("arch", LANGUAGE_ARCHS)
def test_predictions_are_causal_and_rows_independent(arch: str) -> None:
    network = make(arch).eval()
    ids_BT = text()
    other_BT = ids_BT.clone()
    other_BT[:, 7:] = (other_BT[:, 7:] - 4 + 3) % (V - 4) + 4
    other_BT[0] = 5
    before, after = (network.hidden_states(ids, network.initial_state(B)).hidden_BTE for ids in (ids_BT, other_BT))
    torch.testing.assert_close(before[1:, :7], after[1:, :7])
    assert not torch.allclose(before[1:, 7:], after[1:, 7:])


@pytest.mark.parametrize("arch", LANGUAGE_ARCHS)
def test_states_are_selected_by_row(arch: str) -> None:
    network = make(arch).eval()
    ids_BT = text()
    state = network.hidden_states(ids_BT, network.initial_state(B)).state
    rows = torch.tensor([2, 0, 2, 1])
    chosen = network.hidden_states(ids_BT[rows, :2], language_model.select_state(state, rows)).hidden_BTE
    plain = network.hidden_states(ids_BT[:, :2], state).hidden_BTE[rows]
    torch.testing.assert_close(chosen, plain)


@pytest.mark.parametrize("arch", LANGUAGE_ARCHS)
@pytest.mark.parametrize("tied", [True, False])
def test_loss_nll_and_probabilities_agree_and_everything_learns(arch: str, tied: bool) -> None:
    network = make(arch, tied=tied).eval()
    ids_BT = text()
    hidden_BTE = network.hidden_states(ids_BT[:, :-1], network.initial_state(B)).hidden_BTE
    hidden_NE, target_N = select_predictions(hidden_BTE, ids_BT[:, 1:], padded=False)
    log_p_NV = network.log_probabilities(hidden_NE)
    torch.testing.assert_close(log_p_NV.exp().sum(-1), torch.ones(len(target_N)))
    expected_N = -log_p_NV[torch.arange(len(target_N)), target_N]
    torch.testing.assert_close(network.nll(hidden_NE, target_N), expected_N.detach(), atol=1e-5, rtol=1e-5)
    loss = network.loss(hidden_NE, target_N)
    torch.testing.assert_close(loss, expected_N.sum(), atol=1e-4, rtol=1e-5)
    torch.autograd.backward(loss)
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_predictions_are_time_major_without_padding() -> None:
    hidden_BTE = torch.arange(6.0).reshape(2, 3, 1)
    target_BT = torch.tensor([[5, 6, 7], [8, PAD, PAD]])
    hidden_NE, target_N = select_predictions(hidden_BTE, target_BT, padded=True)
    assert target_N.tolist() == [5, 8, 6, 7]
    assert hidden_NE.flatten().tolist() == [0, 3, 1, 2]
    assert flatten_time_major(target_BT).tolist() == [5, 8, 6, PAD, 7, PAD]


@pytest.mark.parametrize("arch", ["rnn", "gru", "lstm"])
def test_dropconnect_acts_on_weights_in_training_only(arch: str) -> None:
    dry = {"dropout": 0.0, "dropout_input": 0.0, "dropout_hidden": 0.0}
    network = make(arch, **dry, weight_drop=0.5)
    plain = make(arch, **dry)
    plain.load_state_dict(network.state_dict())
    ids_BT = text()
    dropped, other = (network.hidden_states(ids_BT, network.initial_state(B)).hidden_BTE for _ in range(2))
    assert not torch.allclose(dropped, other), "a new mask for each segment"
    whole = plain.hidden_states(ids_BT, plain.initial_state(B)).hidden_BTE
    torch.testing.assert_close(network.eval().hidden_states(ids_BT, network.initial_state(B)).hidden_BTE, whole)
    torch.autograd.backward(dropped.pow(2).sum())
    for name, parameter in network.named_parameters():
        if "weight_hh" in name:
            assert parameter.grad is not None
            kept = parameter.grad != 0
            assert kept.any(), name
            assert not kept.all(), name


def test_every_dropout_acts_in_training_only() -> None:
    quiet = {"dropout": 0.0, "dropout_input": 0.0, "dropout_hidden": 0.0, "dropout_embedding": 0.0}
    ids_BT = text()
    for name in quiet:
        network = make("gru", **{**quiet, name: 0.5})
        one, two = (network.hidden_states(ids_BT, network.initial_state(B)).hidden_BTE for _ in range(2))
        assert not torch.equal(one, two), name
        network.eval()
        one, two = (network.hidden_states(ids_BT, network.initial_state(B)).hidden_BTE for _ in range(2))
        assert torch.equal(one, two), name


def test_output_dropout_is_variational() -> None:
    network = make("lstm", dropout=0.5, dropout_input=0.0, dropout_hidden=0.0)
    output = network.hidden_states(text(), network.initial_state(B))
    gone_BTE = output.hidden_BTE == 0
    assert gone_BTE.any()
    assert (gone_BTE == gone_BTE[:, :1]).all()
    assert not (output.raw_BTE == 0).any()


def test_tied_last_layer_has_the_embedding_dimension() -> None:
    assert make("lstm").hidden_states(text(), make("lstm").initial_state(B)).hidden_BTE.shape == (B, T, 6)
    untied = make("lstm", tied=False)
    assert untied.hidden_states(text(), untied.initial_state(B)).hidden_BTE.shape == (B, T, 10)
    network = make("lstm")
    assert network.output_weight is network.embedding.weight
    assert network.input_embeddings == (network.embedding,)


def test_detached_states_have_no_history() -> None:
    network = make("lstm")
    state = network.hidden_states(text(), network.initial_state(B)).state
    assert all(part.requires_grad for layer in state for part in layer)
    assert not any(part.requires_grad for layer in language_model.detach_state(state) for part in layer)


def test_a_new_model_is_nearly_uniform() -> None:
    network = make("lstm").eval()
    hidden_BTE = network.hidden_states(text(), network.initial_state(B)).hidden_BTE
    nll = network.nll(flatten_time_major(hidden_BTE), flatten_time_major(text())).mean().item()
    assert nll == pytest.approx(math.log(V), rel=0.05)
