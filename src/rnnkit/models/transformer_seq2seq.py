"""The Transformer's encoder (Vaswani et al. 2017, arXiv:1706.03762): every token looks at all of its sentence.

    x = x + MultiHead(LN(x), LN(x));  x = x + FFN(LN(x))       in each block, norms in front
    memory = LN(x)

With rotary positions, order enters each attention as distance; with sinusoidal ones it is added to the embeddings.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn

from rnnkit.models.encoder_decoder import DecoderOutput, DecoderState, EncoderOutput, Memory, SourceBatch
from rnnkit.models.seq2seq_config import Seq2SeqConfig
from rnnkit.nn import positions
from rnnkit.nn.causal_attention import CausalAttention
from rnnkit.nn.cells import State
from rnnkit.nn.dropout import Dropout
from rnnkit.nn.mingru import MinGRULayer
from rnnkit.nn.recompute import Recomputing
from rnnkit.nn.residual import Residual, closing_norm
from rnnkit.nn.ssru import SSRULayer
from rnnkit.nn.transformer import FeedForward, MultiHead


class TransformerEncoderBlock(nn.Module):
    """Self-attention over a whole sentence, and a feed-forward network."""

    def __init__(self, config: Seq2SeqConfig) -> None:
        super().__init__()
        size, drop = config.hidden, Dropout(config.dropout, config.locked)
        self.attention = MultiHead(size, config.heads, rotary=config.positions == "rotary")
        self.feed_forward = FeedForward(size, config.inner or 4 * size)
        self.around_attention = Residual(size, config.norm, drop)
        self.around_feed_forward = Residual(size, config.norm, drop)

    def forward(self, x_BSE: Tensor, allowed: Tensor | None) -> Tensor:
        """Read sentences; `allowed` as in `MultiHead.forward`."""
        read_BSE = self.around_attention.before(x_BSE)
        found_BSE = self.attention(read_BSE, *self.attention.keys_values(read_BSE), allowed)
        x_BSE = self.around_attention.after(x_BSE, found_BSE)
        read_BSE = self.around_feed_forward.before(x_BSE)
        return self.around_feed_forward.after(x_BSE, self.feed_forward(read_BSE))


class TransformerEncoder(Recomputing):
    """Fits `memory.Encoder`."""

    def __init__(self, config: Seq2SeqConfig) -> None:
        super().__init__()
        self.places = positions.SinusoidalPositions() if config.positions == "sinusoidal" else nn.Identity()
        self.blocks = nn.ModuleList(TransformerEncoderBlock(config) for _ in range(config.layers))
        self.closing = closing_norm(config.hidden, config.norm)

    def forward(self, x_BSE: Tensor, lengths_B: Tensor, source: SourceBatch) -> EncoderOutput:
        """See `memory.Encoder`; lengths follow from the padding."""
        x_BSE = self.places(x_BSE)
        for block in cast(Sequence[TransformerEncoderBlock], self.blocks):
            x_BSE = self.run(block, x_BSE, source.allowed)
        return EncoderOutput(self.closing(x_BSE))


Mixer = CausalAttention | SSRULayer | MinGRULayer


class TransformerDecoderBlock(nn.Module):
    """A mixer, cross-attention and a feed-forward network."""

    def __init__(self, config: Seq2SeqConfig) -> None:
        super().__init__()
        size, drop = config.hidden, Dropout(config.dropout, config.locked)
        self.guided = config.guided_head
        self.mixer = _make_mixer(config)
        self.cross = MultiHead(size, config.heads)
        self.feed_forward = FeedForward(size, config.inner or 4 * size)
        self.around_mixer = Residual(size, config.norm, drop)
        self.around_cross = Residual(size, config.norm, drop)
        self.around_feed_forward = Residual(size, config.norm, drop)

    def forward(
        self, y_BTE: Tensor, state: State, keys: tuple[Tensor, Tensor], source: SourceBatch, need_weights: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Read a whole target from a state: `mix`, then `look`."""
        return self.attend(self.mix(y_BTE, state)[0], keys, source, need_weights)

    def mix(self, y_NTE: Tensor, state: State) -> tuple[Tensor, State]:
        """Read what was said before, on from a state."""
        found_NTE, state = self.mixer(self.around_mixer.before(y_NTE), state)
        return self.around_mixer.after(y_NTE, found_NTE), state

    def attend(
        self, y_BTE: Tensor, keys: tuple[Tensor, Tensor], source: SourceBatch, need_weights: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Look at the memory and think about it; also its weights (B, T, S), see `weigh`, where they are wanted."""
        read_BTE = self.around_cross.before(y_BTE)
        weights_BTS: Tensor | None = None
        if need_weights:
            found_BTE, weights_BTS = self.cross.weigh(read_BTE, *keys, source.allowed, self.guided)
        else:
            found_BTE = self.cross(read_BTE, *keys, source.allowed)
        y_BTE = self.around_cross.after(y_BTE, found_BTE)
        read_BTE = self.around_feed_forward.before(y_BTE)
        return self.around_feed_forward.after(y_BTE, self.feed_forward(read_BTE)), weights_BTS


class TransformerDecoder(Recomputing):
    """Fits `memory.Decoder`. Its attention is that of the last block but one, which follows the words best.

    Garg et al. 2019 (arXiv:1909.02074) found so; of a single block it is that one's.
    """

    def __init__(self, config: Seq2SeqConfig) -> None:
        super().__init__()
        self.config = config
        self.blocks = nn.ModuleList(TransformerDecoderBlock(config) for _ in range(config.decoder_layers))
        self.closing = closing_norm(config.hidden, config.norm)
        self.sinusoidal = config.arch == "transformer" and config.positions == "sinusoidal"
        self.aligner = max(0, config.decoder_layers - 2)

    def keys(self, states_BSH: Tensor) -> tuple[Tensor, ...]:
        """See `memory.Decoder`: keys and values of each block in turn."""
        return tuple(part for block in self._blocks for part in block.cross.keys_values(states_BSH))

    def initial_state(self, encoded: EncoderOutput, source: SourceBatch) -> DecoderState:
        """See `memory.Decoder`: nothing has been read."""
        return DecoderState(tuple(block.mixer.zero_state(encoded.states_BSH) for block in self._blocks))

    def forward(self, y_BTE: Tensor, memory: Memory, state: DecoderState, need_weights: bool = False) -> DecoderOutput:
        """See `memory.Decoder`."""
        weights_BTS: Tensor | None = None
        y_BTE = self._mark(y_BTE, 0, y_BTE.shape[1])
        for depth, block in enumerate(self._blocks):
            wanted = need_weights and depth == self.aligner
            y_BTE, weights = self.run(
                block, y_BTE, state.layers[depth], _block_keys(memory, depth), memory.source, wanted
            )
            weights_BTS = weights_BTS if weights is None else weights
        return DecoderOutput(self.closing(y_BTE), weights_BTS)

    def step(self, y_BKE: Tensor, memory: Memory, state: DecoderState) -> tuple[DecoderOutput, DecoderState]:
        """See `memory.Decoder`."""
        shape, states, state = y_BKE.shape, [], state.expand_parents()
        weights_BKS: Tensor | None = None
        y_BKE = self._mark(y_BKE, state.layers[0][0].shape[-2], 1)
        for depth, block in enumerate(self._blocks):
            y_N1E, after = block.mix(y_BKE.reshape(-1, 1, shape[2]), state.layers[depth])
            states.append(after)
            y_BKE, weights = block.attend(
                y_N1E.view(shape), _block_keys(memory, depth), memory.source, depth == self.aligner
            )
            weights_BKS = weights_BKS if weights is None else weights
        return DecoderOutput(self.closing(y_BKE), weights_BKS), DecoderState(tuple(states))

    def _mark(self, y_BTE: Tensor, start: int, count: int) -> Tensor:
        """Mark places where embeddings carry them: a whole target's from 0 on, or the one place of a step's rows."""
        return y_BTE + positions.sinusoids(count, y_BTE.shape[2], start).to(y_BTE) if self.sinusoidal else y_BTE

    @property
    def _blocks(self) -> Sequence[TransformerDecoderBlock]:
        return cast(Sequence[TransformerDecoderBlock], self.blocks)


def _make_mixer(config: Seq2SeqConfig) -> Mixer:
    if config.arch == "transformer":
        return CausalAttention(config.hidden, config.heads, rotary=config.positions == "rotary")
    return SSRULayer(config.hidden) if config.cell == "ssru" else MinGRULayer(config.hidden, config.hidden)


def _block_keys(memory: Memory, depth: int) -> tuple[Tensor, Tensor]:
    return memory.keys[2 * depth], memory.keys[2 * depth + 1]
