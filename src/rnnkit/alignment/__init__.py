"""Word alignment, and the lexical translation tables and vocabulary shortlists made from it. No torch.

Shape legend:

    N   sentence pairs
    S   words of a source sentence, or of all source sentences concatenated
    T   words of a target sentence, or of all target sentences concatenated
    H   shapes: distinct pairs of sentence lengths
    R   rows of a table: the source vocabulary and, last, the NULL word
    A   slots of a table
    E   entries of a sorted table
    L   alignment links
    D   jumps          B   jump weights, the longest jumps sharing one          K   HMM states          M   lengths

X1 is one more than X. EOS is not a word here: it is never aligned.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from rnnkit.alignment.alignment_links import (
        AlignmentScores,
        WordAlignments,
        read_links,
        score_links,
        symmetrize,
        write_links,
    )
    from rnnkit.alignment.alignment_models import AlignmentModel, AlignmentOptions
    from rnnkit.alignment.bitext import Bitext, BitextSide, make_bitext, make_side
    from rnnkit.alignment.em_training import predict_links, train_alignment_model
    from rnnkit.alignment.shortlist import Shortlist
    from rnnkit.alignment.translation_table import TranslationTable, make_translation_table

_MODULES: Final = {
    "WordAlignments": "alignment_links",
    "AlignmentModel": "alignment_models",
    "AlignmentOptions": "alignment_models",
    "AlignmentScores": "alignment_links",
    "Bitext": "bitext",
    "BitextSide": "bitext",
    "Shortlist": "shortlist",
    "TranslationTable": "translation_table",
    "make_bitext": "bitext",
    "make_side": "bitext",
    "make_translation_table": "translation_table",
    "predict_links": "em_training",
    "read_links": "alignment_links",
    "score_links": "alignment_links",
    "symmetrize": "alignment_links",
    "train_alignment_model": "em_training",
    "write_links": "alignment_links",
}
"""Module of each public name."""

__all__ = [
    "AlignmentModel",
    "AlignmentOptions",
    "AlignmentScores",
    "Bitext",
    "BitextSide",
    "Shortlist",
    "TranslationTable",
    "WordAlignments",
    "make_bitext",
    "make_side",
    "make_translation_table",
    "predict_links",
    "read_links",
    "score_links",
    "symmetrize",
    "train_alignment_model",
    "write_links",
]


def __getattr__(name: str) -> Any:
    """Import a public name at its first use, so that help pages do not load numpy and numba."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
