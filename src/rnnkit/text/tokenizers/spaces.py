"""`spaces`: text that is in tokens already, parted by white space; nothing else is cut, nothing is marked."""

from __future__ import annotations

from collections.abc import Sequence

from rnnkit.text.tokenizers.tokenizer import Tokenizer


class SpaceTokenizer(Tokenizer):
    """White space parts the tokens: what others have tokenized keeps its tokens, `<unk>` and `doesn 't` among them.

    No token stands for the white space itself, so any run of it comes back as one space, whatever the Unicode form.
    """

    kinds = ("spaces",)

    def split(self, text: str) -> list[str]:
        """What stands between the spaces."""
        return text.split()

    def join(self, tokens: Sequence[str]) -> str:
        """The tokens with a space between any two."""
        return " ".join(tokens)
