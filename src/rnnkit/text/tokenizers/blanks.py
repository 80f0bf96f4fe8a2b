"""`blanks`: text in the words of an ARPA file, which only blank, tab and line end separate."""

from __future__ import annotations

import re

from rnnkit.text.tokenizers.spaces import SpaceTokenizer

_WORD = re.compile(r"[^ \t\r\n]+")


class BlankTokenizer(SpaceTokenizer):
    """Cuts where KenLM cuts. All other white space, such as U+00A0, U+3000 or a vertical tab, is part of a word.

    Imported models have this tokenizer. `rnnkit tokenize` does not make it: words of a token file hold no white space.
    """

    kinds = ("blanks",)

    def tokenize(self, line: str) -> list[str]:
        """The words of a line as it is: nothing is normalised."""
        return self.split(line)

    def split(self, text: str) -> list[str]:
        """What stands between blanks."""
        return _WORD.findall(text)
