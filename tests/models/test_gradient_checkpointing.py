"""Networks whose layers run again: the same losses and gradients with dropout, and less that is kept for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rnnkit.models import language_model
from rnnkit.models.language_model import LanguageModel
from rnnkit.models.language_model import LMConfig as LanguageConfig
from rnnkit.models.masked_lm import MaskedLM
from rnnkit.models.masked_lm import MaskedLMConfig as ClozeConfig
from rnnkit.models.seq2seq_config import Seq2SeqConfig
from rnnkit.models.sequence_to_sequence import SequenceToSequence
from rnnkit.nn import recompute

Case = tuple[Callable[[], nn.Module], Callable[[nn.Module], Tensor]]
"""How to make a network, and how to take its loss."""

V, B, S, T = 23, 3, 7, 13
DROPPED = {"dropout": 0.3, "dropout_input": 0.2, "dropout_hidden": 0.2, "dropout_embedding": 0.1}


def ids(steps: int, seed: int = 1) -> Tensor:
    return torch.randint(4, V, (B, steps), generator=torch.Generator().manual_seed(seed))


def speak(network: nn.Module) -> Tensor:
    """The loss of two pieces of a text, the second from where the first has ended."""
    assert isinstance(network, LanguageModel)
    state, total = network.initial_state(B), torch.zeros(())
    for seed in (1, 2):
        reading = network.hidden_states(ids(T, seed), state)
        total = total + network.loss(*language_model.select_predictions(reading.hidden_BTE, ids(T, seed + 1), False))
        state = language_model.detach_state(reading.state)
    return total


def fill(network: nn.Module) -> Tensor:
    assert isinstance(network, MaskedLM)
    return network.loss(ids(T), torch.tensor([T, 5, 1]))


def translate(network: nn.Module) -> Tensor:
    assert isinstance(network, SequenceToSequence)
    source_BS, lengths_B = ids(S), torch.tensor([S, 5, 1])
    for row, length in enumerate(lengths_B.tolist()):
        source_BS[row, length:] = 0
    return network.loss(source_BS, lengths_B, ids(T, 2), ids(T, 3), 0.1)[0]


def speaker(**changes: Any) -> Callable[[], nn.Module]:
    shape = {"arch": "lstm", "embedding": 8, "hidden": 12, "layers": 3, **DROPPED, **changes}
    return lambda: LanguageModel(LanguageConfig(vocabulary=V, **shape))


def filler(**changes: Any) -> Callable[[], nn.Module]:
    shape = {"arch": "lstm", "embedding": 8, "hidden": 12, "layers": 2, **DROPPED, **changes}
    return lambda: MaskedLM(ClozeConfig(vocabulary=V, **shape))


def translator(**changes: Any) -> Callable[[], nn.Module]:
    shape = {"arch": "lstm", "embedding": 12, "hidden": 12, "layers": 2, "decoder_layers": 2, "heads": 3, **changes}
    return lambda: SequenceToSequence(Seq2SeqConfig(source_size=V, target_size=V, **{"dropout": 0.3, **shape}))


WHOLE = {"attention": "multihead"}
NETWORKS: dict[str, Case] = {
    "lstm": (speaker(weight_drop=0.4), speak),
    "gru": (speaker(arch="gru", residual=True), speak),
    "mingru": (speaker(arch="mingru"), speak),
    "transformer": (speaker(arch="transformer", embedding=12, memory=5), speak),
    "cloze": (filler(weight_drop=0.4), fill),
    "parallel": (translator(weight_drop=0.4, attention="additive"), translate),
    "last": (translator(bridge="last", bidirectional=False), translate),
    "monotonic": (translator(arch="gru", attention="monotonic"), translate),
    "location": (translator(attention="location"), translate),
    "feeding": (translator(arch="gru", input_feeding=True, weight_drop=0.4), translate),
    "monotonic feeding": (translator(arch="rnn", input_feeding=True, attention="monotonic"), translate),
    "copying": (translator(**WHOLE, arch="transformer", copy=True), translate),
    "sinusoidal": (translator(**WHOLE, arch="transformer", norm="post", positions="sinusoidal"), translate),
    "hybrid": (translator(**WHOLE, arch="hybrid", locked=True), translate),
}


def outcome(case: Case, again: bool) -> tuple[Tensor, dict[str, Tensor], int]:
    """Loss, gradients, and bytes that autograd has kept between the loss and its gradient, weights left out."""
    make, measure = case
    torch.manual_seed(1)
    network = make()
    if again:
        recompute.turn_on(network)
    own = {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}
    kept: dict[int, int] = {}
    tensors = []

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
            tensors.append(tensor)  # so that no other gets the same place in memory
        return tensor

    torch.manual_seed(2)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = measure(network)
    torch.autograd.backward(loss)
    found = {key: value.grad for key, value in network.named_parameters() if value.grad is not None}
    return loss.detach(), found, sum(kept.values())


@pytest.mark.parametrize("name", NETWORKS)
def test_losses_and_gradients_are_the_same_and_less_is_kept(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recompute, "SEGMENT", 5)
    loss, gradients, kept = outcome(NETWORKS[name], again=False)
    found, others, less = outcome(NETWORKS[name], again=True)
    torch.testing.assert_close(found, loss, rtol=1e-6, atol=0)
    assert others.keys() == gradients.keys()
    for key, gradient in gradients.items():
        torch.testing.assert_close(others[key], gradient, rtol=1e-5, atol=1e-6, msg=key)
    assert less < 0.8 * kept


@pytest.mark.parametrize("name", ["transformer", "copying", "sinusoidal", "hybrid"])
def test_layers_that_are_not_cut_give_the_same_bits(name: str) -> None:
    loss, gradients, _ = outcome(NETWORKS[name], again=False)
    found, others, _ = outcome(NETWORKS[name], again=True)
    assert torch.equal(found, loss)
    assert all(torch.equal(others[key], gradient) for key, gradient in gradients.items())


@pytest.mark.parametrize("arch", ["lstm", "transformer"])
def test_float16_runs_again_as_it_ran(arch: str) -> None:
    """Autocast is what it was the first time, although nobody has it on while gradients are taken."""
    grads = []
    for again in (False, True):
        torch.manual_seed(1)
        network = speaker(arch=arch, embedding=12, dropout_embedding=0.0)()
        if again:
            recompute.turn_on(network)
        with torch.autocast("cpu", dtype=torch.float16):
            loss = speak(network)
        torch.autograd.backward(loss)
        grads.append([parameter.grad for parameter in network.parameters() if parameter.grad is not None])
    for found, expected in zip(*grads, strict=True):
        assert (found - expected).norm() < 2e-3 * expected.norm()


def test_deep_networks_keep_little_more_than_what_layers_hand_on() -> None:
    """In long sequences what is kept grows with what goes into layers, not with what they find on their way."""
    deep = speaker(layers=6, embedding=12, arch="transformer", memory=T), speak
    kept, less = (outcome(deep, again)[2] for again in (False, True))
    assert less < kept / 3
