"""One endless text cut into columns and pieces: what truncated backpropagation through time learns from.

    w1 w2 … wN   ->   B columns of M = N // B tokens (the rest is moved about from pass to pass), read T at a time

    column 0   w1   … wT   | wT+1   … w2T   | …
    column 1   wM+1 … wM+T | wM+T+1 … wM+2T | …

Each piece goes on where the last one ended, so that a state can be carried from piece to piece. What is read is what is
predicted, one token later; before the text's first token stands EOS, as before any line's. The cuts of a pass are a
function of the seed and the pass's number alone, so a position is one integer and a resumed run needs no replay.
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
"""Pieces of varied length are no shorter than this."""

LENGTH_STDDEV = 5.0
"""Standard deviation of a varied piece's length, in tokens."""

HALF_LENGTH_PROBABILITY = 0.05
"""Share of varied pieces that are about half as long (Merity et al. 2017)."""


@dataclass(frozen=True)
class LanguageModelBatch:
    """A few steps of all columns.

    Attributes:
        input_BT: What is read.
        target_BT: What is predicted: the same, one token on.
        first: Whether the pass begins here, so that no state is carried in.
        padded: Whether `target_BT` holds PAD, which nobody predicts.
    """

    input_BT: Ids
    target_BT: Ids
    first: bool
    padded: bool = False


@dataclass(frozen=True)
class BpttLayout:
    """How the text is cut.

    Attributes:
        columns: Columns B read side by side.
        steps: Tokens T of a piece.
        varied: Whether pieces vary in length around `steps`.
        shuffled: Whether each pass turns every column by a random amount (Press 2019, PartialShuffle), which moves the
            places where the columns and the pieces begin and leaves almost every token its neighbours.
    """

    columns: int
    steps: int
    varied: bool = False
    shuffled: bool = True


def plan_chunks(length: int, cutting: BpttLayout, seed: int, epoch: int) -> list[int]:
    """Where the pieces of one pass begin and end, along columns of this length: 0, …, length."""
    if not cutting.varied:
        return [*range(0, length, cutting.steps), length]
    random = np.random.default_rng([seed, epoch, 1])
    ends = [0]
    while ends[-1] < length:
        middle = cutting.steps / 2 if random.random() < HALF_LENGTH_PROBABILITY else cutting.steps
        ends.append(min(length, ends[-1] + max(MIN_CHUNK_LENGTH, round(random.normal(middle, LENGTH_STDDEV)))))
    return ends


class BpttBatchSampler:
    """Endless pieces of a text, pass after pass.

    Args:
        ids: All tokens of the text, each line with its EOS; may be mapped from disk.
        cutting: How it is cut. Columns are as many as asked for, or fewer where the text is short.
        seed: The run's seed.
    """

    def __init__(self, ids: IntArray, cutting: BpttLayout, seed: int) -> None:
        self._ids = ids
        self._columns = max(1, min(cutting.columns, len(ids)))
        self._length = len(ids) // self._columns
        self._cutting = cutting
        self._seed = seed
        self.position = EpochPosition()
        self._load(0)

    @property
    def per_epoch(self) -> int:
        """Pieces of the pass under way."""
        return len(self._ends) - 1

    def extremes(self) -> list[LanguageModelBatch]:
        """The longest piece of the pass."""
        number = int(np.argmax(np.diff(self._ends)))
        return [self._piece(number, slice(None))]

    def state_dict(self) -> dict[str, int]:
        """Where the next piece comes from, as JSON."""
        return {"epoch": self.position.epoch, "batch": self.position.batch}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go where `state_dict` was made."""
        self.position = EpochPosition(state["epoch"], state["batch"])
        self._load(self.position.epoch)

    def __iter__(self) -> Iterator[LanguageModelBatch]:
        return self

    def __next__(self) -> LanguageModelBatch:
        return self.take(ShardSpec())[0]

    def steps(self, share: ShardSpec) -> int:
        """Steps of the pass under way: a step is one piece, whose columns are divided up."""
        return self.per_epoch

    def take(self, share: ShardSpec) -> list[LanguageModelBatch]:
        """Of the next piece, the process's share of the columns, in parts of like size that are read apart.

        A part has the same columns all through a pass, so that each carries a state of its own.
        """
        epoch, number = self.position.epoch, self.position.batch
        if number >= self.per_epoch:
            epoch, number = epoch + 1, 0
            self._load(epoch)
        self.position = EpochPosition(epoch, number + 1)
        bounds = [self._columns * part // share.count for part in range(share.count + 1)]
        parts = share.of([slice(*ends) for ends in pairwise(bounds) if ends[0] < ends[1]])
        return [self._piece(number, part) for part in parts]

    def _piece(self, number: int, columns: slice) -> LanguageModelBatch:
        place_BT = self._places(self._ends[number], self._ends[number + 1])[columns]
        return LanguageModelBatch(self._read(place_BT - 1), self._read(place_BT), first=number == 0)

    def _load(self, epoch: int) -> None:
        """Decide where a pass begins, how far its columns are turned, and where they are cut."""
        self._ends = plan_chunks(self._length, self._cutting, self._seed, epoch)
        random = np.random.default_rng([self._seed, epoch])
        columns, spare = self._columns, len(self._ids) - self._columns * self._length
        self._skipped = int(random.integers(spare + 1))
        self._turns = random.integers(self._length, size=columns) if self._cutting.shuffled else np.zeros(columns, int)

    def _places(self, begin: int, end: int) -> Ids:
        """Where in the text the steps `begin` to `end` of each column are."""
        along_BT = (np.arange(begin, end) + self._turns[:, None]) % self._length
        place_BT: Ids = self._skipped + self._length * np.arange(self._columns)[:, None] + along_BT
        return place_BT

    def _read(self, place_BT: Ids) -> Ids:
        """The tokens there; before the first stands EOS."""
        token_BT: Ids = np.where(place_BT < 0, special_tokens.EOS, self._ids[np.maximum(place_BT, 0)]).astype(np.int64)
        return token_BT


class LineBatchSampler:
    """Endless batches of lines of like length, each of which starts from nothing.

    Args:
        lines: The text.
        budget: Most tokens a batch, padding counted.
        seed: The run's seed.
    """

    def __init__(self, lines: SentenceDataset, budget: int, seed: int) -> None:
        self._lines = lines
        self._batches = BatchSampler([lines.lengths()], budget, seed)

    @property
    def per_epoch(self) -> int:
        """Batches of the pass under way."""
        return self._batches.per_epoch

    def extremes(self) -> list[LanguageModelBatch]:
        """The batch with the longest line of the pass, and the one with the most lines."""
        return [self._piece(numbers) for numbers in self._batches.extremes()]

    def state_dict(self) -> dict[str, int]:
        """Where the next batch comes from, as JSON."""
        return self._batches.state_dict()

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go where `state_dict` was made."""
        self._batches.load_state_dict(state)

    def __iter__(self) -> Iterator[LanguageModelBatch]:
        return self

    def __next__(self) -> LanguageModelBatch:
        return self._piece(next(self._batches))

    def steps(self, share: ShardSpec) -> int:
        """Steps of the pass under way; the last may have fewer batches than the others."""
        return self._batches.steps(share)

    def take(self, share: ShardSpec) -> list[LanguageModelBatch]:
        """Of the next step's batches, the process's share; no other is read."""
        return [self._piece(numbers) for numbers in self._batches.take(share)]

    def _piece(self, numbers: NDArray[np.int64]) -> LanguageModelBatch:
        return batch_lines([self._lines[int(number)] for number in numbers])


def batch_lines(lines: Sequence[IntArray]) -> LanguageModelBatch:
    """Lines side by side, padded on the right; each is read from the EOS before it."""
    target_BT, _ = pad_sequences(lines)
    input_BT = np.concatenate([np.full((len(lines), 1), special_tokens.EOS), target_BT[:, :-1]], axis=1)
    return LanguageModelBatch(input_BT, target_BT, first=True, padded=True)
