"""What a tokenizer's normalization did to a line: white space, case, Unicode form."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

WHITE_SPACE: Final = "white space"
CASE: Final = "case"
FORM: Final = "Unicode form"
OTHER: Final = "other characters"
KINDS: Final = (WHITE_SPACE, CASE, FORM, OTHER)
"""In the order in which messages name them."""

_GAPS = re.compile(r"\s+")


def changes(raw: str, reproduced: str) -> frozenset[str]:
    """In which ways two spellings of a line differ.

    Args:
        raw: The line as it was read.
        reproduced: The line that its tokens spell.

    Returns:
        Some of `KINDS`; none where the two are the same.
    """
    if raw == reproduced:
        return frozenset()
    found = {WHITE_SPACE} if _GAPS.findall(raw) != _GAPS.findall(reproduced) else set()
    one, other = _GAPS.sub("", raw), _GAPS.sub("", reproduced)
    if one != other:
        if _folded(one) != _folded(other):
            return frozenset({*found, OTHER})
        by_case = _composed(one) != _composed(other)
        by_form = one.lower() != other.lower() or not by_case
        found |= ({CASE} if by_case else set()) | ({FORM} if by_form else set())
    return frozenset(found)


def _composed(text: str) -> str:
    return unicodedata.normalize("NFKC", text)


def _folded(text: str) -> str:
    return _composed(_composed(text).lower())
