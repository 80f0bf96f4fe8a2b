"""Language-model batches: one token stream cut for truncated BPTT, or separate lines.

    w1 w2 … wN   ->   B streams of M = N // B tokens (the remainder moves from epoch to epoch), T tokens per chunk

    stream 0   w1   … wT   | wT+1   … w2T   | …
    stream 1   wM+1 … wM+T | wM+T+1 … wM+2T | …

Each chunk continues where the previous one ended, so the hidden state is carried from chunk to chunk. The target is the
input shifted by one token; EOS precedes the first token of the text, as it precedes any line. The chunks of an epoch
are a function of the seed and the epoch alone, so a position is one integer and a resumed run replays nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from rnnkit.data.aligned_data import SentenceDataset
from rnnkit.data.batch_sampler import BatchSampler, EpochPosition, Ids, ShardSpec, pad_sequences
from rnnkit.io.npy import IntArray
from rnnkit.text import special_tokens

MIN_CHUNK_LENGTH = 5
"""Minimum length of a chunk of variable length, in tokens."""

LENGTH_STDDEV = 5.0
"""Standard deviation of the length of such a chunk, in tokens."""

HALF_LENGTH_PROBABILITY = 0.05
"""Probability that such a chunk has about half the length (Merity et al. 2017, arXiv:1708.02182, section 4.1)."""


@dataclass(frozen=True)
class LanguageModelBatch:
    """One chunk of all streams, or a batch of lines.

    Attributes:
        input_BT: Input tokens.
        target_BT: Target tokens: the input shifted by one.
        resets_state: Whether the hidden state starts from zero instead of being carried over.
        padded: Whether `target_BT` holds PAD, which the loss ignores.
    """

    input_BT: Ids
    target_BT: Ids
    resets_state: bool
    padded: bool = False


@dataclass(frozen=True)
class BpttLayout:
    """How the token stream is cut.

    Attributes:
        streams: Batch size B: parallel streams.
        chunk_length: Tokens T per chunk, after which backpropagation is truncated.
        variable_length: Whether the length of a chunk varies around `chunk_length`.
        rotate: Whether each epoch rotates every stream by a random offset (Press 2019, PartialShuffle). This moves the
            boundaries of streams and chunks and keeps almost every token next to its neighbors.
    """

    streams: int
    chunk_length: int
    variable_length: bool = False
    rotate: bool = True


def plan_chunks(length: int, layout: BpttLayout, seed: int, epoch: int) -> list[int]:
    """Return the chunk boundaries of one epoch along streams of this length: 0, …, length."""
    if not layout.variable_length:
        return [*range(0, length, layout.chunk_length), length]
    random = np.random.default_rng([seed, epoch, 1])
    ends = [0]
    while ends[-1] < length:
        mean = layout.chunk_length / 2 if random.random() < HALF_LENGTH_PROBABILITY else layout.chunk_length
        ends.append(min(length, ends[-1] + max(MIN_CHUNK_LENGTH, round(random.normal(mean, LENGTH_STDDEV)))))
    return ends


class BpttBatchSampler:
    """Endless iterator over the chunks of a text, epoch after epoch.

    Args:
        ids: All tokens of the text, each line with its EOS; may be memory-mapped.
        layout: How the text is cut. A short text has fewer streams than requested.
        seed: Seed of the run.
    """

    def __init__(self, ids: IntArray, layout: BpttLayout, seed: int) -> None:
        self._ids = ids
        self._streams = max(1, min(layout.streams, len(ids)))
        self._length = len(ids) // self._streams
        self._layout = layout
        self._seed = seed
        self.position = EpochPosition()
        self._load(0)

    @property
    def per_epoch(self) -> int:
        """Chunks in the current epoch."""
        return len(self._boundaries) - 1

    def largest_batches(self) -> list[LanguageModelBatch]:
        """Return the longest chunk of the epoch."""
        index = int(np.argmax(np.diff(self._boundaries)))
        return [self._chunk(index, slice(None))]

    def state_dict(self) -> dict[str, int]:
        """Return the position of the next chunk as JSON."""
        return {"epoch": self.position.epoch, "batch": self.position.batch}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Seek to a position from `state_dict`."""
        self.position = EpochPosition(state["epoch"], state["batch"])
        self._load(self.position.epoch)

    def __iter__(self) -> Iterator[LanguageModelBatch]:
        return self

    def __next__(self) -> LanguageModelBatch:
        return self.next_step(ShardSpec())[0]

    def steps_per_epoch(self, shard: ShardSpec) -> int:
        """Return the steps in the current epoch: a step is one chunk, whose streams are divided among the ranks."""
        return self.per_epoch

    def next_step(self, shard: ShardSpec) -> list[LanguageModelBatch]:
        """Return this rank's streams of the next chunk, in batches of similar size.

        A batch has the same streams throughout an epoch, so that each carries its own hidden state.
        """
        epoch, index = self.position.epoch, self.position.batch
        if index >= self.per_epoch:
            epoch, index = epoch + 1, 0
            self._load(epoch)
        self.position = EpochPosition(epoch, index + 1)
        count = shard.batches_per_step
        bounds = [self._streams * part // count for part in range(count + 1)]
        parts = shard.select([slice(*ends) for ends in pairwise(bounds) if ends[0] < ends[1]])
        return [self._chunk(index, part) for part in parts]

    def _chunk(self, index: int, streams: slice) -> LanguageModelBatch:
        position_BT = self._positions(self._boundaries[index], self._boundaries[index + 1])[streams]
        return LanguageModelBatch(self._tokens(position_BT - 1), self._tokens(position_BT), resets_state=index == 0)

    def _load(self, epoch: int) -> None:
        """Choose where the epoch begins, the offset of each stream, and the chunk boundaries."""
        self._boundaries = plan_chunks(self._length, self._layout, self._seed, epoch)
        random = np.random.default_rng([self._seed, epoch])
        streams, spare = self._streams, len(self._ids) - self._streams * self._length
        self._skipped = int(random.integers(spare + 1))
        self._offset_B = random.integers(self._length, size=streams) if self._layout.rotate else np.zeros(streams, int)

    def _positions(self, begin: int, end: int) -> Ids:
        """Return the positions in the text of time steps `begin` to `end` of each stream, (B, T)."""
        along_BT = (np.arange(begin, end) + self._offset_B[:, None]) % self._length
        position_BT: Ids = self._skipped + self._length * np.arange(self._streams)[:, None] + along_BT
        return position_BT

    def _tokens(self, position_BT: Ids) -> Ids:
        """Look up the tokens at these positions; EOS precedes the first token."""
        token_BT: Ids = np.where(position_BT < 0, special_tokens.EOS, self._ids[np.maximum(position_BT, 0)]).astype(
            np.int64
        )
        return token_BT


class LineBatchSampler:
    """Endless iterator over batches of lines of similar length, each line starting from the zero state.

    Args:
        lines: The text.
        budget: Maximum tokens per batch, including padding.
        seed: Seed of the run.
    """

    def __init__(self, lines: SentenceDataset, budget: int, seed: int) -> None:
        self._lines = lines
        self._sampler = BatchSampler([lines.lengths()], budget, seed)

    @property
    def per_epoch(self) -> int:
        """Batches in the current epoch."""
        return self._sampler.per_epoch

    def largest_batches(self) -> list[LanguageModelBatch]:
        """Return the batch with the longest line of the epoch, and the one with the most lines."""
        return [self._batch(indices) for indices in self._sampler.largest_batches()]

    def state_dict(self) -> dict[str, int]:
        """Return the position of the next batch as JSON."""
        return self._sampler.state_dict()

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Seek to a position from `state_dict`."""
        self._sampler.load_state_dict(state)

    def __iter__(self) -> Iterator[LanguageModelBatch]:
        return self

    def __next__(self) -> LanguageModelBatch:
        return self._batch(next(self._sampler))

    def steps_per_epoch(self, shard: ShardSpec) -> int:
        """Return the steps in the current epoch; the last may have fewer batches than the others."""
        return self._sampler.steps_per_epoch(shard)

    def next_step(self, shard: ShardSpec) -> list[LanguageModelBatch]:
        """Return this rank's batches of the next step; the other ranks' lines are not read."""
        return [self._batch(indices) for indices in self._sampler.next_step(shard)]

    def _batch(self, indices: NDArray[np.int64]) -> LanguageModelBatch:
        return collate_lines([self._lines[int(index)] for index in indices])


def collate_lines(lines: Sequence[IntArray]) -> LanguageModelBatch:
    """Stack lines into a batch, padded on the right; the input of each line begins with EOS."""
    target_BT, _ = pad_sequences(lines)
    input_BT = np.concatenate([np.full((len(lines), 1), special_tokens.EOS), target_BT[:, :-1]], axis=1)
    return LanguageModelBatch(input_BT, target_BT, resets_state=True, padded=True)
