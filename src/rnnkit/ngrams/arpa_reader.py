"""ARPA files, how they are read. What KenLM refuses is refused, with the line and what is wrong with it.

A row that is as most are is read by a kernel (`arpa_kernels.parse_rows`). Any other comes to `check_row`, which reads
it or says what is wrong. The n-grams may stand in any order: the model lies as `trie.py` sorts it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from rnnkit.errors import DataError, FormatError
from rnnkit.events import Listener, null_listener
from rnnkit.io.safe_reading import Repairs
from rnnkit.ngrams.arpa_kernels import parse_rows
from rnnkit.ngrams.arpa_repair import read_repaired
from rnnkit.ngrams.arpa_source import Digest, open_source
from rnnkit.ngrams.arpa_text import ArpaText, read_start, show
from rnnkit.ngrams.arpa_words import COUNT, Weights, number_words, plant, row_form
from rnnkit.ngrams.lexicon import tabulate
from rnnkit.ngrams.model import NgramModel
from rnnkit.ngrams.options import LONGEST_ORDER
from rnnkit.ngrams.trie import Rows
from rnnkit.text.lines import STDIN, decode_text

_NUMBER: Final = re.compile(rb"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_NOT_FINITE: Final = re.compile(rb"[-+]?(nan|inf|infinity)", re.IGNORECASE)
_ZERO: Final = re.compile(rb"-inf", re.IGNORECASE)
_REPAIR: Final = "`--repair` mends or skips what is wrong, and counts it"
_AGAIN: Final = f"copy the file again; if it was made so, {_REPAIR}"
_BLOCK = 1 << 16


def read_arpa(
    path: Path, listen: Listener = null_listener, repairs: Repairs | None = None, digest: Digest | None = None
) -> tuple[NgramModel, list[str]]:
    """Read an ARPA file or pipe, plain or compressed by gzip, bzip2 or xz.

    Args:
        path: The file; `-` is standard input.
        listen: Warned where the file has no `<unk>`, and of repairs.
        repairs: Takes what is repaired or skipped in an imperfect file; None refuses such files.
        digest: Updated with the file's bytes.

    Returns:
        The model, and the vocabulary's tokens by id: the special symbols first, then words as the file has them.

    Raises:
        DataError: There is no such file, or it is something else.
        FormatError: It is damaged, contradicts itself, or has what an ARPA file may not have; the message says where.
    """
    with open_source(path, digest) as file:
        text = ArpaText(file, "standard input" if path == STDIN else str(path))
        return _read(text, listen) if repairs is None else read_repaired(text, repairs, listen)


def _read(text: ArpaText, listen: Listener) -> tuple[NgramModel, list[str]]:
    read_start(text)
    sizes = read_sizes(text)
    weights = _read_words(text, sizes[0], longest=len(sizes) == 1)
    tokens, row_of = number_words(weights, text.name, listen)
    trie = plant(weights, row_of, len(tokens))
    for order, size in enumerate(sizes[1:], start=2):
        _read_header(text, order, sizes[order - 2])
        first = text.number + 1
        rows = _read_rows(text, order, size, order == len(sizes), row_of)
        try:
            trie.add(rows, lambda row, first=first: f"{text.name}:{first + row}", _speller(rows, tokens))  # type: ignore[misc]
        except FormatError as error:
            hint = f"{error.hint}; {_REPAIR}" if error.hint else _REPAIR
            raise FormatError(error.what, *error.details, hint=hint) from None
    _read_end(text, sizes[-1], len(sizes))
    return trie.model(), tokens


def read_sizes(text: ArpaText) -> list[int]:
    r"""The number of n-grams of each order, from the lines behind `\data\`.

    Raises:
        FormatError: They are malformed, skip an order, or there are none.
    """
    sizes: list[int] = []
    while (line := text.line()) is not None and line.strip():
        found = COUNT.fullmatch(line)
        if not found:
            raise FormatError(f"{text.where}: {show(line)} is no count", "a count is `ngram ORDER=NUMBER`", hint=_AGAIN)
        if int(found[1]) != len(sizes) + 1:
            raise FormatError(
                f"{text.where}: the count of {int(found[1])}-grams stands where that of {len(sizes) + 1}-grams is due",
                "orders are consecutive and begin with 1",
            )
        sizes.append(int(found[2]))
    if not sizes or sizes[0] < 1:
        raise FormatError(f"{text.where}: the file counts no words", "`ngram 1=NUMBER` is missing or 0", hint=_AGAIN)
    if len(sizes) > LONGEST_ORDER:
        raise FormatError(f"{text.where}: an order of {len(sizes)} is too much", f"{LONGEST_ORDER} is the greatest")
    return sizes


def check_row(
    line: bytes, where: str, order: int, longest: bool, known: Mapping[bytes, int] | None = None
) -> tuple[float, list[bytes], float]:
    """Read one row: its logarithm, words and back-off weight (0 where it has none).

    Args:
        line: The line without its end.
        where: Its place, for messages.
        order: Words it must have.
        longest: Whether it is one of the longest n-grams, which have no back-off.
        known: The words that may occur; None where the row is a word's own.

    Raises:
        FormatError: It is malformed; the message says how.
    """
    number, tab, rest = line.partition(b"\t")
    log10 = 0.0
    if tab:
        log10 = -math.inf if _ZERO.fullmatch(number) else _number(number, where, "the logarithm of the probability")
    found = row_form(order).fullmatch(rest)
    if not tab or not found:
        columns = len(re.findall(rb"[^ \t\r]+", rest))
        form = "probability<TAB>" + " ".join(["word"] * order if order < 4 else ["word", "...", "word"])
        raise FormatError(
            f"{where}: {show(line)} is no {order}-gram",
            f"its form is {form}{'' if longest else '[<TAB>back-off]'}"
            + (f"; columns behind the probability: {columns}" if tab else "; there is no tab"),
            hint=_REPAIR,
        )
    if log10 > 0:
        raise FormatError(
            f"{where}: the logarithm {number.decode()} is positive",
            "a probability is 1 at most, so its logarithm is 0 at most",
            hint=f"what wrote the file is at fault; IRSTLM is known for it; {_REPAIR}",
        )
    words = re.split(rb"[ \t]+", found[1])
    if known is not None:
        for word in words:
            if word not in known:
                raise FormatError(
                    f"{where}: the word {show(word)} is not among the 1-grams", "they are the vocabulary", hint=_REPAIR
                )
    backoff = _number(found[2], where, "the back-off") if found[2] is not None else 0.0
    if longest and backoff != 0:
        raise FormatError(
            f"{where}: a back-off of {backoff:g}, where there is nothing to back off from",
            f"{order}-grams are the longest of this file",
            hint=_REPAIR,
        )
    return log10, words, backoff


def _number(text: bytes, where: str, what: str) -> float:
    if _NOT_FINITE.fullmatch(text) or (_NUMBER.fullmatch(text) and abs(float(text)) > 1e30):
        raise FormatError(
            f"{where}: {what} is {text.decode()}",
            "it must be finite; a probability of 0 is written as -99 or -inf",
            hint=_REPAIR,
        )
    if not _NUMBER.fullmatch(text):
        raise FormatError(f"{where}: {what}, {show(text)}, is no number", hint=_REPAIR)
    return float(text)


def _read_header(text: ArpaText, order: int, size_before: int) -> None:
    r"""Read `\N-grams:` behind the rows of the order before."""
    line = text.filled()
    wanted = b"\\%d-grams:" % order
    if line == wanted:
        return
    if line is None:
        raise FormatError(f"{text.name} was cut short: it ends before {wanted.decode()}", hint=_AGAIN)
    if order > 1 and not line.startswith(b"\\"):
        raise _too_many(text, order - 1, size_before)
    raise FormatError(f"{text.where}: {show(line)} stands where {wanted.decode()} is due", hint=_AGAIN)


def _read_end(text: ArpaText, size: int, order: int) -> None:
    line = text.filled()
    if line is None:
        raise FormatError(f"{text.name} was cut short: it has no \\end\\", hint=_AGAIN)
    if line != b"\\end\\":
        if line.startswith(b"\\"):
            raise FormatError(f"{text.where}: {show(line)} stands where \\end\\ is due", hint=_AGAIN)
        raise _too_many(text, order, size)
    if (line := text.filled()) is not None:
        raise FormatError(f"{text.where}: {show(line)} stands behind \\end\\", "the file ends there", hint=_AGAIN)


def _too_many(text: ArpaText, order: int, size: int) -> FormatError:
    return FormatError(
        f"{text.where}: one {order}-gram more than the file counts",
        f"`ngram {order}={size}` says how many there are",
        hint=f"mend the count if the rows are right; {_REPAIR}",
    )


def _row(text: ArpaText, order: int, size: int, read: int) -> bytes:
    """The next line, which must be a row."""
    line = text.line()
    if line is None:
        raise FormatError(
            f"{text.name} was cut short: it has {read:,} of {size:,} {order}-grams, and no \\end\\", hint=_AGAIN
        )
    if not line.strip() or line.startswith(b"\\"):
        raise FormatError(
            f"{text.where}: the {order}-grams end here, after {read:,}",
            f"`ngram {order}={size}` says how many there are",
            hint=f"the file was cut, or mend the count if the rows are right; {_REPAIR}",
        )
    return line


def _read_words(text: ArpaText, size: int, longest: bool) -> dict[bytes, Weights]:
    """The 1-grams, in order."""
    _read_header(text, 1, 0)
    weights: dict[bytes, Weights] = {}
    first = text.number + 1
    for read in range(size):
        line = _row(text, 1, size, read)
        log10, (word,), backoff = check_row(line, text.where, 1, longest)
        _check_text(word, text, line.index(b"\t") + 1)
        if word in weights:
            place = first + list(weights).index(word)
            raise FormatError(
                f"{text.where}: {show(word)} is there already", f"the first is {text.name}:{place}", hint=_REPAIR
            )
        weights[word] = log10, backoff
    return weights


def _check_text(word: bytes, text: ArpaText, column: int) -> None:
    try:
        decode_text(word, text.name, text.number, column)
    except DataError as error:
        raise DataError(error.what, *error.details, hint=f"{error.hint}; {_REPAIR}") from None


def _read_rows(text: ArpaText, order: int, size: int, longest: bool, row_of: Mapping[bytes, int]) -> Rows:
    """The n-grams of one order."""
    words, rows = list(row_of), np.array(list(row_of.values()), dtype=np.int32)
    spelled, begins, table = tabulate(words)
    blocks = [Rows(np.empty((0, order), np.int32), np.empty(0, np.float32), np.empty(0, np.float32))]
    read = 0
    while read < size:
        lines = text.whole_lines()
        room = min(size - read, _BLOCK)
        words_MK = np.empty((room, order), np.int32)
        log10_M, backoff_M = np.empty(room, np.float32), np.empty(room, np.float32)
        taken, length = parse_rows(lines, spelled, begins, table, longest, words_MK, log10_M, backoff_M)
        text.skip(length, taken)
        blocks.append(Rows(rows[words_MK[:taken]], log10_M[:taken].copy(), backoff_M[:taken].copy()))
        read += taken
        if taken < room and (length < len(lines) or not length):
            line = _row(text, order, size, read)
            log10, found, backoff = check_row(line, text.where, order, longest, row_of)
            ids = np.array([[row_of[word] for word in found]], dtype=np.int32)
            blocks.append(Rows(ids, np.array([log10], np.float32), np.array([backoff], np.float32)))
            read += 1
    return Rows(
        np.concatenate([block.words_NK for block in blocks]),
        np.concatenate([block.log10_N for block in blocks]),
        np.concatenate([block.backoff_N for block in blocks]),
    )


def _speller(rows: Rows, tokens: Sequence[str]) -> Callable[[int], str]:
    return lambda row: " ".join(tokens[word] for word in rows.words_NK[row].tolist())
