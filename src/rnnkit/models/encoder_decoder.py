"""What an encoder hands to a decoder, what a decoder carries, and what each of the two must be able to do.

A sentence's way: ids, embedded, go through an `Encoder`; its states and the `Decoder`'s keys are the `Memory`; the
decoder starts from a `DecoderState` and turns target tokens into readouts, which the output layer judges.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from rnnkit.nn.cells import State
from rnnkit.text import special_tokens


@dataclass(frozen=True)
class ExtendedVocabulary:
    """Source tokens that the vocabulary lacks, numbered behind its ids, for each sentence from the same number.

    Attributes:
        ids_BS: The source's ids with those numbers.
        real_BX: Which of the X numbers a sentence has.
    """

    ids_BS: Tensor
    real_BX: Tensor

    @classmethod
    def from_source(cls, ids_BS: Tensor, size: int) -> ExtendedVocabulary | None:
        """The own tokens of a batch with a vocabulary of this size; None where there are none."""
        count = int(ids_BS.max()) + 1 - size
        if count <= 0:
            return None
        numbers_X = torch.arange(size, size + count, device=ids_BS.device)
        return cls(ids_BS, (ids_BS.unsqueeze(2) == numbers_X).any(1))

    def select(self, rows: Tensor) -> ExtendedVocabulary:
        """Those of these sentences, in this order."""
        return ExtendedVocabulary(self.ids_BS[rows], self.real_BX[rows])


@dataclass(frozen=True)
class SourceBatch:
    """A batch of source sentences.

    Attributes:
        ids_BS: Ids, padded on the right.
        padding_BS: True where there is no token.
        allowed: What attention may look at, (B, 1, 1, S); None where nothing is padded.
        own: Tokens outside the vocabulary that can be copied; None where there are none.
    """

    ids_BS: Tensor
    padding_BS: Tensor
    allowed: Tensor | None
    own: ExtendedVocabulary | None = None

    @classmethod
    def from_ids(cls, ids_BS: Tensor) -> SourceBatch:
        """The batch of these ids."""
        padding_BS = ids_BS == special_tokens.PAD
        # On a GPU the question would wait for all that was asked before it.
        whole = not ids_BS.is_cuda and not padding_BS.any()
        return cls(ids_BS, padding_BS, None if whole else ~padding_BS[:, None, None])

    def select(self, rows: Tensor) -> SourceBatch:
        """These sentences, in this order."""
        allowed = None if self.allowed is None else self.allowed[rows]
        own = None if self.own is None else self.own.select(rows)
        return SourceBatch(self.ids_BS[rows], self.padding_BS[rows], allowed, own)


@dataclass(frozen=True)
class EncoderOutput:
    """What an encoder makes of a batch.

    Attributes:
        states_BSH: Its states.
        last: The last state of each layer, where the decoder starts from those.
    """

    states_BSH: Tensor
    last: tuple[State, ...] = ()

    def to(self, kind: torch.dtype) -> EncoderOutput:
        """The same in numbers of that type."""
        last = tuple(tuple(part.to(kind) for part in state) for state in self.last)
        return EncoderOutput(self.states_BSH.to(kind), last)


@dataclass(frozen=True)
class Memory:
    """What the decoder sees of a source batch.

    Attributes:
        states_BSH: Encoder states.
        keys: What the decoder's attention made of them, once; each with the batch first.
        source: The sentences themselves.
    """

    states_BSH: Tensor
    keys: tuple[Tensor, ...]
    source: SourceBatch

    @property
    def padding_BS(self) -> Tensor:
        """True where there is no token."""
        return self.source.padding_BS

    def select(self, rows: Tensor) -> Memory:
        """The memory of these sentences, in this order."""
        return Memory(self.states_BSH[rows], tuple(part[rows] for part in self.keys), self.source.select(rows))


@dataclass(frozen=True)
class DecoderState:
    """What the decoder carries from one step to the next.

    Attributes:
        layers: State of each layer; every tensor has the rows first.
        readout_BR: The last readout, which input feeding reads; None elsewhere.
        alignment_BS: Where the last step looked, where its attention goes on from there; None elsewhere.
        parent_N: Which of the layers' rows each row goes on from; None where each has its own.
    """

    layers: tuple[State, ...]
    readout_BR: Tensor | None = None
    alignment_BS: Tensor | None = None
    parent_N: Tensor | None = None

    def select(self, rows: Tensor) -> DecoderState:
        """The states of these rows (B x K of them), in this order; of the layers only their numbers are taken."""
        readout_BR, alignment_BS = (
            None if part is None else part[rows] for part in (self.readout_BR, self.alignment_BS)
        )
        parent_N = rows if self.parent_N is None else self.parent_N[rows]
        return DecoderState(self.layers, readout_BR, alignment_BS, parent_N)

    def expand_parents(self) -> DecoderState:
        """The same with states of its own for each row."""
        return self if self.parent_N is None else self._taking(self.parent_N, None)

    def deduplicate_parents(self) -> DecoderState:
        """The same with each state once, though several rows go on from it: rows of a beam have few parents.

        A GPU would have to be waited for to count them: there each row has its own.
        """
        if self.parent_N is None or self.parent_N.is_cuda:
            return self.expand_parents()
        different_M, parent_N = torch.unique(self.parent_N, return_inverse=True)
        return self._taking(different_M, parent_N)

    def _taking(self, rows: Tensor, parent_N: Tensor | None) -> DecoderState:
        layers = tuple(tuple(part[rows] for part in state) for state in self.layers)
        return DecoderState(layers, self.readout_BR, self.alignment_BS, parent_N)


@dataclass(frozen=True)
class DecoderOutput:
    """What a decoder says about target positions, before the output layer.

    Attributes:
        readout_BTR: One vector a position.
        weights_BTS: Attention over the source; None where there is none, or it was not asked for.
    """

    readout_BTR: Tensor
    weights_BTS: Tensor | None


class Encoder(Protocol):
    """Reads a source batch."""

    def __call__(self, x_BSE: Tensor, lengths_B: Tensor, source: SourceBatch) -> EncoderOutput:
        """Turn embeddings into states."""
        ...


class Decoder(Protocol):
    """Reads target tokens against a memory; a whole target at once, or step by step with K rows a sentence."""

    def keys(self, states_BSH: Tensor) -> tuple[Tensor, ...]:
        """What attention needs of the encoder's states, once a sentence."""
        ...

    def initial_state(self, encoded: EncoderOutput, source: SourceBatch) -> DecoderState:
        """The state before the first token, one row a sentence."""
        ...

    def __call__(self, y_BTE: Tensor, memory: Memory, state: DecoderState, need_weights: bool = False) -> DecoderOutput:
        """Read a whole target. Attention weights are made where they cost nothing, or are asked for."""
        ...

    def step(self, y_BKE: Tensor, memory: Memory, state: DecoderState) -> tuple[DecoderOutput, DecoderState]:
        """Read one token a row; the state's B x K rows lie side by side, those of a sentence share its memory."""
        ...


def concat_features(left: Tensor, right: Tensor | None) -> Tensor:
    """Features side by side; the left alone where there is no right."""
    return left if right is None else torch.cat([left, right.to(left.dtype)], dim=-1)


def unflatten_hidden(states: Sequence[Tensor], like_BKE: Tensor) -> Tensor:
    """The first part of a state, h of B x K rows, as (B, K, H)."""
    return states[0].view(*like_BKE.shape[:2], -1)
