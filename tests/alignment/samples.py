"""Small bitexts for the tests of word alignment."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st

from rnnkit.alignment.bitext import Bitext, BitextSide, make_bitext

SIZE = 9
"""Size of each vocabulary: four special symbols and five words."""

Pairs = list[tuple[list[int], list[int]]]


def pairs_of(longest: int = 4, most: int = 6) -> st.SearchStrategy[Pairs]:
    """Generate a few short sentence pairs, some with empty sides or unknown words; at least one has words on both."""
    sentence = st.lists(st.sampled_from([1, *range(4, SIZE)]), max_size=longest)
    pairs = st.lists(st.tuples(sentence, sentence), min_size=1, max_size=most)
    return pairs.filter(lambda some: any(source and target for source, target in some))


def random_pairs(seed: int = 1, count: int = 40, size: int = SIZE, longest: int = 7) -> Pairs:
    """Generate word-by-word translations, with an occasional inserted word or swap of neighbors."""
    source = random.Random(seed)
    pairs: Pairs = []
    for _ in range(count):
        words = [source.randrange(4, size) for _ in range(source.randrange(longest + 1))]
        translated = [4 + (word - 4 + 1) % (size - 4) for word in words]
        if len(translated) > 1 and source.random() < 0.3:
            first = source.randrange(len(translated) - 1)
            translated[first : first + 2] = reversed(translated[first : first + 2])
        if source.random() < 0.3:
            translated.insert(source.randrange(len(translated) + 1), source.randrange(4, size))
        pairs.append((words, translated))
    return pairs


def side_of(sentences: Sequence[Sequence[int]], size: int = SIZE) -> BitextSide:
    """Return a side as in aligned data, with EOS between the sentences."""
    ids: list[int] = []
    begins = []
    for sentence in sentences:
        begins.append(len(ids))
        ids += [*sentence, 3]
    lengths = np.array([len(sentence) for sentence in sentences], dtype=np.int64)
    return BitextSide(np.array(ids, dtype=np.uint16), np.array(begins, dtype=np.int64), lengths, size)


def bitext_of(pairs: Pairs, size: int = SIZE, longest: int = 100) -> Bitext:
    """Return the sentence pairs as a bitext."""
    source, target = (side_of([pair[side] for pair in pairs], size) for side in (0, 1))
    return make_bitext(source, target, longest)
