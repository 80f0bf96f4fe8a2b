"""The nodes of a model, put together from n-grams in any order, such as those of a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rnnkit.errors import FormatError
from rnnkit.kernels.array_types import BoolArray, Float32Array, Int32Array
from rnnkit.kernels.ngram_trie import find_contexts, find_suffixes
from rnnkit.ngrams.ngram_model import NgramModel


@dataclass(frozen=True)
class NgramEntries:
    """N-grams of one order, as they were met.

    Attributes:
        words_NK: Their words.
        log10_N: Logarithms of their probabilities.
        backoff_N: Logarithms of their back-off weights.
    """

    words_NK: Int32Array
    log10_N: Float32Array
    backoff_N: Float32Array


class TrieBuilder:
    """Nodes of the orders added so far.

    Args:
        log10_V: Logarithm of each word's probability.
        backoff_V: Logarithm of its back-off weight.
    """

    def __init__(self, log10_V: Float32Array, backoff_V: Float32Array) -> None:
        size = len(log10_V)
        self.size = size
        self.order = 1
        self._word_A = np.concatenate([np.zeros(1, np.int32), np.arange(size, dtype=np.int32)])
        self._suffix_A = np.zeros(1 + size, dtype=np.int32)
        self._log10 = [np.zeros(1, np.float32), log10_V]
        self._backoff = [np.zeros(1, np.float32), backoff_V]
        self._begins = np.array([1, 1 + size], dtype=np.int32)  # of the orders before the last

    def add(self, rows: NgramEntries, where: Callable[[int], str], spell: Callable[[int], str]) -> None:
        """Add the n-grams of the next order.

        Args:
            rows: The n-grams.
            where: The place of a row, for messages.
            spell: The text of a row, for messages.

        Raises:
            FormatError: The context of an n-gram is not there, or an n-gram is there twice.
        """
        self.order += 1
        context_N = find_contexts(self._word_A, self._begins, rows.words_NK)
        if len(missing := np.flatnonzero(context_N < 0)):
            raise FormatError(
                f"{where(int(missing[0]))}: the context of {spell(int(missing[0]))!r} is missing",
                f"all its words but the last must be one of the {self.order - 1}-grams",
                hint="whatever pruned the model took too much; make the file again",
            )
        order_N = self._sort(context_N, rows.words_NK[:, -1], where, spell)
        context_N, word_N = context_N[order_N], np.ascontiguousarray(rows.words_NK[order_N, -1])
        suffix_N = find_suffixes(self._word_A, self._suffix_A, self._begins, context_N, word_N)
        contexts = np.arange(len(self._begins) - 1, len(self._word_A))  # the nodes of the order before
        begins = len(self._word_A) + np.searchsorted(context_N, contexts).astype(np.int32)
        end = np.array([len(self._word_A) + len(word_N)], dtype=np.int32)
        self._begins = np.concatenate([self._begins[:-1], begins, end])
        self._word_A = np.concatenate([self._word_A, word_N])
        self._suffix_A = np.concatenate([self._suffix_A, suffix_N])
        self._log10.append(rows.log10_N[order_N])
        self._backoff.append(rows.backoff_N[order_N])

    def unfit(self, words_NK: Int32Array) -> tuple[BoolArray, BoolArray]:
        """Which n-grams of the next order `add` refuses.

        Args:
            words_NK: Their words.

        Returns:
            Those without their context, and those that repeat an earlier one.
        """
        context_N = find_contexts(self._word_A, self._begins, words_NK)
        key_N = context_N.astype(np.int64) * self.size + words_NK[:, -1]
        order_N = np.argsort(key_N, kind="stable")
        repeated_N = np.zeros(len(key_N), dtype=np.bool_)
        repeated_N[order_N[1:]] = np.diff(key_N[order_N]) == 0
        return context_N < 0, repeated_N & (context_N >= 0)

    def model(self) -> NgramModel:
        """The model of all orders added."""
        return NgramModel(
            order=self.order,
            vocabulary_size=self.size,
            word_A=self._word_A,
            suffix_A=self._suffix_A,
            log10_A=np.concatenate(self._log10),
            backoff_I=np.concatenate(self._backoff[:-1]),
            begins_I1=self._begins,
        )

    def _sort(
        self, context_N: Int32Array, word_N: Int32Array, where: Callable[[int], str], spell: Callable[[int], str]
    ) -> Int32Array:
        """The order by context, then word. Raises FormatError where two n-grams are equal."""
        key_N = context_N.astype(np.int64) * self.size + word_N
        order_N = np.argsort(key_N, kind="stable")
        again = np.flatnonzero(np.diff(key_N[order_N]) == 0)
        if len(again):
            second = int(order_N[again + 1].min())
            first = int(order_N[again][order_N[again + 1] == second][0])
            raise FormatError(f"{where(second)}: {spell(second)!r} is there already", f"the first is {where(first)}")
        return order_N.astype(np.int32)
