"""The Transformer's encoder (Vaswani et al. 2017, arXiv:1706.03762): every token looks at all of its sentence.

    x = x + MultiHead(LN(x), LN(x));  x = x + FFN(LN(x))       in each block, norms in front
    memory = LN(x)

With rotary positions, order enters each attention as distance; with sinusoidal ones it is added to the embeddings.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn

from rnnkit.models.memory import Encoded, Source
from rnnkit.models.sequence_config import Config
from rnnkit.nn import positional_encoding
from rnnkit.nn.activation_checkpointing import CheckpointedLayer
from rnnkit.nn.dropout import Dropout
from rnnkit.nn.multihead_attention import MultiHeadAttention
from rnnkit.nn.transformer import FeedForward, ResidualConnection, final_norm


class EncoderBlock(nn.Module):
    """Self-attention over a whole sentence, and a feed-forward network."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        size, drop = config.hidden, Dropout(config.dropout, config.locked)
        self.attention = MultiHeadAttention(size, config.heads, rotary=config.positions == "rotary")
        self.feed_forward = FeedForward(size, config.inner or 4 * size)
        self.around_attention = ResidualConnection(size, config.norm, drop)
        self.around_feed_forward = ResidualConnection(size, config.norm, drop)

    def forward(self, x_BSE: Tensor, allowed: Tensor | None) -> Tensor:
        """Read sentences; `allowed` as in `MultiHead.forward`."""
        read_BSE = self.around_attention.sublayer_input(x_BSE)
        found_BSE = self.attention(read_BSE, *self.attention.keys_values(read_BSE), allowed)
        x_BSE = self.around_attention.add(x_BSE, found_BSE)
        read_BSE = self.around_feed_forward.sublayer_input(x_BSE)
        return self.around_feed_forward.add(x_BSE, self.feed_forward(read_BSE))


class TransformerEncoder(CheckpointedLayer):
    """Fits `memory.Encoder`."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.places = positional_encoding.SinusoidalPositions() if config.positions == "sinusoidal" else nn.Identity()
        self.blocks = nn.ModuleList(EncoderBlock(config) for _ in range(config.layers))
        self.closing = final_norm(config.hidden, config.norm)

    def forward(self, x_BSE: Tensor, lengths_B: Tensor, source: Source) -> Encoded:
        """See `memory.Encoder`; lengths follow from the padding."""
        x_BSE = self.places(x_BSE)
        for block in cast(Sequence[EncoderBlock], self.blocks):
            x_BSE = self.run(block, x_BSE, source.allowed)
        return Encoded(self.closing(x_BSE))
