"""A few words whose vectors say what they mean, for the tests of what can be asked of vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

ROYALS = {
    "man": (1.0, 0.0, 0.0, 0.0, 0.1),
    "woman": (0.0, 1.0, 0.0, 0.0, 0.1),
    "king": (1.0, 0.0, 1.0, 0.0, 0.0),
    "queen": (0.0, 1.0, 1.0, 0.0, 0.0),
    "prince": (0.9, 0.1, 0.8, 0.0, 0.3),
    "one": (0.0, 0.0, 0.0, 1.0, 0.0),
    "two": (0.0, 0.0, 0.1, 1.0, 0.0),
}
"""The dimensions: male, female, royal, number, young."""


def write_vectors(path: Path, rows: Mapping[str, Sequence[float]] = ROYALS) -> Path:
    """Write word2vec's text format; returns the path."""
    dimension = len(next(iter(rows.values())))
    lines = [f"{len(rows)} {dimension}", *(f"{word} {' '.join(map(str, row))}" for word, row in rows.items())]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
