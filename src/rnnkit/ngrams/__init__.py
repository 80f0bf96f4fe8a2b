"""N-gram language models: counting, smoothing, the trie, ARPA files, storage. No torch.

Shape legend, beside that of the project (`rnnkit/nn/__init__.py`):

    P   text positions, one <s> before each sentence
    N   n-grams of one order     C   their contexts, the n-grams one order lower     S   their suffixes, likewise
    A   n-grams of all orders    I   those of them that are below the highest order   M   ids or entries of one block
    V   vocabulary               K   words of an n-gram

X1 is one more than X. Within one order n-grams are numbered from 0; in a model they are nodes, numbered through all
orders, with the empty context as node 0.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rnnkit.ngrams.arpa_reader import read_arpa
    from rnnkit.ngrams.arpa_writer import write_arpa
    from rnnkit.ngrams.ngram_estimation import estimate_ngram_model
    from rnnkit.ngrams.ngram_model import BackoffModel
    from rnnkit.ngrams.options import NgramOptions

_MODULES: Final = {
    "BackoffModel": "ngram_model",
    "NgramOptions": "options",
    "estimate_ngram_model": "ngram_estimation",
    "read_arpa": "arpa_reader",
    "write_arpa": "arpa_writer",
}
"""Module of each public name."""

__all__ = ["BackoffModel", "NgramOptions", "estimate_ngram_model", "read_arpa", "write_arpa"]


def __getattr__(name: str) -> object:
    """Import a public name at its first use, so that help pages do not load numpy and numba."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
