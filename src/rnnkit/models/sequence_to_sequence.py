"""Sequence-to-sequence with recurrent encoder and decoder, with or without attention.

Encoder: embeddings, then layers in both directions whose states are the memory. Bridge: where the decoder starts.
Decoder, in one of two wirings:

    parallel       h1 = layer_1(y); c = attend(h1); h = layers_2..L([h1; c]); r = tanh(W [h; c])
    input feeding  at each step t: h = layers([y_t; r_{t-1}]); c = attend(h); r_t = tanh(W [h; c])

In the first nothing waits for the step before but the recurrent layers themselves, so that in training the
whole target side runs as a few fused calls. The second is Luong's (arXiv:1508.04025, section 3.3), step by step.
The readout r goes to the output layer, whose matrix may be the target embeddings (Press and Wolf 2017).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from rnnkit.nn import attention, kinds, losses, recurrent
from rnnkit.nn.cells import State
from rnnkit.text import special


@dataclass(frozen=True)
class Config:
    """Everything that fixes the shape of the network.

    Attributes:
        arch: Recurrent unit.
        source_size: Rows of the source vocabulary.
        target_size: Rows of the target vocabulary.
        embedding: Size of the embeddings.
        hidden: Size of the memory and of the decoder's states; even where the encoder is bidirectional.
        layers: Layers of the encoder.
        decoder_layers: Layers of the decoder.
        bidirectional: Whether the encoder reads both ways.
        attention: Kind of attention.
        bridge: Where the decoder starts: the encoder's last states, or a projection of the memory's mean.
        input_feeding: Luong's wiring instead of the parallel one.
        tied: Whether the output matrix is the target embeddings; the readout then has their size.
        joint: Whether source and target share vocabulary and embeddings.
        reset_inside: For `gru`: the reset gate inside the product.
        dropout: Share of values dropped on embeddings, between layers and on the readout.
    """

    arch: kinds.Arch
    source_size: int
    target_size: int
    embedding: int = 256
    hidden: int = 512
    layers: int = 1
    decoder_layers: int = 1
    bidirectional: bool = True
    attention: kinds.Attention = "dot"
    bridge: kinds.Bridge = "mean"
    input_feeding: bool = False
    tied: bool = True
    joint: bool = False
    reset_inside: bool = False
    dropout: float = 0.3


@dataclass(frozen=True)
class Memory:
    """What the decoder sees of a source batch.

    Attributes:
        states_BSH: Encoder states.
        keys_BSH: What attention compares its queries with.
        padding_BS: True where there is no token.
    """

    states_BSH: Tensor
    keys_BSH: Tensor
    padding_BS: Tensor

    def select(self, rows: Tensor) -> Memory:
        """The memory of these sentences, in this order."""
        return Memory(self.states_BSH[rows], self.keys_BSH[rows], self.padding_BS[rows])


@dataclass(frozen=True)
class DecoderState:
    """What the decoder carries from one step to the next.

    Attributes:
        layers: State of each recurrent layer.
        readout_BR: The last readout, which input feeding reads; None in the parallel wiring.
    """

    layers: tuple[State, ...]
    readout_BR: Tensor | None = None

    def select(self, rows: Tensor) -> DecoderState:
        """The states of these rows (B x K of them), in this order."""
        layers = tuple(tuple(part[rows] for part in state) for state in self.layers)
        return DecoderState(layers, None if self.readout_BR is None else self.readout_BR[rows])


class SequenceToSequence(nn.Module):
    """The network of this file's head. Weights only: no tokenizer, no files, no search."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.dropout = nn.Dropout(config.dropout)
        self.source_embedding = _embedding(config.source_size, config.embedding)
        self.target_embedding = (
            self.source_embedding if config.joint else _embedding(config.target_size, config.embedding)
        )
        # Rows of length one as output weights, values of variance one as inputs.
        self._scale = math.sqrt(config.embedding)
        self.encoder = nn.ModuleList(_encoder_layers(config))
        self.decoder = nn.ModuleList(_decoder_layers(config))
        if config.bridge == "mean":
            parts = 2 if config.arch == "lstm" else 1
            self.bridge = nn.Linear(config.hidden, config.decoder_layers * parts * config.hidden)
        context = 0
        if config.attention != "none":
            self.attention = attention.Attention(config.attention, config.hidden)
            context = config.hidden
        readout = config.embedding if config.tied else config.hidden
        self.readout = nn.Linear(config.hidden + context, readout)
        self.output_bias = nn.Parameter(torch.zeros(config.target_size))
        if config.tied:
            self.output_weight = self.target_embedding.weight
        else:
            self.output_weight = nn.Parameter(torch.empty(config.target_size, readout))
            nn.init.normal_(self.output_weight, std=1 / math.sqrt(readout))

    @property
    def input_embeddings(self) -> tuple[nn.Embedding, ...]:
        """The tables of what is read: one for both sides where they share it, else the source's and the target's."""
        return (self.source_embedding,) if self.config.joint else (self.source_embedding, self.target_embedding)

    def encode(self, source_BS: Tensor, lengths_B: Tensor) -> tuple[Memory, DecoderState]:
        """Read the source.

        Args:
            source_BS: Ids, padded on the right.
            lengths_B: Tokens of each sentence, at least 1.

        Returns:
            The memory, and the state in which the decoder starts.
        """
        padding_BS = source_BS == special.PAD
        x_BSD = self.dropout(self._scale * self.source_embedding(source_BS))
        last: list[State] = []
        for depth, layer in enumerate(cast(Sequence[recurrent.EncoderLayer], self.encoder)):
            states_BSH, state = layer(x_BSD, lengths_B, want_last=self.config.bridge == "last")
            last.append(state)
            x_BSD = self._between(depth, len(self.encoder), x_BSD, states_BSH)
        keys_BSH = x_BSD if self.config.attention == "none" else self.attention.keys(x_BSD)
        return Memory(x_BSD, keys_BSH, padding_BS), self._start(x_BSD, padding_BS, last)

    def loss(
        self, source_BS: Tensor, lengths_B: Tensor, input_BT: Tensor, target_BT: Tensor, smoothing: float
    ) -> tuple[Tensor, Tensor]:
        """Loss of the target with teacher forcing.

        Args:
            source_BS: Source ids, padded on the right.
            lengths_B: Source lengths.
            input_BT: Target ids shifted right: what the decoder reads.
            target_BT: Target ids: what it should say; padding is left out before the output layer.
            smoothing: Label smoothing.

        Returns:
            The loss to optimise and the negative log-likelihood, in nats, summed over the target tokens.
        """
        readout_BTR = self.readouts(source_BS, lengths_B, input_BT)
        real_BT = target_BT != special.PAD
        return losses.fused_loss(
            readout_BTR[real_BT], self.output_weight, self.output_bias, target_BT[real_BT], smoothing
        )

    def readouts(self, source_BS: Tensor, lengths_B: Tensor, input_BT: Tensor) -> Tensor:
        """What goes into the output layer for each target position (B, T, R), with teacher forcing."""
        memory, state = self.encode(source_BS, lengths_B)
        y_BTE = self.dropout(self._scale * self.target_embedding(input_BT))
        if self.config.input_feeding:
            return self._feed(y_BTE, memory, state)
        x_BTH, _ = self.decoder[0](y_BTE, state.layers[0])
        context_BTH = self._context(self.dropout(x_BTH), memory)[0]
        x_BTH = self._between(0, len(self.decoder), y_BTE, x_BTH)
        for depth, layer in enumerate(self._decoder_layers[1:], start=1):
            h_BTH, _ = layer(_join(x_BTH, context_BTH), state.layers[depth])
            x_BTH = self._between(depth, len(self.decoder), x_BTH, h_BTH)
        return self._read_out(x_BTH, context_BTH)

    def step(self, token_BK: Tensor, memory: Memory, state: DecoderState) -> tuple[Tensor, DecoderState, Tensor | None]:
        """One step of decoding, with K rows a sentence.

        Args:
            token_BK: The tokens chosen last.
            memory: The sentences' memory, shared by their rows.
            state: The rows' state, B x K of them.

        Returns:
            The readouts (B, K, R), the next state, and the attention weights (B, K, S) or None without attention.
        """
        y_BKE = self.dropout(self._scale * self.target_embedding(token_BK))
        if self.config.input_feeding:
            return self._step_feeding(y_BKE, memory, state)
        states = [self._decoder_layers[0].step(y_BKE.flatten(0, 1), state.layers[0])]
        x_BKH = states[0][0].view(*token_BK.shape, -1)
        context_BKH, weights_BKS = self._context(self.dropout(x_BKH), memory)
        x_BKH = self._between(0, len(self.decoder), y_BKE, x_BKH)
        for depth, layer in enumerate(self._decoder_layers[1:], start=1):
            states.append(layer.step(_join(x_BKH, context_BKH).flatten(0, 1), state.layers[depth]))
            x_BKH = self._between(depth, len(self.decoder), x_BKH, states[-1][0].view_as(x_BKH))
        readout_BKR = self._read_out(x_BKH, context_BKH)
        return readout_BKR, DecoderState(tuple(states)), weights_BKS

    def log_probabilities(self, readout_BKR: Tensor) -> Tensor:
        """Log-probability of each token of the vocabulary (B, K, V), in nats."""
        logits_BKV = nn.functional.linear(readout_BKR, self.output_weight, self.output_bias)
        return torch.log_softmax(logits_BKV.float(), dim=-1)

    def _feed(self, y_BTE: Tensor, memory: Memory, state: DecoderState) -> Tensor:
        """Input feeding over a whole target, one step after the other."""
        readouts = []
        for y_B1E in torch.split(y_BTE, 1, dim=1):
            readout_B1R, state, _ = self._step_feeding(y_B1E, memory, state)
            readouts.append(readout_B1R)
        return torch.cat(readouts, dim=1)

    def _step_feeding(
        self, y_BKE: Tensor, memory: Memory, state: DecoderState
    ) -> tuple[Tensor, DecoderState, Tensor | None]:
        assert state.readout_BR is not None
        x_BKH = _join(y_BKE, state.readout_BR.view(*y_BKE.shape[:2], -1))
        states = []
        for depth, layer in enumerate(self._decoder_layers):
            states.append(layer.step(x_BKH.flatten(0, 1), state.layers[depth]))
            x_BKH = self._between(depth, len(self.decoder), x_BKH, states[-1][0].view(*y_BKE.shape[:2], -1))
        context_BKH, weights_BKS = self._context(x_BKH, memory)
        readout_BKR = self._read_out(x_BKH, context_BKH)
        return readout_BKR, DecoderState(tuple(states), readout_BKR.flatten(0, 1)), weights_BKS

    @property
    def _decoder_layers(self) -> Sequence[recurrent.RecurrentLayer]:
        return cast(Sequence[recurrent.RecurrentLayer], self.decoder)

    def _context(self, query_BTH: Tensor, memory: Memory) -> tuple[Tensor | None, Tensor | None]:
        if self.config.attention == "none":
            return None, None
        context_BTH, weights_BTS = self.attention(query_BTH, memory.keys_BSH, memory.states_BSH, memory.padding_BS)
        return context_BTH, weights_BTS

    def _read_out(self, x: Tensor, context: Tensor | None) -> Tensor:
        readout: Tensor = self.dropout(torch.tanh(self.readout(_join(x, context))))
        return readout

    def _between(self, depth: int, layers: int, x: Tensor, states: Tensor) -> Tensor:
        """What the next layer reads: dropout, and from three layers up a way around every layer but the first."""
        states = cast(Tensor, self.dropout(states))
        return states + x if layers >= 3 and depth > 0 else states

    def _start(self, memory_BSH: Tensor, padding_BS: Tensor, last: list[State]) -> DecoderState:
        """The bridge: the decoder's first state."""
        readout_BR = None
        if self.config.input_feeding:
            readout_BR = memory_BSH.new_zeros(memory_BSH.shape[0], self.readout.out_features)
        if self.config.bridge == "last":
            # A decoder deeper than the encoder starts its upper layers from the encoder's top.
            depths = [min(depth, len(last) - 1) for depth in range(self.config.decoder_layers)]
            return DecoderState(tuple(last[depth] for depth in depths), readout_BR)
        real_BS1 = (~padding_BS).unsqueeze(-1).to(memory_BSH.dtype)
        mean_BH = (memory_BSH * real_BS1).sum(1) / real_BS1.sum(1)
        start_BH = torch.tanh(self.bridge(mean_BH)).to(memory_BSH.dtype)
        parts = torch.split(start_BH, self.config.hidden, dim=-1)
        each = 2 if self.config.arch == "lstm" else 1
        layers = tuple(tuple(parts[start : start + each]) for start in range(0, len(parts), each))
        return DecoderState(layers, readout_BR)


def _embedding(rows: int, size: int) -> nn.Embedding:
    """Rows of length about one, so that a tied output layer starts with small logits."""
    table = nn.Embedding(rows, size, padding_idx=special.PAD)
    nn.init.normal_(table.weight, std=1 / math.sqrt(size))
    nn.init.zeros_(table.weight[special.PAD].detach())
    return table


def _encoder_layers(config: Config) -> list[recurrent.EncoderLayer]:
    sizes = [config.embedding] + [config.hidden] * (config.layers - 1)
    return [
        recurrent.EncoderLayer(config.arch, size, config.hidden, config.bidirectional, config.reset_inside)
        for size in sizes
    ]


def _decoder_layers(config: Config) -> list[recurrent.RecurrentLayer]:
    context = 0 if config.attention == "none" else config.hidden
    readout = config.embedding if config.tied else config.hidden
    if config.input_feeding:
        sizes = [config.embedding + readout] + [config.hidden] * (config.decoder_layers - 1)
    else:
        sizes = [config.embedding] + [config.hidden + context] * (config.decoder_layers - 1)
    return [recurrent.RecurrentLayer(config.arch, size, config.hidden, config.reset_inside) for size in sizes]


def _join(left: Tensor, right: Tensor | None) -> Tensor:
    return left if right is None else torch.cat([left, right.to(left.dtype)], dim=-1)
