"""ARPA files, how they are read. What KenLM refuses is refused, with the line and what is wrong with it.

A row that is as most are is read by a kernel (`arpa_kernels.parse_rows`). Any other comes to `check_row`, which reads
it or says what is wrong. The n-grams may stand in any order: the model lies as `trie.py` sorts it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from rnnkit.errors import FormatError
from rnnkit.events import Listener, Warned, ignore
from rnnkit.ngrams.arpa_kernels import parse_rows
from rnnkit.ngrams.arpa_text import ArpaText, read_start, show
from rnnkit.ngrams.lexicon import tabulate
from rnnkit.ngrams.model import NgramModel
from rnnkit.ngrams.options import LONGEST_ORDER
from rnnkit.ngrams.trie import Rows, Trie
from rnnkit.text import special
from rnnkit.text.lines import STDIN, decode_text, opened

MISSING_UNKNOWN: Final = -100.0
"""KenLM's logarithm for the unknown word where a file has none."""

_COUNT: Final = re.compile(rb"ngram +(\d{1,9}) *= *(\d{1,18})[ \t]*")
_NUMBER: Final = re.compile(rb"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_NOT_FINITE: Final = re.compile(rb"[-+]?(nan|inf|infinity)", re.IGNORECASE)
_AGAIN: Final = "copy the file again; if it was made so, what made it is at fault"
_BLOCK = 1 << 16

Weights = tuple[float, float]
"""The logarithms of a probability and of a back-off weight."""


def read_arpa(path: Path, listen: Listener = ignore) -> tuple[NgramModel, list[str]]:
    """Read an ARPA file, plain or gzip.

    Args:
        path: The file; `-` is standard input.
        listen: Warned where the file has no `<unk>`.

    Returns:
        The model, and the vocabulary's tokens by id: the special symbols first, then words as the file has them.

    Raises:
        DataError: There is no such file, or it is something else.
        FormatError: It is damaged, contradicts itself, or has what an ARPA file may not have; the message says where.
    """
    with opened(path) as file:
        text = ArpaText(file, "standard input" if path == STDIN else str(path))
        read_start(text)
        sizes = read_sizes(text)
        weights = _read_words(text, sizes[0], longest=len(sizes) == 1)
        tokens, row_of = _number_words(weights, text, listen)
        trie = _plant(weights, row_of, len(tokens))
        for order, size in enumerate(sizes[1:], start=2):
            _read_header(text, order, sizes[order - 2])
            first = text.number + 1
            rows = _read_rows(text, order, size, order == len(sizes), row_of)
            trie.add(rows, lambda row, first=first: f"{text.name}:{first + row}", _speller(rows, tokens))  # type: ignore[misc]
        _read_end(text, sizes[-1], len(sizes))
    return trie.model(), tokens


def read_sizes(text: ArpaText) -> list[int]:
    r"""The number of n-grams of each order, from the lines behind `\data\`.

    Raises:
        FormatError: They are malformed, skip an order, or there are none.
    """
    sizes: list[int] = []
    while (line := text.line()) is not None and line.strip():
        found = _COUNT.fullmatch(line)
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
    log10 = _number(number, where, "the logarithm of the probability") if tab else 0.0
    found = re.fullmatch(rb"((?:[^ \t]+[ \t]+){%d}[^ \t]+)(?:\t([^ \t]+))?" % (order - 1), rest)
    if not tab or not found:
        columns = len(re.findall(rb"[^ \t]+", rest))
        form = "probability<TAB>" + " ".join(["word"] * order if order < 4 else ["word", "...", "word"])
        raise FormatError(
            f"{where}: {show(line)} is no {order}-gram",
            f"its form is {form}{'' if longest else '[<TAB>back-off]'}"
            + (f"; columns behind the probability: {columns}" if tab else "; there is no tab"),
        )
    if log10 > 0:
        raise FormatError(
            f"{where}: the logarithm {number.decode()} is positive",
            "a probability is 1 at most, so its logarithm is 0 at most",
            hint="what wrote the file is at fault; IRSTLM is known for it",
        )
    words = re.split(rb"[ \t]+", found[1])
    if known is not None:
        for word in words:
            if word not in known:
                raise FormatError(f"{where}: the word {show(word)} is not among the 1-grams", "they are the vocabulary")
    backoff = _number(found[2], where, "the back-off") if found[2] is not None else 0.0
    if longest and backoff != 0:
        raise FormatError(
            f"{where}: a back-off of {backoff:g}, where there is nothing to back off from",
            f"{order}-grams are the longest of this file",
        )
    return log10, words, backoff


def _number(text: bytes, where: str, what: str) -> float:
    if _NOT_FINITE.fullmatch(text) or (_NUMBER.fullmatch(text) and abs(float(text)) > 1e30):
        raise FormatError(
            f"{where}: {what} is {text.decode()}", "it must be finite; a probability of 0 is written as -99"
        )
    if not _NUMBER.fullmatch(text):
        raise FormatError(f"{where}: {what}, {show(text)}, is no number")
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
        hint="mend the count if the rows are right",
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
            hint="the file was cut, or mend the count if the rows are right",
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
        decode_text(word, text.name, text.number, line.index(b"\t") + 1)
        if word in weights:
            place = first + list(weights).index(word)
            raise FormatError(f"{text.where}: {show(word)} is there already", f"the first is {text.name}:{place}")
        weights[word] = log10, backoff
    return weights


def _number_words(
    weights: Mapping[bytes, Weights], text: ArpaText, listen: Listener
) -> tuple[list[str], dict[bytes, int]]:
    """The tokens by id, and the ids of the file's words."""
    unknown, start, end = (name.encode() for name in special.NAMES[special.UNK :])
    for marker in (start, end):
        if marker not in weights:
            raise FormatError(
                f"{text.name} has no 1-gram {marker.decode()}",
                "without it no line can be scored",
                hint="what made the model must mark where sentences begin and end",
            )
    row_of = {start: special.BOS, end: special.EOS}
    if unknown in weights or b"<UNK>" not in weights:
        row_of[unknown] = special.UNK
    else:
        row_of[b"<UNK>"] = special.UNK
    if not weights.keys() & {unknown, b"<UNK>"}:
        listen(Warned(f"{text.name} has no <unk>: the logarithm of an unknown word is taken to be {MISSING_UNKNOWN:g}"))
    ordinary = [word for word in weights if word not in row_of]
    row_of.update((word, row) for row, word in enumerate(ordinary, start=len(special.NAMES)))
    return [*special.NAMES, *(word.decode() for word in ordinary)], row_of


def _plant(weights: Mapping[bytes, Weights], row_of: Mapping[bytes, int], size: int) -> Trie:
    """The trie of the words alone."""
    log10_V = np.full(size, MISSING_UNKNOWN, dtype=np.float32)
    backoff_V = np.zeros(size, dtype=np.float32)
    rows = np.array([row_of[word] for word in weights])
    log10_V[rows], backoff_V[rows] = np.array(list(weights.values()), dtype=np.float32).T
    log10_V[[special.PAD, special.BOS]] = -np.inf  # what is never predicted, whatever the file says of <s>
    return Trie(log10_V, backoff_V)


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
