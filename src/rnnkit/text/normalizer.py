"""What happens to a line before it is cut into tokens: Unicode form, case, white space.

The result is what `detokenize` gives back: it cannot know how a character was composed, nor how wide a gap was. The
exact form keeps both.
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
    """Bring a line to one spelling.

    Attributes:
        form: `nfc` composes what can be composed; `nfkc` also folds widths, ligatures and the like, and cannot be
            undone; `none` leaves code points as they are.
        lowercase: Make everything lower case.
        exact: With the form `none`, keep white space as it is: runs, ends, tabs, no-break spaces. Without it, which is
            how tokenizers of older versions work, each run becomes one space.
    """

    form: str = NFC
    lowercase: bool = False
    exact: bool = False

    def __call__(self, text: str) -> str:
        """The normalised line. Unless exact: no white space at its ends, one space for each run of it inside."""
        if self.exact:
            return text.lower() if self.lowercase else text
        return " ".join(self.chunks(text))

    def chunks(self, text: str) -> list[str]:
        """What stands between the spaces of the normalised line."""
        if not text.isascii():
            text = self._compose(text)
        if self.lowercase:
            text = self._compose(text.lower())  # lower case can decompose: U+0130 becomes i and a dot
        return text.split()

    def _compose(self, text: str) -> str:
        if self.form == NONE:
            return text
        return unicodedata.normalize(cast(Literal["NFC", "NFKC"], self.form.upper()), text)
