"""Sequence-to-sequence networks: teacher forcing against single steps, batches against single sentences."""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from rnnkit.data.batch_sampler import pad_sequences, shift_right
from rnnkit.decoding.beam_search import beam_search, greedy_search
from rnnkit.decoding.stepper import SearchOptions
from rnnkit.models.encoder_decoder import Seq2SeqConfig
from rnnkit.models.sequence_to_sequence import SequenceToSequence
from rnnkit.models.steppers import TranslationStepper
from rnnkit.nn import kinds
from rnnkit.nn.device import autocast
from rnnkit.nn.losses import reference_loss
from rnnkit.text.special_tokens import EOS, PAD

SOURCE, TARGET = 13, 11
TRANSFORMER = {"embedding": 8, "attention": "multihead", "inner": 9}
EVERY: list[dict[str, Any]] = [
    {"arch": arch, "attention": attention, "input_feeding": feeding}
    for arch, attention, feeding in itertools.product([*kinds.ARCHS, "mingru"], kinds.ATTENTIONS, [False, True])
]
EVERY += [
    {"arch": "transformer", "norm": norm, "positions": positions, **TRANSFORMER}
    for norm, positions in itertools.product(kinds.NORMS, kinds.POSITIONS)
]
EVERY += [{"arch": "hybrid", "cell": cell, "layers": 2, "decoder_layers": 3, **TRANSFORMER} for cell in kinds.CELLS]
OTHERS = [
    {"layers": 2, "decoder_layers": 1},
    {"layers": 1, "decoder_layers": 3, "bridge": "last"},
    {"layers": 4, "decoder_layers": 4},
    {"layers": 3, "decoder_layers": 2, "input_feeding": True, "tied": False},
    {"bidirectional": False, "bridge": "last"},
    {"arch": "gru", "bridge": "last", "reset_inside": True},
    {"tied": False},
    {"joint": True, "source_size": TARGET},
    {"layers": 8, "decoder_layers": 8, "layer_norm": True},
    {"layers": 3, "decoder_layers": 3, "residual": False},
    {"layers": 2, "decoder_layers": 2, "layer_norm": True, "input_feeding": True, "arch": "gru"},
    {"arch": "transformer", "layers": 1, "decoder_layers": 4, "heads": 2, "tied": False, **TRANSFORMER},
    {"arch": "mingru", "layers": 2, "decoder_layers": 2, "bridge": "last"},
    {"attention": "monotonic", "layers": 2, "decoder_layers": 3},
    {"attention": "monotonic", "input_feeding": True, "arch": "gru"},
    {"attention": "monotonic", "joint": True, "source_size": TARGET, "copy": True},
    {"attention": "location", "decoder_layers": 2},
    {"attention": "location", "joint": True, "source_size": TARGET, "copy": True},
    {"joint": True, "source_size": TARGET, "copy": True},
    {"joint": True, "source_size": TARGET, "copy": True, "arch": "transformer", "decoder_layers": 3, **TRANSFORMER},
]


def build(**changes: Any) -> SequenceToSequence:
    torch.manual_seed(7)
    settings = {"arch": "lstm", "source_size": SOURCE, "embedding": 6, "hidden": 8, "dropout": 0.5, **changes}
    network = SequenceToSequence(Seq2SeqConfig(target_size=TARGET, **settings)).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.6)
    return network


def sentences(count: int, size: int, seed: int) -> list[Any]:
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(0, 9, (count,), generator=generator).tolist()
    return [
        torch.cat([torch.randint(4, size, (length,), generator=generator), torch.tensor([EOS])]).numpy()
        for length in lengths
    ]


def batch(count: int = 5, source_size: int = SOURCE) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    source_BS, lengths_B = pad_sequences(sentences(count, source_size, 1))
    target_BT, _ = pad_sequences(sentences(count, TARGET, 2))
    arrays = (source_BS, lengths_B, shift_right(target_BT), target_BT)
    return tuple(torch.from_numpy(array) for array in arrays)  # type: ignore[return-value]


@pytest.mark.parametrize("changes", EVERY + OTHERS, ids=str)
def test_single_steps_equal_teacher_forcing(changes: dict[str, Any]) -> None:
    network = build(**changes)
    source_BS, lengths_B, input_BT, _ = batch(source_size=network.config.source_size)
    whole_BTR = network.readouts(source_BS, lengths_B, input_BT)
    memory, state = network.encode(source_BS, lengths_B)
    for step in range(input_BT.shape[1]):
        readout_B1R, state, weights = network.step(input_BT[:, step : step + 1], memory, state)
        torch.testing.assert_close(readout_B1R[:, 0], whole_BTR[:, step], rtol=1e-4, atol=1e-5)
        assert (weights is None) == (network.config.attention == "none")


@pytest.mark.parametrize(
    "changes",
    [
        {"attention": "multihead"},
        {"attention": "multihead", "input_feeding": True},
        {"arch": "transformer", "decoder_layers": 3, **TRANSFORMER},
        {"arch": "hybrid", "decoder_layers": 1, **TRANSFORMER},
    ],
    ids=str,
)
def test_steps_attend_as_teacher_forcing_does(
    changes: dict[str, Any],
) -> None:
    """Also with a guided head, whose weights are those of one head instead of the mean."""
    source_BS, lengths_B, input_BT, _ = batch()
    found = []
    for guided in (False, True):
        network = build(**changes, guided_head=guided)
        decoded, memory = network.decode(source_BS, lengths_B, input_BT, need_weights=True)
        assert decoded.weights_BTS is not None
        torch.testing.assert_close(decoded.readout_BTR, network.readouts(source_BS, lengths_B, input_BT))
        _, state = network.encode(source_BS, lengths_B)
        for step in range(input_BT.shape[1]):
            _, state, weights_B1S = network.step(input_BT[:, step : step + 1], memory, state)
            assert weights_B1S is not None
            torch.testing.assert_close(weights_B1S[:, 0], decoded.weights_BTS[:, step], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(decoded.weights_BTS.sum(-1), torch.ones(input_BT.shape))
        found.append((decoded.readout_BTR, decoded.weights_BTS))
    (readout_BTR, mean_BTS), (guided_BTR, first_BTS) = found
    torch.testing.assert_close(readout_BTR, guided_BTR)
    assert not torch.allclose(mean_BTS, first_BTS)


@pytest.mark.parametrize("changes", EVERY + OTHERS, ids=str)
def test_decoding_alone_equals_decoding_in_a_batch(changes: dict[str, Any]) -> None:
    network = build(**changes)
    sources = sentences(24, network.config.source_size, seed=5)
    options = SearchOptions(beam=3, nbest=2, max_length=12)
    together = search(network, sources, options)
    for row in range(0, 24, 7):
        (alone,) = search(network, sources[row : row + 1], options)
        assert [one.ids for one in alone] == [one.ids for one in together[row]]
        assert [one.score for one in alone] == pytest.approx([one.score for one in together[row]], abs=1e-4)


@torch.inference_mode()
def search(network: SequenceToSequence, sources: list[Any], options: SearchOptions) -> list[Any]:
    source_BS, lengths_B = (torch.from_numpy(array) for array in pad_sequences(sources))
    limit_B = torch.full((len(sources),), options.max_length)
    stepper = TranslationStepper(network, source_BS, lengths_B)
    return (greedy_search if options.beam == 1 else beam_search)(stepper, limit_B, options)


@pytest.mark.parametrize("changes", EVERY, ids=str)
def test_greedy_is_a_beam_of_one(changes: dict[str, Any]) -> None:
    network = build(**changes)
    sources = sentences(7, network.config.source_size, seed=6)
    source_BS, lengths_B = (torch.from_numpy(array) for array in pad_sequences(sources))
    options = SearchOptions(beam=1, max_length=9)
    with torch.inference_mode():
        beam = beam_search(TranslationStepper(network, source_BS, lengths_B), torch.full((7,), 9), options)
    greedy = search(network, sources, options)
    assert [one[0].ids for one in beam] == [one[0].ids for one in greedy]
    assert [one[0].score for one in beam] == pytest.approx([one[0].score for one in greedy], abs=1e-5)


def test_loss_agrees_with_log_probabilities() -> None:
    """Padding is left out."""
    network = build()
    source_BS, lengths_B, input_BT, target_BT = batch()
    loss, nll = network.loss(source_BS, lengths_B, input_BT, target_BT, smoothing=0.1)
    readout_BTR = network.readouts(source_BS, lengths_B, input_BT)
    real_BT = target_BT != PAD
    expected, expected_nll = reference_loss(
        readout_BTR[real_BT], network.output_weight, network.output_bias, target_BT[real_BT], 0.1
    )
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(nll, expected_nll)
    log_p_BTV = network.log_probabilities(readout_BTR)
    by_token = log_p_BTV.gather(2, target_BT.unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(nll, -by_token[real_BT].sum())


def test_tied_output_gets_gradients_from_both_sides() -> None:
    """The output matrix is the target embedding matrix."""
    network = build()
    assert network.output_weight is network.target_embedding.weight
    source_BS, lengths_B, input_BT, target_BT = batch()
    loss, _ = network.loss(source_BS, lengths_B, input_BT, target_BT, smoothing=0.0)
    (gradient,) = torch.autograd.grad(loss, network.output_weight)
    never_read = [token for token in range(4, TARGET) if token not in input_BT]
    assert (gradient[never_read].abs().sum(-1) > 0).all(), "the output layer pushes every token"


def test_mean_bridge_projects_the_mean_encoder_state() -> None:
    network = build(decoder_layers=2)
    source_BS, lengths_B, _, _ = batch()
    memory, state = network.encode(source_BS, lengths_B)
    decoder: Any = network.decoder
    for row, length in enumerate(lengths_B.tolist()):
        expected = torch.tanh(decoder.bridge(memory.states_BSH[row, :length].mean(0))).chunk(4)
        found = [part[row] for layer in state.layers for part in layer]
        torch.testing.assert_close(found, list(expected))


def test_dropout_acts_in_training_only() -> None:
    network = build()
    arguments = batch()[:3]
    torch.testing.assert_close(network.readouts(*arguments), network.readouts(*arguments))
    network.train()
    assert not torch.equal(network.readouts(*arguments), network.readouts(*arguments))


@pytest.mark.parametrize("changes", EVERY[::5] + OTHERS, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gradients_are_finite_and_reach_every_weight(changes: dict[str, Any], dtype: torch.dtype) -> None:
    network = build(**{"dropout_embedding": 0.1, **changes}).train()
    source_BS, lengths_B, input_BT, target_BT = batch(source_size=network.config.source_size)
    with autocast(torch.device("cpu"), dtype):
        loss, _ = network.loss(source_BS, lengths_B, input_BT, target_BT, smoothing=0.1)
    torch.autograd.backward(loss)
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0 or "query" in name or "key" in name, name


@pytest.mark.parametrize("changes", EVERY[::5] + OTHERS, ids=str)
def test_padding_changes_nothing(changes: dict[str, Any]) -> None:
    network = build(**changes)
    source_BS, lengths_B, input_BT, target_BT = batch(source_size=network.config.source_size)
    wider_BS, wider_BT, wider_target_BT = (
        torch.nn.functional.pad(part, (0, 3), value=PAD) for part in (source_BS, input_BT, target_BT)
    )
    narrow = network.loss(source_BS, lengths_B, input_BT, target_BT, 0.1)
    torch.testing.assert_close(network.loss(wider_BS, lengths_B, wider_BT, wider_target_BT, 0.1), narrow)


def test_copying_covers_exactly_the_source_tokens() -> None:
    """With a closed gate, the network generates what it attends to."""
    network = build(joint=True, source_size=TARGET, copy=True)
    torch.nn.init.zeros_(network.gate.weight)
    torch.nn.init.constant_(network.gate.bias, -60.0)
    source_BS, lengths_B, input_BT, _ = batch(source_size=TARGET)
    decoded, memory = network.decode(source_BS, lengths_B, input_BT, need_weights=True)
    log_p_BTV = network.log_probabilities(decoded.readout_BTR, decoded.weights_BTS, memory)
    torch.testing.assert_close(log_p_BTV.exp().sum(-1), torch.ones(input_BT.shape))
    for row in range(len(source_BS)):
        there = sorted(set(source_BS[row, : lengths_B[row]].tolist()))
        assert (log_p_BTV[row].exp() > 1e-20).any(0).nonzero().flatten().tolist() == there


@pytest.mark.parametrize("attention", ["dot", "monotonic", "location"])
def test_copying_loss_agrees_with_its_probabilities(attention: str) -> None:
    network = build(joint=True, source_size=TARGET, copy=True, attention=attention)
    source_BS, lengths_B, input_BT, target_BT = batch(source_size=TARGET)
    _, nll = network.loss(source_BS, lengths_B, input_BT, target_BT, smoothing=0.0)
    decoded, memory = network.decode(source_BS, lengths_B, input_BT, need_weights=True)
    log_p_BTV = network.log_probabilities(decoded.readout_BTR, decoded.weights_BTS, memory)
    torch.testing.assert_close(log_p_BTV.exp().sum(-1), torch.ones(input_BT.shape))
    by_token = log_p_BTV.gather(2, target_BT.unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(nll, -by_token[target_BT != PAD].sum())


def toy_losses(steps: int, **changes: Any) -> list[float]:
    """Losses, in nats per token, of learning to reverse sentences of five tokens."""
    torch.manual_seed(3)
    sizes: dict[str, Any] = {"embedding": 24, "hidden": 24, "layers": 8, "decoder_layers": 8, "dropout": 0.0}
    network = SequenceToSequence(Seq2SeqConfig("lstm", SOURCE, SOURCE, **{**sizes, **changes})).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    found = []
    for _ in range(steps):
        source_BS = torch.randint(4, SOURCE, (32, 5))
        target_BT = source_BS.flip(1)
        input_BT = torch.from_numpy(shift_right(target_BT.numpy()))
        loss, nll = network.loss(source_BS, torch.full((32,), 5), input_BT, target_BT, 0.0)
        optimizer.zero_grad()
        torch.autograd.backward(loss / target_BT.numel())
        optimizer.step()
        found.append(nll.item() / target_BT.numel())
    return found


def test_eight_layers_need_residual_connections_and_norms() -> None:
    chance = math.log(SOURCE - 4)
    deep = toy_losses(40, layer_norm=True)
    plain = toy_losses(40, residual=False)
    assert min(deep[-5:]) < 0.7 * chance
    assert min(plain) > 0.9 * chance


def test_config_is_plain_data() -> None:
    config = build(arch="gru").config
    assert Seq2SeqConfig(**dataclasses.asdict(config)) == config
