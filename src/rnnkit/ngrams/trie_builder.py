"""Construction of a model's trie from n-grams in any order, such as those of an ARPA file."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rnnkit.kernels.compiler import BoolArray, Float32Array, Int32Array
from rnnkit.kernels.ngram_trie import find_contexts, find_suffixes
from rnnkit.ngrams.ngram_model import BackoffModel


@dataclass(frozen=True)
class NgramEntries:
    """N-grams of one order, in any sequence.

    Attributes:
        words_NK: Words of each n-gram.
        log10_N: Base-10 log-probabilities.
        backoff_N: Base-10 log back-off weights.
    """

    words_NK: Int32Array
    log10_N: Float32Array
    backoff_N: Float32Array


class InvalidNgramError(ValueError):
    """An n-gram that cannot be added to a trie.

    Args:
        index: Its index among the entries.
        first: Index of an earlier entry for the same n-gram; None if the context is missing.
    """

    def __init__(self, index: int, first: int | None = None) -> None:
        super().__init__(index, first)
        self.index = index
        self.first = first


class TrieBuilder:
    """Builds a trie order by order, from unigrams up.

    Args:
        log10_V: Base-10 log-probability of each word.
        backoff_V: Base-10 log back-off weight of each word.

    Attributes:
        size: Vocabulary size.
        order: Highest order that was added.
    """

    def __init__(self, log10_V: Float32Array, backoff_V: Float32Array) -> None:
        size = len(log10_V)
        self.size = size
        self.order = 1
        self._word_A = np.concatenate([np.zeros(1, np.int32), np.arange(size, dtype=np.int32)])
        self._suffix_A = np.zeros(1 + size, dtype=np.int32)
        self._log10 = [np.zeros(1, np.float32), log10_V]
        self._backoff = [np.zeros(1, np.float32), backoff_V]
        self._first_child = np.array([1, 1 + size], dtype=np.int32)  # of the orders below the highest

    def add_order(self, entries: NgramEntries) -> None:
        """Add the n-grams of the next order.

        Raises:
            InvalidNgramError: The context of an n-gram is not in the trie, or an n-gram occurs twice.
        """
        self.order += 1
        context_N = find_contexts(self._word_A, self._first_child, entries.words_NK)
        if len(missing := np.flatnonzero(context_N < 0)):
            raise InvalidNgramError(int(missing[0]))
        order_N = self._sort(context_N, entries.words_NK[:, -1])
        context_N, word_N = context_N[order_N], np.ascontiguousarray(entries.words_NK[order_N, -1])
        suffix_N = find_suffixes(self._word_A, self._suffix_A, self._first_child, context_N, word_N)
        contexts = np.arange(len(self._first_child) - 1, len(self._word_A))  # the nodes of the previous order
        first_child = len(self._word_A) + np.searchsorted(context_N, contexts).astype(np.int32)
        end = np.array([len(self._word_A) + len(word_N)], dtype=np.int32)
        self._first_child = np.concatenate([self._first_child[:-1], first_child, end])
        self._word_A = np.concatenate([self._word_A, word_N])
        self._suffix_A = np.concatenate([self._suffix_A, suffix_N])
        self._log10.append(entries.log10_N[order_N])
        self._backoff.append(entries.backoff_N[order_N])

    def find_invalid(self, words_NK: Int32Array) -> tuple[BoolArray, BoolArray]:
        """Find the n-grams of the next order that `add_order` would reject.

        Args:
            words_NK: Words of each n-gram.

        Returns:
            Masks of those whose context is missing, and of those that repeat an earlier one.
        """
        context_N = find_contexts(self._word_A, self._first_child, words_NK)
        key_N = context_N.astype(np.int64) * self.size + words_NK[:, -1]
        order_N = np.argsort(key_N, kind="stable")
        repeated_N = np.zeros(len(key_N), dtype=np.bool_)
        repeated_N[order_N[1:]] = np.diff(key_N[order_N]) == 0
        return context_N < 0, repeated_N & (context_N >= 0)

    def build(self) -> BackoffModel:
        """Return the model of all orders added so far."""
        return BackoffModel(
            order=self.order,
            vocabulary_size=self.size,
            word_A=self._word_A,
            suffix_A=self._suffix_A,
            log10_A=np.concatenate(self._log10),
            backoff_I=np.concatenate(self._backoff[:-1]),
            first_child_I1=self._first_child,
        )

    def _sort(self, context_N: Int32Array, word_N: Int32Array) -> Int32Array:
        """Return the order by context, then word. Raises InvalidNgramError if two n-grams are equal."""
        key_N = context_N.astype(np.int64) * self.size + word_N
        order_N = np.argsort(key_N, kind="stable")
        repeats = np.flatnonzero(np.diff(key_N[order_N]) == 0)
        if len(repeats):
            second = int(order_N[repeats + 1].min())
            first = int(order_N[repeats][order_N[repeats + 1] == second][0])
            raise InvalidNgramError(second, first)
        return order_N.astype(np.int32)
