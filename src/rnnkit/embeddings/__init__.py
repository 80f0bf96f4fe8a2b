"""Word vectors: training, file formats, and queries.

`hogwild_trainer` learns vectors from text, `formats/` reads and writes files of word2vec, fastText, GloVe and rnnkit,
and `WordVectors` answers queries: nearest neighbors, similarity, analogies. The compiled code is in `rnnkit.kernels`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rnnkit.embeddings.vectors import WordVectors

__all__ = ["WordVectors"]


def __getattr__(name: str) -> type[WordVectors]:
    """Import `WordVectors` at its first use, so that help pages do not wait for NumPy."""
    if name != "WordVectors":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from rnnkit.embeddings.vectors import WordVectors

    return WordVectors
