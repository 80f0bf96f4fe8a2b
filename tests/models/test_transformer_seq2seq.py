"""Transformer against a plain implementation of its equations, and its masks."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from rnnkit.models.encoder_decoder import Memory, Seq2SeqConfig
from rnnkit.models.sequence_to_sequence import SequenceToSequence
from rnnkit.models.steppers import TranslationStepper
from rnnkit.models.transformer_seq2seq import TransformerDecoder
from rnnkit.nn import multihead_attention
from rnnkit.nn.multihead_attention import MultiHeadAttention

SOURCE, TARGET, SIZE, HEADS = 13, 11, 15, 3
LENGTHS = [7, 2, 5]


def build(**changes: Any) -> SequenceToSequence:
    torch.manual_seed(5)
    settings: dict[str, Any] = {
        "arch": "transformer", "embedding": SIZE, "hidden": SIZE, "heads": HEADS, "inner": 9, "layers": 2,
        "decoder_layers": 3, "attention": "multihead", **changes,
    }  # fmt: skip
    network = SequenceToSequence(Seq2SeqConfig(source_size=SOURCE, target_size=TARGET, **settings)).eval()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.4)
    return network


def sentences() -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(6)
    source_BS, input_BT = torch.randint(4, SOURCE, (3, 7)), torch.randint(4, TARGET, (3, 5))
    for row, length in enumerate(LENGTHS):
        source_BS[row, length:] = 0
    return source_BS, torch.tensor(LENGTHS), input_BT


def look(parts: Any, x_TE: Tensor, memory_SE: Tensor, rotary: bool, causal: bool) -> Tensor:
    """MultiHead(x, memory) of one sentence."""
    q_TE, (k_SE, v_SE) = parts.query(x_TE), parts.key_value(memory_SE).chunk(2, dim=-1)
    found = []
    for head in torch.arange(SIZE).chunk(HEADS):
        q_TD, k_SD = q_TE[:, head], k_SE[:, head]
        if rotary:
            q_TD, k_SD = (multihead_attention.apply_rotary(part[None, None])[0, 0] for part in (q_TD, k_SD))
        scores_TS = q_TD @ k_SD.T / math.sqrt(len(head))
        if causal:
            scores_TS = scores_TS + torch.full_like(scores_TS, -math.inf).triu(1)
        found.append(torch.softmax(scores_TS, dim=-1) @ v_SE[:, head])
    result: Tensor = parts.output(torch.cat(found, dim=-1))
    return result


def sub_layer(around: Any, x_TE: Tensor, function: Any) -> Tensor:
    """One sub-layer: x + f(LN(x)), or LN(x + f(x))."""
    result: Tensor = x_TE + function(around.norm(x_TE)) if around.pre else around.norm(x_TE + function(x_TE))
    return result


def feed_forward(parts: Any, x_TE: Tensor) -> Tensor:
    hidden_TE = functional.relu(x_TE @ parts.inner.weight.T + parts.inner.bias)
    result: Tensor = hidden_TE @ parts.outer.weight.T + parts.outer.bias
    return result


def reference(network: SequenceToSequence, source_S: Tensor, input_T: Tensor) -> Tensor:
    """The readouts of one sentence, from the paper's equations."""
    encoder: Any = network.encoder
    decoder: Any = network.decoder
    rotary = network.config.positions == "rotary"
    x_SE = math.sqrt(SIZE) * network.source_embedding.weight[source_S]
    y_TE = math.sqrt(SIZE) * network.target_embedding.weight[input_T]
    if not rotary:
        x_SE, y_TE = (part + multihead_attention.sinusoidal_encoding(len(part), SIZE) for part in (x_SE, y_TE))
    for block in encoder.blocks:
        x_SE = sub_layer(block.around_attention, x_SE, lambda z, b=block: look(b.attention, z, z, rotary, causal=False))
        x_SE = sub_layer(block.around_feed_forward, x_SE, lambda z, b=block: feed_forward(b.feed_forward, z))
    memory_SE = encoder.closing(x_SE)
    for block in decoder.blocks:
        mixer = block.mixer.attention
        y_TE = sub_layer(block.around_mixer, y_TE, lambda z, m=mixer: look(m, z, z, rotary, causal=True))
        y_TE = sub_layer(block.around_cross, y_TE, lambda z, b=block: look(b.cross, z, memory_SE, False, causal=False))
        y_TE = sub_layer(block.around_feed_forward, y_TE, lambda z, b=block: feed_forward(b.feed_forward, z))
    result: Tensor = decoder.closing(y_TE)
    return result


@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("encoding", ["rotary", "sinusoidal"])
def test_readouts_and_gradients_are_those_of_the_equations(norm: str, encoding: str) -> None:
    network = build(norm=norm, positions=encoding)
    source_BS, lengths_B, input_BT = sentences()
    found_BTR = network.readouts(source_BS, lengths_B, input_BT)
    rows = [reference(network, source_BS[row, :length], input_BT[row]) for row, length in enumerate(LENGTHS)]
    expected_BTR = torch.stack(rows)
    torch.testing.assert_close(found_BTR, expected_BTR, rtol=1e-3, atol=1e-4)
    leaves = [part for part in network.parameters() if part is not network.output_bias]
    mask = torch.randn_like(found_BTR)
    grads, wanted = (torch.autograd.grad((part * mask).mean(), leaves) for part in (found_BTR, expected_BTR))
    # The row of padding is read where it stands, but nothing comes of it.
    torch.testing.assert_close(grads[0][4:], wanted[0][4:], rtol=1e-2, atol=1e-5)
    torch.testing.assert_close(grads[2:], wanted[2:], rtol=1e-2, atol=1e-5)


@pytest.mark.parametrize("arch", ["transformer", "hybrid"])
def test_a_target_position_depends_on_earlier_ones_only(arch: str) -> None:
    network = build(arch=arch)
    source_BS, lengths_B, input_BT = sentences()
    before_BTR = network.readouts(source_BS, lengths_B, input_BT)
    for position in range(input_BT.shape[1]):
        changed_BT = input_BT.clone()
        changed_BT[:, position] = (changed_BT[:, position] - 3) % (TARGET - 4) + 4
        moved_T = (network.readouts(source_BS, lengths_B, changed_BT) - before_BTR).abs().amax((0, 2)) > 1e-6
        assert moved_T.tolist() == [step >= position for step in range(input_BT.shape[1])]


@pytest.mark.parametrize("layers", [1, 2, 4])
def test_steps_report_the_attention_of_a_whole_target(layers: int) -> None:
    network = build(decoder_layers=layers)
    source_BS, lengths_B, input_BT = sentences()
    whole, memory = network.decode(source_BS, lengths_B, input_BT, need_weights=True)
    assert network.decode(source_BS, lengths_B, input_BT)[0].weights_BTS is None
    assert whole.weights_BTS is not None
    torch.testing.assert_close(whole.weights_BTS.sum(-1), torch.ones(3, 5))
    assert (whole.weights_BTS.masked_select(memory.padding_BS.unsqueeze(1)) == 0).all()
    _, state = network.encode(source_BS, lengths_B)
    for position in range(input_BT.shape[1]):
        _, state, weights_B1S = network.step(input_BT[:, position : position + 1], memory, state)
        torch.testing.assert_close(weights_B1S, whole.weights_BTS[:, position : position + 1])


@pytest.mark.parametrize("arch", ["transformer", "hybrid"])
def test_rows_share_memory_keys_computed_once(arch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network = build(arch=arch)
    source_BS, lengths_B, _ = sentences()
    stepper = TranslationStepper(network, source_BS, lengths_B)
    made: list[Tensor] = []
    keys_values = MultiHeadAttention.keys_values

    def watched(self: MultiHeadAttention, x: Tensor) -> tuple[Tensor, Tensor]:
        made.append(x)
        return keys_values(self, x)

    monkeypatch.setattr(MultiHeadAttention, "keys_values", watched)
    state = stepper.start()
    start: Memory = state.memory
    for _ in range(3):
        state = stepper.select(state, torch.arange(3), torch.zeros(3, 4, dtype=torch.long))
        _, state, weights = stepper.step(torch.full((3, 4), 5), state)
        assert weights is not None and weights.shape == (3, 4, 7)
        assert all(old is new for old, new in zip(start.keys, state.memory.keys, strict=True))
    assert all(part.shape[1] == 1 for part in made), "only the tokens of a step are projected"
    assert isinstance(network.decoder, TransformerDecoder)
    if arch == "hybrid":
        assert [part.shape for layer in state.decoder.layers for part in layer] == [(12, SIZE)] * 3
