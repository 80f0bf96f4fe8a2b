"""Markers of language models, `<s>`, `</s>` and `<unk>`, that stand in the training text as ordinary words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnkit.events import Listener, WarningEvent
from rnnkit.text.special_tokens import NAMES, UNK

if TYPE_CHECKING:
    from rnnkit.text.vocabulary import Vocabulary


def warn_of_markers(vocabulary: Vocabulary, counted: bool, listen: Listener) -> None:
    """Warn of markers among the words, and of what they mean for export.

    Args:
        vocabulary: Of the training text.
        counted: Whether the model is of counts, which can be exported. A network is warned only of markers that repeat
            the beginning and the end of a line: `<unk>` is common in prepared text, and does no harm there.
        listen: Receives one warning.
    """
    unknown = NAMES[UNK]
    found = [name for name in NAMES[UNK:] if name in vocabulary.ids and (counted or name != unknown)]
    if not found:
        return
    shown = ", ".join(f"{name} ({vocabulary.counts[vocabulary.ids[name]]:,} times)" for name in found)
    text = f"the training text has {shown} as ordinary words, beside the markers that each line gets"
    limits = [name for name in found if name != unknown]
    if limits:
        text += f"; remove {' and '.join(limits)} from the text (`sed -E 's#</?s>##g' TEXT`) and train again"
    if counted and limits:
        text += "; as it is, convert-ngrams cannot write the model: an ARPA file has each marker once"
    if unknown in found:
        text += f"; convert-ngrams --merge-unknown makes the text's {unknown} the unknown word of an ARPA file"
    listen(WarningEvent(text))
