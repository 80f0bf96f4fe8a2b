"""The aligner in plain loops over words and dictionaries: what the kernels have to agree with, and the place to read.

A sentence pair is two lists of words. `None` stands for the empty word, and a link of a target word to no source word.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from rnnkit.alignment.options import HMM, MAX_JUMP, MAX_TENSION, MIN_JUMP_WEIGHT, MIN_TENSION, AlignmentOptions

Pair = tuple[Sequence[int], Sequence[int]]
Table = dict[int | None, dict[int, float]]
Posterior = list[dict[int | None, float]]
Link = tuple[int, int]

NEIGHBORS = ((-1, 0), (0, -1), (1, 0), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1))
"""Steps (target, source) to the points around one, in the order in which they are looked at."""


@dataclass(frozen=True)
class ReferenceModel:
    """What expectation-maximisation came to.

    Attributes:
        table: p(target | source), by source word.
        tension: Of the diagonal prior.
        jumps: c(d) by jump, the longer ones under the first and the last; of the HMM.
        bits: Bits a target word before each pass.
    """

    table: Table
    tension: float
    jumps: dict[int, float]
    bits: list[float]


def uniform_table(pairs: Sequence[Pair], target_size: int) -> Table:
    """One over the target vocabulary for every two words that meet."""
    table: Table = defaultdict(dict)
    for source, target in pairs:
        for s in [*source, None] if source else []:
            table[s].update(dict.fromkeys(target, 1 / target_size))
    return dict(table)


def diagonal_prior(i: int, m: int, n: int, null: float, tension: float) -> dict[int | None, float]:
    """d(j | i, m, n) of Dyer et al. 2013 for j = 0 .. m-1 and None; i from 0."""
    height = {j: math.exp(-tension * abs((i + 1) / n - (j + 1) / m)) for j in range(m)}
    return {None: null, **{j: (1 - null) * height[j] / sum(height.values()) for j in range(m)}}


def diagonal_posteriors(pair: Pair, table: Table, null: float, tension: float) -> tuple[Posterior, float]:
    """For each target word how probable each link is, and log p of the target sentence."""
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
    """p(k -> j) for places 1 .. m; k = 0 is the place before the first."""
    reach = max(jumps)

    def weight(d: int) -> float:
        return jumps[max(-reach, min(reach, d))]

    return (1 - null) * weight(j - k) / sum(weight(other - k) for other in range(1, m + 1))


def hmm_posteriors(
    pair: Pair, table: Table, null: float, jumps: dict[int, float]
) -> tuple[Posterior, float, dict[tuple[int, int], float]]:
    """As `diagonal_posteriors`, by going through every walk; also how often place k was left for place j.

    A state is (k, linked): the last source word, and whether the present target word belongs to it. The time grows
    exponentially with the length: for sentences of a few words.
    """
    source, target = pair
    m = len(source)
    walks: list[tuple[tuple[tuple[int, bool], ...], float]] = [((), 1.0)]
    for t in target:
        longer: list[tuple[tuple[tuple[int, bool], ...], float]] = []
        for states, p in walks:
            k = states[-1][0] if states else 0
            longer.append(((*states, (k, False)), p * null * table[None][t]))
            for j in range(1, m + 1):
                step = jump_probability(k, j, m, null, jumps) * table[source[j - 1]][t]
                longer.append(((*states, (j, True)), p * step))
        walks = longer
    total = sum(p for _, p in walks)
    posteriors: Posterior = [dict.fromkeys([None, *range(m)], 0.0) for _ in target]
    moves: dict[tuple[int, int], float] = defaultdict(float)
    for states, p in walks:
        k = 0
        for i, (j, linked) in enumerate(states):
            posteriors[i][j - 1 if linked else None] += p / total
            if linked:
                moves[k, j] += p / total
            k = j
    return posteriors, math.log(total), moves


def digamma(x: float) -> float:
    """The logarithmic derivative of the gamma function, by a difference; seven digits."""
    step = x * 1e-5
    return (math.lgamma(x + step) - math.lgamma(x - step)) / (2 * step)


def maximize_table(counts: Table, alpha: float) -> Table:
    """p(t | s): counts divided by their sum, or with alpha > 0 the estimate of variational Bayes."""
    table: Table = {}
    for s, row in counts.items():
        total = sum(row.values())
        whole = digamma(total + alpha * len(row)) if alpha else 0.0
        table[s] = {t: math.exp(digamma(c + alpha) - whole) if alpha else c / total for t, c in row.items()}
    return table


def maximize_tension(pairs: Sequence[Pair], posteriors: Sequence[Posterior]) -> float:
    """The tension at which the expected distance under the prior is that of the links, by halving the range."""

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
    """The weights of jumps that make the walks more probable; each step as in `hmm.fit_jumps`."""
    reach = max(jumps)
    for _ in range(steps):
        count, rate = dict.fromkeys(jumps, 0.0), dict.fromkeys(jumps, 0.0)
        for (source, _), moved in zip(pairs, moves, strict=True):
            m = len(source)
            for (k, j), p in moved.items():
                count[max(-reach, min(reach, j - k))] += p
                total = sum(jumps[max(-reach, min(reach, other - k))] for other in range(1, m + 1))
                for other in range(1, m + 1):
                    rate[max(-reach, min(reach, other - k))] += p / total
        raised = {d: max(count[d] / rate[d], MIN_JUMP_WEIGHT) if rate[d] > MIN_JUMP_WEIGHT else jumps[d] for d in jumps}
        jumps = {d: weight / sum(raised.values()) for d, weight in raised.items()}
    return jumps


def train(pairs: Sequence[Pair], target_size: int, options: AlignmentOptions) -> ReferenceModel:
    """Expectation-maximisation: the diagonal model, and where the options say so the HMM from its table on.

    Args:
        pairs: Sentence pairs; those with an empty side say nothing.
        target_size: Rows of the target vocabulary.
        options: How.
    """
    pairs = [(source, target) for source, target in pairs if source and target]
    words = sum(len(target) for _, target in pairs)
    table, tension, bits = uniform_table(pairs, target_size), options.tension, []
    for step in range(options.iterations):
        found = [diagonal_posteriors(pair, table, options.null, tension) for pair in pairs]
        bits.append(-sum(log_p for _, log_p in found) / words / math.log(2))
        posteriors = [posterior for posterior, _ in found]
        table = maximize_table(_count(pairs, posteriors, table), options.alpha)
        if options.learn_tension and step:
            tension = maximize_tension(pairs, posteriors)
    reach = MAX_JUMP + 1
    jumps = {d: 1 / (1 + abs(d - 1)) for d in range(-reach, reach + 1)}
    jumps = {d: weight / sum(jumps.values()) for d, weight in jumps.items()}
    for _ in range(options.iterations if options.model == HMM else 0):
        walked = [hmm_posteriors(pair, table, options.null, jumps) for pair in pairs]
        bits.append(-sum(log_p for _, log_p, _ in walked) / words / math.log(2))
        table = maximize_table(_count(pairs, [posterior for posterior, _, _ in walked], table), options.alpha)
        jumps = maximize_jumps(pairs, [moves for _, _, moves in walked], jumps, options.jump_steps)
    return ReferenceModel(table, tension, jumps, bits)


def _count(pairs: Sequence[Pair], posteriors: Sequence[Posterior], table: Table) -> Table:
    """Expected counts of every two words."""
    counts: Table = {s: dict.fromkeys(row, 0.0) for s, row in table.items()}
    for (source, target), rows in zip(pairs, posteriors, strict=True):
        for t, row in zip(target, rows, strict=True):
            for j, p in row.items():
                counts[None if j is None else source[j]][t] += p
    return counts


def symmetrize(forward: set[Link], backward: set[Link], method: str) -> set[Link]:
    """One set of links (source, target) from two, by the names in `symmetry.METHODS`."""
    union = forward | backward
    links = union if method == "union" else forward & backward
    if method.startswith("grow-diag"):
        grown = True
        while grown:
            grown = False
            for point in sorted(union, key=lambda link: (link[1], link[0])):
                grown |= point in links and _add_neighbours(point, union, links)
    if method == "grow-diag-final-and":
        for direction in (forward, backward):
            for source, target in sorted(direction, key=lambda link: (link[1], link[0])):
                if all(source != s and target != t for s, t in links):
                    links.add((source, target))
    return links


def _add_neighbours(point: Link, union: set[Link], links: set[Link]) -> bool:
    """Add the neighbours of a point that bring in a word without a link; whether there were any."""
    grown = False
    for down, right in NEIGHBORS:
        new = point[0] + right, point[1] + down
        lonely = all(new[0] != source for source, _ in links) or all(new[1] != target for _, target in links)
        if new in union - links and lonely:
            links.add(new)
            grown = True
    return grown
