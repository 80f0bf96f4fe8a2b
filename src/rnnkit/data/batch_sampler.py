"""The batches of a step: several where gradients are added up, and of those the ones that a process takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from rnnkit.text import special_tokens

B = TypeVar("B")
T = TypeVar("T")


@dataclass(frozen=True)
class ShardSpec:
    """Which of a step's batches a process takes: of three processes, the second takes those numbered 1, 4, 7.

    Attributes:
        accumulate: Batches that each process takes.
        rank: The process's number, from 0.
        processes: How many there are.
    """

    accumulate: int = 1
    rank: int = 0
    processes: int = 1

    @property
    def count(self) -> int:
        """Batches of a step, of all processes."""
        return self.accumulate * self.processes

    def of(self, parts: Sequence[T]) -> Sequence[T]:
        """Those of a step's parts that are this process's."""
        return parts[self.rank :: self.processes]


class ShardedBatches(Protocol[B]):
    """Batches that can be taken by the step."""

    def take(self, share: ShardSpec) -> list[B]:
        """The process's share of the next step; a step never reaches beyond the end of a pass."""
        ...

    def steps(self, share: ShardSpec) -> int:
        """Steps of the pass under way."""
        ...

    def extremes(self) -> Sequence[B]:
        """The batches of the pass under way that are the hardest to hold."""
        ...

    def state_dict(self) -> dict[str, int]:
        """Where the next step comes from, the same in all processes."""
        ...

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go there."""
        ...


class StepIterator(Generic[B]):
    """Endless steps, each a list of batches; the list is empty where a pass ends with fewer than there are processes.

    Args:
        batches: What they are made of.
        share: What this process takes of each.
    """

    def __init__(self, batches: ShardedBatches[B], share: ShardSpec) -> None:
        self._batches = batches
        self._share = share

    @property
    def per_epoch(self) -> int:
        """Steps of the pass under way."""
        return self._batches.steps(self._share)

    def extremes(self) -> list[list[B]]:
        """Steps of one batch each that are the hardest to hold."""
        return [[batch] for batch in self._batches.extremes()]

    def state_dict(self) -> dict[str, int]:
        """Where the next step comes from, as JSON."""
        return self._batches.state_dict()

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go where `state_dict` was made."""
        self._batches.load_state_dict(state)

    def __iter__(self) -> Iterator[list[B]]:
        return self

    def __next__(self) -> list[B]:
        return self._batches.take(self._share)


Ids = NDArray[np.int64]


@dataclass(frozen=True)
class EpochPosition:
    """How far the batches were drawn.

    Attributes:
        epoch: Passes begun, from 0.
        batch: Batches drawn of this pass.
    """

    epoch: int = 0
    batch: int = 0


def plan_epoch(lengths: Sequence[NDArray[np.integer]], budget: int, seed: int, epoch: int) -> list[NDArray[np.int64]]:
    """Cut one pass over the data into batches of sentence numbers.

    Sentences are shuffled, sorted by their lengths (ties stay shuffled), cut where the longest side of the batch
    times its sentences would pass the budget, and the batches are shuffled.

    Args:
        lengths: For each side, tokens of each sentence.
        budget: Most tokens a batch, padding counted, on its longest side; one sentence is always allowed.
        seed: The run's seed.
        epoch: Number of the pass.

    Returns:
        The sentence numbers of each batch.
    """
    random = np.random.default_rng([seed, epoch])
    order = random.permutation(len(lengths[0]))
    order = order[np.lexsort([side[order] for side in lengths])]  # the last side, the target, comes first
    longest = np.maximum.reduce([side[order] for side in lengths])
    batches = []
    start = 0
    while start < len(order):
        # The running maximum times the running count grows with every sentence: find where it passes.
        window = np.maximum.accumulate(longest[start : start + budget])
        size = max(1, int(np.searchsorted(window * np.arange(1, len(window) + 1), budget, side="right")))
        batches.append(order[start : start + size])
        start += size
    return [batches[index] for index in random.permutation(len(batches))]


class BatchSampler:
    """Endless batches of sentence numbers, pass after pass.

    Args:
        lengths: For each side, tokens of each sentence.
        budget: Tokens a batch, as in `plan_epoch`.
        seed: The run's seed.
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
        """Batches of the pass under way."""
        return len(self._plan)

    def extremes(self) -> list[NDArray[np.int64]]:
        """The batch with the longest sentence of the pass, and the one with the most sentences."""
        longest = np.maximum.reduce(self._lengths)
        chosen = max(range(len(self._plan)), key=lambda i: int(longest[self._plan[i]].max()))
        most = max(range(len(self._plan)), key=lambda i: len(self._plan[i]))
        return [self._plan[i] for i in dict.fromkeys((chosen, most))]

    def state_dict(self) -> dict[str, int]:
        """Where the next batch comes from, as JSON."""
        return {"epoch": self.position.epoch, "batch": self.position.batch}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go where `state_dict` was made."""
        self.position = EpochPosition(state["epoch"], state["batch"])
        self._load(self.position.epoch)

    def __iter__(self) -> Iterator[NDArray[np.int64]]:
        return self

    def __next__(self) -> NDArray[np.int64]:
        return self.take(ShardSpec())[0]

    def steps(self, share: ShardSpec) -> int:
        """Steps of the pass under way; the last may have fewer batches than the others."""
        return -(-len(self._plan) // share.count)

    def take(self, share: ShardSpec) -> list[NDArray[np.int64]]:
        """Of the next step's batches, which follow each other in one pass, the process's share."""
        epoch, batch = self.position.epoch, self.position.batch
        if batch >= len(self._plan):
            epoch, batch = epoch + 1, 0
            self._load(epoch)
        step = self._plan[batch : batch + share.count]
        self.position = EpochPosition(epoch, batch + len(step))
        return list(share.of(step))


def pad_sequences(sentences: Sequence[NDArray[np.integer]]) -> tuple[Ids, Ids]:
    """Put sentences side by side, padded on the right.

    Returns:
        Ids (B, longest) and lengths (B,).
    """
    lengths = np.array([len(sentence) for sentence in sentences], dtype=np.int64)
    padded = np.full((len(sentences), int(lengths.max(initial=0))), special_tokens.PAD, dtype=np.int64)
    for row, sentence in zip(padded, sentences, strict=True):
        row[: len(sentence)] = sentence
    return padded, lengths


def shift_right(target_BT: Ids) -> Ids:
    """What a decoder reads when it should say `target_BT`: the start symbol, then the target but for its last."""
    shifted = np.empty_like(target_BT)
    shifted[:, 0] = special_tokens.BOS
    shifted[:, 1:] = target_BT[:, :-1]
    return shifted
