"""The four special symbols: the first four rows of every vocabulary, by position.

A text that contains `</s>` injects nothing: such a token is an ordinary row of its own, further down.
"""

from __future__ import annotations

from typing import Final

PAD: Final = 0
UNK: Final = 1
BOS: Final = 2
EOS: Final = 3

# Keep in the order of the ids above.
NAMES: Final = ("<pad>", "<unk>", "<s>", "</s>")
