"""Transformer encoder and decoder, and the hybrid with a recurrent cell in place of the decoder's self-attention.

Encoder (Vaswani et al. 2017, arXiv:1706.03762), here with pre-norm:

    x = x + MultiHead(LN(x), LN(x));  x = x + FFN(LN(x))       in each block
    memory = LN(x)

Decoder:

    y = y + Mixer(LN(y))                        causal self-attention, SSRU or minGRU
    y = y + MultiHead(LN(y), memory)            cross-attention: queries from the decoder, keys and values from memory
    y = y + FFN(LN(y))                          in each block
    r = LN(y)

With rotary encoding, relative positions enter every self-attention; sinusoidal encoding is added to the embeddings.

Keys and values of the memory are computed once per sentence. During search, the K rows of a sentence are K queries to
them, so nothing is copied. A row's state is that of its mixers: a key-value cache that grows with the output, or the
state of a recurrent cell, one vector per layer (Kim et al. 2019, see `SSRULayer`).

Shapes as in `encoder_decoder.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn

from rnnkit.models.encoder_decoder import DecoderOutput, DecoderState, EncoderOutput, Memory, Seq2SeqConfig, SourceBatch
from rnnkit.nn import multihead_attention
from rnnkit.nn.cells import State
from rnnkit.nn.device import CheckpointedLayer
from rnnkit.nn.dropout import Dropout
from rnnkit.nn.mingru import MinGRULayer, SSRULayer
from rnnkit.nn.multihead_attention import CausalAttention, MultiHeadAttention
from rnnkit.nn.transformer import FeedForward, ResidualConnection, final_norm

Mixer = CausalAttention | SSRULayer | MinGRULayer
"""A sublayer that mixes the target positions before each token."""


class TransformerEncoderBlock(nn.Module):
    """Self-attention and a feed-forward network."""

    def __init__(self, config: Seq2SeqConfig) -> None:
        super().__init__()
        size, drop = config.hidden, Dropout(config.dropout, config.locked)
        self.attention = MultiHeadAttention(size, config.heads, rotary=config.positions == "rotary")
        self.feed_forward = FeedForward(size, config.inner or 4 * size)
        self.around_attention = ResidualConnection(size, config.norm, drop)
        self.around_feed_forward = ResidualConnection(size, config.norm, drop)

    def forward(self, x_BSE: Tensor, attention_mask: Tensor | None) -> Tensor:
        """Run the block; `attention_mask` as in `SourceBatch`."""
        input_BSE = self.around_attention.sublayer_input(x_BSE)
        attended_BSE = self.attention(input_BSE, *self.attention.keys_values(input_BSE), attention_mask)
        x_BSE = self.around_attention.add(x_BSE, attended_BSE)
        input_BSE = self.around_feed_forward.sublayer_input(x_BSE)
        return self.around_feed_forward.add(x_BSE, self.feed_forward(input_BSE))


class TransformerEncoder(CheckpointedLayer):
    """Stack of encoder blocks. Satisfies `encoder_decoder.Encoder`."""

    def __init__(self, config: Seq2SeqConfig) -> None:
        super().__init__()
        self.positions = (
            multihead_attention.SinusoidalPositions() if config.positions == "sinusoidal" else nn.Identity()
        )
        self.blocks = nn.ModuleList(TransformerEncoderBlock(config) for _ in range(config.layers))
        self.closing = final_norm(config.hidden, config.norm)

    def forward(self, x_BSE: Tensor, lengths_B: Tensor, source: SourceBatch) -> EncoderOutput:
        """See `encoder_decoder.Encoder`; the attention mask stands for the lengths."""
        x_BSE = self.positions(x_BSE)
        for block in cast(Sequence[TransformerEncoderBlock], self.blocks):
            x_BSE = self.run(block, x_BSE, source.attention_mask)
        return EncoderOutput(self.closing(x_BSE))


class TransformerDecoderBlock(nn.Module):
    """A mixer, cross-attention and a feed-forward network."""

    def __init__(self, config: Seq2SeqConfig) -> None:
        super().__init__()
        size, drop = config.hidden, Dropout(config.dropout, config.locked)
        self.guided_head = config.guided_head
        self.mixer = _make_mixer(config)
        self.cross = MultiHeadAttention(size, config.heads)
        self.feed_forward = FeedForward(size, config.inner or 4 * size)
        self.around_mixer = ResidualConnection(size, config.norm, drop)
        self.around_cross = ResidualConnection(size, config.norm, drop)
        self.around_feed_forward = ResidualConnection(size, config.norm, drop)

    def forward(
        self, y_BTE: Tensor, state: State, keys: tuple[Tensor, Tensor], source: SourceBatch, need_weights: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Run the block over a whole target: `mix`, then `attend`."""
        return self.attend(self.mix(y_BTE, state)[0], keys, source, need_weights)

    def mix(self, y_NTE: Tensor, state: State) -> tuple[Tensor, State]:
        """Run the mixer from a state; return its output and next state."""
        mixed_NTE, state = self.mixer(self.around_mixer.sublayer_input(y_NTE), state)
        return self.around_mixer.add(y_NTE, mixed_NTE), state

    def attend(
        self, y_BTE: Tensor, keys: tuple[Tensor, Tensor], source: SourceBatch, need_weights: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Run cross-attention and the feed-forward network.

        Args:
            y_BTE: Output of the mixer.
            keys: Keys and values of the memory.
            source: The source batch, for its attention mask.
            need_weights: Whether to return the attention weights.

        Returns:
            The block's output (B, T, E), and the attention weights (B, T, S) or None.
        """
        input_BTE = self.around_cross.sublayer_input(y_BTE)
        weights_BTS: Tensor | None = None
        if need_weights:
            attended_BTE, weights_BTS = self.cross.forward_with_weights(
                input_BTE, *keys, source.attention_mask, self.guided_head
            )
        else:
            attended_BTE = self.cross(input_BTE, *keys, source.attention_mask)
        y_BTE = self.around_cross.add(y_BTE, attended_BTE)
        input_BTE = self.around_feed_forward.sublayer_input(y_BTE)
        return self.around_feed_forward.add(y_BTE, self.feed_forward(input_BTE)), weights_BTS


class TransformerDecoder(CheckpointedLayer):
    """Stack of decoder blocks. Satisfies `encoder_decoder.Decoder`.

    It reports the cross-attention of the last block but one, which aligns words best (Garg et al. 2019,
    arXiv:1909.02074), or of the only block.
    """

    def __init__(self, config: Seq2SeqConfig) -> None:
        super().__init__()
        self.config = config
        self.blocks = nn.ModuleList(TransformerDecoderBlock(config) for _ in range(config.decoder_layers))
        self.closing = final_norm(config.hidden, config.norm)
        self.sinusoidal = config.arch == "transformer" and config.positions == "sinusoidal"
        self.alignment_layer = max(0, config.decoder_layers - 2)

    def keys(self, states_BSH: Tensor) -> tuple[Tensor, ...]:
        """See `encoder_decoder.Decoder`: keys and values of each block in turn."""
        return tuple(part for block in self._blocks for part in block.cross.keys_values(states_BSH))

    def initial_state(self, encoded: EncoderOutput, source: SourceBatch) -> DecoderState:
        """See `encoder_decoder.Decoder`: empty caches, or zero states of recurrent mixers."""
        return DecoderState(tuple(block.mixer.zero_state(encoded.states_BSH) for block in self._blocks))

    def forward(self, y_BTE: Tensor, memory: Memory, state: DecoderState, need_weights: bool = False) -> DecoderOutput:
        """See `encoder_decoder.Decoder`."""
        weights_BTS: Tensor | None = None
        y_BTE = self._add_positions(y_BTE, 0, y_BTE.shape[1])
        for depth, block in enumerate(self._blocks):
            keys, need = _block_keys(memory, depth), need_weights and depth == self.alignment_layer
            y_BTE, weights = self.run(block, y_BTE, state.layers[depth], keys, memory.source, need)
            weights_BTS = weights_BTS if weights is None else weights
        return DecoderOutput(self.closing(y_BTE), weights_BTS)

    def step(self, y_BKE: Tensor, memory: Memory, state: DecoderState) -> tuple[DecoderOutput, DecoderState]:
        """See `encoder_decoder.Decoder`."""
        shape, states, state = y_BKE.shape, [], state.expand_parents()
        weights_BKS: Tensor | None = None
        y_BKE = self._add_positions(y_BKE, state.layers[0][0].shape[-2], 1)
        for depth, block in enumerate(self._blocks):
            y_N1E, next_state = block.mix(y_BKE.reshape(-1, 1, shape[2]), state.layers[depth])
            states.append(next_state)
            need = depth == self.alignment_layer
            y_BKE, weights = block.attend(y_N1E.view(shape), _block_keys(memory, depth), memory.source, need)
            weights_BKS = weights_BKS if weights is None else weights
        return DecoderOutput(self.closing(y_BKE), weights_BKS), DecoderState(tuple(states))

    def _add_positions(self, y_BTE: Tensor, start: int, count: int) -> Tensor:
        """Add sinusoidal encodings of `count` positions from `start`: a whole target, or one position for all rows."""
        return (
            y_BTE + multihead_attention.sinusoidal_encoding(count, y_BTE.shape[2], start).to(y_BTE)
            if self.sinusoidal
            else y_BTE
        )

    @property
    def _blocks(self) -> Sequence[TransformerDecoderBlock]:
        return cast(Sequence[TransformerDecoderBlock], self.blocks)


def _make_mixer(config: Seq2SeqConfig) -> Mixer:
    if config.arch == "transformer":
        return CausalAttention(config.hidden, config.heads, rotary=config.positions == "rotary")
    return SSRULayer(config.hidden) if config.cell == "ssru" else MinGRULayer(config.hidden, config.hidden)


def _block_keys(memory: Memory, depth: int) -> tuple[Tensor, Tensor]:
    return memory.keys[2 * depth], memory.keys[2 * depth + 1]
