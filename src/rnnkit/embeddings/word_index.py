"""The words of a vocabulary file, decoded and indexed only as far as needed.

A vocabulary of millions of words opens at once: a word is decoded when it is accessed and found by a search through the
bytes; a hash index is built after MAX_LINEAR_SEARCHES lookups.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Final, overload

import numpy as np
from numpy.typing import NDArray

from rnnkit.errors import FormatError

MAX_LINEAR_SEARCHES: Final = 64
"""Searches through the bytes before a hash index is built."""

_TAB, _NEWLINE = 9, 10
Offsets = NDArray[np.int64]


class WordIndex(Sequence[str]):
    """The words of a table of `word<TAB>count` lines, in its order.

    Args:
        table: The lines, with a newline before the first word and after every count.
        starts: Where each word begins.
        tabs: Where each word ends.
        name: Name of the table, for messages.
        first_line: Line of the first word in the file.
    """

    def __init__(self, table: bytes, starts: Offsets, tabs: Offsets, name: str, first_line: int = 1) -> None:
        self._table = table
        self._starts = starts
        self._tabs = tabs
        self._searches = 0
        self._first_line = first_line
        self.name = name

    @classmethod
    def from_list(
        cls, words: Sequence[str | bytes], counts: Sequence[int] | None = None, name: str = "words"
    ) -> WordIndex:
        """Index distinct words that contain neither tab nor newline.

        Args:
            words: As text, or as UTF-8 bytes.
            counts: Occurrences of each, if known.
            name: Name of the table, for messages.
        """
        encoded = [word.encode("utf-8") if isinstance(word, str) else word for word in words]
        known = counts if counts is not None else [0] * len(encoded)
        rows = [b"%b\t%d\n" % pair for pair in zip(encoded, known, strict=True)]
        starts = 1 + np.cumsum([0, *map(len, rows)], dtype=np.int64)[:-1]
        tabs = starts + np.fromiter(map(len, encoded), dtype=np.int64, count=len(encoded))
        return cls(b"\n" + b"".join(rows), starts, tabs, name)

    @classmethod
    def from_table(cls, table: bytes, name: str, skip: int = 0) -> WordIndex:
        """Index the lines of a vocabulary file.

        Args:
            table: The bytes of the file.
            name: Name of the file, for messages.
            skip: Lines at the start that are not words; at least one.

        Raises:
            FormatError: A line is not `word<TAB>count`, or the last one is incomplete.
        """
        bytes_ = np.frombuffer(table, dtype=np.uint8)
        ends = np.flatnonzero(bytes_ == _NEWLINE)
        tabs = np.flatnonzero(bytes_ == _TAB)
        starts = np.concatenate([np.zeros(1, dtype=np.int64), ends + 1])[:-1]
        whole = len(ends) > 0 and ends[-1] == len(table) - 1 and len(tabs) == len(ends)
        if not whole or bool(np.any((tabs <= starts) | (tabs >= ends))):
            raise _malformed_row(table, name)
        return cls(table, starts[skip:], tabs[skip:], name, skip + 1)

    @property
    def table(self) -> bytes:
        """The lines, as in a vocabulary file."""
        if not len(self):
            return b""
        return self._table[self._starts[0] : self._table.index(b"\n", self._tabs[-1]) + 1]

    @cached_property
    def counts(self) -> NDArray[np.int64] | None:
        """Occurrences of each word; None if unknown, that is, if all are 0.

        Raises:
            FormatError: A count is not an integer.
        """
        counts = np.empty(len(self), dtype=np.int64)
        for row, tab in enumerate(self._tabs.tolist()):
            text = self._table[tab + 1 : self._table.index(b"\n", tab)]
            if not text.isdigit() or len(text) > 18:
                shown, line = text.decode(errors="backslashreplace"), row + self._first_line
                raise FormatError(
                    f"{self.name}:{line}: the count {shown!r} is not an integer", path=self.name, line=line
                )
            counts[row] = int(text)
        return counts if counts.any() else None

    def first(self, count: int) -> WordIndex:
        """Return the first `count` words."""
        return WordIndex(self._table, self._starts[:count], self._tabs[:count], self.name, self._first_line)

    def row(self, word: str) -> int | None:
        """Return the index of a word, or None if it is missing."""
        if self._searches < MAX_LINEAR_SEARCHES and "_index" not in self.__dict__:
            self._searches += 1
            return self._search(word)
        return self._index.get(_encode(word))

    def encoded(self) -> list[bytes]:
        """Return all words in UTF-8."""
        bounds = zip(self._starts.tolist(), self._tabs.tolist(), strict=True)
        return [self._table[start:stop] for start, stop in bounds]

    def lengths(self) -> NDArray[np.int64]:
        """Return the length of each word in bytes."""
        return self._tabs - self._starts

    def __len__(self) -> int:
        return len(self._starts)

    def __contains__(self, word: object) -> bool:
        return isinstance(word, str) and self.row(word) is not None

    @overload
    def __getitem__(self, row: int) -> str: ...
    @overload
    def __getitem__(self, row: slice) -> list[str]: ...
    def __getitem__(self, row: int | slice) -> str | list[str]:
        if isinstance(row, slice):
            return [self[index] for index in range(*row.indices(len(self)))]
        raw = self._table[self._starts[row] : self._tabs[row]]
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError as error:
            line = row % len(self) + self._first_line
            raise FormatError(
                f"{self.name}:{line}:{error.start + 1}: not UTF-8 (byte 0x{raw[error.start]:02x})",
                path=self.name,
                line=line,
            ) from None

    def __iter__(self) -> Iterator[str]:
        return (self[row] for row in range(len(self)))

    def _search(self, word: str) -> int | None:
        needle = b"\n%b\t" % _encode(word)
        found = self._table.find(needle, max(0, int(self._starts[0]) - 1)) if len(self) and len(needle) > 2 else -1
        if found < 0:
            return None
        row = int(np.searchsorted(self._starts, found + 1))
        return row if row < len(self) and self._starts[row] == found + 1 else None

    @cached_property
    def _index(self) -> dict[bytes, int]:
        """The index of each word."""
        index: dict[bytes, int] = {}
        for row, word in enumerate(self.encoded()):
            if index.setdefault(word, row) != row:
                line = row + self._first_line
                raise FormatError(
                    f"{self.name}:{line}: duplicate word {word.decode(errors='backslashreplace')!r}",
                    f"it first occurs in line {index[word] + self._first_line}",
                    path=self.name,
                    line=line,
                )
        return index


def _encode(word: str) -> bytes:
    """Encode in UTF-8; lone surrogates, as terminals may deliver, become bytes that no word contains."""
    return word.encode("utf-8", "surrogatepass")


def _malformed_row(table: bytes, name: str) -> FormatError:
    """Make the error for the first malformed line."""
    lines = table.split(b"\n")
    malformed = (n for n, line in enumerate(lines, start=1) if line.count(b"\t") != 1 or line.startswith(b"\t"))
    line = next(malformed, len(lines))
    details = [] if table.endswith(b"\n") else ["the last line does not end: the file may be truncated"]
    return FormatError(f"{name}:{line}: expected `word<TAB>count`", *details, path=name, line=line)


def find_words(queries: Iterable[str], words: Iterable[str], ignore_case: bool) -> dict[str, int]:
    """Map the words of a test set to indices; words without a match are missing from the result.

    An exact match has priority. If case is ignored, a word with the same lower-case form is next. Last is a word that
    equals the other's upper-case form, such as `STRASSE` for `straße` and `SINIR` for Turkish `sınır`, which lower case
    does not match. Words with equal upper-case forms, such as `masse` and `maße` or `sinir` and `sınır`, are distinct.

    Args:
        queries: Words of the test set.
        words: Words with vectors, the most frequent first; of several equally good matches, the first wins.
        ignore_case: Whether words match in any case.
    """
    wanted = dict.fromkeys(queries)
    exact: dict[str, int] = {}
    lower: dict[str, int] = {}
    upper: dict[str, int] = {}
    spellings = {form for word in wanted for form in (word, *_upper_forms(word))} if ignore_case else set(wanted)
    lowered = {word.lower() for word in wanted} if ignore_case else set()
    for index, word in enumerate(words):
        if word in spellings:
            exact.setdefault(word, index)
        if ignore_case:
            if (key := word.lower()) in lowered:
                lower.setdefault(key, index)
            for form in _upper_forms(word):
                if form in wanted:
                    upper.setdefault(form, index)
    found: dict[str, int] = {}
    for word in wanted:
        by_upper = [upper.get(word), *(exact.get(form) for form in _upper_forms(word))] if ignore_case else []
        last = min((index for index in by_upper if index is not None), default=None)
        for match in (exact.get(word), lower.get(word.lower()), last):
            if match is not None:
                found.setdefault(word, match)
    return found


def _upper_forms(word: str) -> tuple[str, str]:
    """Return a word in upper case, and with only its first letter in upper case."""
    return word.upper(), word.capitalize()
