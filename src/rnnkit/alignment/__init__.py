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
from typing import TYPE_CHECKING, Final

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
    "alignment_links": ("AlignmentScores", "WordAlignments", "read_links", "score_links", "symmetrize", "write_links"),
    "alignment_models": ("AlignmentModel", "AlignmentOptions"),
    "bitext": ("Bitext", "BitextSide", "make_bitext", "make_side"),
    "em_training": ("predict_links", "train_alignment_model"),
    "shortlist": ("Shortlist",),
    "translation_table": ("TranslationTable", "make_translation_table"),
}
"""Public names by module."""

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


def __getattr__(name: str) -> object:
    """Import a public name at its first use, so that help pages do not load NumPy and Numba."""
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
