"""Reference implementation of n-gram estimation with dictionaries, equation by equation.

Tests compare the fast implementation with it. An n-gram is a tuple of ids. A sentence is a list of ids with EOS at its
end, to which BOS is prepended here.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence

from rnnkit.text.special_tokens import BOS

Ngram = tuple[int, ...]
Counts = Mapping[Ngram, int]
Probability = Callable[[Ngram, int], float]
"""Returns p(word | context), the context being all words before it in its sentence, BOS first."""


def count(sentences: Sequence[Sequence[int]], order: int) -> Counts:
    """Count all n-grams of 1 to `order` words. BOS alone is not counted, as it is never predicted."""
    counts: Counter[Ngram] = Counter()
    for sentence in sentences:
        words = (BOS, *sentence)
        for end in range(2, len(words) + 1):
            counts.update(words[begin:end] for begin in range(max(0, end - order), end))
    return counts


def adjust(counts: Counts, order: int) -> Counts:
    """Compute adjusted counts: below the highest order, the number of distinct words that precede an n-gram."""
    preceding: dict[Ngram, set[int]] = defaultdict(set)
    for ngram in counts:
        preceding[ngram[1:]].add(ngram[0])
    return {
        ngram: occurrences if len(ngram) == order or ngram[0] == BOS else len(preceding[ngram])
        for ngram, occurrences in counts.items()
    }


def kneser_ney(
    sentences: Sequence[Sequence[int]],
    outcomes: Collection[int],
    order: int,
    discounts: Sequence[tuple[float, float, float]],
    thresholds: Sequence[int] = (),
) -> Probability:
    """Estimate interpolated modified Kneser-Ney probabilities with the given discounts of each order.

    p(w | h) = (a(h w) - D(a(h w))) / sum_v a(h v) + b(h) p(w | h')
    """
    counts = count(sentences, order)
    adjusted = adjust(counts, order)
    thresholds = (*thresholds, *[0] * (order - len(thresholds)))
    followers = _followers(counts)

    def probability(context: Ngram, word: int) -> float:
        context = context[max(0, len(context) - order + 1) :]
        shorter = probability(context[1:], word) if context else 1 / len(outcomes)
        own, passed_on, total = 0.0, 0.0, 0
        for follower in followers[context]:
            ngram = (*context, follower)
            adjusted_count = adjusted[ngram]
            discount = discounts[len(context)][min(adjusted_count, 3) - 1]
            total += adjusted_count
            if counts[ngram] <= thresholds[len(context)]:  # pruned: its whole count goes to the shorter context
                passed_on += adjusted_count
                continue
            passed_on += discount
            if follower == word:
                own = adjusted_count - discount
        return own / total + passed_on / total * shorter if total else shorter

    return probability


def add_k(sentences: Sequence[Sequence[int]], outcomes: Collection[int], order: int, k: float) -> Probability:
    """Estimate p(w | h) = (c(h w) + k) / (c(h) + k V); h has `order - 1` words, fewer at the start of a sentence."""
    counts = count(sentences, order)
    followers = _followers(counts)

    def probability(context: Ngram, word: int) -> float:
        context = context[max(0, len(context) - order + 1) :]
        total = sum(counts[*context, follower] for follower in followers[context])
        return (counts.get((*context, word), 0) + k) / (total + k * len(outcomes))

    return probability


def maximum_likelihood(sentences: Sequence[Sequence[int]], order: int) -> Probability:
    """Estimate p(w | h) = c(h w) / c(h), h being the longest suffix of the context that occurs."""
    counts = count(sentences, order)
    followers = _followers(counts)

    def probability(context: Ngram, word: int) -> float:
        context = context[max(0, len(context) - order + 1) :]
        total = sum(counts[*context, follower] for follower in followers[context])
        return counts.get((*context, word), 0) / total if total else probability(context[1:], word)

    return probability


def _followers(counts: Counts) -> Mapping[Ngram, Sequence[int]]:
    """Return the words that follow each context."""
    followers: dict[Ngram, list[int]] = defaultdict(list)
    for ngram in counts:
        followers[ngram[:-1]].append(ngram[-1])
    return followers
