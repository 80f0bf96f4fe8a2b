"""Batches of sentences of similar length under a token budget (bucketing), and the optimizer steps made of them.

The order of an epoch is a function of the seed and the epoch alone, so a position in it is one integer and a resumed
run replays nothing. A step has `accumulate` batches for each of `world_size` processes: gradient accumulation and data
parallelism.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from rnnkit.text import special_tokens

Ids = NDArray[np.int64]

B = TypeVar("B")
T = TypeVar("T")


@dataclass(frozen=True)
class EpochPosition:
    """Position in an endless sequence of batches.

    Attributes:
        epoch: Current epoch, from 0.
        batch: Batches already taken from this epoch.
    """

    epoch: int = 0
    batch: int = 0


@dataclass(frozen=True)
class ShardSpec:
    """Which of a step's batches one process takes: of three processes, rank 1 takes batches 1, 4, 7, ...

    Attributes:
        accumulate: Batches of each process in one step (gradient accumulation).
        rank: Rank of this process, from 0.
        world_size: Number of processes.
    """

    accumulate: int = 1
    rank: int = 0
    world_size: int = 1

    @property
    def batches_per_step(self) -> int:
        """Batches of one step, over all processes."""
        return self.accumulate * self.world_size

    def select(self, parts: Sequence[T]) -> Sequence[T]:
        """Return the parts of a step that belong to this rank."""
        return parts[self.rank :: self.world_size]


def plan_epoch(lengths: Sequence[NDArray[np.integer]], budget: int, seed: int, epoch: int) -> list[NDArray[np.int64]]:
    """Split one epoch into batches of sentence indices.

    Sentences are shuffled and sorted by length (ties stay shuffled). A batch ends before its longest side times its
    number of sentences exceeds the budget. The batches are shuffled last.

    Args:
        lengths: For each side, the number of tokens of each sentence.
        budget: Maximum tokens per batch, including padding, on its longest side; one sentence is always allowed.
        seed: Seed of the run.
        epoch: Index of the epoch.

    Returns:
        The sentence indices of each batch.
    """
    random = np.random.default_rng([seed, epoch])
    order = random.permutation(len(lengths[0]))
    order = order[np.lexsort([side[order] for side in lengths])]  # the primary key is the last side, the target
    longest = np.maximum.reduce([side[order] for side in lengths])
    batches = []
    start = 0
    while start < len(order):
        # The running maximum times the running count is increasing: search for where it exceeds the budget.
        window = np.maximum.accumulate(longest[start : start + budget])
        size = max(1, int(np.searchsorted(window * np.arange(1, len(window) + 1), budget, side="right")))
        batches.append(order[start : start + size])
        start += size
    return [batches[index] for index in random.permutation(len(batches))]


class BatchSampler:
    """Endless iterator over batches of sentence indices, epoch after epoch.

    Args:
        lengths: For each side, the number of tokens of each sentence.
        budget: Tokens per batch, as in `plan_epoch`.
        seed: Seed of the run.
    """

    def __init__(self, lengths: Sequence[NDArray[np.integer]], budget: int, seed: int) -> None:
        self._lengths = lengths
        self._budget = budget
        self._seed = seed
        self.position = EpochPosition()
        self._load(0)

    def _load(self, epoch: int) -> None:
        self._plan: list[NDArray[np.int64]] = plan_epoch(self._lengths, self._budget, self._seed, epoch)

    @property
    def per_epoch(self) -> int:
        """Batches in the current epoch."""
        return len(self._plan)

    def largest_batches(self) -> list[NDArray[np.int64]]:
        """Return the batch with the longest sentence of the epoch, and the one with the most sentences."""
        longest = np.maximum.reduce(self._lengths)
        chosen = max(range(len(self._plan)), key=lambda i: int(longest[self._plan[i]].max()))
        most = max(range(len(self._plan)), key=lambda i: len(self._plan[i]))
        return [self._plan[i] for i in dict.fromkeys((chosen, most))]

    def state_dict(self) -> dict[str, int]:
        """Return the position of the next batch as JSON."""
        return {"epoch": self.position.epoch, "batch": self.position.batch}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Seek to a position from `state_dict`."""
        self.position = EpochPosition(state["epoch"], state["batch"])
        self._load(self.position.epoch)

    def __iter__(self) -> Iterator[NDArray[np.int64]]:
        return self

    def __next__(self) -> NDArray[np.int64]:
        return self.next_step(ShardSpec())[0]

    def steps_per_epoch(self, shard: ShardSpec) -> int:
        """Return the steps in the current epoch; the last may have fewer batches than the others."""
        return -(-len(self._plan) // shard.batches_per_step)

    def next_step(self, shard: ShardSpec) -> list[NDArray[np.int64]]:
        """Return this rank's batches of the next step, whose batches are consecutive within one epoch."""
        epoch, batch = self.position.epoch, self.position.batch
        if batch >= len(self._plan):
            epoch, batch = epoch + 1, 0
            self._load(epoch)
        step = self._plan[batch : batch + shard.batches_per_step]
        self.position = EpochPosition(epoch, batch + len(step))
        return list(shard.select(step))


def pad_sequences(sentences: Sequence[NDArray[np.integer]]) -> tuple[Ids, Ids]:
    """Stack sentences into one array, padded with PAD on the right.

    Returns:
        Ids (B, longest) and lengths (B,).
    """
    lengths = np.array([len(sentence) for sentence in sentences], dtype=np.int64)
    padded = np.full((len(sentences), int(lengths.max(initial=0))), special_tokens.PAD, dtype=np.int64)
    for row, sentence in zip(padded, sentences, strict=True):
        row[: len(sentence)] = sentence
    return padded, lengths


def shift_right(target_BT: Ids) -> Ids:
    """Return the decoder input for teacher forcing: BOS, then the target without its last token."""
    shifted = np.empty_like(target_BT)
    shifted[:, 0] = special_tokens.BOS
    shifted[:, 1:] = target_BT[:, :-1]
    return shifted


class ShardedBatches(Protocol[B]):
    """A resumable source of batches that hands out one step at a time."""

    def next_step(self, shard: ShardSpec) -> list[B]:
        """Return this rank's batches of the next step; a step never crosses the end of an epoch."""
        ...

    def steps_per_epoch(self, shard: ShardSpec) -> int:
        """Return the number of steps in the current epoch."""
        ...

    def largest_batches(self) -> Sequence[B]:
        """Return the batches of the current epoch that need the most memory."""
        ...

    def state_dict(self) -> dict[str, int]:
        """Return the position of the next step, the same on all ranks."""
        ...

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Seek to a position from `state_dict`."""
        ...


class StepIterator(Generic[B]):
    """Endless iterator over steps, each a list of batches.

    The list is empty if the epoch ends with a step that has fewer batches than there are processes.

    Args:
        batches: Source of the batches.
        shard: What this rank takes of each step.
    """

    def __init__(self, batches: ShardedBatches[B], shard: ShardSpec) -> None:
        self._batches = batches
        self._shard = shard

    @property
    def per_epoch(self) -> int:
        """Steps in the current epoch."""
        return self._batches.steps_per_epoch(self._shard)

    def largest_batches(self) -> list[list[B]]:
        """Return the batches that need the most memory, as steps of one batch each."""
        return [[batch] for batch in self._batches.largest_batches()]

    def state_dict(self) -> dict[str, int]:
        """Return the position of the next step as JSON."""
        return self._batches.state_dict()

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Seek to a position from `state_dict`."""
        self._batches.load_state_dict(state)

    def __iter__(self) -> Iterator[list[B]]:
        return self

    def __next__(self) -> list[B]:
        return self._batches.next_step(self._shard)
