"""What stands between the layers of a recurrent stack: dropout, ways around the layers, layer norms.

    x_0 = drop(layer_0(y))
    x_l = drop(layer_l(LN_l(x_{l-1}))) + x_{l-1}       LN where asked for; the sum from three layers up
    memory or readout = LN_L(x_{L-1})

A gradient that has to pass through every gate on its way down gets lost in a deep stack; the sum is a way around them
(He et al. 2015, arXiv:1512.03385; for recurrent translation Wu et al. 2016, arXiv:1609.08144), and the norm keeps what
a layer reads at one size however many were added below it (Ba et al. 2016, arXiv:1607.06450).
"""

from __future__ import annotations

from torch import Tensor, nn

from rnnkit.models.sequence_config import Config
from rnnkit.nn.dropout import Dropout

FEWEST_FOR_RESIDUAL = 3
"""Stacks of fewer layers train well without."""


class Skips(nn.Module):
    """Between the layers of one stack.

    Args:
        layers: How many there are.
        config: Of the network.
    """

    def __init__(self, layers: int, config: Config) -> None:
        super().__init__()
        self.dropout = Dropout(config.dropout, config.locked)
        self.residual = config.residual and layers >= FEWEST_FOR_RESIDUAL
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
