r"""Lenient reading of imperfect ARPA files, for `--repair`.

Sphinx tools write blanks instead of tabs, and text before `\data\`; other programs leave out `\end\`, write wrong
counts, or repeat n-grams. Here section headers decide where a section ends, not the counts of the file's header, and
entries that cannot be parsed are skipped. Every repair is recorded. Memory is allocated for entries that were read,
never for entries that a header only counts.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Final

import numpy as np

from rnnkit.errors import DataError, FormatError
from rnnkit.events import Listener
from rnnkit.io.safe_reading import Repairs
from rnnkit.kernels.arpa_entries import parse_entries
from rnnkit.kernels.compiler import Int64Array
from rnnkit.ngrams.arpa_format import (
    COUNT_LINE,
    LOG10_ZERO,
    ArpaLines,
    Weights,
    assign_ids,
    entry_pattern,
    make_unigram_trie,
    make_word_index,
    quote,
    read_first_line,
)
from rnnkit.ngrams.ngram_model import BackoffModel, NgramEntries, TrieBuilder
from rnnkit.ngrams.options import MAX_ORDER

TABS: Final = "rows with blanks for tabs"
PREFACE: Final = "lines before \\data\\"
COUNTS: Final = "wrong counts"
DUPLICATES: Final = "duplicate n-grams"
ENCODING: Final = "words with invalid UTF-8"
NO_END: Final = "missing \\end\\"
TRAILING_LINES: Final = "lines behind \\end\\"
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
_LENIENT_COUNT: Final = re.compile(rb"[ \t\r]*ngrams?[ \t]+(\d{1,2})[ \t]*[=:][ \t]*(\d{1,18})[ \t\r]*", re.IGNORECASE)
_COLUMN: Final = re.compile(rb"[^ \t\r]+")
_NUMBER: Final = re.compile(rb"[-+]?(\d+[.,]?\d*|[.,]\d+)([eE][-+]?\d+)?")
_NOT_FINITE: Final = re.compile(rb"[-+]?(nan|inf|infinity)", re.IGNORECASE)
_MAX_MAGNITUDE: Final = 1e30
_BLOCK: Final = 1 << 16
_LINES_BEFORE_RETRY: Final = 4096
"""Irregular lines that are parsed one by one before the kernel, which only parses regular ones, is tried again."""


def read_repaired(lines: ArpaLines, repairs: Repairs, listen: Listener) -> tuple[BackoffModel, list[str]]:
    """Read an imperfect ARPA file.

    Args:
        lines: The file, at its start.
        repairs: Records what is repaired or skipped.
        listen: WarningEvent of the repairs, and if the file has no `<unk>`.

    Returns:
        The model, and the vocabulary's tokens by id, as `arpa_reader.read_arpa`.

    Raises:
        DataError: It is not an ARPA file, or a line is too long.
        FormatError: It has no unigrams, `<s>` or `</s>`, its sections are out of order, or it cannot be decompressed.
    """
    _find_data(lines, repairs)
    declared = _read_counts(lines, repairs)
    sections = _ArpaSections(lines, repairs)
    if not sections.begin(1):
        raise FormatError(f"{lines.name} has no \\1-grams:", "the unigrams are the vocabulary", path=lines.path)
    weights, line_N = sections.read_unigrams()
    tokens, id_of = assign_ids(weights, lines, listen, sections.decoded)
    trie = make_unigram_trie(weights, id_of, len(tokens))
    _check_count(lines, declared, 1, len(weights), sections.seen, repairs)
    backoff_N = np.array([backoff for _, backoff in weights.values()], np.float32)
    while sections.begin(trie.order + 1):
        entries, line_N = sections.read_entries(trie.order + 1, id_of)
        entries, line_N = _drop_invalid(lines, entries, line_N, tokens, trie, repairs)
        _check_count(lines, declared, trie.order + 1, len(line_N), sections.seen, repairs)
        trie.add_order(entries)
        backoff_N = entries.backoff_N
    for line in line_N[backoff_N != 0].tolist():
        repairs.add(UNUSED, f"{lines.name}:{line}", "ignored")
    for order in sorted(order for order, count in declared.items() if order > trie.order and count):
        repairs.add(COUNTS, lines.name, f"ngram {order}={declared[order]}, but the file has none")
    repairs.warn(listen)
    return trie.build(), tokens


def _find_data(lines: ArpaLines, repairs: Repairs) -> None:
    r"""Read up to `\data\`."""
    first = line = read_first_line(lines)
    while not _DATA.fullmatch(line):
        repairs.add(PREFACE, lines.where, "skipped")
        following = lines.next_nonblank()
        if following is None:
            raise DataError(
                f"{lines.name}: this is not an ARPA file: there is no \\data\\",
                f"the first line is {quote(first)}",
                path=lines.path,
            )
        line = following
    if line != b"\\data\\":
        repairs.add(HEADERS, lines.where, f"{quote(line)} read as \\data\\")


def _read_counts(lines: ArpaLines, repairs: Repairs) -> dict[int, int]:
    """Read the number of n-grams of each order that the header declares."""
    declared: dict[int, int] = {}
    blank = True
    while (line := lines.next_line()) is not None:
        if _HEADER.fullmatch(line) or _END.fullmatch(line):
            if not blank:
                repairs.add(NO_BLANK, lines.where, "ignored")
            lines.unread_line()
            break
        blank = not line.strip()
        if blank:
            continue
        match = _LENIENT_COUNT.fullmatch(line)
        if not match or not 1 <= int(match[1]) <= MAX_ORDER:
            repairs.add(MALFORMED, lines.where, "skipped")
            continue
        if not COUNT_LINE.fullmatch(line):
            repairs.add(HEADERS, lines.where, f"{quote(line)} read as ngram {int(match[1])}={int(match[2])}")
        declared[int(match[1])] = int(match[2])
    return declared


def _check_count(
    lines: ArpaLines, declared: Mapping[int, int], order: int, kept: int, seen: int, repairs: Repairs
) -> None:
    """Record a count of the header that is not the number of entries."""
    count = declared.get(order)
    if count is None or not kept <= count <= seen:
        shown = f"the header has no count of {order}-grams" if count is None else f"ngram {order}={count}"
        repairs.add(COUNTS, lines.name, f"{shown}, but the file has {seen}")


class _ArpaSections:
    """Reads the sections of a file one after the other.

    Args:
        lines: The file, after its counts.
        repairs: Records what is repaired or skipped.

    Attributes:
        decoded: Text of the words that are not valid UTF-8.
        seen: Number of entries of the current section, skipped ones included.
    """

    def __init__(self, lines: ArpaLines, repairs: Repairs) -> None:
        self.decoded: dict[bytes, str] = {}
        self.seen = 0
        self._lines = lines
        self._repairs = repairs
        self._ended = False
        self._blank = 0

    def begin(self, order: int) -> bool:
        """Read the header of the section of an order; return False after the last section.

        Raises:
            FormatError: It is the section of another order.
        """
        self.seen = self._blank = 0
        if self._ended:
            return False
        line = self._lines.next_nonblank()
        while line is not None and not _HEADER.fullmatch(line) and not _END.fullmatch(line):
            self._repairs.add(MALFORMED, self._lines.where, "skipped")
            line = self._lines.next_nonblank()
        match = line and _HEADER.fullmatch(line)
        if line is None or not match:
            self._finish(line)
            return False
        if int(match[1]) != order or order > MAX_ORDER:
            raise self._lines.error(
                f"expected \\{order}-grams: or \\end\\, got {quote(line)}",
                f"sections must be consecutive and start at order 1; the maximum is {MAX_ORDER}",
            )
        if line != b"\\%d-grams:" % order:
            self._repairs.add(HEADERS, self._lines.where, f"{quote(line)} read as \\{order}-grams:")
        return True

    def read_unigrams(self) -> tuple[dict[bytes, Weights], Int64Array]:
        """Read the unigrams; return them in the order of the file, and their line numbers."""
        weights: dict[bytes, Weights] = {}
        line_numbers: list[int] = []
        decoded_words: set[bytes] = set()
        while (line := self._next_entry()) is not None:
            if (entry := self._parse_entry(line, 1)) is None:
                continue
            log10, (word,), backoff = entry
            text = word.decode("utf-8", "replace").replace("\0", "\ufffd")
            valid = text.encode()
            if word in weights or valid in weights or valid in decoded_words:
                self._repairs.add(DUPLICATES, self._lines.where, f"{text!r} skipped")
                continue
            if valid != word:
                self._repairs.add(ENCODING, self._lines.where, f"{quote(word)} read as {text!r}")
                self.decoded[word] = text
                decoded_words.add(valid)
            weights[word] = log10, backoff
            line_numbers.append(self._lines.number)
        return weights, np.array(line_numbers, np.int64)

    def read_entries(self, order: int, id_of: Mapping[bytes, int]) -> tuple[NgramEntries, Int64Array]:
        """Read the n-grams of the current section; return them and their line numbers."""
        ids, word_index = np.array(list(id_of.values()), np.int32), make_word_index(list(id_of))
        blocks, line_numbers = [_make_entries(order, [])], [np.empty(0, np.int64)]
        more = True
        while more:
            block = self._lines.complete_lines()
            words_MK = np.empty((_BLOCK, order), np.int32)
            log10_M, backoff_M = np.empty(_BLOCK, np.float32), np.empty(_BLOCK, np.float32)
            parsed, size = parse_entries(block, word_index, False, words_MK, log10_M, backoff_M)
            if parsed:
                self._record_blank_lines()
                line_numbers.append(self._lines.number + 1 + np.arange(parsed))
                blocks.append(NgramEntries(ids[words_MK[:parsed]], log10_M[:parsed].copy(), backoff_M[:parsed].copy()))
                self._lines.skip(size, parsed)
                self.seen += parsed
            limit = _LINES_BEFORE_RETRY if not parsed else int(parsed < _BLOCK)
            irregular, numbers, more = self._read_irregular(order, id_of, limit)
            blocks.append(irregular)
            line_numbers.append(numbers)
        return _concatenate(blocks), np.concatenate(line_numbers)

    def _read_irregular(
        self, order: int, id_of: Mapping[bytes, int], limit: int
    ) -> tuple[NgramEntries, Int64Array, bool]:
        """Parse up to `limit` lines one by one; return entries, line numbers, and whether the section may have more."""
        found: list[tuple[float, list[int], float]] = []
        numbers: list[int] = []
        more = True
        for _ in range(limit):
            line = self._next_entry()
            if line is None:
                more = False
                break
            entry = self._parse_entry(line, order)
            if entry is None:
                continue
            log10, words, backoff = entry
            if unknown := [word for word in words if word not in id_of]:
                self._repairs.add(UNKNOWN, self._lines.where, f"{quote(unknown[0])}: skipped")
                continue
            found.append((log10, [id_of[word] for word in words], backoff))
            numbers.append(self._lines.number)
        return _make_entries(order, found), np.array(numbers, np.int64), more

    def _next_entry(self) -> bytes | None:
        """Return the next nonblank line of the section; None at its end, with the next header still unread."""
        while (line := self._lines.next_line()) is not None:
            if not line.strip():
                self._blank += 1
            elif _HEADER.fullmatch(line) or _END.fullmatch(line):
                self._lines.unread_line()
                return None
            else:
                self._record_blank_lines()
                self.seen += 1
                return line
        return None

    def _record_blank_lines(self) -> None:
        """Record the blank lines before the current entry."""
        for _ in range(self._blank):
            self._repairs.add(BLANK, self._lines.where, "ignored")
        self._blank = 0

    def _parse_entry(self, line: bytes, order: int) -> tuple[float, list[bytes], float] | None:
        """Return the log-probability, words and log back-off weight of an entry; None if it is skipped."""
        where, repairs = self._lines.where, self._repairs
        columns = _COLUMN.findall(line)
        log10 = _parse_number(columns[0])
        if len(columns) not in (order + 1, order + 2) or log10 is None:
            repairs.add(MALFORMED, where, "skipped")
            return None
        number, tab, rest = line.partition(b"\t")
        if not tab or number != columns[0] or not entry_pattern(order).fullmatch(rest):
            repairs.add(TABS, where, "split at blanks")
        if b"," in columns[0] or (len(columns) == order + 2 and b"," in columns[-1]):
            repairs.add(COMMAS, where, "read as decimal points")
        if math.isnan(log10):
            repairs.add(PROBABILITIES, where, f"replaced by {LOG10_ZERO:g}" if order == 1 else "skipped")
            if order > 1:
                return None
            log10 = LOG10_ZERO
        if log10 > 0:
            repairs.add(POSITIVE, where, f"{log10:g} replaced by 0")
            log10 = 0.0
        backoff = _parse_number(columns[-1]) if len(columns) == order + 2 else 0.0
        if backoff is None or not math.isfinite(backoff):
            repairs.add(BACKOFFS, where, f"{quote(columns[-1])} replaced by 0")
            backoff = 0.0
        return log10, columns[1 : order + 1], backoff

    def _finish(self, line: bytes | None) -> None:
        r"""Check `\end\` and record what follows it."""
        self._ended = True
        if line is None:
            self._repairs.add(NO_END, self._lines.name, "ignored")
        elif line != b"\\end\\":
            self._repairs.add(HEADERS, self._lines.where, f"{quote(line)} read as \\end\\")
        while line is not None and (line := self._lines.next_nonblank()) is not None:
            self._repairs.add(TRAILING_LINES, self._lines.where, "skipped")


def _parse_number(text: bytes) -> float | None:
    """Parse a number: NaN if it is not finite, except for minus infinity; None if it is not a number."""
    if _NOT_FINITE.fullmatch(text):
        return -math.inf if text.lower() == b"-inf" else math.nan
    if not _NUMBER.fullmatch(text):
        return None
    value = float(text.replace(b",", b"."))
    return value if abs(value) <= _MAX_MAGNITUDE else math.nan


def _drop_invalid(
    lines: ArpaLines, entries: NgramEntries, line_N: Int64Array, tokens: list[str], trie: TrieBuilder, repairs: Repairs
) -> tuple[NgramEntries, Int64Array]:
    """Drop the n-grams that the trie would reject; return the others and their line numbers."""
    no_context_N, repeated_N = trie.find_invalid(entries.words_NK)
    for kind, invalid_N in ((NO_CONTEXT, no_context_N), (DUPLICATES, repeated_N)):
        for index in np.flatnonzero(invalid_N).tolist():
            words = " ".join(tokens[word] for word in entries.words_NK[index].tolist())
            repairs.add(kind, f"{lines.name}:{line_N[index]}", f"{words!r} skipped")
    kept_N = ~(no_context_N | repeated_N)
    kept = NgramEntries(entries.words_NK[kept_N], entries.log10_N[kept_N], entries.backoff_N[kept_N])
    return kept, line_N[kept_N]


def _make_entries(order: int, found: list[tuple[float, list[int], float]]) -> NgramEntries:
    words_NK = np.array([words for _, words, _ in found], np.int32).reshape(-1, order)
    log10_N, backoff_N = (np.array([entry[column] for entry in found], np.float32) for column in (0, 2))
    return NgramEntries(words_NK, log10_N, backoff_N)


def _concatenate(blocks: list[NgramEntries]) -> NgramEntries:
    return NgramEntries(
        np.concatenate([block.words_NK for block in blocks]),
        np.concatenate([block.log10_N for block in blocks]),
        np.concatenate([block.backoff_N for block in blocks]),
    )
