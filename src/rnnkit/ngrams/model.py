"""A counted language model: n-grams with back-off, and what can be asked of them.

The n-grams are the nodes of a trie, numbered by order, then context, then word: node 0 is the empty context, node
1 + w the single word w. Behind each context stand its words in order, so that a word is found by halving. The `suffix`
of a node is the longest shorter n-gram that ends like it. A state is a node: the longest context the model knows of
what was read. Nothing else is needed, whether the model was estimated here, read from an ARPA file or mapped from disk:

    log p(w | state) = log p(state w)                                   where the trie has state w
                     = backoff(state) + log p(w | suffix(state))        otherwise

All arrays are read-only. Logarithms are kept to base 10 as float32, as ARPA files have them; answers are natural
logarithms, float64.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from math import log
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rnnkit.errors import DataError
from rnnkit.ngrams import walk
from rnnkit.ngrams.counts import Floats, Ints
from rnnkit.ngrams.walk import Orders, Singles
from rnnkit.text import special_tokens

IntArray = NDArray[np.integer[Any]]

LN10: Final = log(10.0)
ROOT: Final = 0
"""The state in which nothing is known of what came before."""

BLOCK = 1 << 20
"""Tokens scored at a time, give or take a line."""


@dataclass(frozen=True, eq=False)
class NgramModel:
    """N-grams with back-off. Shapes: A nodes, of which the first I are shorter than the longest n-grams.

    Attributes:
        order: Words of the longest n-gram.
        vocabulary_size: Number of ids V.
        word_A: Last word of each node; 0 for the empty context.
        suffix_A: The longest node that ends like each, without its first word.
        log10_A: Logarithm of each n-gram's probability; 0 for the empty context.
        backoff_I: Logarithm of each context's back-off weight.
        begins_I1: Where each context's n-grams begin among the nodes, and the end of the last.
        facts: What is known of how it came about.
    """

    order: int
    vocabulary_size: int
    word_A: Ints
    suffix_A: Ints
    log10_A: Singles
    backoff_I: Singles
    begins_I1: Ints
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for array in (self.word_A, self.suffix_A, self.log10_A, self.backoff_I, self.begins_I1):
            array.flags.writeable = False

    @cached_property
    def level_begins(self) -> tuple[int, ...]:
        """First node of each order from 0 on, and the number of all nodes."""
        begins = [0, 1]
        for _ in range(self.order):
            inner = 0 <= begins[-1] < len(self.begins_I1)
            begins.append(int(self.begins_I1[begins[-1]]) if inner else len(self.word_A))
        return tuple(begins)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of n-grams of each order."""
        begins = self.level_begins
        return tuple(end - begin for begin, end in pairwise(begins[1:]))

    def unigrams(self) -> Floats:
        """Probability of each word where nothing is known of what came before, shape (V,)."""
        return 10.0 ** self.log10_A[1 : 1 + self.vocabulary_size].astype(np.float64)

    def start(self) -> int:
        """The state at the beginning of a line: <s> was read."""
        return 1 + special_tokens.BOS if self.order > 1 else ROOT

    def read(self, ids: Sequence[int] | IntArray, state: int = ROOT) -> int:
        """The state after reading ids; only the last `order - 1` of them matter.

        Raises:
            DataError: An id lies outside the vocabulary.
        """
        recent = np.asarray(ids, dtype=np.int64)[-max(1, self.order - 1) :]
        self._check(recent)
        for word in recent.tolist():
            state = self.step(state, word)[1]
        return state

    def step(self, state: int, word: int) -> tuple[float, int]:
        """Natural log-probability of a word in a state, and the state after it.

        Raises:
            DataError: The word lies outside the vocabulary.
        """
        if not 0 <= word < self.vocabulary_size:
            raise self._outside(word)
        log10, after, _ = walk.advance(*self._arrays, state, word)
        return log10 * LN10, after

    def log_probabilities(self, state: int) -> Floats:
        """Natural log-probability of every word in a state, shape (V,); minus infinity for padding and <s>."""
        contexts = []
        while state != ROOT:
            contexts.append(state)
            state = int(self.suffix_A[state])
        log10_V = self.log10_A[1 : 1 + self.vocabulary_size].astype(np.float64)
        for context in reversed(contexts):
            log10_V += self.backoff_I[context]
            words = slice(int(self.begins_I1[context]), int(self.begins_I1[context + 1]))
            log10_V[self.word_A[words]] = self.log10_A[words]
        log10_V[[special_tokens.PAD, special_tokens.BOS]] = -np.inf
        return log10_V * LN10

    def score(self, ids: IntArray, offsets: IntArray) -> Floats:
        """Natural log-probability of each id, given those before it on its line and <s> before the line.

        Args:
            ids: Lines one after the other, each with its EOS, no BOS; may be mapped from disk.
            offsets: Where each line begins, and the end of the last.

        Raises:
            DataError: An id lies outside the vocabulary, or is padding or <s>.
        """
        return np.concatenate([np.empty(0), *(log_p for log_p, _ in self.score_blocks(ids, offsets))])

    def score_blocks(self, ids: IntArray, offsets: IntArray, block: int = BLOCK) -> Iterator[tuple[Floats, Orders]]:
        """Score whole lines at a time, about `block` ids, so that memory does not grow with the text.

        Arguments and errors as those of `score`.

        Yields:
            Natural log-probabilities, and the order of the n-gram that each was read from.
        """
        line, lines = 0, len(offsets) - 1
        level_begins = np.array(self.level_begins, dtype=np.int64)
        while line < lines:
            end = int(np.searchsorted(offsets, int(offsets[line]) + block, side="right")) - 1
            end = min(max(end, line + 1), lines)
            begin = int(offsets[line])
            ids_M = np.array(ids[begin : int(offsets[end])], dtype=np.int32)
            self._check(ids_M, targets=True, begin=begin)
            starts = np.asarray(offsets[line : end + 1], dtype=np.int64) - begin
            log10_M, order_M = walk.score(*self._arrays, self.start(), ids_M, starts, level_begins)
            log10_M *= LN10
            yield log10_M, order_M
            line = end

    @property
    def _arrays(self) -> tuple[Ints, Ints, Singles, Singles, Ints]:
        return self.word_A, self.suffix_A, self.log10_A, self.backoff_I, self.begins_I1

    def _check(self, ids_M: IntArray, targets: bool = False, begin: int = 0) -> None:
        """Raise DataError where an id cannot be read, or not predicted."""
        wrong_M = (ids_M < 0) | (ids_M >= self.vocabulary_size)
        if targets:
            wrong_M |= (ids_M == special_tokens.PAD) | (ids_M == special_tokens.BOS)
        if not wrong_M.any():
            return
        place = int(np.argmax(wrong_M))
        wrong = int(ids_M[place])
        if wrong in (special_tokens.PAD, special_tokens.BOS):
            raise DataError(f"id {wrong} ({special_tokens.NAMES[wrong]}) at place {begin + place:,} is never predicted")
        raise self._outside(wrong, f" at place {begin + place:,}")

    def _outside(self, word: int, where: str = "") -> DataError:
        return DataError(f"id {word}{where} lies outside the vocabulary of {self.vocabulary_size:,} rows")
