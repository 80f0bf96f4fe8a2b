"""Embeddings that start from word vectors made elsewhere.

A token is looked up as it is, then without the marks that say where it touches its neighbours (`▁`, `￭`), then in lower
case; where the vectors have n-grams, a word unknown to them is composed. All vectors are multiplied by one number, so
that their mean square length is 1, as that of new embeddings is: a network's inputs and its tied output layer start in
the range that they are made for, whatever the vectors were trained with. Tokens without a vector, the special symbols
among them, are drawn from a normal distribution with the mean and deviation, in each dimension, of those with one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from rnnkit.embeddings.vectors import Vectors
from rnnkit.text import special_tokens
from rnnkit.text.tokenizers.byte_tokens import METASPACE
from rnnkit.text.tokenizers.word_tokenizer import JOINER
from rnnkit.text.vocabulary import Vocabulary


@dataclass(frozen=True)
class MatchedVectors:
    """Vectors for rows of a vocabulary.

    Attributes:
        rows: The vocabulary's rows that have one; those of composed vectors come last.
        vectors_ND: Their vectors, as they were read.
        composed: How many were put together from n-grams.
    """

    rows: NDArray[np.int64]
    vectors_ND: NDArray[np.float32]
    composed: int


@dataclass(frozen=True)
class VectorCoverage:
    """How much of a text has vectors.

    Attributes:
        words: Different tokens of the text.
        found: Those among them with a vector of their own.
        composed: Those whose vector was put together from n-grams.
        share: Of the running tokens, how many have a vector of either kind; from 0 to 1.
    """

    words: int
    found: int
    composed: int
    share: float

    def __str__(self) -> str:
        composed = f", {self.composed:,} composed of n-grams" if self.composed else ""
        return (
            f"{self.found:,} of {self.words:,} words found ({self.found / max(1, self.words):.1%}){composed}, "
            f"{self.share:.1%} of running tokens"
        )


def match_vectors(vocabulary: Vocabulary, vectors: Vectors) -> MatchedVectors:
    """Find a vector for each token of a vocabulary; the special symbols have none."""
    whole: dict[int, NDArray[np.float32]] = {}
    composed: dict[int, NDArray[np.float32]] = {}
    for row, token in enumerate(vocabulary.tokens):
        if row < len(special_tokens.NAMES):
            continue
        spelling = next((spelling for spelling in spelling_variants(token) if spelling in vectors), None)
        vector = vectors.table.vector(strip_markers(token) if spelling is None else spelling)
        if vector is not None and vector.any():  # zeros say nothing
            (composed if spelling is None else whole)[row] = vector
    both = {**whole, **composed}
    vectors_ND = np.stack(list(both.values())) if both else np.zeros((0, vectors.dimension), np.float32)
    return MatchedVectors(np.array(list(both), np.int64), vectors_ND, len(composed))


def strip_markers(token: str) -> str:
    """A token without the marks of its tokenizer; a token that is nothing else stays."""
    return token.removeprefix(METASPACE).strip(JOINER) or token


def spelling_variants(token: str) -> Iterator[str]:
    """What a token may be called among the vectors, the likeliest first."""
    yield token
    yield strip_markers(token)
    yield token.lower()
    yield strip_markers(token).lower()


def measure_coverage(found: MatchedVectors, counts_V: NDArray[np.int64]) -> VectorCoverage:
    """What the vectors found mean for a text.

    Args:
        found: Vectors of a vocabulary.
        counts_V: How often each row of the vocabulary occurs in the text; the special symbols are left out.
    """
    counts_V = counts_V.copy()
    counts_V[: len(special_tokens.NAMES)] = 0
    own, composed = np.split(found.rows, [len(found.rows) - found.composed])
    covered = int(counts_V[found.rows].sum())
    return VectorCoverage(
        words=int(np.count_nonzero(counts_V)),
        found=int(np.count_nonzero(counts_V[own])),
        composed=int(np.count_nonzero(counts_V[composed])),
        share=covered / max(1, int(counts_V.sum())),
    )


@torch.no_grad()
def init_embedding(embedding: nn.Embedding, found: MatchedVectors) -> None:
    """Start an embedding from vectors. Its padding stays zero.

    Args:
        embedding: (V, D), V being the size of the vocabulary.
        found: At least one vector, of D numbers. The rest is drawn from torch's generator.
    """
    vectors_ND = torch.from_numpy(found.vectors_ND)
    vectors_ND = vectors_ND / vectors_ND.square().sum(dim=1).mean().sqrt()
    deviation_D = torch.full((embedding.embedding_dim,), 1 / math.sqrt(embedding.embedding_dim))
    if len(vectors_ND) > 1:
        deviation_D = vectors_ND.std(dim=0, correction=0)
    table_VD = vectors_ND.mean(dim=0) + deviation_D * torch.randn(embedding.num_embeddings, embedding.embedding_dim)
    table_VD[torch.from_numpy(found.rows)] = vectors_ND
    table_VD[special_tokens.PAD] = 0
    embedding.weight.copy_(table_VD)
