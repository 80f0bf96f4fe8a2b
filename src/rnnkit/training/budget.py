"""How long to train when nobody says: enough passes for the data at hand."""

from __future__ import annotations

import math

FEWEST_EPOCHS = 3
MOST_EPOCHS = 60
EPOCHS_TIMES_ROOT = 9_000
"""Epochs times the square root of the target tokens: 14 passes over 420,000, 28 over 100,000, 9 over a million."""


def default_epochs(target_tokens: int) -> int:
    """Passes over a training part of this many target tokens.

    Small corpora are read more often, but not so often that all cost the same: the passes fall with the square root
    of the size.
    """
    return min(MOST_EPOCHS, max(FEWEST_EPOCHS, round(EPOCHS_TIMES_ROOT / math.sqrt(max(1, target_tokens)))))
