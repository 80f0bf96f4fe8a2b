"""Configuration of a sequence-to-sequence network, and the interfaces between its encoder, decoder and search.

An `Encoder` maps embedded source tokens to an `EncoderOutput`. The encoder states, together with the keys that the
`Decoder` computes from them once per sentence, form the `Memory` (the term of `torch.nn.Transformer`). Starting from a
`DecoderState`, the decoder maps target tokens to readouts, the input of the output layer.

Shapes: B batch, S source length, T target length, K beam, N = B x K rows, E embedding, H hidden, R readout, X source
tokens outside the vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from rnnkit.nn import kinds
from rnnkit.nn.cells import State
from rnnkit.text import special_tokens


@dataclass(frozen=True)
class Seq2SeqConfig:
    """Shape and regularization of the network; the `network` object of config.json.

    Attributes:
        arch: Recurrent architecture of both sides, `transformer`, or `hybrid`: a Transformer encoder with a recurrent
            decoder.
        source_size: Size of the source vocabulary.
        target_size: Size of the target vocabulary.
        embedding: Embedding dimension; in a Transformer equal to `hidden`.
        hidden: Hidden size of the encoder output and the decoder; even if the encoder is bidirectional.
        layers: Number of encoder layers.
        decoder_layers: Number of decoder layers.
        bidirectional: Whether a recurrent encoder is bidirectional.
        attention: Attention mechanism over the source; `multihead` in a Transformer.
        bridge: Initial state of a recurrent decoder: `last` takes the encoder's final states, `mean` projects the mean
            encoder state.
        input_feeding: Whether to feed the last readout to the next step (Luong et al. 2015), instead of the parallel
            decoder.
        tied: Whether the output matrix is the target embedding matrix; the readout then has its dimension.
        joint: Whether source and target share vocabulary and embeddings.
        reset_inside: For `gru`: apply the reset gate before the recurrent product (Cho et al. 2014), not after it.
        dropout: Dropout on embeddings, between layers and on the readout.
        heads: Number of heads of `multihead` attention and of self-attention.
        inner: Inner dimension of the feed-forward networks; 0 means 4 x `hidden`.
        norm: Position of a Transformer's layer norms, `pre` or `post`.
        positions: Positional encoding of a Transformer.
        cell: Recurrent cell of `hybrid`.
        residual: Whether recurrent stacks of three or more layers have residual connections.
        layer_norm: Whether to normalize the input of every recurrent layer but the first, and the output of the last.
        locked: Whether dropout is variational: one mask for all time steps of a sentence.
        weight_drop: DropConnect probability on the recurrent weights.
        dropout_embedding: Embedding dropout: probability of dropping a vocabulary entry from the input.
        copy: Whether to copy tokens from the source (pointer-generator network).
        guided_head: With several heads: report, and copy by, the attention of the first head, which guided attention
            has trained, instead of the mean of all heads.
        right_to_left: Whether the target is generated right to left; decoding and scoring reverse it.
    """

    arch: kinds.TranslationArch
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
    heads: int = 4
    inner: int = 0
    norm: kinds.Norm = "pre"
    positions: kinds.Positions = "rotary"
    cell: kinds.Cell = "ssru"
    residual: bool = True
    layer_norm: bool = False
    locked: bool = False
    weight_drop: float = 0.0
    dropout_embedding: float = 0.0
    copy: bool = False
    guided_head: bool = False
    right_to_left: bool = False

    @property
    def readout(self) -> int:
        """Dimension of the readout, the input of the output layer."""
        return self.embedding if self.tied else self.hidden


@dataclass(frozen=True)
class ExtendedVocabulary:
    """Source tokens outside the vocabulary that can be copied (See et al. 2017, arXiv:1704.04368, section 2.2).

    They have ids from the vocabulary size upwards; every sentence counts from there anew.

    Attributes:
        ids_BS: Source ids, including the extended ones.
        present_BX: Whether a sentence has the extended id x.
    """

    ids_BS: Tensor
    present_BX: Tensor

    @classmethod
    def from_source(cls, ids_BS: Tensor, size: int) -> ExtendedVocabulary | None:
        """Build the extended vocabulary of a batch; None if no id reaches the vocabulary's size."""
        count = int(ids_BS.max()) + 1 - size
        if count <= 0:
            return None
        extended_X = torch.arange(size, size + count, device=ids_BS.device)
        return cls(ids_BS, (ids_BS.unsqueeze(2) == extended_X).any(1))

    def select(self, rows: Tensor) -> ExtendedVocabulary:
        """Select sentences, in the order of `rows`."""
        return ExtendedVocabulary(self.ids_BS[rows], self.present_BX[rows])


@dataclass(frozen=True)
class SourceBatch:
    """A batch of source sentences.

    Attributes:
        ids_BS: Ids, padded on the right.
        padding_BS: Padding mask: True at padding.
        attention_mask: Positions that attention may use, (B, 1, 1, S); None if the batch has no padding.
        extended: Copyable tokens outside the vocabulary; None if there are none.
    """

    ids_BS: Tensor
    padding_BS: Tensor
    attention_mask: Tensor | None
    extended: ExtendedVocabulary | None = None

    @classmethod
    def from_ids(cls, ids_BS: Tensor) -> SourceBatch:
        """Build a batch from padded ids."""
        padding_BS = ids_BS == special_tokens.PAD
        # On a GPU the test for padding would synchronize with the host.
        unpadded = not ids_BS.is_cuda and not padding_BS.any()
        return cls(ids_BS, padding_BS, None if unpadded else ~padding_BS[:, None, None])

    def select(self, rows: Tensor) -> SourceBatch:
        """Select sentences, in the order of `rows`."""
        attention_mask = None if self.attention_mask is None else self.attention_mask[rows]
        extended = None if self.extended is None else self.extended.select(rows)
        return SourceBatch(self.ids_BS[rows], self.padding_BS[rows], attention_mask, extended)


@dataclass(frozen=True)
class EncoderOutput:
    """Output of an encoder.

    Attributes:
        states_BSH: Hidden states of the last layer.
        final_states: Final state of each layer, for a decoder that starts from them; else empty.
    """

    states_BSH: Tensor
    final_states: tuple[State, ...] = ()

    def to(self, dtype: torch.dtype) -> EncoderOutput:
        """Convert all tensors to a dtype."""
        final_states = tuple(tuple(part.to(dtype) for part in state) for state in self.final_states)
        return EncoderOutput(self.states_BSH.to(dtype), final_states)


@dataclass(frozen=True)
class Memory:
    """What a decoder attends to.

    Attributes:
        states_BSH: Encoder states.
        keys: Attention keys and values, computed once per sentence; every tensor is batch-first.
        source: The sentences themselves.
    """

    states_BSH: Tensor
    keys: tuple[Tensor, ...]
    source: SourceBatch

    @property
    def padding_BS(self) -> Tensor:
        """True at padding."""
        return self.source.padding_BS

    def select(self, rows: Tensor) -> Memory:
        """Select sentences, in the order of `rows`."""
        return Memory(self.states_BSH[rows], tuple(part[rows] for part in self.keys), self.source.select(rows))


@dataclass(frozen=True)
class DecoderState:
    """State of a decoder between two steps.

    Selecting the rows of a beam does not copy layer states: it records each row's parent, and the next step gathers
    the states that it needs.

    Attributes:
        layers: State of each layer; the first dimension of every tensor is the row.
        readout_BR: Last readout, for input feeding; else None.
        alignment_BS: Last attention weights, for attention that depends on them; else None.
        parent_N: Row of `layers` that each row continues; None if row n continues row n.
    """

    layers: tuple[State, ...]
    readout_BR: Tensor | None = None
    alignment_BS: Tensor | None = None
    parent_N: Tensor | None = None

    def select(self, rows: Tensor) -> DecoderState:
        """Select rows (B x K of them), in the order of `rows`; layer states stay where they are."""
        readout_BR, alignment_BS = (
            None if part is None else part[rows] for part in (self.readout_BR, self.alignment_BS)
        )
        parent_N = rows if self.parent_N is None else self.parent_N[rows]
        return DecoderState(self.layers, readout_BR, alignment_BS, parent_N)

    def expand_parents(self) -> DecoderState:
        """Return an equal state in which every row has its own layer state."""
        return self if self.parent_N is None else self._gather_layers(self.parent_N, None)

    def deduplicate_parents(self) -> DecoderState:
        """Return an equal state that holds each parent once; the rows of a beam share few parents.

        On a GPU, where counting the parents would synchronize with the host, every row gets its own layer state.
        """
        if self.parent_N is None or self.parent_N.is_cuda:
            return self.expand_parents()
        unique_M, parent_N = torch.unique(self.parent_N, return_inverse=True)
        return self._gather_layers(unique_M, parent_N)

    def _gather_layers(self, rows: Tensor, parent_N: Tensor | None) -> DecoderState:
        layers = tuple(tuple(part[rows] for part in state) for state in self.layers)
        return DecoderState(layers, self.readout_BR, self.alignment_BS, parent_N)


@dataclass(frozen=True)
class DecoderOutput:
    """Output of a decoder, before the output layer.

    Attributes:
        readout_BTR: One vector per target position.
        weights_BTS: Attention weights over the source; None without attention, or if they were not requested.
    """

    readout_BTR: Tensor
    weights_BTS: Tensor | None


class Encoder(Protocol):
    """Maps a source batch to hidden states."""

    def __call__(self, x_BSE: Tensor, lengths_B: Tensor, source: SourceBatch) -> EncoderOutput:
        """Encode embedded source tokens."""
        ...


class Decoder(Protocol):
    """Maps target tokens to readouts, given a memory; a whole target at once or step by step with K rows a sentence."""

    def keys(self, states_BSH: Tensor) -> tuple[Tensor, ...]:
        """Compute the attention keys and values of the encoder states, once per sentence."""
        ...

    def initial_state(self, encoded: EncoderOutput, source: SourceBatch) -> DecoderState:
        """Compute the state before the first token, with one row per sentence."""
        ...

    def __call__(self, y_BTE: Tensor, memory: Memory, state: DecoderState, need_weights: bool = False) -> DecoderOutput:
        """Decode a whole target with teacher forcing.

        Args:
            y_BTE: Embedded target tokens, shifted right.
            memory: The encoded sentences.
            state: Initial state.
            need_weights: Whether to return attention weights even if that costs extra computation.
        """
        ...

    def step(self, y_BKE: Tensor, memory: Memory, state: DecoderState) -> tuple[DecoderOutput, DecoderState]:
        """Decode one token per row. The B x K rows of a state are grouped by sentence and share its memory."""
        ...


def concat_features(left: Tensor, right: Tensor | None) -> Tensor:
    """Concatenate along the feature dimension; return `left` if `right` is None."""
    return left if right is None else torch.cat([left, right.to(left.dtype)], dim=-1)


def unflatten_hidden(state: Sequence[Tensor], like_BKE: Tensor) -> Tensor:
    """Return the hidden state h of B x K rows, the first tensor of a layer's state, as (B, K, H)."""
    return state[0].view(*like_BKE.shape[:2], -1)
