"""What stands between the layers of a recurrent stack: dropout, ways around the layers, layer norms.

    x_0 = drop(layer_0(y))
    x_l = drop(layer_l(LN_l(x_{l-1}))) + x_{l-1}       LN where asked for; the sum from three layers up
    memory or readout = LN_L(x_{L-1})

A gradient that has to pass through every gate on its way down gets lost in a deep stack; the sum is a way around them
(He et al. 2015, arXiv:1512.03385; for recurrent translation Wu et al. 2016, arXiv:1609.08144), and the norm keeps what
a layer reads at one size however many were added below it (Ba et al. 2016, arXiv:1607.06450).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn

from rnnkit.models.encoder_decoder import EncoderOutput, SourceBatch
from rnnkit.models.seq2seq_config import Seq2SeqConfig
from rnnkit.nn.cells import State
from rnnkit.nn.dropout import Dropout
from rnnkit.nn.encoder_layer import EncoderLayer
from rnnkit.nn.kinds import RecurrentArch

MIN_RESIDUAL_LAYERS = 3
"""Stacks of fewer layers train well without."""


class ResidualStack(nn.Module):
    """Between the layers of one stack.

    Args:
        layers: How many there are.
        config: Of the network.
    """

    def __init__(self, layers: int, config: Seq2SeqConfig) -> None:
        super().__init__()
        self.dropout = Dropout(config.dropout, config.locked)
        self.residual = config.residual and layers >= MIN_RESIDUAL_LAYERS
        self.norms = nn.ModuleList(nn.LayerNorm(config.hidden) for _ in range(layers if config.layer_norm else 0))

    def before(self, depth: int, x_BTH: Tensor) -> Tensor:
        """What the layer of that depth, from 0, reads of what the one below has given."""
        read_BTH: Tensor = self.norms[depth - 1](x_BTH) if self.norms and depth else x_BTH
        return read_BTH

    def after(self, depth: int, x_BTH: Tensor, states_BTH: Tensor) -> Tensor:
        """What the layer of that depth gives, from what was there before and its states."""
        states_BTH = self.dropout(states_BTH)
        return states_BTH + x_BTH if self.residual and depth else states_BTH

    def close(self, x_BTH: Tensor) -> Tensor:
        """What the whole stack gives."""
        closed_BTH: Tensor = self.norms[-1](x_BTH) if self.norms else x_BTH
        return closed_BTH


class RecurrentEncoder(nn.Module):
    """Fits `memory.Encoder`."""

    def __init__(self, config: Seq2SeqConfig) -> None:
        super().__init__()
        sizes = [config.embedding] + [config.hidden] * (config.layers - 1)
        shape = config.hidden, config.bidirectional, config.reset_inside, config.weight_drop
        arch = cast(RecurrentArch, config.arch)
        self.layers = nn.ModuleList(EncoderLayer(arch, size, *shape) for size in sizes)
        self.skips = ResidualStack(config.layers, config)
        self.want_last = config.bridge == "last"

    def forward(self, x_BSE: Tensor, lengths_B: Tensor, source: SourceBatch) -> EncoderOutput:
        """See `memory.Encoder`; each sentence is read from its own first to its own last token."""
        last: list[State] = []
        for depth, layer in enumerate(cast(Sequence[EncoderLayer], self.layers)):
            states_BSH, state = layer(self.skips.before(depth, x_BSE), lengths_B, want_last=self.want_last)
            last.append(state)
            x_BSE = self.skips.after(depth, x_BSE, states_BSH)
        return EncoderOutput(self.skips.close(x_BSE), tuple(last))
