"""Activation checkpointing of whole networks: same losses and gradients with dropout, less memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rnnkit.models import language_model
from rnnkit.models.encoder_decoder import Seq2SeqConfig
from rnnkit.models.language_model import LanguageModelNetwork, LMConfig
from rnnkit.models.masked_lm import MaskedLM, MaskedLMConfig
from rnnkit.models.sequence_to_sequence import SequenceToSequence
from rnnkit.nn import device

Case = tuple[Callable[[], nn.Module], Callable[[nn.Module], Tensor]]
"""How to make a network, and how to take its loss."""

V, B, S, T = 23, 3, 7, 13
DROPPED = {"dropout": 0.3, "dropout_input": 0.2, "dropout_hidden": 0.2, "dropout_embedding": 0.1}


def ids(steps: int, seed: int = 1) -> Tensor:
    return torch.randint(4, V, (B, steps), generator=torch.Generator().manual_seed(seed))


def lm_loss(network: nn.Module) -> Tensor:
    """The loss of two consecutive segments of a text."""
    assert isinstance(network, LanguageModelNetwork)
    state, total = network.initial_state(B), torch.zeros(())
    for seed in (1, 2):
        reading = network.hidden_states(ids(T, seed), state)
        total = total + network.loss(*language_model.select_predictions(reading.hidden_BTE, ids(T, seed + 1), False))
        state = language_model.detach_state(reading.state)
    return total


def masked_lm_loss(network: nn.Module) -> Tensor:
    assert isinstance(network, MaskedLM)
    return network.loss(ids(T), torch.tensor([T, 5, 1]))


def seq2seq_loss(network: nn.Module) -> Tensor:
    assert isinstance(network, SequenceToSequence)
    source_BS, lengths_B = ids(S), torch.tensor([S, 5, 1])
    for row, length in enumerate(lengths_B.tolist()):
        source_BS[row, length:] = 0
    return network.loss(source_BS, lengths_B, ids(T, 2), ids(T, 3), 0.1)[0]


def language_model_of(**changes: Any) -> Callable[[], nn.Module]:
    shape = {"arch": "lstm", "embedding": 8, "hidden": 12, "layers": 3, **DROPPED, **changes}
    return lambda: LanguageModelNetwork(LMConfig(vocabulary=V, **shape))


def masked_lm_of(**changes: Any) -> Callable[[], nn.Module]:
    shape = {"arch": "lstm", "embedding": 8, "hidden": 12, "layers": 2, **DROPPED, **changes}
    return lambda: MaskedLM(MaskedLMConfig(vocabulary=V, **shape))


def seq2seq_of(**changes: Any) -> Callable[[], nn.Module]:
    shape = {"arch": "lstm", "embedding": 12, "hidden": 12, "layers": 2, "decoder_layers": 2, "heads": 3, **changes}
    return lambda: SequenceToSequence(Seq2SeqConfig(source_size=V, target_size=V, **{"dropout": 0.3, **shape}))


WHOLE = {"attention": "multihead"}
NETWORKS: dict[str, Case] = {
    "lstm": (language_model_of(weight_drop=0.4), lm_loss),
    "gru": (language_model_of(arch="gru", residual=True), lm_loss),
    "mingru": (language_model_of(arch="mingru"), lm_loss),
    "transformer": (language_model_of(arch="transformer", embedding=12, memory=5), lm_loss),
    "masked lm": (masked_lm_of(weight_drop=0.4), masked_lm_loss),
    "parallel": (seq2seq_of(weight_drop=0.4, attention="additive"), seq2seq_loss),
    "last": (seq2seq_of(bridge="last", bidirectional=False), seq2seq_loss),
    "monotonic": (seq2seq_of(arch="gru", attention="monotonic"), seq2seq_loss),
    "location": (seq2seq_of(attention="location"), seq2seq_loss),
    "feeding": (seq2seq_of(arch="gru", input_feeding=True, weight_drop=0.4), seq2seq_loss),
    "monotonic feeding": (seq2seq_of(arch="rnn", input_feeding=True, attention="monotonic"), seq2seq_loss),
    "copying": (seq2seq_of(**WHOLE, arch="transformer", copy=True), seq2seq_loss),
    "sinusoidal": (seq2seq_of(**WHOLE, arch="transformer", norm="post", positions="sinusoidal"), seq2seq_loss),
    "hybrid": (seq2seq_of(**WHOLE, arch="hybrid", locked=True), seq2seq_loss),
}


def outcome(case: Case, checkpointing: bool) -> tuple[Tensor, dict[str, Tensor], int]:
    """Loss, gradients, and bytes that autograd saves for the backward pass, without weights."""
    make, measure = case
    torch.manual_seed(1)
    network = make()
    if checkpointing:
        device.enable_checkpointing(network)
    own = {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}
    kept: dict[int, int] = {}
    tensors = []

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
            tensors.append(tensor)  # so that no other tensor gets the same address
        return tensor

    torch.manual_seed(2)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = measure(network)
    torch.autograd.backward(loss)
    found = {key: value.grad for key, value in network.named_parameters() if value.grad is not None}
    return loss.detach(), found, sum(kept.values())


@pytest.mark.parametrize("name", NETWORKS)
def test_same_losses_and_gradients_with_less_memory(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "MAX_SEGMENT_STEPS", 5)
    loss, gradients, kept = outcome(NETWORKS[name], checkpointing=False)
    found, others, less = outcome(NETWORKS[name], checkpointing=True)
    torch.testing.assert_close(found, loss, rtol=1e-6, atol=0)
    assert others.keys() == gradients.keys()
    for key, gradient in gradients.items():
        torch.testing.assert_close(others[key], gradient, rtol=1e-5, atol=1e-6, msg=key)
    assert less < 0.8 * kept


@pytest.mark.parametrize("name", ["transformer", "copying", "sinusoidal", "hybrid"])
def test_unsegmented_layers_give_the_same_bits(name: str) -> None:
    loss, gradients, _ = outcome(NETWORKS[name], checkpointing=False)
    found, others, _ = outcome(NETWORKS[name], checkpointing=True)
    assert torch.equal(found, loss)
    assert all(torch.equal(others[key], gradient) for key, gradient in gradients.items())


@pytest.mark.parametrize("arch", ["lstm", "transformer"])
def test_float16_is_recomputed_in_float16(arch: str) -> None:
    """The recomputation uses autocast as the forward pass did, although it is off in the backward pass."""
    grads = []
    for checkpointing in (False, True):
        torch.manual_seed(1)
        network = language_model_of(arch=arch, embedding=12, dropout_embedding=0.0)()
        if checkpointing:
            device.enable_checkpointing(network)
        with torch.autocast("cpu", dtype=torch.float16):
            loss = lm_loss(network)
        torch.autograd.backward(loss)
        grads.append([parameter.grad for parameter in network.parameters() if parameter.grad is not None])
    for found, expected in zip(*grads, strict=True):
        assert (found - expected).norm() < 2e-3 * expected.norm()


def test_deep_networks_keep_little_but_layer_inputs() -> None:
    """In long sequences, memory grows with the inputs of layers, not with their activations."""
    deep = language_model_of(layers=6, embedding=12, arch="transformer", memory=T), lm_loss
    kept, less = (outcome(deep, checkpointing)[2] for checkpointing in (False, True))
    assert less < kept / 3
