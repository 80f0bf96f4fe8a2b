"""Small texts about topics, for linear text classifiers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from rnnkit.data.word_table import SparseRows
from rnnkit.models.labelling.linear_text import LinearText, LinearTextConfig, TextLabels, WordTexts
from rnnkit.training.linear_text_trainer import train_linear_text

SMALL = LinearTextConfig(dimension=20, epochs=5, learning_rate=0.5, buckets=1000)
NGRAMS = replace(SMALL, word_ngrams=3, min_characters=3, max_characters=4)
IDF = replace(NGRAMS, feature_weights="idf", learning_rate=0.1)
TOPICS = (["ball", "goal", "team", "the", "a"], ["court", "law", "judge", "the", "a"], ["code", "byte", "the", "a"])


def to_texts(lines: Sequence[str], words: Sequence[str] = ()) -> WordTexts:
    """Number the words of lines, after those that are given; `|` stands for the end of a sentence."""
    split = [["" if word == "|" else word for word in line.split()] for line in lines]
    known = list(dict.fromkeys([*words, *(word for line in split for word in line)]))
    return WordTexts(known, SparseRows.from_lists([[known.index(word) for word in line] for line in split]))


def make_lines(count: int, seed: int = 0) -> tuple[list[str], list[int]]:
    """Return texts about topics, and the topic of each."""
    generator = np.random.default_rng(seed)
    topics = generator.integers(len(TOPICS), size=count).tolist()
    return [" ".join(generator.choice(TOPICS[topic], size=9)) for topic in topics], topics


def one_label(labels: Sequence[int], **weights: Any) -> TextLabels:
    return TextLabels(SparseRows.from_lists([[label] for label in labels]), len(TOPICS), **weights)


def train(config: LinearTextConfig = SMALL, threads: int = 1, count: int = 60) -> LinearText:
    lines, topics = make_lines(count)
    return train_linear_text(config, to_texts(lines), one_label(topics), threads)[0]
