"""Causal encoder of taggers and text classifiers: the layers of a language model.

ULMFiT (Howard and Ruder 2018, arXiv:1801.06146) fine-tunes such an encoder:

    x_0 = E[</s>],  x_s = E[w_s]                               as a language model reads a line
    h^1_s = layer_1(x_s, h^1_{s-1}), ... h^L_s                 one direction: no state depends on later tokens

In evaluation mode its states are those of `language_model.py` for the stream `</s> w_1 ... w_S`. Dropout is that of the
labelling model: variational on the embeddings and on the output of every layer.

Shapes: B batch, S tokens, E embedding, H size of the last layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn

from rnnkit.models.language_model import LMConfig, LMLayer, make_layers
from rnnkit.nn import dropout
from rnnkit.nn.bidirectional import run_layer
from rnnkit.nn.device import CheckpointedLayer
from rnnkit.nn.transformer import TransformerLayer


class CausalEncoder(CheckpointedLayer):
    """Layers of the equations above; parameters have the names and shapes of the language model's layers.

    Args:
        config: Shape of the language model, with the dropout rates of the labelling model.
    """

    def __init__(self, config: LMConfig) -> None:
        super().__init__()
        self.config = config
        self.layers = nn.ModuleList(make_layers(config))
        self._recurrent = config.arch != "transformer"

    def forward(self, x_BSE: Tensor) -> Tensor:
        """Compute the states of the last layer (B, S, H), after dropout, from embedded tokens; start from a zero state.

        Padding on the right changes no state of a real token.
        """
        for depth, layer in enumerate(cast(Sequence[LMLayer], self.layers)):
            state_BSH = self._run_layer(layer, x_BSE)
            if self._recurrent and self.config.residual and state_BSH.shape == x_BSE.shape:
                state_BSH = state_BSH + x_BSE
            # A Transformer block applies dropout inside its sublayers, not between blocks.
            if self._recurrent or depth + 1 == self.config.layers:
                state_BSH = dropout.locked_dropout(state_BSH, self.config.dropout, self.training)
            x_BSE = state_BSH
        return x_BSE

    def _run_layer(self, layer: LMLayer, x_BSE: Tensor) -> Tensor:
        if isinstance(layer, TransformerLayer):
            return cast(Tensor, self.run(layer, x_BSE)[0])
        weight_drop = self.config.weight_drop if self.training else 0.0
        return run_layer(layer, x_BSE, None, weight_drop, self.checkpointing)[0]
