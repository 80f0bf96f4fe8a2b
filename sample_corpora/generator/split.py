"""From a stream of sentences to train, valid and test, with combinations in test that train never shows."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from .dice import Dice
from .numbers import german_cardinal
from .phrases import Pair

NUMBER_WORDS = frozenset(german_cardinal(value) for value in (*range(100), *range(100, 10_000, 100)))
WORD = re.compile(r"\w+(?:[-'.,:]\w+)*")


@dataclass(frozen=True)
class Sizes:
    """How many pairs each part has, how often a word must be drawn to stay, and occur in train at least."""

    train: int
    valid: int
    test: int
    drawn: int
    least: int


def words(line: str) -> list[str]:
    """The words of a line, without marks, as the splits compare them."""
    return WORD.findall(line.lower())


def both_words(pair: Pair) -> list[str]:
    """The words of both sides, each marked with its language: sang is a word of either."""
    return [f"de:{word}" for word in words(pair.german)] + [f"en:{word}" for word in words(pair.english)]


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
        counts = Counter(word for pair in pairs for word in both_words(pair))
        kept = [pair for pair in pairs if all(counts[word] >= least for word in both_words(pair))]
        if len(kept) == len(pairs):
            return kept
        pairs = kept


def neighbours(pair: Pair) -> set[tuple[str, str]]:
    """The pairs of neighbouring words of the source that carry meaning together.

    Numbers are left out: nearly every number is new beside most words, and test would be full of prices.
    """
    found = words(pair.german)
    return {(left, right) for left, right in pairwise(found) if carries_meaning(left) and carries_meaning(right)}


def carries_meaning(word: str) -> bool:
    """Whether a word is long enough for more than a function word, and no number."""
    return len(word) > 4 and word not in NUMBER_WORDS and not word[0].isdigit()


def held_out_combinations(pairs: list[Pair], dice: Dice, wanted: int) -> set[tuple[str, str]]:
    """Neighbouring words to keep out of train, until `wanted` pairs hold at least one of them.

    Only combinations that are neither frequent nor unique: a frequent one would fill the test part with
    itself. And only of frequent words, which train can spare.
    """
    counts = Counter(combination for pair in pairs for combination in neighbours(pair))
    known = Counter(word for pair in pairs for word in words(pair.german))
    candidates = sorted(
        combination
        for combination, count in counts.items()
        if 2 <= count <= 8 and min(known[word] for word in combination) >= 60
    )
    chosen: set[tuple[str, str]] = set()
    covered = 0
    for combination in dice.shuffled(candidates):
        if covered >= wanted:
            break
        chosen.add(combination)
        covered += counts[combination]
    return chosen


def chosen_for_words(pairs: list[Pair], size: int, least: int) -> list[Pair]:
    """As many pairs as asked for, those first that bring a word to its `least` occurrences."""
    counts: Counter[str] = Counter()
    needed, spare = [], []
    for pair in pairs:
        found = both_words(pair)
        if any(counts[word] < least for word in found):
            counts.update(found)
            needed.append(pair)
        else:
            spare.append(pair)
    return [*needed, *spare][:size]


def split(pairs: list[Pair], sizes: Sizes, dice: Dice) -> dict[str, list[Pair]]:
    """Train, valid and test. Every line of valid and test has neighbours that no line of train has."""
    common = without_rare_words(unique(pairs), sizes.drawn)
    held_out = held_out_combinations(common, dice, round(1.3 * (sizes.valid + sizes.test)))
    new = [pair for pair in common if neighbours(pair) & held_out]
    old = [pair for pair in common if not neighbours(pair) & held_out]
    train = dice.shuffled(chosen_for_words(old, sizes.train, sizes.least))
    known = {word for pair in train for word in both_words(pair)}
    testable = [pair for pair in dice.shuffled(new) if known.issuperset(both_words(pair))]
    if len(train) < sizes.train or len(testable) < sizes.valid + sizes.test:
        raise ValueError(f"too few sentences: {len(train)} to train, {len(testable)} to test")
    return {
        "train": train,
        "valid": testable[: sizes.valid],
        "test": testable[sizes.valid : sizes.valid + sizes.test],
    }
