"""An n-gram language model with back-off, as a trie in flat arrays, and how the trie is built from n-grams.

The n-grams are the nodes of the trie, numbered by order, then context, then word: node 0 is the empty context, node
1 + w the unigram w. The children of a node, which extend it by one word, are contiguous and sorted by word, so that a
word is found by binary search. The `suffix` of a node is its longest proper suffix in the trie. A state is a node: the
longest suffix of the words read so far that is in the trie. So estimated models, models read from ARPA files and
models mapped from disk all take the same lookup:

    log p(w | state) = log p(state w)                                   if the trie contains state w
                     = backoff(state) + log p(w | suffix(state))        otherwise

Arrays are read-only. They hold base-10 logarithms as float32, like ARPA files; methods return natural logarithms as
float64. Looking up a word takes O(order log V) time, all words of a state O(V). `TrieBuilder` takes n-grams in any
order, such as those of an ARPA file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from math import log
from typing import Final

import numpy as np

from rnnkit.errors import DataError
from rnnkit.io.npy import IntArray
from rnnkit.json_types import JsonMapping
from rnnkit.kernels import ngram_trie
from rnnkit.kernels.compiler import BoolArray, Float32Array, Float64Array, Int32Array, UInt8Array
from rnnkit.text import special_tokens

LN10: Final = log(10.0)
ROOT: Final = 0
"""The state of the empty context."""

TOKENS_PER_BLOCK = 1 << 20
"""Approximate number of tokens that are scored at a time; bounds memory."""


@dataclass(frozen=True, eq=False)
class BackoffModel:
    """N-grams with back-off. Shapes: A nodes, the first I of which are below the highest order.

    Attributes:
        order: Length of the longest n-grams, in words.
        vocabulary_size: Vocabulary size V.
        word_A: Last word of each node; 0 for the empty context.
        suffix_A: Longest proper suffix of each node that is a node.
        log10_A: Base-10 log-probability of each n-gram; 0 for the empty context.
        backoff_I: Base-10 log back-off weight of each context.
        first_child_I1: First child of each context, and the number of nodes.
        facts: Metadata, such as the estimation options.
    """

    order: int
    vocabulary_size: int
    word_A: Int32Array
    suffix_A: Int32Array
    log10_A: Float32Array
    backoff_I: Float32Array
    first_child_I1: Int32Array
    facts: JsonMapping = field(default_factory=dict)

    def __post_init__(self) -> None:
        for array in (self.word_A, self.suffix_A, self.log10_A, self.backoff_I, self.first_child_I1):
            array.flags.writeable = False

    @cached_property
    def order_begins(self) -> tuple[int, ...]:
        """First node of each order from 0 on, and the number of nodes."""
        begins = [0, 1]
        for _ in range(self.order):
            inner = 0 <= begins[-1] < len(self.first_child_I1)
            begins.append(int(self.first_child_I1[begins[-1]]) if inner else len(self.word_A))
        return tuple(begins)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of n-grams of each order."""
        begins = self.order_begins
        return tuple(end - begin for begin, end in pairwise(begins[1:]))

    def unigrams(self) -> Float64Array:
        """Return the unigram probability of each word, shape (V,)."""
        return 10.0 ** self.log10_A[1 : 1 + self.vocabulary_size].astype(np.float64)

    def initial_state(self) -> int:
        """Return the state at the start of a sentence, after <s>."""
        return 1 + special_tokens.BOS if self.order > 1 else ROOT

    def state_after(self, ids: Sequence[int] | IntArray, state: int = ROOT) -> int:
        """Return the state after some words; only the last `order - 1` of them matter.

        Raises:
            DataError: An id is outside the vocabulary.
        """
        recent = np.asarray(ids, dtype=np.int64)[-max(1, self.order - 1) :]
        self._check_ids(recent)
        for word in recent.tolist():
            state = self.step(state, word)[1]
        return state

    def step(self, state: int, word: int) -> tuple[float, int]:
        """Return the natural log-probability of a word in a state, and the next state.

        Raises:
            DataError: The word is outside the vocabulary.
        """
        if not 0 <= word < self.vocabulary_size:
            raise self._out_of_range(word)
        log10, next_state, _ = ngram_trie.score_word(self._arrays, state, word)
        return log10 * LN10, next_state

    def log_probabilities(self, state: int) -> Float64Array:
        """Return the natural log-probability of every word in a state, (V,); minus infinity for padding and <s>."""
        contexts = []
        while state != ROOT:
            contexts.append(state)
            state = int(self.suffix_A[state])
        log10_V = self.log10_A[1 : 1 + self.vocabulary_size].astype(np.float64)
        for context in reversed(contexts):
            log10_V += self.backoff_I[context]
            children = slice(int(self.first_child_I1[context]), int(self.first_child_I1[context + 1]))
            log10_V[self.word_A[children]] = self.log10_A[children]
        log10_V[[special_tokens.PAD, special_tokens.BOS]] = -np.inf
        return log10_V * LN10

    def score(self, ids: IntArray, offsets: IntArray) -> Float64Array:
        """Return the natural log-probability of each word, given <s> and the words before it in its sentence.

        Args:
            ids: SentenceDataset, concatenated, each with its EOS and without BOS; may be memory-mapped.
            offsets: Offset of each sentence, and the total.

        Raises:
            DataError: An id is outside the vocabulary, or is padding or <s>.
        """
        return np.concatenate([np.empty(0), *(log_p for log_p, _ in self.score_blocks(ids, offsets))])

    def score_blocks(
        self, ids: IntArray, offsets: IntArray, block: int = TOKENS_PER_BLOCK
    ) -> Iterator[tuple[Float64Array, UInt8Array]]:
        """Score whole sentences, about `block` words at a time, in memory that does not grow with the text.

        Arguments and errors are those of `score`.

        Yields:
            Natural log-probabilities, and the order of the n-gram that was found for each word.
        """
        sentence, sentences = 0, len(offsets) - 1
        order_begins = np.array(self.order_begins, dtype=np.int64)
        while sentence < sentences:
            end = int(np.searchsorted(offsets, int(offsets[sentence]) + block, side="right")) - 1
            end = min(max(end, sentence + 1), sentences)
            begin = int(offsets[sentence])
            ids_M = np.array(ids[begin : int(offsets[end])], dtype=np.int32)
            self._check_ids(ids_M, targets=True, begin=begin)
            starts = np.asarray(offsets[sentence : end + 1], dtype=np.int64) - begin
            log10_M, order_M = ngram_trie.score_sentences(
                self._arrays, self.initial_state(), ids_M, starts, order_begins
            )
            log10_M *= LN10
            yield log10_M, order_M
            sentence = end

    @property
    def _arrays(self) -> ngram_trie.TrieArrays:
        return self.word_A, self.suffix_A, self.log10_A, self.backoff_I, self.first_child_I1

    def _check_ids(self, ids_M: IntArray, targets: bool = False, begin: int = 0) -> None:
        """Raise DataError if an id is outside the vocabulary or, among targets, can never be predicted."""
        invalid_M = (ids_M < 0) | (ids_M >= self.vocabulary_size)
        if targets:
            invalid_M |= (ids_M == special_tokens.PAD) | (ids_M == special_tokens.BOS)
        if not invalid_M.any():
            return
        position = int(np.argmax(invalid_M))
        invalid = int(ids_M[position])
        if invalid in (special_tokens.PAD, special_tokens.BOS):
            raise DataError(
                f"id {invalid} ({special_tokens.NAMES[invalid]}) at position {begin + position:,} is never predicted"
            )
        raise self._out_of_range(invalid, f" at position {begin + position:,}")

    def _out_of_range(self, word: int, where: str = "") -> DataError:
        return DataError(f"id {word}{where} is outside the vocabulary of {self.vocabulary_size:,} entries")


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
        context_N = ngram_trie.find_contexts(self._word_A, self._first_child, entries.words_NK)
        if len(missing := np.flatnonzero(context_N < 0)):
            raise InvalidNgramError(int(missing[0]))
        order_N = self._sort(context_N, entries.words_NK[:, -1])
        context_N, word_N = context_N[order_N], np.ascontiguousarray(entries.words_NK[order_N, -1])
        suffix_N = ngram_trie.find_suffixes(self._word_A, self._suffix_A, self._first_child, context_N, word_N)
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
        context_N = ngram_trie.find_contexts(self._word_A, self._first_child, words_NK)
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
