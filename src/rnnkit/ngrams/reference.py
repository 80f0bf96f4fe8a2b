"""The same models from dictionaries, equation by equation: what to read first, and what tests hold the others to.

An n-gram is a tuple of ids. A line is a list of ids with EOS at its end; BOS is put before it here.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence

from rnnkit.text.special_tokens import BOS

Ngram = tuple[int, ...]
Counts = Mapping[Ngram, int]
Probability = Callable[[Ngram, int], float]
"""Of a word, given the words before it on its line, BOS first."""


def count(lines: Sequence[Sequence[int]], order: int) -> Counts:
    """Occurrences of all n-grams of 1 to `order` words. A lone BOS is none: nothing predicts it."""
    counts: Counter[Ngram] = Counter()
    for line in lines:
        words = (BOS, *line)
        for end in range(2, len(words) + 1):
            counts.update(words[begin:end] for begin in range(max(0, end - order), end))
    return counts


def adjust(counts: Counts, order: int) -> Counts:
    """Kneser and Ney's counts: of an n-gram that could be longer, the number of different words seen before it."""
    before: dict[Ngram, set[int]] = defaultdict(set)
    for ngram in counts:
        before[ngram[1:]].add(ngram[0])
    return {
        ngram: number if len(ngram) == order or ngram[0] == BOS else len(before[ngram])
        for ngram, number in counts.items()
    }


def kneser_ney(
    lines: Sequence[Sequence[int]],
    outcomes: Collection[int],
    order: int,
    discounts: Sequence[tuple[float, float, float]],
    thresholds: Sequence[int] = (),
) -> Probability:
    """Interpolated modified Kneser-Ney, with the discounts of each order given.

    p(w | h) = (a(h w) - D(a(h w))) / sum_v a(h v) + b(h) p(w | h')
    """
    counts = count(lines, order)
    adjusted = adjust(counts, order)
    least = (*thresholds, *[0] * (order - len(thresholds)))
    followers = _followers(counts)

    def probability(context: Ngram, word: int) -> float:
        context = context[max(0, len(context) - order + 1) :]
        shorter = probability(context[1:], word) if context else 1 / len(outcomes)
        own, given, total = 0.0, 0.0, 0
        for follower in followers[context]:
            ngram = (*context, follower)
            number = adjusted[ngram]
            discount = discounts[len(context)][min(number, 3) - 1]
            total += number
            if counts[ngram] <= least[len(context)]:  # pruned: all its count goes to the shorter context
                given += number
                continue
            given += discount
            if follower == word:
                own = number - discount
        return own / total + given / total * shorter if total else shorter

    return probability


def add_k(lines: Sequence[Sequence[int]], outcomes: Collection[int], order: int, k: float) -> Probability:
    """p(w | h) = (c(h w) + k) / (c(h) + k V), h having `order - 1` words, fewer only where the line begins."""
    counts = count(lines, order)
    followers = _followers(counts)

    def probability(context: Ngram, word: int) -> float:
        context = context[max(0, len(context) - order + 1) :]
        total = sum(counts[*context, follower] for follower in followers[context])
        return (counts.get((*context, word), 0) + k) / (total + k * len(outcomes))

    return probability


def maximum_likelihood(lines: Sequence[Sequence[int]], order: int) -> Probability:
    """p(w | h) = c(h w) / c(h), h being the longest part of the context that occurred."""
    counts = count(lines, order)
    followers = _followers(counts)

    def probability(context: Ngram, word: int) -> float:
        context = context[max(0, len(context) - order + 1) :]
        total = sum(counts[*context, follower] for follower in followers[context])
        return counts.get((*context, word), 0) / total if total else probability(context[1:], word)

    return probability


def _followers(counts: Counts) -> Mapping[Ngram, Sequence[int]]:
    """The words seen behind each context."""
    followers: dict[Ngram, list[int]] = defaultdict(list)
    for ngram in counts:
        followers[ngram[:-1]].append(ngram[-1])
    return followers
