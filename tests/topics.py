"""A small text of two topics whose words never stand in one line, and what vectors make of it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rnnkit.embeddings.vectors import WordVectors

TOPICS = (
    ("wine", "bread", "cheese", "soup", "salt", "apple"),
    ("star", "moon", "planet", "comet", "orbit", "sun"),
)
WORDS = sorted(TOPICS[0] + TOPICS[1])
LINES = 400

ENOUGH: dict[str, Any] = {"dimension": 16, "epochs": 30, "threads": 1, "learning_rate": 0.1}
"""Options that so small a text is learned with, in a part of a second."""


def topic_lines(lines: int = LINES, seed: int = 1) -> Iterator[str]:
    """Lines of five to nine words; the topics take turns."""
    random_words = random.Random(seed)
    for number in range(lines):
        yield " ".join(random_words.choices(TOPICS[number % 2], k=random_words.randint(5, 9)))


def write_topics(path: Path, lines: int = LINES, seed: int = 1) -> Path:
    """Write such a text; returns the path."""
    path.write_text("".join(f"{line}\n" for line in topic_lines(lines, seed)), encoding="utf-8")
    return path


def assert_topics_apart(path: Path, count: int = 5) -> None:
    """The nearest words of each word are those of its topic."""
    vectors = WordVectors.load(path)
    for topic in TOPICS:
        for word in topic:
            nearest = {neighbor.word for neighbor in vectors.neighbors(word, count)}
            assert nearest <= set(topic), f"{word}: {nearest}"
