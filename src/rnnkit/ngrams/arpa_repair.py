r"""ARPA files that are imperfect, read as far as they can be read.

Sphinx' tools write blanks for tabs and text before `\data\`; others leave out `\end\`, count wrongly, or write an
n-gram twice. Here the sections decide, not the counts of the header, and what cannot be read is skipped. Every repair
is recorded. Memory is taken for rows that were read, never for rows that a header counts.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rnnkit.errors import DataError, FormatError
from rnnkit.events import Listener
from rnnkit.io.safe_reading import Repairs
from rnnkit.ngrams.arpa_kernels import parse_rows
from rnnkit.ngrams.arpa_text import ArpaText, first_line, show
from rnnkit.ngrams.arpa_words import COUNT, Weights, number_words, plant, row_form
from rnnkit.ngrams.lexicon import tabulate
from rnnkit.ngrams.model import NgramModel
from rnnkit.ngrams.options import LONGEST_ORDER
from rnnkit.ngrams.trie import Rows, Trie

IMPOSSIBLE: Final = -99.0
"""The logarithm of a word whose own is not a number."""

TABS: Final = "rows with blanks for tabs"
PREFACE: Final = "lines before \\data\\"
COUNTS: Final = "wrong counts"
DUPLICATES: Final = "duplicate n-grams"
ENCODING: Final = "words with invalid UTF-8"
NO_END: Final = "missing \\end\\"
BEHIND: Final = "lines behind \\end\\"
PROBABILITIES: Final = "log-probabilities that are not finite"
POSITIVE: Final = "positive log-probabilities"
BACKOFFS: Final = "back-offs that are not finite numbers"
UNUSED: Final = "back-offs of the longest n-grams"
COMMAS: Final = "decimal commas"
MALFORMED: Final = "malformed lines"
HEADERS: Final = "misspelled headers"
BLANK: Final = "blank lines between rows"
NO_BLANK: Final = "missing blank lines"
UNKNOWN: Final = "n-grams of words that are not 1-grams"
NO_CONTEXT: Final = "n-grams without their context"

_DATA: Final = re.compile(rb"[ \t\r]*\\data\\[ \t\r]*", re.IGNORECASE)
_END: Final = re.compile(rb"[ \t\r]*\\end\\?[ \t\r]*", re.IGNORECASE)
_HEADER: Final = re.compile(rb"[ \t\r]*\\(\d{1,2})-n?grams?:?[ \t\r]*", re.IGNORECASE)
_LOOSE_COUNT: Final = re.compile(rb"[ \t\r]*ngrams?[ \t]+(\d{1,2})[ \t]*[=:][ \t]*(\d{1,18})[ \t\r]*", re.IGNORECASE)
_COLUMN: Final = re.compile(rb"[^ \t\r]+")
_NUMBER: Final = re.compile(rb"[-+]?(\d+[.,]?\d*|[.,]\d+)([eE][-+]?\d+)?")
_NOT_FINITE: Final = re.compile(rb"[-+]?(nan|inf|infinity)", re.IGNORECASE)
_LARGEST: Final = 1e30
_BLOCK: Final = 1 << 16
_ONE_BY_ONE: Final = 4096
"""Lines read one by one before the kernel, which reads regular rows alone, is tried again."""

Longs = NDArray[np.int64]


def read_repaired(text: ArpaText, repairs: Repairs, listen: Listener) -> tuple[NgramModel, list[str]]:
    """Read an ARPA file.

    Args:
        text: The file, at its start.
        repairs: Takes what is repaired or skipped.
        listen: Warned of the repairs, and where the file has no `<unk>`.

    Returns:
        The model, and the vocabulary's tokens by id, as `arpa_reader.read_arpa`.

    Raises:
        DataError: The file is something else, or a line is too long.
        FormatError: It has no words or no markers of lines, its sections are out of order, or it cannot be unpacked.
    """
    _find_data(text, repairs)
    declared = _read_counts(text, repairs)
    sections = _Sections(text, repairs)
    if not sections.begin(1):
        raise FormatError(f"{text.name} has no \\1-grams:", "the words of a model are its 1-grams")
    words, places = sections.words()
    tokens, row_of = number_words(words, text.name, listen, sections.spelled)
    trie = plant(words, row_of, len(tokens))
    _compare(text, declared, 1, len(words), sections.seen, repairs)
    backoff_N = np.array([backoff for _, backoff in words.values()], np.float32)
    while sections.begin(trie.order + 1):
        rows, places = _fit(text, *sections.rows(trie.order + 1, row_of), tokens, trie, repairs)
        _compare(text, declared, trie.order + 1, len(places), sections.seen, repairs)
        trie.add(rows, lambda _: text.name, lambda _: "an n-gram")
        backoff_N = rows.backoff_N
    for place in places[backoff_N != 0].tolist():
        repairs.add(UNUSED, f"{text.name}:{place}", "ignored")
    for order in sorted(order for order, count in declared.items() if order > trie.order and count):
        repairs.add(COUNTS, text.name, f"ngram {order}={declared[order]}, the file has none")
    repairs.warn(listen)
    return trie.model(), tokens


def _find_data(text: ArpaText, repairs: Repairs) -> None:
    r"""Read up to `\data\`."""
    first = line = first_line(text)
    while not _DATA.fullmatch(line):
        repairs.add(PREFACE, text.where, "skipped")
        following = text.filled()
        if following is None:
            raise DataError(
                f"{text.name}: this is no ARPA file: there is no \\data\\", f"its first line is {show(first)}"
            )
        line = following
    if line != b"\\data\\":
        repairs.add(HEADERS, text.where, f"{show(line)} read as \\data\\")


def _read_counts(text: ArpaText, repairs: Repairs) -> dict[int, int]:
    """The n-grams of each order as the header counts them."""
    declared: dict[int, int] = {}
    blank = True
    while (line := text.line()) is not None:
        if _HEADER.fullmatch(line) or _END.fullmatch(line):
            if not blank:
                repairs.add(NO_BLANK, text.where, "ignored")
            text.back()
            break
        blank = not line.strip()
        if blank:
            continue
        found = _LOOSE_COUNT.fullmatch(line)
        if not found or not 1 <= int(found[1]) <= LONGEST_ORDER:
            repairs.add(MALFORMED, text.where, "skipped")
            continue
        if not COUNT.fullmatch(line):
            repairs.add(HEADERS, text.where, f"{show(line)} read as ngram {int(found[1])}={int(found[2])}")
        declared[int(found[1])] = int(found[2])
    return declared


def _compare(text: ArpaText, declared: Mapping[int, int], order: int, kept: int, seen: int, repairs: Repairs) -> None:
    """Record a count that is not that of the rows."""
    count = declared.get(order)
    if count is None or not kept <= count <= seen:
        shown = f"the header has no count of {order}-grams" if count is None else f"ngram {order}={count}"
        repairs.add(COUNTS, text.name, f"{shown}, the file has {seen}")


class _Sections:
    """The sections of a file, one after the other.

    Args:
        text: The file, behind its counts.
        repairs: Takes what is repaired or skipped.

    Attributes:
        spelled: Text of the words that are not UTF-8.
        seen: Rows of the present section, skipped ones included.
    """

    def __init__(self, text: ArpaText, repairs: Repairs) -> None:
        self.spelled: dict[bytes, str] = {}
        self.seen = 0
        self._text = text
        self._repairs = repairs
        self._ended = False
        self._blank = 0

    def begin(self, order: int) -> bool:
        """Read the header of a section; False behind the last section. Raises FormatError where another one stands."""
        self.seen = self._blank = 0
        if self._ended:
            return False
        line = self._text.filled()
        while line is not None and not _HEADER.fullmatch(line) and not _END.fullmatch(line):
            self._repairs.add(MALFORMED, self._text.where, "skipped")
            line = self._text.filled()
        found = line and _HEADER.fullmatch(line)
        if line is None or not found:
            self._end(line)
            return False
        if int(found[1]) != order or order > LONGEST_ORDER:
            raise FormatError(
                f"{self._text.where}: {show(line)} stands where \\{order}-grams: or \\end\\ is due",
                f"sections are consecutive, begin with 1, and end with {LONGEST_ORDER} at most",
            )
        if line != b"\\%d-grams:" % order:
            self._repairs.add(HEADERS, self._text.where, f"{show(line)} read as \\{order}-grams:")
        return True

    def words(self) -> tuple[dict[bytes, Weights], Longs]:
        """The 1-grams in order, and the numbers of their lines."""
        weights: dict[bytes, Weights] = {}
        places: list[int] = []
        made: set[bytes] = set()
        while (line := self._row()) is not None:
            if (row := self._take(line, 1)) is None:
                continue
            log10, (word,), backoff = row
            text = word.decode("utf-8", "replace").replace("\0", "\ufffd")
            own = text.encode()
            if word in weights or own in weights or own in made:
                self._repairs.add(DUPLICATES, self._text.where, f"{text!r} skipped")
                continue
            if own != word:
                self._repairs.add(ENCODING, self._text.where, f"{show(word)} read as {text!r}")
                self.spelled[word] = text
                made.add(own)
            weights[word] = log10, backoff
            places.append(self._text.number)
        return weights, np.array(places, np.int64)

    def rows(self, order: int, row_of: Mapping[bytes, int]) -> tuple[Rows, Longs]:
        """The n-grams of the section's order, and the numbers of their lines."""
        ids, (spelled, begins, table) = np.array(list(row_of.values()), np.int32), tabulate(list(row_of))
        blocks, places = [_block(order, [])], [np.empty(0, np.int64)]
        going = True
        while going:
            lines = self._text.whole_lines()
            words_MK = np.empty((_BLOCK, order), np.int32)
            log10_M, backoff_M = np.empty(_BLOCK, np.float32), np.empty(_BLOCK, np.float32)
            taken, length = parse_rows(lines, spelled, begins, table, False, words_MK, log10_M, backoff_M)
            if taken:
                self._pass_blank()
                places.append(self._text.number + 1 + np.arange(taken))
                blocks.append(Rows(ids[words_MK[:taken]], log10_M[:taken].copy(), backoff_M[:taken].copy()))
                self._text.skip(length, taken)
                self.seen += taken
            found: list[tuple[float, list[int], float]] = []
            numbers: list[int] = []
            for _ in range(_ONE_BY_ONE if not taken else int(taken < _BLOCK)):
                if not (going := (line := self._row()) is not None):
                    break
                if line is not None and (row := self._take(line, order)) is not None:
                    if unknown := [word for word in row[1] if word not in row_of]:
                        self._repairs.add(UNKNOWN, self._text.where, f"{show(unknown[0])}: skipped")
                        continue
                    found.append((row[0], [row_of[word] for word in row[1]], row[2]))
                    numbers.append(self._text.number)
            blocks.append(_block(order, found))
            places.append(np.array(numbers, np.int64))
        return _join(blocks), np.concatenate(places)

    def _row(self) -> bytes | None:
        """The next line of the section that is not blank; None at its end, where the next header is not read yet."""
        while (line := self._text.line()) is not None:
            if not line.strip():
                self._blank += 1
            elif _HEADER.fullmatch(line) or _END.fullmatch(line):
                self._text.back()
                return None
            else:
                self._pass_blank()
                self.seen += 1
                return line
        return None

    def _pass_blank(self) -> None:
        """Record the blank lines that the present row follows."""
        for _ in range(self._blank):
            self._repairs.add(BLANK, self._text.where, "ignored")
        self._blank = 0

    def _take(self, line: bytes, order: int) -> tuple[float, list[bytes], float] | None:
        """Read a row: its logarithm, words and back-off; None where it is skipped."""
        where, repairs = self._text.where, self._repairs
        columns = _COLUMN.findall(line)
        log10 = _value(columns[0])
        if len(columns) not in (order + 1, order + 2) or log10 is None:
            repairs.add(MALFORMED, where, "skipped")
            return None
        number, tab, rest = line.partition(b"\t")
        if not tab or number != columns[0] or not row_form(order).fullmatch(rest):
            repairs.add(TABS, where, "cut at blanks")
        if b"," in columns[0] or (len(columns) == order + 2 and b"," in columns[-1]):
            repairs.add(COMMAS, where, "read as points")
        if math.isnan(log10):
            repairs.add(PROBABILITIES, where, f"replaced by {IMPOSSIBLE:g}" if order == 1 else "skipped")
            if order > 1:
                return None
            log10 = IMPOSSIBLE
        if log10 > 0:
            repairs.add(POSITIVE, where, f"{log10:g} replaced by 0")
            log10 = 0.0
        backoff = _value(columns[-1]) if len(columns) == order + 2 else 0.0
        if backoff is None or not math.isfinite(backoff):
            repairs.add(BACKOFFS, where, f"{show(columns[-1])} replaced by 0")
            backoff = 0.0
        return log10, columns[1 : order + 1], backoff

    def _end(self, line: bytes | None) -> None:
        r"""Read what follows `\end\`."""
        self._ended = True
        if line is None:
            self._repairs.add(NO_END, self._text.name, "ignored")
        elif line != b"\\end\\":
            self._repairs.add(HEADERS, self._text.where, f"{show(line)} read as \\end\\")
        while line is not None and (line := self._text.filled()) is not None:
            self._repairs.add(BEHIND, self._text.where, "skipped")


def _value(text: bytes) -> float | None:
    """A number: not a number where it is not finite, but minus infinity is one; None where it is not written as one."""
    if _NOT_FINITE.fullmatch(text):
        return -math.inf if text.lower() == b"-inf" else math.nan
    if not _NUMBER.fullmatch(text):
        return None
    value = float(text.replace(b",", b"."))
    return value if abs(value) <= _LARGEST else math.nan


def _fit(
    text: ArpaText, rows: Rows, place_N: Longs, tokens: list[str], trie: Trie, repairs: Repairs
) -> tuple[Rows, Longs]:
    """The n-grams that the trie can take, and the numbers of their lines."""
    alone_N, repeated_N = trie.unfit(rows.words_NK)
    for kind, unfit_N in ((NO_CONTEXT, alone_N), (DUPLICATES, repeated_N)):
        for row in np.flatnonzero(unfit_N).tolist():
            words = " ".join(tokens[word] for word in rows.words_NK[row].tolist())
            repairs.add(kind, f"{text.name}:{place_N[row]}", f"{words!r} skipped")
    kept_N = ~(alone_N | repeated_N)
    return Rows(rows.words_NK[kept_N], rows.log10_N[kept_N], rows.backoff_N[kept_N]), place_N[kept_N]


def _block(order: int, found: list[tuple[float, list[int], float]]) -> Rows:
    words = np.array([words for _, words, _ in found], np.int32).reshape(-1, order)
    log10_N, backoff_N = (np.array([row[place] for row in found], np.float32) for place in (0, 2))
    return Rows(words, log10_N, backoff_N)


def _join(blocks: list[Rows]) -> Rows:
    return Rows(
        np.concatenate([block.words_NK for block in blocks]),
        np.concatenate([block.log10_N for block in blocks]),
        np.concatenate([block.backoff_N for block in blocks]),
    )
