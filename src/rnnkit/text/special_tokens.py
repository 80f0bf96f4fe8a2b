"""The special tokens: the first four entries of every vocabulary, by position.

A `</s>` in a text is not EOS: the token is an ordinary entry of its own, further down.
"""

from __future__ import annotations

from typing import Final

PAD: Final = 0
UNK: Final = 1
BOS: Final = 2
EOS: Final = 3

# In the order of the ids above.
NAMES: Final = ("<pad>", "<unk>", "<s>", "</s>")
