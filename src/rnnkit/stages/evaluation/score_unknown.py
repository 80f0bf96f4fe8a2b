"""Text that was not cut into words as a model's own text was: nearly nothing is known of it, and no figure shows why.

A model that was imported, or trained on text in tokens, reads words between blanks. To it, `crown.` is one word, and an
unknown one.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rnnkit.events import Listener, WarningEvent
from rnnkit.stages.evaluation.score_inputs import IN_TOKENS, Scorer
from rnnkit.text.special_tokens import EOS, UNK

if TYPE_CHECKING:
    from rnnkit.stages.evaluation.score_inputs import Lines

MOST_UNKNOWN = 0.5
"""Share of unknown words from which on there is a warning."""

MOST_TOUCHED = 0.02
"""The same of words that are known without the punctuation that touches them."""


class UnknownWords:
    """What a model does not know of a text, counted line by line.

    Args:
        scorer: The model.
    """

    def __init__(self, scorer: Scorer) -> None:
        kind = None if scorer.tokenizer is None else scorer.tokenizer.kind
        self._reads_tokens = kind is None or kind in IN_TOKENS
        self._scorer = scorer
        self._words = self._unknown = self._touched = 0

    def add(self, group: Lines) -> None:
        """Count the words of some lines."""
        if not self._reads_tokens or group.raw is None:
            return
        ids = group.text.ids
        self._words += int((ids != EOS).sum())
        self._unknown += int((ids == UNK).sum())
        self._touched += sum(self._touched_in(line) for line in group.tokens)

    def warn(self, listen: Listener) -> None:
        """Warn where the text seems to be raw."""
        if self._unknown <= MOST_UNKNOWN * self._words and self._touched <= MOST_TOUCHED * self._words:
            return
        touched = f", {self._touched:,} of which it knows without punctuation at their ends" if self._touched else ""
        folder = self._scorer.folder
        listen(
            WarningEvent(
                f"{folder} does not know {self._unknown:,} of {self._words:,} words{touched}; it reads words between "
                "blanks, as the text has them that it was estimated from: tokenize this text in the same way, for "
                "example with `rnnkit tokenize`, and score the tokens"
            )
        )

    def _touched_in(self, line: Sequence[str]) -> int:
        known = self._scorer.vocabulary.ids
        return sum(word not in known and _bare(word) in known for word in line)


def _bare(word: str) -> str:
    """A word without punctuation at its ends."""
    begin, end = 0, len(word)
    while begin < end and unicodedata.category(word[begin])[0] in "PS":
        begin += 1
    while begin < end and unicodedata.category(word[end - 1])[0] in "PS":
        end -= 1
    return word[begin:end]
