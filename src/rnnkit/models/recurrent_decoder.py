"""Recurrent decoders, with or without attention, in one of two wirings.

    parallel       h1 = layer_1(y); c = attend(h1); h = layers_2..L([h1; c]); r = tanh(W [h; c])
    input feeding  at each step t: h = layers([y_t; r_{t-1}]); c = attend(h); r_t = tanh(W [h; c])

In the first nothing waits for the step before but the recurrent layers themselves, so that in training the
whole target side runs as a few fused calls. The second is Luong's (arXiv:1508.04025, section 3.3), step by step.

Where c goes nowhere but into the readout, decoding draws W's part for it into the memory, once a sentence:

    r = tanh(W_h h + sum_s w_s (W_c m_s))
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from rnnkit.models.encoder_decoder import (
    DecoderOutput,
    DecoderState,
    EncoderOutput,
    Memory,
    SourceBatch,
    concat_features,
    unflatten_hidden,
)
from rnnkit.models.recurrent_encoder import ResidualStack
from rnnkit.models.seq2seq_config import Seq2SeqConfig
from rnnkit.nn import dropout, kinds
from rnnkit.nn.attention import Attention
from rnnkit.nn.cells import State
from rnnkit.nn.kinds import RecurrentArch
from rnnkit.nn.layer import Layer, make_layer, run_layer
from rnnkit.nn.location import LocationAttention
from rnnkit.nn.monotonic import MonotonicAttention
from rnnkit.nn.recompute import Recomputing, again, segments
from rnnkit.nn.recurrent import RecurrentLayer
from rnnkit.nn.recurrent_attention import RecurrentAttention, first_place
from rnnkit.nn.transformer import MultiHead

CHECKPOINT_SEGMENT = 8
"""Steps of attention, and of input feeding, that are run again at once, at most: additive attention is large."""


class RecurrentDecoder(Recomputing):
    """The parallel wiring. Fits `memory.Decoder`."""

    def __init__(self, config: Seq2SeqConfig) -> None:
        super().__init__()
        self.config = config
        context = 0 if config.attention == "none" else config.hidden
        sizes = _input_sizes(config, context)
        arch = cast(RecurrentArch, config.arch)
        self.layers = nn.ModuleList(make_layer(arch, *size, config.reset_inside) for size in sizes)
        self.skips = ResidualStack(config.decoder_layers, config)
        self.dropout = self.skips.dropout
        if config.bridge == "mean":
            self.bridge = nn.Linear(config.hidden, config.decoder_layers * self._parts * config.hidden)
        if config.attention != "none":
            self.attention = _make_attention(config)
        self.readout = nn.Linear(config.hidden + context, config.readout)
        self.readout_folded = False

    def fold_readout_into_memory(self) -> None:
        """Part the readout's weights as at this file's head, if the context goes nowhere else. For decoding alone."""
        config = self.config
        if config.attention in ("none", "multihead") or (config.decoder_layers > 1 and not config.input_feeding):
            return
        own_RH, memory_RH = torch.split(self.readout.weight.detach(), config.hidden, dim=1)
        self.readout_hidden = _make_linear(own_RH, self.readout.bias.detach())
        self.readout_context = _make_linear(memory_RH, None)
        self.readout_folded = True

    def keys(self, states_BSH: Tensor) -> tuple[Tensor, ...]:
        """See `memory.Decoder`: keys and values; of a single head these are the states unless they were drawn in."""
        if self.config.attention == "none":
            return ()
        if isinstance(self.attention, MultiHead):
            return self.attention.keys_values(states_BSH)
        return self.attention.keys(states_BSH), self.readout_context(states_BSH) if self.readout_folded else states_BSH

    def initial_state(self, encoded: EncoderOutput, source: SourceBatch) -> DecoderState:
        """See `memory.Decoder`: the bridge, and where attention starts."""
        goes_on = self.config.attention in kinds.RECURRENT_ATTENTIONS
        alignment_BS = first_place(source.padding_BS) if goes_on else None
        return DecoderState(self._initial_layer_states(encoded, source), alignment_BS=alignment_BS)

    def _initial_layer_states(self, encoded: EncoderOutput, source: SourceBatch) -> tuple[State, ...]:
        """The state in which each layer starts."""
        config, memory_BSH = self.config, encoded.states_BSH
        if config.bridge == "last":
            # A decoder deeper than the encoder starts its upper layers from the encoder's top.
            depths = [min(depth, len(encoded.last) - 1) for depth in range(config.decoder_layers)]
            return tuple(encoded.last[depth] for depth in depths)
        real_BS1 = (~source.padding_BS).unsqueeze(-1).to(memory_BSH.dtype)
        mean_BH = (memory_BSH * real_BS1).sum(1) / real_BS1.sum(1)
        start_BH = torch.tanh(self.bridge(mean_BH)).to(memory_BSH.dtype)
        parts, each = torch.split(start_BH, config.hidden, dim=-1), self._parts
        return tuple(tuple(parts[at : at + each]) for at in range(0, len(parts), each))

    def forward(self, y_BTE: Tensor, memory: Memory, state: DecoderState, need_weights: bool = False) -> DecoderOutput:
        """See `memory.Decoder`."""
        first, *others = self._layers
        share = self.config.weight_drop if self.training else 0.0
        h_BTH, _ = run_layer(first, y_BTE, state.layers[0], share, self.recompute)
        context_BTH, weights_BTS = self._attend_segments(self.dropout(h_BTH), memory, state)
        x_BTH = self.skips.after(0, y_BTE, h_BTH)
        for depth, layer in enumerate(others, start=1):
            read_BTH = concat_features(self.skips.before(depth, x_BTH), context_BTH)
            h_BTH, _ = run_layer(layer, read_BTH, state.layers[depth], share, self.recompute)
            x_BTH = self.skips.after(depth, x_BTH, h_BTH)
        return DecoderOutput(self.compute_readout(x_BTH, context_BTH), weights_BTS)

    def step(self, y_BKE: Tensor, memory: Memory, state: DecoderState) -> tuple[DecoderOutput, DecoderState]:
        """See `memory.Decoder`."""
        state = state.deduplicate_parents()
        return self._finish_step(
            self._layers[0].step(y_BKE.flatten(0, 1), state.layers[0], state.parent_N), memory, state
        )

    def input_projections(self, y_VE: Tensor) -> Tensor | None:
        """What the first layer makes of embeddings before it looks at its state (V, G): the same at every step."""
        first = self._layers[0]
        return nn.functional.linear(y_VE, *first.input_weights) if isinstance(first, RecurrentLayer) else None

    def step_from_projections(
        self, projections_VG: Tensor, token_BK: Tensor, memory: Memory, state: DecoderState
    ) -> tuple[DecoderOutput, DecoderState]:
        """A step, the products of all tokens being there."""
        first, state = cast(RecurrentLayer, self._layers[0]), state.deduplicate_parents()
        reached = first.step_from_table(projections_VG, token_BK.flatten(), state.layers[0], state.parent_N)
        return self._finish_step(reached, memory, state)

    def _finish_step(self, reached: State, memory: Memory, state: DecoderState) -> tuple[DecoderOutput, DecoderState]:
        """The rest of a step, from the first layer's next state on."""
        states = [reached]
        h_BKH = reached[0].view(len(memory.states_BSH), -1, self.config.hidden)
        context_BKH, weights_BKS = self.attend(self.dropout(h_BKH), memory, state)
        x_BKH = self.skips.after(0, h_BKH, h_BKH)
        for depth, layer in enumerate(self._layers[1:], start=1):
            read_BKH = concat_features(self.skips.before(depth, x_BKH), context_BKH)
            states.append(layer.step(read_BKH.flatten(0, 1), state.layers[depth], state.parent_N))
            x_BKH = self.skips.after(depth, x_BKH, states[-1][0].view_as(x_BKH))
        after = DecoderState(tuple(states), alignment_BS=self._alignment(weights_BKS))
        return DecoderOutput(self.compute_readout(x_BKH, context_BKH), weights_BKS), after

    def attend(self, query_BTH: Tensor, memory: Memory, state: DecoderState) -> tuple[Tensor | None, Tensor | None]:
        """The context of each query and its weights; nothing without attention.

        Args:
            query_BTH: Steps of one row a sentence, or one step of several rows.
            memory: What is looked at.
            state: The rows' state before.
        """
        if self.config.attention == "none":
            return None, None
        keys, values = memory.keys
        if isinstance(self.attention, MultiHead):
            return self.attention.weigh(query_BTH, keys, values, memory.source.allowed, self.config.guided_head)
        before = () if state.alignment_BS is None else (state.alignment_BS,)
        found: tuple[Tensor, Tensor] = self.attention(query_BTH, keys, values, memory.source.padding_BS, *before)
        return found

    def _attend_segments(
        self, query_BTH: Tensor, memory: Memory, state: DecoderState
    ) -> tuple[Tensor | None, Tensor | None]:
        """`look` for a whole target; where it is run again, some steps at a time, if they do not need each other."""
        if not self.recompute or self.config.attention in ("none", *kinds.RECURRENT_ATTENTIONS):
            return self.run(self.attend, query_BTH, memory, state)
        found = [again(self.attend, piece_BTH, memory, state) for piece_BTH in segments(query_BTH, CHECKPOINT_SEGMENT)]
        contexts, weights = zip(*found, strict=True)
        return torch.cat(contexts, dim=1), torch.cat(weights, dim=1)

    def _alignment(self, weights_BKS: Tensor | None) -> Tensor | None:
        """What the rows carry of a step's attention: the whole of it where the next goes on from there."""
        if weights_BKS is None or self.config.attention not in kinds.RECURRENT_ATTENTIONS:
            return None
        return weights_BKS.flatten(0, 1)

    def compute_readout(self, x_BTH: Tensor, context_BTH: Tensor | None) -> Tensor:
        """The readout tanh(W [h; c]); of what was drawn in, c is the memory's part of the sum."""
        if self.readout_folded:
            drawn_BTR: Tensor = self.readout_hidden(self.skips.close(x_BTH)).add_(context_BTH).tanh_()
            return drawn_BTR
        readout_BTR: Tensor = self.dropout(
            torch.tanh(self.readout(concat_features(self.skips.close(x_BTH), context_BTH)))
        )
        return readout_BTR

    @property
    def _layers(self) -> Sequence[Layer]:
        return cast(Sequence[Layer], self.layers)

    @property
    def _parts(self) -> int:
        """Tensors in the state of a layer."""
        return 2 if self.config.arch == "lstm" else 1


class InputFeedingDecoder(RecurrentDecoder):
    """Input feeding. Fits `memory.Decoder`."""

    def input_projections(self, y_VE: Tensor) -> None:
        """Nothing: the first layer reads the last readout beside the token."""

    def initial_state(self, encoded: EncoderOutput, source: SourceBatch) -> DecoderState:
        """See `memory.Decoder`: the bridge, and a readout of zeros."""
        like_BSH = encoded.states_BSH
        readout_BR = like_BSH.new_zeros(len(like_BSH), self.config.readout)
        return dataclasses.replace(super().initial_state(encoded, source), readout_BR=readout_BR)

    def forward(self, y_BTE: Tensor, memory: Memory, state: DecoderState, need_weights: bool = False) -> DecoderOutput:
        """See `memory.Decoder`: one step after the other; where they are run again, some at a time."""
        share = self.config.weight_drop if self.training else 0.0
        dropped = [_dropconnect_weight(layer, share) for layer in self._layers]
        pieces = []
        for piece_BTE in segments(y_BTE, CHECKPOINT_SEGMENT if self.recompute else y_BTE.shape[1]):
            piece, state = self.run(self._read, piece_BTE, memory, state, dropped)
            pieces.append(piece)
        return _concat_outputs(pieces)

    def _read(
        self, y_BTE: Tensor, memory: Memory, state: DecoderState, dropped: Sequence[Tensor | None]
    ) -> tuple[DecoderOutput, DecoderState]:
        pieces = []
        for y_B1E in torch.split(y_BTE, 1, dim=1):
            piece, state = self._step(y_B1E, memory, state, dropped)
            pieces.append(piece)
        return _concat_outputs(pieces), state

    def step(self, y_BKE: Tensor, memory: Memory, state: DecoderState) -> tuple[DecoderOutput, DecoderState]:
        """See `memory.Decoder`."""
        return self._step(y_BKE, memory, state.expand_parents(), [None] * len(self.layers))

    def _step(
        self, y_BKE: Tensor, memory: Memory, state: DecoderState, dropped: Sequence[Tensor | None]
    ) -> tuple[DecoderOutput, DecoderState]:
        assert state.readout_BR is not None
        x_BKH = concat_features(y_BKE, state.readout_BR.view(*y_BKE.shape[:2], -1))
        states = []
        for depth, (layer, weight) in enumerate(zip(self._layers, dropped, strict=True)):
            read_NH = self.skips.before(depth, x_BKH).flatten(0, 1)
            states.append(_layer_step(layer, read_NH, state.layers[depth], weight))
            x_BKH = self.skips.after(depth, x_BKH, unflatten_hidden(states[-1], y_BKE))
        context_BKH, weights_BKS = self.attend(x_BKH, memory, state)
        readout_BKR = self.compute_readout(x_BKH, context_BKH)
        after = DecoderState(tuple(states), readout_BKR.flatten(0, 1), self._alignment(weights_BKS))
        return DecoderOutput(readout_BKR, weights_BKS), after


def _make_attention(config: Seq2SeqConfig) -> Attention | RecurrentAttention | MultiHead:
    if config.attention == "multihead":
        return MultiHead(config.hidden, config.heads)
    if config.attention == "monotonic":
        return MonotonicAttention(config.hidden)
    if config.attention == "location":
        return LocationAttention(config.hidden)
    return Attention(config.attention, config.hidden)


def _concat_outputs(pieces: Sequence[DecoderOutput]) -> DecoderOutput:
    """What was said about positions that follow each other."""
    weights = [piece.weights_BTS for piece in pieces if piece.weights_BTS is not None]
    readout_BTR = torch.cat([piece.readout_BTR for piece in pieces], dim=1)
    return DecoderOutput(readout_BTR, torch.cat(weights, dim=1) if weights else None)


def _input_sizes(config: Seq2SeqConfig, context: int) -> list[tuple[int, int]]:
    """Sizes of what each layer reads and gives."""
    first = config.embedding + (config.readout if config.input_feeding else 0)
    others = config.hidden + (0 if config.input_feeding else context)
    return [(size, config.hidden) for size in [first] + [others] * (config.decoder_layers - 1)]


def _make_linear(weight_OI: Tensor, bias_O: Tensor | None) -> nn.Linear:
    """The affine map with these weights."""
    made = nn.Linear(weight_OI.shape[1], weight_OI.shape[0], bias=bias_O is not None, device=weight_OI.device)
    made.weight = nn.Parameter(weight_OI.contiguous(), requires_grad=False)
    if bias_O is not None:
        made.bias = nn.Parameter(bias_O, requires_grad=False)
    return made


def _dropconnect_weight(layer: Layer, share: float) -> Tensor | None:
    """A layer's state matrix with connections dropped; None where it runs on its own."""
    return dropout.weight_drop(layer.hidden_weights[0], share) if share and isinstance(layer, RecurrentLayer) else None


def _layer_step(layer: Layer, x_NE: Tensor, state: State, weight: Tensor | None) -> State:
    if weight is None or not isinstance(layer, RecurrentLayer):
        return layer.step(x_NE, state)
    return layer.step_from_product(nn.functional.linear(x_NE, *layer.input_weights), state, weight)
