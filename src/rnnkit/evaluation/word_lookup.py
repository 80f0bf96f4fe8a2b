"""Which row of the vectors a word of a test belongs to, where case may count or not."""

from __future__ import annotations

from collections.abc import Iterable


def find_rows(wanted: Iterable[str], words: Iterable[str], ignore_case: bool) -> dict[str, int]:
    """The row of each word of a test that has one.

    A word's own spelling comes first. Where case is ignored, a word with the same lower case is next. Last comes one
    that is the other in capitals, as `STRASSE` is to `straße` and `SINIR` to Turkish `sınır`, which lower case does not
    find. Two words whose capitals are the same, such as `masse` and `maße` or `sinir` and `sınır`, stay two words.

    Args:
        wanted: Words of the test.
        words: One a row, the most frequent first: of several that fit equally well the first is taken.
        ignore_case: Whether a word may have another case than in the test.
    """
    asked = dict.fromkeys(wanted)
    spelled: dict[str, int] = {}
    lower: dict[str, int] = {}
    capitals: dict[str, int] = {}
    spellings = {form for word in asked for form in (word, *_capitals(word))} if ignore_case else set(asked)
    lowered = {word.lower() for word in asked} if ignore_case else set()
    for row, word in enumerate(words):
        if word in spellings:
            spelled.setdefault(word, row)
        if ignore_case:
            if (key := word.lower()) in lowered:
                lower.setdefault(key, row)
            for form in _capitals(word):
                if form in asked:
                    capitals.setdefault(form, row)
    found: dict[str, int] = {}
    for word in asked:
        in_capitals = [capitals.get(word), *(spelled.get(form) for form in _capitals(word))] if ignore_case else []
        last = min((row for row in in_capitals if row is not None), default=None)
        for place in (spelled.get(word), lower.get(word.lower()), last):
            if place is not None:
                found.setdefault(word, place)
    return found


def _capitals(word: str) -> tuple[str, str]:
    """A word in capitals, and with its first letter alone in capitals."""
    return word.upper(), word.capitalize()
