"""The compiled code that training takes, loaded or compiled before there is any data."""

from __future__ import annotations

import numpy as np

from rnnkit.embeddings.chunk import LONGEST, NEGATIVE, SKIPGRAM, Method
from rnnkit.embeddings.composition import whole_words
from rnnkit.embeddings.learner import Learner, Lesson
from rnnkit.embeddings.sampling import keep_probabilities, make_noise
from rnnkit.embeddings.weights import make_weights
from rnnkit.embeddings.word_table import WordTable
from rnnkit.system.machine import release_library_pages
from rnnkit.text import special_tokens

COMPILER = "llvmlite"
"""Name of the compiler's library."""


def prepare() -> None:
    """Learn a text of two words once. Compiling takes seconds, once on a machine; loading takes none."""
    release_library_pages(COMPILER)
    ids, _ = WordTable(LONGEST).encode(b"a b\n")
    first = len(special_tokens.NAMES)
    counts_V = np.concatenate([np.zeros(first, np.int64), np.ones(len(ids), np.int64)])
    weights = make_weights(len(counts_V), len(counts_V), 1, first, seed=0)
    method = Method(SKIPGRAM, 1, True, 1, NEGATIVE, False, False)
    noise = make_noise(counts_V, 1.0, 1, contrastive=False)
    lesson = Lesson(weights, keep_probabilities(counts_V, 0), noise, whole_words(), method, seed=0)
    Learner(lesson, threads=1).learn(ids + np.int32(first), np.array([0, len(ids)]), 0, 0, 0.1)
    release_library_pages(COMPILER)
