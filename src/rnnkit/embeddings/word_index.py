"""Words by row and rows by word, taken from the bytes of a vocabulary only as far as somebody asks.

Millions of words are opened at once: a row is cut out and decoded when it is wanted, a word is found by a search
through the bytes, and an index is built for those who ask often.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Final, overload

import numpy as np
from numpy.typing import NDArray

from rnnkit.errors import FormatError

MAX_LINEAR_SEARCHES: Final = 64
"""Searches through the bytes before an index is built."""

_TAB, _NEWLINE = 9, 10
Offsets = NDArray[np.int64]


class WordIndex(Sequence[str]):
    """The words of a table of `word<TAB>count` rows, in its order.

    Args:
        table: The rows, a newline before the first word and behind every count.
        starts: Where each word begins.
        tabs: Where each word ends.
        name: What the table is called in messages.
        first_line: Line of the first word in the file that the table was read from.
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
        """Take words from memory; they hold no tab, no newline, and none comes twice.

        Args:
            words: As text, or as its UTF-8 bytes.
            counts: How often each was met, where that is known.
            name: What they are called in messages.
        """
        encoded = [word.encode("utf-8") if isinstance(word, str) else word for word in words]
        known = counts if counts is not None else [0] * len(encoded)
        rows = [b"%b\t%d\n" % pair for pair in zip(encoded, known, strict=True)]
        starts = 1 + np.cumsum([0, *map(len, rows)], dtype=np.int64)[:-1]
        tabs = starts + np.fromiter(map(len, encoded), dtype=np.int64, count=len(encoded))
        return cls(b"\n" + b"".join(rows), starts, tabs, name)

    @classmethod
    def from_table(cls, table: bytes, name: str, skip: int = 0) -> WordIndex:
        """Take the rows of a vocabulary file.

        Args:
            table: The bytes of the file.
            name: The file's, for messages.
            skip: Rows at the start that are no words; at least one.

        Raises:
            FormatError: A row is not `word<TAB>count`, or the last one was cut off.
        """
        octets = np.frombuffer(table, dtype=np.uint8)
        ends = np.flatnonzero(octets == _NEWLINE)
        tabs = np.flatnonzero(octets == _TAB)
        starts = np.concatenate([np.zeros(1, dtype=np.int64), ends + 1])[:-1]
        whole = len(ends) > 0 and ends[-1] == len(table) - 1 and len(tabs) == len(ends)
        if not whole or bool(np.any((tabs <= starts) | (tabs >= ends))):
            raise _malformed_row(table, name)
        return cls(table, starts[skip:], tabs[skip:], name, skip + 1)

    @property
    def table(self) -> bytes:
        """The rows as a vocabulary file has them."""
        if not len(self):
            return b""
        return self._table[self._starts[0] : self._table.index(b"\n", self._tabs[-1]) + 1]

    @cached_property
    def counts(self) -> NDArray[np.int64] | None:
        """How often each word was met; None where nobody counted.

        Raises:
            FormatError: A count is not a whole number.
        """
        counts = np.empty(len(self), dtype=np.int64)
        for row, tab in enumerate(self._tabs.tolist()):
            text = self._table[tab + 1 : self._table.index(b"\n", tab)]
            if not text.isdigit() or len(text) > 18:
                where = f"{self.name}:{row + self._first_line}"
                raise FormatError(f"{where}: the count {text.decode(errors='backslashreplace')!r} is no whole number")
            counts[row] = int(text)
        return counts if counts.any() else None

    def first(self, count: int) -> WordIndex:
        """The first so many words."""
        return WordIndex(self._table, self._starts[:count], self._tabs[:count], self.name, self._first_line)

    def row(self, word: str) -> int | None:
        """The row of a word; None where it has none."""
        if self._searches < MAX_LINEAR_SEARCHES and "_index" not in self.__dict__:
            self._searches += 1
            return self._search(word)
        return self._index.get(_encode(word))

    def encoded(self) -> list[bytes]:
        """Every word as UTF-8."""
        places = zip(self._starts.tolist(), self._tabs.tolist(), strict=True)
        return [self._table[start:stop] for start, stop in places]

    def lengths(self) -> NDArray[np.int64]:
        """Bytes of each word."""
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
            return [self[number] for number in range(*row.indices(len(self)))]
        raw = self._table[self._starts[row] : self._tabs[row]]
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError as error:
            where = f"{self.name}:{row % len(self) + self._first_line}:{error.start + 1}"
            raise FormatError(f"{where}: not UTF-8 (byte 0x{raw[error.start]:02x})") from None

    def __iter__(self) -> Iterator[str]:
        return (self[row] for row in range(len(self)))

    def _search(self, word: str) -> int | None:
        needle = b"\n%b\t" % _encode(word)
        place = self._table.find(needle, max(0, int(self._starts[0]) - 1)) if len(self) and len(needle) > 2 else -1
        if place < 0:
            return None
        row = int(np.searchsorted(self._starts, place + 1))
        return row if row < len(self) and self._starts[row] == place + 1 else None

    @cached_property
    def _index(self) -> dict[bytes, int]:
        """The row of each word."""
        index: dict[bytes, int] = {}
        for row, word in enumerate(self.encoded()):
            if index.setdefault(word, row) != row:
                where = f"{self.name}:{row + self._first_line}"
                first = f"the first is line {index[word] + self._first_line}"
                raise FormatError(f"{where}: {word.decode(errors='backslashreplace')!r} has a row already", first)
        return index


def _encode(word: str) -> bytes:
    """UTF-8; half a surrogate pair, as a terminal may deliver, becomes bytes that no word has."""
    return word.encode("utf-8", "surrogatepass")


def _malformed_row(table: bytes, name: str) -> FormatError:
    """What is wrong with the first row that is wrong."""
    lines = table.split(b"\n")
    bad = (number for number, line in enumerate(lines, start=1) if line.count(b"\t") != 1 or line.startswith(b"\t"))
    cut_off = [] if table.endswith(b"\n") else ["its last row has no end: the file may have been cut off"]
    return FormatError(f"{name}:{next(bad, len(lines))}: a row is `word<TAB>count`, this one is not", *cut_off)
