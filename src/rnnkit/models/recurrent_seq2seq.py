"""Recurrent encoder and decoder, with or without attention.

    x_0 = drop(layer_0(y))
    x_l = drop(layer_l(LN_l(x_{l-1}))) + x_{l-1}       LN if configured; residual sum in stacks of three or more layers
    output = LN_L(x_{L-1})

Residual connections keep gradients from vanishing in deep stacks (He et al. 2015, arXiv:1512.03385; for recurrent
translation Wu et al. 2016, arXiv:1609.08144). Layer normalization keeps the scale of a layer's input independent of
how many outputs were added below it (Ba et al. 2016, arXiv:1607.06450).

The decoder has one of two architectures:

    parallel       h1 = layer_1(y); c = attend(h1); h = layers_2..L([h1; c]); r = tanh(W [h; c])
    input feeding  at each step t: h = layers([y_t; r_{t-1}]); c = attend(h); r_t = tanh(W [h; c])

In the parallel decoder only the recurrent layers depend on the previous step, so training runs the whole target in a
few fused calls. Input feeding (Luong et al. 2015, arXiv:1508.04025, section 3.3) runs step by step.

If the context c is used by the readout alone, decoding folds its part W_c of the readout weights into the memory, once
per sentence:

    r = tanh(W_h h + sum_s w_s (W_c m_s))

Shapes as in `encoder_decoder.py`; G gates (input projection of a layer), V vocabulary.
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
    Seq2SeqConfig,
    SourceBatch,
    concat_features,
    unflatten_hidden,
)
from rnnkit.nn import dropout, kinds
from rnnkit.nn.attention import (
    CrossAttention,
    LocationAttention,
    MonotonicAttention,
    RecurrentAttention,
    initial_weights,
)
from rnnkit.nn.bidirectional import EncoderLayer, Layer, make_layer, run_layer
from rnnkit.nn.cells import State
from rnnkit.nn.device import CheckpointedLayer, checkpoint_call, split_segments
from rnnkit.nn.kinds import RecurrentArch
from rnnkit.nn.multihead_attention import MultiHeadAttention
from rnnkit.nn.recurrent_layer import RecurrentLayer

MIN_RESIDUAL_LAYERS = 3
"""Shallower stacks train well without residual connections."""

CHECKPOINT_SEGMENT = 8
"""Most steps of attention, or of input feeding, per segment of activation checkpointing. The activations of additive
attention (T x S x H) are large, so segments are short."""


class ResidualStack(nn.Module):
    """Dropout, residual connections and layer norms between the layers of a recurrent stack.

    Args:
        layers: Number of layers.
        config: Configuration of the network.
    """

    def __init__(self, layers: int, config: Seq2SeqConfig) -> None:
        super().__init__()
        self.dropout = dropout.Dropout(config.dropout, config.locked)
        self.residual = config.residual and layers >= MIN_RESIDUAL_LAYERS
        self.norms = nn.ModuleList(nn.LayerNorm(config.hidden) for _ in range(layers if config.layer_norm else 0))

    def layer_input(self, depth: int, x_BTH: Tensor) -> Tensor:
        """Compute the input of layer `depth` (from 0) from the output of the layer below."""
        normed_BTH: Tensor = self.norms[depth - 1](x_BTH) if self.norms and depth else x_BTH
        return normed_BTH

    def layer_output(self, depth: int, x_BTH: Tensor, states_BTH: Tensor) -> Tensor:
        """Compute the output of layer `depth` from the output of the layer below and the layer's hidden states."""
        states_BTH = self.dropout(states_BTH)
        return states_BTH + x_BTH if self.residual and depth else states_BTH

    def stack_output(self, x_BTH: Tensor) -> Tensor:
        """Compute the output of the stack from the output of its last layer."""
        normed_BTH: Tensor = self.norms[-1](x_BTH) if self.norms else x_BTH
        return normed_BTH


class RecurrentEncoder(nn.Module):
    """Stack of recurrent layers, unidirectional or bidirectional. Satisfies `encoder_decoder.Encoder`."""

    def __init__(self, config: Seq2SeqConfig) -> None:
        super().__init__()
        sizes = [config.embedding] + [config.hidden] * (config.layers - 1)
        shape = config.hidden, config.bidirectional, config.reset_inside, config.weight_drop
        arch = cast(RecurrentArch, config.arch)
        self.layers = nn.ModuleList(EncoderLayer(arch, size, *shape) for size in sizes)
        self.skips = ResidualStack(config.layers, config)
        self.need_final_states = config.bridge == "last"

    def forward(self, x_BSE: Tensor, lengths_B: Tensor, source: SourceBatch) -> EncoderOutput:
        """See `encoder_decoder.Encoder`. The backward direction starts at each sentence's own last token."""
        final_states: list[State] = []
        for depth, layer in enumerate(cast(Sequence[EncoderLayer], self.layers)):
            layer_input_BSH = self.skips.layer_input(depth, x_BSE)
            states_BSH, state = layer(layer_input_BSH, lengths_B, want_last=self.need_final_states)
            final_states.append(state)
            x_BSE = self.skips.layer_output(depth, x_BSE, states_BSH)
        return EncoderOutput(self.skips.stack_output(x_BSE), tuple(final_states))


class RecurrentDecoder(CheckpointedLayer):
    """The parallel decoder. Satisfies `encoder_decoder.Decoder`."""

    def __init__(self, config: Seq2SeqConfig) -> None:
        super().__init__()
        self.config = config
        context = 0 if config.attention == "none" else config.hidden
        sizes = _layer_sizes(config, context)
        arch = cast(RecurrentArch, config.arch)
        self.layers = nn.ModuleList(make_layer(arch, *size, config.reset_inside) for size in sizes)
        self.skips = ResidualStack(config.decoder_layers, config)
        self.dropout = self.skips.dropout
        if config.bridge == "mean":
            self.bridge = nn.Linear(config.hidden, config.decoder_layers * self._state_parts * config.hidden)
        if config.attention != "none":
            self.attention = _make_attention(config)
        self.readout = nn.Linear(config.hidden + context, config.readout)
        self.readout_folded = False

    def fold_readout_into_memory(self) -> None:
        """Split the readout weights as described above if only the readout uses the context; for inference."""
        config = self.config
        if config.attention in ("none", "multihead") or (config.decoder_layers > 1 and not config.input_feeding):
            return
        hidden_RH, context_RH = torch.split(self.readout.weight.detach(), config.hidden, dim=1)
        self.readout_hidden = _make_linear(hidden_RH, self.readout.bias.detach())
        self.readout_context = _make_linear(context_RH, None)
        self.readout_folded = True

    def keys(self, states_BSH: Tensor) -> tuple[Tensor, ...]:
        """See `encoder_decoder.Decoder`: keys and values. Single-head values are the states, or W_c m if folded."""
        if self.config.attention == "none":
            return ()
        if isinstance(self.attention, MultiHeadAttention):
            return self.attention.keys_values(states_BSH)
        return self.attention.keys(states_BSH), self.readout_context(states_BSH) if self.readout_folded else states_BSH

    def initial_state(self, encoded: EncoderOutput, source: SourceBatch) -> DecoderState:
        """See `encoder_decoder.Decoder`: the bridge, and the initial weights of recurrent attention."""
        is_recurrent = self.config.attention in kinds.RECURRENT_ATTENTIONS
        alignment_BS = initial_weights(source.padding_BS) if is_recurrent else None
        return DecoderState(self._initial_layer_states(encoded, source), alignment_BS=alignment_BS)

    def _initial_layer_states(self, encoded: EncoderOutput, source: SourceBatch) -> tuple[State, ...]:
        """Compute the initial state of each layer from the encoder output."""
        config, memory_BSH = self.config, encoded.states_BSH
        if config.bridge == "last":
            # In a decoder deeper than the encoder, the upper layers start from the encoder's top layer.
            depths = [min(depth, len(encoded.final_states) - 1) for depth in range(config.decoder_layers)]
            return tuple(encoded.final_states[depth] for depth in depths)
        real_BS1 = (~source.padding_BS).unsqueeze(-1).to(memory_BSH.dtype)
        mean_BH = (memory_BSH * real_BS1).sum(1) / real_BS1.sum(1)
        initial_BH = torch.tanh(self.bridge(mean_BH)).to(memory_BSH.dtype)
        parts, count = torch.split(initial_BH, config.hidden, dim=-1), self._state_parts
        return tuple(tuple(parts[begin : begin + count]) for begin in range(0, len(parts), count))

    def forward(self, y_BTE: Tensor, memory: Memory, state: DecoderState, need_weights: bool = False) -> DecoderOutput:
        """See `encoder_decoder.Decoder`."""
        first, *others = self._layers
        weight_drop = self.config.weight_drop if self.training else 0.0
        h_BTH, _ = run_layer(first, y_BTE, state.layers[0], weight_drop, self.checkpointing)
        context_BTH, weights_BTS = self._attend_segments(self.dropout(h_BTH), memory, state)
        x_BTH = self.skips.layer_output(0, y_BTE, h_BTH)
        for depth, layer in enumerate(others, start=1):
            input_BTH = concat_features(self.skips.layer_input(depth, x_BTH), context_BTH)
            h_BTH, _ = run_layer(layer, input_BTH, state.layers[depth], weight_drop, self.checkpointing)
            x_BTH = self.skips.layer_output(depth, x_BTH, h_BTH)
        return DecoderOutput(self.compute_readout(x_BTH, context_BTH), weights_BTS)

    def step(self, y_BKE: Tensor, memory: Memory, state: DecoderState) -> tuple[DecoderOutput, DecoderState]:
        """See `encoder_decoder.Decoder`."""
        state = state.deduplicate_parents()
        first_state = self._layers[0].step(y_BKE.flatten(0, 1), state.layers[0], state.parent_N)
        return self._finish_step(first_state, memory, state)

    def input_projections(self, y_VE: Tensor) -> Tensor | None:
        """Compute the first layer's input projection of every embedding (V, G), which is the same at every step."""
        first = self._layers[0]
        return nn.functional.linear(y_VE, *first.input_weights) if isinstance(first, RecurrentLayer) else None

    def step_from_projections(
        self, projections_VG: Tensor, token_BK: Tensor, memory: Memory, state: DecoderState
    ) -> tuple[DecoderOutput, DecoderState]:
        """Decode one token per row as `step` does, looking up its input projection.

        Args:
            projections_VG: Result of `input_projections`.
            token_BK: The tokens.
            memory: The encoded sentences.
            state: State of the B x K rows.
        """
        first, state = cast(RecurrentLayer, self._layers[0]), state.deduplicate_parents()
        first_state = first.step_from_table(projections_VG, token_BK.flatten(), state.layers[0], state.parent_N)
        return self._finish_step(first_state, memory, state)

    def _finish_step(
        self, first_state: State, memory: Memory, state: DecoderState
    ) -> tuple[DecoderOutput, DecoderState]:
        """Compute the rest of a step, given the first layer's next state."""
        states = [first_state]
        h_BKH = first_state[0].view(len(memory.states_BSH), -1, self.config.hidden)
        context_BKH, weights_BKS = self.attend(self.dropout(h_BKH), memory, state)
        x_BKH = self.skips.layer_output(0, h_BKH, h_BKH)
        for depth, layer in enumerate(self._layers[1:], start=1):
            input_BKH = concat_features(self.skips.layer_input(depth, x_BKH), context_BKH)
            states.append(layer.step(input_BKH.flatten(0, 1), state.layers[depth], state.parent_N))
            x_BKH = self.skips.layer_output(depth, x_BKH, states[-1][0].view_as(x_BKH))
        next_state = DecoderState(tuple(states), alignment_BS=self._carried_alignment(weights_BKS))
        return DecoderOutput(self.compute_readout(x_BKH, context_BKH), weights_BKS), next_state

    def attend(self, query_BTH: Tensor, memory: Memory, state: DecoderState) -> tuple[Tensor | None, Tensor | None]:
        """Compute the context of each query and its attention weights; (None, None) without attention.

        Args:
            query_BTH: T steps of one row per sentence, or one step of T rows per sentence.
            memory: The encoded sentences.
            state: State before the step, which has the previous weights of recurrent attention.
        """
        if self.config.attention == "none":
            return None, None
        keys, values = memory.keys
        if isinstance(self.attention, MultiHeadAttention):
            return self.attention.forward_with_weights(
                query_BTH, keys, values, memory.source.attention_mask, self.config.guided_head
            )
        previous = () if state.alignment_BS is None else (state.alignment_BS,)
        attended: tuple[Tensor, Tensor] = self.attention(query_BTH, keys, values, memory.source.padding_BS, *previous)
        return attended

    def _attend_segments(
        self, query_BTH: Tensor, memory: Memory, state: DecoderState
    ) -> tuple[Tensor | None, Tensor | None]:
        """Attend for a whole target; with activation checkpointing in segments, if the steps are independent."""
        if not self.checkpointing or self.config.attention in ("none", *kinds.RECURRENT_ATTENTIONS):
            return self.run(self.attend, query_BTH, memory, state)
        attended = [
            checkpoint_call(self.attend, part_BTH, memory, state)
            for part_BTH in split_segments(query_BTH, CHECKPOINT_SEGMENT)
        ]
        contexts, weights = zip(*attended, strict=True)
        return torch.cat(contexts, dim=1), torch.cat(weights, dim=1)

    def _carried_alignment(self, weights_BKS: Tensor | None) -> Tensor | None:
        """Return the weights that recurrent attention needs in the next step, (B x K, S); else None."""
        if weights_BKS is None or self.config.attention not in kinds.RECURRENT_ATTENTIONS:
            return None
        return weights_BKS.flatten(0, 1)

    def compute_readout(self, x_BTH: Tensor, context_BTH: Tensor | None) -> Tensor:
        """Compute the readout tanh(W [h; c]); if it is folded, `context_BTH` is already multiplied by W_c."""
        if self.readout_folded:
            folded_BTR: Tensor = self.readout_hidden(self.skips.stack_output(x_BTH)).add_(context_BTH).tanh_()
            return folded_BTR
        features_BTF = concat_features(self.skips.stack_output(x_BTH), context_BTH)
        readout_BTR: Tensor = self.dropout(torch.tanh(self.readout(features_BTF)))
        return readout_BTR

    @property
    def _layers(self) -> Sequence[Layer]:
        return cast(Sequence[Layer], self.layers)

    @property
    def _state_parts(self) -> int:
        """Number of tensors in a layer's state: h, and in an LSTM c."""
        return 2 if self.config.arch == "lstm" else 1


class InputFeedingDecoder(RecurrentDecoder):
    """Decoder with input feeding. Satisfies `encoder_decoder.Decoder`."""

    def input_projections(self, y_VE: Tensor) -> None:
        """Return None: the first layer's input includes the last readout, so it differs at every step."""

    def initial_state(self, encoded: EncoderOutput, source: SourceBatch) -> DecoderState:
        """See `encoder_decoder.Decoder`: the bridge, and a readout of zeros."""
        like_BSH = encoded.states_BSH
        readout_BR = like_BSH.new_zeros(len(like_BSH), self.config.readout)
        return dataclasses.replace(super().initial_state(encoded, source), readout_BR=readout_BR)

    def forward(self, y_BTE: Tensor, memory: Memory, state: DecoderState, need_weights: bool = False) -> DecoderOutput:
        """See `encoder_decoder.Decoder`: runs step by step; activation checkpointing works on segments of steps."""
        weight_drop = self.config.weight_drop if self.training else 0.0
        dropped = [_dropconnect_weight(layer, weight_drop) for layer in self._layers]
        outputs = []
        for segment_BTE in split_segments(y_BTE, CHECKPOINT_SEGMENT if self.checkpointing else y_BTE.shape[1]):
            output, state = self.run(self._run_segment, segment_BTE, memory, state, dropped)
            outputs.append(output)
        return _concat_outputs(outputs)

    def _run_segment(
        self, y_BTE: Tensor, memory: Memory, state: DecoderState, dropped: Sequence[Tensor | None]
    ) -> tuple[DecoderOutput, DecoderState]:
        outputs = []
        for y_B1E in torch.split(y_BTE, 1, dim=1):
            output, state = self._step(y_B1E, memory, state, dropped)
            outputs.append(output)
        return _concat_outputs(outputs), state

    def step(self, y_BKE: Tensor, memory: Memory, state: DecoderState) -> tuple[DecoderOutput, DecoderState]:
        """See `encoder_decoder.Decoder`."""
        return self._step(y_BKE, memory, state.expand_parents(), [None] * len(self.layers))

    def _step(
        self, y_BKE: Tensor, memory: Memory, state: DecoderState, dropped: Sequence[Tensor | None]
    ) -> tuple[DecoderOutput, DecoderState]:
        assert state.readout_BR is not None
        x_BKH = concat_features(y_BKE, state.readout_BR.view(*y_BKE.shape[:2], -1))
        states = []
        for depth, (layer, weight) in enumerate(zip(self._layers, dropped, strict=True)):
            input_NH = self.skips.layer_input(depth, x_BKH).flatten(0, 1)
            states.append(_layer_step(layer, input_NH, state.layers[depth], weight))
            x_BKH = self.skips.layer_output(depth, x_BKH, unflatten_hidden(states[-1], y_BKE))
        context_BKH, weights_BKS = self.attend(x_BKH, memory, state)
        readout_BKR = self.compute_readout(x_BKH, context_BKH)
        next_state = DecoderState(tuple(states), readout_BKR.flatten(0, 1), self._carried_alignment(weights_BKS))
        return DecoderOutput(readout_BKR, weights_BKS), next_state


def _make_attention(config: Seq2SeqConfig) -> CrossAttention | RecurrentAttention | MultiHeadAttention:
    if config.attention == "multihead":
        return MultiHeadAttention(config.hidden, config.heads)
    if config.attention == "monotonic":
        return MonotonicAttention(config.hidden)
    if config.attention == "location":
        return LocationAttention(config.hidden)
    return CrossAttention(config.attention, config.hidden)


def _concat_outputs(outputs: Sequence[DecoderOutput]) -> DecoderOutput:
    """Concatenate the outputs of consecutive steps."""
    weights = [output.weights_BTS for output in outputs if output.weights_BTS is not None]
    readout_BTR = torch.cat([output.readout_BTR for output in outputs], dim=1)
    return DecoderOutput(readout_BTR, torch.cat(weights, dim=1) if weights else None)


def _layer_sizes(config: Seq2SeqConfig, context: int) -> list[tuple[int, int]]:
    """Return the input and output dimension of each layer, given that of the context."""
    first = config.embedding + (config.readout if config.input_feeding else 0)
    others = config.hidden + (0 if config.input_feeding else context)
    return [(size, config.hidden) for size in [first] + [others] * (config.decoder_layers - 1)]


def _make_linear(weight_OI: Tensor, bias_O: Tensor | None) -> nn.Linear:
    """Build a frozen linear layer from its weights."""
    linear = nn.Linear(weight_OI.shape[1], weight_OI.shape[0], bias=bias_O is not None, device=weight_OI.device)
    linear.weight = nn.Parameter(weight_OI.contiguous(), requires_grad=False)
    if bias_O is not None:
        linear.bias = nn.Parameter(bias_O, requires_grad=False)
    return linear


def _dropconnect_weight(layer: Layer, p: float) -> Tensor | None:
    """Apply DropConnect to a layer's recurrent weights; None if the layer runs with its own weights."""
    return dropout.weight_drop(layer.hidden_weights[0], p) if p and isinstance(layer, RecurrentLayer) else None


def _layer_step(layer: Layer, x_NE: Tensor, state: State, weight: Tensor | None) -> State:
    """Run one step of a layer, with replaced recurrent weights if `weight` is given."""
    if weight is None or not isinstance(layer, RecurrentLayer):
        return layer.step(x_NE, state)
    return layer.step_from_product(nn.functional.linear(x_NE, *layer.input_weights), state, weight)
