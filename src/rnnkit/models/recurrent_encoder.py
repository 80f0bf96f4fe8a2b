"""Recurrent encoder, and the residual connections of its layer stack, which the recurrent decoder shares.

    x_0 = drop(layer_0(y))
    x_l = drop(layer_l(LN_l(x_{l-1}))) + x_{l-1}       LN if configured; residual sum in stacks of three or more layers
    output = LN_L(x_{L-1})

Residual connections keep gradients from vanishing in deep stacks (He et al. 2015, arXiv:1512.03385; for recurrent
translation Wu et al. 2016, arXiv:1609.08144). Layer normalization keeps the scale of a layer's input independent of
how many outputs were added below it (Ba et al. 2016, arXiv:1607.06450).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn

from rnnkit.models.encoder_decoder import EncoderOutput, SourceBatch
from rnnkit.models.seq2seq_config import Seq2SeqConfig
from rnnkit.nn.bidirectional import EncoderLayer
from rnnkit.nn.cells import State
from rnnkit.nn.dropout import Dropout
from rnnkit.nn.kinds import RecurrentArch

MIN_RESIDUAL_LAYERS = 3
"""Shallower stacks train well without residual connections."""


class ResidualStack(nn.Module):
    """Dropout, residual connections and layer norms between the layers of a recurrent stack.

    Args:
        layers: Number of layers.
        config: Configuration of the network.
    """

    def __init__(self, layers: int, config: Seq2SeqConfig) -> None:
        super().__init__()
        self.dropout = Dropout(config.dropout, config.locked)
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
