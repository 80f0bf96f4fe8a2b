"""Normalization of a line before tokenization: Unicode form, case, white space.

`detokenize` returns the normalized line: how characters were composed and how wide a gap was is lost. The exact form
keeps both.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Final, Literal, cast

NFC: Final = "nfc"
NFKC: Final = "nfkc"
NONE: Final = "none"
FORMS: Final = (NFC, NFKC, NONE)


@dataclass(frozen=True)
class Normalizer:
    """Unicode normalization, lowercasing and white-space normalization.

    Attributes:
        form: `nfc` composes characters; `nfkc` also folds widths, ligatures and the like, irreversibly; `none` leaves
            code points as they are.
        lowercase: Convert to lower case.
        exact: With the form `none`, keep white space: runs, ends, tabs, no-break spaces. Otherwise, as in tokenizers of
            older versions, each run becomes one space.
    """

    form: str = NFC
    lowercase: bool = False
    exact: bool = False

    def __call__(self, text: str) -> str:
        """Return the normalized line. Unless exact, it is stripped and has one space for each run of white space."""
        if self.exact:
            return text.lower() if self.lowercase else text
        return " ".join(self.chunks(text))

    def chunks(self, text: str) -> list[str]:
        """Return the normalized line, split at its spaces."""
        if not text.isascii():
            text = self._compose(text)
        if self.lowercase:
            text = self._compose(text.lower())  # lowercasing can decompose: U+0130 becomes i and a combining dot
        return text.split()

    def _compose(self, text: str) -> str:
        if self.form == NONE:
            return text
        return unicodedata.normalize(cast(Literal["NFC", "NFKC"], self.form.upper()), text)
