"""From a stream of sentences to train, valid and test, with combinations in test that train never shows."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from .dice import Dice
from .phrases import Pair

WORD = re.compile(r"\w+(?:[-'.,:]\w+)*")


@dataclass(frozen=True)
class Sizes:
    """How many pairs each part has, and how often at least a word must occur in the training part."""

    train: int
    valid: int
    test: int
    least: int


def words(line: str) -> list[str]:
    """The words of a line, without marks, as the splits compare them."""
    return WORD.findall(line.lower())


def unique(pairs: Iterable[Pair]) -> list[Pair]:
    """The pairs whose source and target are both new."""
    sources: set[str] = set()
    targets: set[str] = set()
    result = []
    for pair in pairs:
        if pair.german.lower() not in sources and pair.english.lower() not in targets:
            sources.add(pair.german.lower())
            targets.add(pair.english.lower())
            result.append(pair)
    return result


def without_rare_words(pairs: list[Pair], least: int) -> list[Pair]:
    """The pairs all of whose words occur `least` times; removing some can make others rare, so repeat."""
    while True:
        counts = Counter(word for pair in pairs for word in words(pair.german) + words(pair.english))
        kept = [pair for pair in pairs if all(counts[word] >= least for word in words(pair.german) + words(pair.english))]
        if len(kept) == len(pairs):
            return kept
        pairs = kept


def neighbours(pair: Pair) -> set[tuple[str, str]]:
    """The pairs of neighbouring words of the source that carry meaning together."""
    found = words(pair.german)
    return {(left, right) for left, right in zip(found, found[1:], strict=False) if len(left) > 4 and len(right) > 4}


def held_out_combinations(pairs: list[Pair], dice: Dice, wanted: int) -> set[tuple[str, str]]:
    """Neighbouring words to keep out of train, until `wanted` pairs hold at least one of them.

    Only combinations that are neither frequent nor unique: a frequent one would fill the test part
    with itself.
    """
    counts = Counter(combination for pair in pairs for combination in neighbours(pair))
    candidates = sorted(combination for combination, count in counts.items() if 2 <= count <= 12)
    chosen: set[tuple[str, str]] = set()
    covered = 0
    for combination in dice.shuffled(candidates):
        if covered >= wanted:
            break
        chosen.add(combination)
        covered += counts[combination]
    return chosen


def split(pairs: list[Pair], sizes: Sizes, dice: Dice) -> dict[str, list[Pair]]:
    """Train, valid and test. Every line of valid and test has neighbours that no line of train has."""
    # Counted before pairs are drawn away, so the margin keeps every word frequent enough in train.
    common = without_rare_words(unique(pairs), sizes.least)
    held_out = held_out_combinations(common, dice, round(1.3 * (sizes.valid + sizes.test)))
    new = [pair for pair in common if neighbours(pair) & held_out]
    old = [pair for pair in common if not neighbours(pair) & held_out]
    train = dice.shuffled(old)[: sizes.train]
    known = {word for pair in train for word in words(pair.german) + words(pair.english)}
    testable = [pair for pair in dice.shuffled(new) if known.issuperset(words(pair.german) + words(pair.english))]
    if len(train) < sizes.train or len(testable) < sizes.valid + sizes.test:
        raise ValueError(f"too few sentences: {len(train)} to train, {len(testable)} to test")
    return {
        "train": train,
        "valid": testable[: sizes.valid],
        "test": testable[sizes.valid : sizes.valid + sizes.test],
    }
