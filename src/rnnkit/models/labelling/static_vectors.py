"""Static word vectors as representations of words: trained on raw text beforehand, and not trained further.

    v(w) = V[w] / r          r^2 = mean of |V[u]|^2 over all words u, so that the mean squared length is 1

An embedding table has the words of the labelled text alone; all others share <unk>. Static vectors were trained on more
text, so they also tell apart words that the labelled text lacks. Were they trained further, the vectors of its words
would move away from those of other words with a similar meaning; hence they stay as they are, beside the embeddings
(Kim 2014, arXiv:1408.5882, section 3.1: multichannel).

A word is looked up as it is, then without the markers of its tokenizer, then lowercased. If the vectors have subwords,
the vector of any other word is composed of those of its character n-grams. A word without a vector has zeros.

word-vectors/   inside the model directory: a vectors directory, so that the model stays self-contained

Its manifest has the factor 1 / r, which saves reading all vectors before the first word is labelled.

Shapes: W words, D dimension of a vector.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from rnnkit.data.word_table import EOS_ROW, Vectors, WordTable
from rnnkit.embeddings.formats import vectors_directory
from rnnkit.embeddings.vector_table import VectorTable
from rnnkit.errors import FormatError
from rnnkit.io import manifest
from rnnkit.models.pretrained_embeddings import spelling_variants, strip_markers

FOLDER = "word-vectors"

INPUT = "word_vectors"
"""Name of their digest in the manifest of a model."""

SCALE = "scale"
"""Fact of the copy's manifest: the factor 1 / r."""

BLOCK_ROWS = 1 << 14


class StaticVectors:
    """Looks up the vectors of words.

    Args:
        table: The vectors.
        scale: The factor that they are multiplied by; None to compute it from all of them.

    Raises:
        FormatError: A vector contains NaN or infinity.
    """

    def __init__(self, table: VectorTable, scale: float | None = None) -> None:
        self.table = table
        self.dimension = table.dimension
        self.scale = np.float32(1 / _root_mean_square_length(table) if scale is None else scale)

    def look_up(self, word: str) -> Vectors | None:
        """Return the vector of a word (D,), scaled; None if it has none.

        Raises:
            FormatError: It contains NaN or infinity.
        """
        words = self.table.words
        spelling = next((spelling for spelling in spelling_variants(word) if spelling in words), strip_markers(word))
        vector = self.table.vector(spelling)
        return None if vector is None or not vector.any() else vector * self.scale

    def equals(self, other: StaticVectors) -> bool:
        """Return whether both have the same words and subwords with the same vectors."""
        first, second = self.table, other.table
        if first.subwords != second.subwords or first.words.encoded() != second.words.encoded():
            return False
        if first.buckets_KD is None or second.buckets_KD is None:
            return first.buckets_KD is second.buckets_KD and np.array_equal(first.matrix_VD, second.matrix_VD)
        return np.array_equal(first.buckets_KD, second.buckets_KD) and np.array_equal(first.matrix_VD, second.matrix_VD)

    def stack(self, vectors: Iterable[Vectors | None]) -> Vectors:
        """Return the vectors of words as rows (W, D), zeros for None."""
        zeros_D = np.zeros(self.dimension, np.float32)
        return np.stack([zeros_D if vector_D is None else vector_D for vector_D in vectors])

    def extend(self, table: WordTable) -> WordTable:
        """Return a table with the vectors of its words; the end of a sentence has zeros."""
        found = (None if row == EOS_ROW else self.look_up(word) for row, word in enumerate(table.words))
        return replace(table, vectors_WD=self.stack(found))


def _root_mean_square_length(table: VectorTable) -> float:
    """Return the root of the mean squared length of all vectors; 1 if all are zero."""
    total, rows = 0.0, len(table.matrix_VD)
    for start in range(0, rows, BLOCK_ROWS):
        block_ND = np.asarray(table.matrix_VD[start : start + BLOCK_ROWS], np.float64)
        finite_N = np.isfinite(block_ND).all(axis=1)
        if not finite_N.all():
            raise table.not_finite(table.words[start + int(np.argmin(finite_N))])
        total += float(np.square(block_ND).sum())
    return math.sqrt(total / max(1, rows)) or 1.0


def copy_vectors(vectors: StaticVectors, folder: Path) -> None:
    """Copy the vectors into a model directory, without context vectors, which are not used.

    Raises:
        DataError: A word contains white space.
        ArtefactError: The directory cannot be written.
    """
    table = replace(vectors.table, contexts_VD=None, repairs=None)
    vectors_directory.write(folder / FOLDER, table, facts={SCALE: float(vectors.scale)})


def load_vectors(folder: Path, dimension: int) -> StaticVectors:
    """Open the vectors inside a model directory.

    Args:
        folder: The model directory.
        dimension: The dimension that config.json expects.

    Raises:
        ArtefactError: Another kind of directory is in their place.
        FormatError: They are missing, damaged, or of another dimension.
    """
    path = folder / FOLDER
    if not path.is_dir():
        raise FormatError(
            f"{folder} is incomplete: {path} is missing", "config.json has static word vectors",
            hint="copy the model directory again", path=path,
        )  # fmt: skip
    table = vectors_directory.read(path)
    if table.dimension != dimension:
        raise FormatError(
            f"{path} does not fit config.json", f"dimension {table.dimension}, expected {dimension}", path=path
        )
    manifest_path = path / manifest.NAME
    with manifest.explain_damage(manifest_path):
        scale = float(manifest.load(manifest_path).facts[SCALE])
        if not 0 < scale < math.inf:
            raise ValueError(f"{SCALE} is {scale}")
    return StaticVectors(table, scale)
