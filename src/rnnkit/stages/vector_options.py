"""Options of commands that read word vectors."""

from __future__ import annotations

from functools import partial

from rnnkit.config import option

vectors = partial(
    option, None, help="Vectors directory, or a file of word2vec, fastText or GloVe.", shown_default="WORK/embeddings"
)
restrict = partial(
    option, None, help="Look only through so many of the most frequent words.", panel="Search", unit="words",
    minimum=1, shown_default="all",
)  # fmt: skip
