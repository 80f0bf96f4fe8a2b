"""Reference implementation of word alignment in plain loops over words and dictionaries.

Tests compare the kernels with it. A sentence pair is two lists of words; `None` stands for the NULL word, and for the
link of a target word that is aligned to it. Positions are from 0, HMM states from 1.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from rnnkit.alignment.alignment_models import HMM, MAX_JUMP, MAX_TENSION, MIN_JUMP_WEIGHT, MIN_TENSION, AlignmentOptions
from rnnkit.kernels.word_alignment import NEIGHBORS

Pair = tuple[Sequence[int], Sequence[int]]
Table = dict[int | None, dict[int, float]]
Posterior = list[dict[int | None, float]]
Link = tuple[int, int]


@dataclass(frozen=True)
class ReferenceModel:
    """A trained model.

    Attributes:
        table: p(target | source), by source word.
        tension: Tension of the diagonal prior.
        jumps: Weight c(d) of each jump of the HMM; all longer ones share the first and the last weight.
        bits: Cross-entropy before each iteration, in bits per target word.
    """

    table: Table
    tension: float
    jumps: dict[int, float]
    bits: list[float]


def train(pairs: Sequence[Pair], target_size: int, options: AlignmentOptions) -> ReferenceModel:
    """Train with expectation-maximization: the diagonal model, and then the HMM if the options select it.

    Args:
        pairs: Sentence pairs; those with an empty side are ignored.
        target_size: Target vocabulary size.
        options: How to train.
    """
    pairs = [(source, target) for source, target in pairs if source and target]
    words = sum(len(target) for _, target in pairs)
    table, tension, bits = uniform_table(pairs, target_size), options.tension, []
    for iteration in range(options.iterations):
        results = [diagonal_posteriors(pair, table, options.null, tension) for pair in pairs]
        bits.append(-sum(log_p for _, log_p in results) / words / math.log(2))
        posteriors = [posterior for posterior, _ in results]
        table = maximize_table(_count(pairs, posteriors, table), options.alpha)
        if options.learn_tension and iteration:
            tension = maximize_tension(pairs, posteriors)
    longest = MAX_JUMP + 1
    jumps = {d: 1 / (1 + abs(d - 1)) for d in range(-longest, longest + 1)}
    jumps = {d: weight / sum(jumps.values()) for d, weight in jumps.items()}
    for _ in range(options.iterations if options.model == HMM else 0):
        hmm_results = [hmm_posteriors(pair, table, options.null, jumps) for pair in pairs]
        bits.append(-sum(log_p for _, log_p, _ in hmm_results) / words / math.log(2))
        table = maximize_table(_count(pairs, [posterior for posterior, _, _ in hmm_results], table), options.alpha)
        jumps = maximize_jumps(pairs, [moves for _, _, moves in hmm_results], jumps, options.jump_steps)
    return ReferenceModel(table, tension, jumps, bits)


def uniform_table(pairs: Sequence[Pair], target_size: int) -> Table:
    """Return the table in which every word pair that co-occurs has the probability 1 / target_size."""
    table: Table = defaultdict(dict)
    for source, target in pairs:
        for s in [*source, None] if source else []:
            table[s].update(dict.fromkeys(target, 1 / target_size))
    return dict(table)


def diagonal_prior(i: int, m: int, n: int, null: float, tension: float) -> dict[int | None, float]:
    """Return d(j | i, m, n) of Dyer et al. 2013 for j = 0 .. m-1 and NULL."""
    height = {j: math.exp(-tension * abs((i + 1) / n - (j + 1) / m)) for j in range(m)}
    return {None: null, **{j: (1 - null) * height[j] / sum(height.values()) for j in range(m)}}


def diagonal_posteriors(pair: Pair, table: Table, null: float, tension: float) -> tuple[Posterior, float]:
    """Return the posterior of each link, by target position, and log p of the target sentence."""
    source, target = pair
    posteriors: Posterior = []
    log_p = 0.0
    for i, t in enumerate(target):
        prior = diagonal_prior(i, len(source), len(target), null, tension)
        joint = {j: prior[j] * table[None if j is None else source[j]][t] for j in prior}
        total = sum(joint.values())
        posteriors.append({j: p / total for j, p in joint.items()})
        log_p += math.log(total)
    return posteriors, log_p


def jump_probability(k: int, j: int, m: int, null: float, jumps: dict[int, float]) -> float:
    """Return p(k -> j) for source words 1 .. m; k = 0 is the state before the first one."""
    longest = max(jumps)

    def weight(d: int) -> float:
        return jumps[max(-longest, min(longest, d))]

    return (1 - null) * weight(j - k) / sum(weight(other - k) for other in range(1, m + 1))


def hmm_posteriors(
    pair: Pair, table: Table, null: float, jumps: dict[int, float]
) -> tuple[Posterior, float, dict[tuple[int, int], float]]:
    """Compute posteriors by enumerating all state sequences, in exponential time.

    A state is (k, linked): the last aligned source word, and whether the current target word is aligned to it.

    Returns:
        As `diagonal_posteriors`, and the expected count of each transition from k to j.
    """
    source, target = pair
    m = len(source)
    sequences: list[tuple[tuple[tuple[int, bool], ...], float]] = [((), 1.0)]
    for t in target:
        longer: list[tuple[tuple[tuple[int, bool], ...], float]] = []
        for states, p in sequences:
            k = states[-1][0] if states else 0
            longer.append(((*states, (k, False)), p * null * table[None][t]))
            for j in range(1, m + 1):
                step = jump_probability(k, j, m, null, jumps) * table[source[j - 1]][t]
                longer.append(((*states, (j, True)), p * step))
        sequences = longer
    total = sum(p for _, p in sequences)
    posteriors: Posterior = [dict.fromkeys([None, *range(m)], 0.0) for _ in target]
    moves: dict[tuple[int, int], float] = defaultdict(float)
    for states, p in sequences:
        k = 0
        for i, (j, linked) in enumerate(states):
            posteriors[i][j - 1 if linked else None] += p / total
            if linked:
                moves[k, j] += p / total
            k = j
    return posteriors, math.log(total), moves


def digamma(x: float) -> float:
    """Compute the derivative of log gamma by a central difference, to seven digits."""
    step = x * 1e-5
    return (math.lgamma(x + step) - math.lgamma(x - step)) / (2 * step)


def maximize_table(counts: Table, alpha: float) -> Table:
    """Compute p(t | s) from expected counts: relative frequencies, or variational Bayes if alpha > 0."""
    table: Table = {}
    for s, row in counts.items():
        total = sum(row.values())
        denominator = digamma(total + alpha * len(row)) if alpha else 0.0
        table[s] = {t: math.exp(digamma(c + alpha) - denominator) if alpha else c / total for t, c in row.items()}
    return table


def maximize_tension(pairs: Sequence[Pair], posteriors: Sequence[Posterior]) -> float:
    """Find by bisection the tension at which the expected distance under the prior equals that of the links."""

    def slope(tension: float) -> float:
        total = 0.0
        for (source, target), rows in zip(pairs, posteriors, strict=True):
            m, n = len(source), len(target)
            for i, row in enumerate(rows):
                prior = diagonal_prior(i, m, n, 0.0, tension)
                expected = sum(prior[j] * abs((i + 1) / n - (j + 1) / m) for j in range(m))
                total += (1 - row[None]) * expected
                total -= sum(row[j] * abs((i + 1) / n - (j + 1) / m) for j in range(m))
        return total

    low, high = MIN_TENSION, MAX_TENSION
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) > 0 else (low, middle)
    return low


def maximize_jumps(
    pairs: Sequence[Pair], moves: Sequence[dict[tuple[int, int], float]], jumps: dict[int, float], steps: int
) -> dict[int, float]:
    """Increase the expected log-likelihood in the jump weights; each step is that of `fit_jump_weights`."""
    longest = max(jumps)
    for _ in range(steps):
        count, rate = dict.fromkeys(jumps, 0.0), dict.fromkeys(jumps, 0.0)
        for (source, _), moved in zip(pairs, moves, strict=True):
            m = len(source)
            for (k, j), p in moved.items():
                count[max(-longest, min(longest, j - k))] += p
                total = sum(jumps[max(-longest, min(longest, other - k))] for other in range(1, m + 1))
                for other in range(1, m + 1):
                    rate[max(-longest, min(longest, other - k))] += p / total
        raised = {d: max(count[d] / rate[d], MIN_JUMP_WEIGHT) if rate[d] > MIN_JUMP_WEIGHT else jumps[d] for d in jumps}
        jumps = {d: weight / sum(raised.values()) for d, weight in raised.items()}
    return jumps


def _count(pairs: Sequence[Pair], posteriors: Sequence[Posterior], table: Table) -> Table:
    """Sum the posteriors of each word pair."""
    counts: Table = {s: dict.fromkeys(row, 0.0) for s, row in table.items()}
    for (source, target), rows in zip(pairs, posteriors, strict=True):
        for t, row in zip(target, rows, strict=True):
            for j, p in row.items():
                counts[None if j is None else source[j]][t] += p
    return counts


def symmetrize(forward: set[Link], backward: set[Link], method: str) -> set[Link]:
    """Combine two sets of links (source, target) by one of `alignment_links.METHODS`."""
    union = forward | backward
    links = union if method == "union" else forward & backward
    if method.startswith("grow-diag"):
        grown = True
        while grown:
            grown = False
            for link in sorted(union, key=lambda link: (link[1], link[0])):
                grown |= link in links and _add_neighbors(link, union, links)
    if method == "grow-diag-final-and":
        for direction in (forward, backward):
            for source, target in sorted(direction, key=lambda link: (link[1], link[0])):
                if all(source != s and target != t for s, t in links):
                    links.add((source, target))
    return links


def _add_neighbors(link: Link, union: set[Link], links: set[Link]) -> bool:
    """Add the neighbors of a link that link an unlinked word; return whether there were any."""
    grown = False
    for down, right in NEIGHBORS:
        new = link[0] + right, link[1] + down
        unlinked = all(new[0] != source for source, _ in links) or all(new[1] != target for _, target in links)
        if new in union - links and unlinked:
            links.add(new)
            grown = True
    return grown
