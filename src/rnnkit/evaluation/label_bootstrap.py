"""Bootstrap resampling of label scores: confidence intervals, and the paired comparison of two systems.

A resample draws as many lines as there are, with replacement, and scores them. Words of a sentence depend on each
other, so the unit that is drawn is the line also for scores of words and spans. Two systems are scored on the same
resamples (paired bootstrap, Koehn 2004).

Scores are functions of counts by label, so a resample needs no labels: with W the number of times that each unit is
drawn (resamples x units) and C the counts of each unit (units x columns), the counts of all resamples are W C. Blocks
of resamples and of labels bound memory. Lines of one label that have the same reference and hypotheses are one unit
with a multiplicity, of which a multinomial distribution draws.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from rnnkit.evaluation.label_metrics import Counts, Ids, LabelCounts, Scores

KINDS = 3
"""Counts of a label: correct, predicted, support."""

MAX_CELLS = 1 << 22
"""Maximum size of a block of resamples, in numbers of 4 bytes: 16 MiB."""

LABEL_BLOCK = 16
"""Labels whose counts are multiplied at once."""

Metric = Callable[[LabelCounts], Scores]


@dataclass(frozen=True)
class Occurrences:
    """Labels with the unit in which each occurs."""

    units: Ids
    labels: Ids


@dataclass(frozen=True)
class UnitCounts:
    """Sparse counts by unit and label; each combination of unit, label and kind occurs once.

    Attributes:
        units: Unit of each entry.
        columns: `KINDS` times the label, plus the kind.
        counts: The counts.
        labels: Number of labels.
    """

    units: Ids
    columns: Ids
    counts: Counts
    labels: int

    @classmethod
    def count(cls, correct: Occurrences, predicted: Occurrences, support: Occurrences, labels: int) -> UnitCounts:
        """Count occurrences of labels, a number below `labels`, by unit."""
        size = labels * KINDS
        parts = enumerate((correct, predicted, support))
        keys = np.concatenate([part.units * size + part.labels * KINDS + kind for kind, part in parts])
        cells, counts = np.unique(keys, return_counts=True)
        units, columns = np.divmod(cells, size)
        return cls(units, columns, counts, labels)

    @property
    def totals(self) -> LabelCounts:
        """Counts over all units."""
        summed = np.bincount(self.columns, self.counts, minlength=self.labels * KINDS).astype(np.int64)
        return to_label_counts(summed)

    def weighted(self, weights_RU: NDArray[np.float32]) -> LabelCounts:
        """Return the counts of each resample.

        Args:
            weights_RU: Number of times that each resample draws each unit.
        """
        total_RC = np.zeros((len(weights_RU), self.labels * KINDS))
        for first, units, block_UC in self._blocks:
            total_RC[:, first : first + block_UC.shape[1]] = weights_RU[:, units].astype(block_UC.dtype) @ block_UC
        return to_label_counts(total_RC.astype(np.int64))

    @cached_property
    def _blocks(self) -> list[tuple[int, Ids, NDArray[np.float64]]]:
        """Blocks of columns: the first column, the units that have any, and their counts."""
        width, size = LABEL_BLOCK * KINDS, self.labels * KINDS
        order = np.argsort(self.columns // width, kind="stable")
        bounds = np.searchsorted((self.columns // width)[order], np.arange(-(-size // width) + 1))
        # float32 adds integers exactly up to 2^24, and a resample may have more words than the data
        exact = np.float32 if self.counts.sum() < 1 << 22 else np.float64
        blocks = []
        for number, (start, stop) in enumerate(itertools.pairwise(bounds)):
            entries, first = order[start:stop], number * width
            units, row = np.unique(self.units[entries], return_inverse=True)
            block_UC = np.zeros((len(units), min(width, size - first)), dtype=exact)
            block_UC[row, self.columns[entries] - first] = self.counts[entries]
            blocks.append((first, units, block_UC))
        return blocks


def to_label_counts(columns: Counts) -> LabelCounts:
    """Split columns of labels and kinds into counts of each kind."""
    return LabelCounts(*(columns[..., kind::KINDS] for kind in range(KINDS)))


def distinct_units(*label_ids: Ids) -> tuple[Ids, Counts]:
    """Find the distinct combinations of labels.

    Args:
        *label_ids: For reference and hypotheses, one label for each line.

    Returns:
        The first line of each combination, and the number of lines that have it.
    """
    keys = np.zeros(len(label_ids[0]), dtype=np.int64)
    for ids in label_ids:
        _, keys = np.unique(keys * (ids.max(initial=0) + 1) + ids, return_inverse=True)
    _, first, multiplicity = np.unique(keys, return_index=True, return_counts=True)
    return first, multiplicity


def resample(
    systems: Sequence[UnitCounts], multiplicity_U: Counts, samples: int, seed: int
) -> Iterator[list[LabelCounts]]:
    """Yield the counts of each system in blocks of resamples.

    Args:
        systems: Counts of each system, by the same units.
        multiplicity_U: Number of times that each unit occurs in the data.
        samples: Number of resamples.
        seed: Random seed.
    """
    generator = np.random.default_rng(seed)
    widest = max(len(multiplicity_U), *(system.labels * KINDS for system in systems))
    size = max(1, MAX_CELLS // widest)
    for start in range(0, samples, size):
        weights_RU = _draw(multiplicity_U, min(size, samples - start), generator)
        yield [system.weighted(weights_RU) for system in systems]


def _draw(multiplicity_U: Counts, samples: int, generator: np.random.Generator) -> NDArray[np.float32]:
    """Draw resamples: how often each has each unit."""
    total, units = int(multiplicity_U.sum()), len(multiplicity_U)
    if total > units:
        return generator.multinomial(total, multiplicity_U / total, size=samples).astype(np.float32)
    weights_RU = np.empty((samples, units), dtype=np.float32)
    for row in weights_RU:  # faster than a multinomial distribution of equal probabilities
        row[:] = np.bincount(generator.integers(units, size=units), minlength=units)
    return weights_RU


def bootstrap(
    systems: Sequence[tuple[UnitCounts, Mapping[str, Metric]]], multiplicity_U: Counts, samples: int, seed: int
) -> list[dict[str, Scores]]:
    """Compute scores on bootstrap resamples.

    Args:
        systems: For each system or kind of score its counts, and its metrics by name.
        multiplicity_U: Number of times that each unit occurs in the data.
        samples: Number of resamples.
        seed: Random seed.

    Returns:
        For each of `systems`, the scores in each resample by name of the metric.
    """
    parts: list[dict[str, list[Scores]]] = [{name: [] for name in metrics} for _, metrics in systems]
    for block in resample([counts for counts, _ in systems], multiplicity_U, samples, seed):
        for counts, (_, metrics), found in zip(block, systems, parts, strict=True):
            for name, metric in metrics.items():
                found[name].append(metric(counts))
    return [{name: np.concatenate(values) for name, values in found.items()} for found in parts]
