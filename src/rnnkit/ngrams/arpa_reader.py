"""Strict reading of ARPA files: what KenLM rejects is rejected, with the line and the reason.

A kernel parses the regular entries, which nearly all are; `parse_entry` parses or rejects any other line. N-grams may
be in any order, as `TrieBuilder` sorts them.
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
from rnnkit.kernels.arpa_entries import parse_entries
from rnnkit.ngrams.arpa_format import (
    COUNT_LINE,
    ArpaLines,
    Digest,
    Weights,
    assign_ids,
    entry_pattern,
    make_unigram_trie,
    make_word_index,
    open_source,
    quote,
    skip_to_data,
)
from rnnkit.ngrams.arpa_repair import read_repaired
from rnnkit.ngrams.ngram_model import BackoffModel, InvalidNgramError, NgramEntries
from rnnkit.ngrams.options import MAX_ORDER
from rnnkit.text.lines import decode_text

_NUMBER: Final = re.compile(rb"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_NOT_FINITE: Final = re.compile(rb"[-+]?(nan|inf|infinity)", re.IGNORECASE)
_MINUS_INFINITY: Final = re.compile(rb"-inf", re.IGNORECASE)
_MAX_MAGNITUDE: Final = 1e30
_REPAIR_HINT: Final = "`--repair` repairs or skips such lines and counts them"
_COPY_HINT: Final = f"copy the file again; if it was made this way, {_REPAIR_HINT}"
_BLOCK = 1 << 16

ErrorFactory = Callable[..., FormatError]
"""Makes an error about the current line; `ArpaLines.error`."""


def read_arpa(
    path: Path, listen: Listener = null_listener, repairs: Repairs | None = None, digest: Digest | None = None
) -> tuple[BackoffModel, list[str]]:
    """Read an ARPA file or pipe, plain or compressed with gzip, bzip2 or xz.

    Args:
        path: The file; `-` is standard input.
        listen: WarningEvent if the file has no `<unk>`, and of repairs.
        repairs: Records what is repaired or skipped in an imperfect file; None rejects such files.
        digest: Updated with the bytes of the file as stored.

    Returns:
        The model, and the vocabulary's tokens by id: the special symbols, then the words in the order of the file.

    Raises:
        DataError: The file does not exist or is not an ARPA file.
        FormatError: It is damaged, inconsistent, or breaks the format; the message names the line.
    """
    with open_source(path, digest) as file:
        lines = ArpaLines(file, path)
        return _read_strictly(lines, listen) if repairs is None else read_repaired(lines, repairs, listen)


def _read_strictly(lines: ArpaLines, listen: Listener) -> tuple[BackoffModel, list[str]]:
    skip_to_data(lines)
    counts = read_counts(lines)
    weights = _read_unigrams(lines, counts[0], highest_order=len(counts) == 1)
    tokens, id_of = assign_ids(weights, lines, listen)
    trie = make_unigram_trie(weights, id_of, len(tokens))
    for order, count in enumerate(counts[1:], start=2):
        _read_section_header(lines, order, counts[order - 2])
        first_line = lines.number + 1
        entries = _read_entries(lines, order, count, order == len(counts), id_of)
        try:
            trie.add_order(entries)
        except InvalidNgramError as error:
            raise _invalid_ngram(error, lines, first_line, entries, tokens) from None
    _read_end(lines, counts[-1], len(counts))
    return trie.build(), tokens


def read_counts(lines: ArpaLines) -> list[int]:
    r"""Read the number of n-grams of each order, from the lines after `\data\`.

    Raises:
        FormatError: They are malformed, skip an order, or are missing.
    """
    counts: list[int] = []
    while (line := lines.next_line()) is not None and line.strip():
        match = COUNT_LINE.fullmatch(line)
        if not match:
            raise lines.error(f"{quote(line)} is not a count", "a count is `ngram ORDER=NUMBER`", hint=_COPY_HINT)
        if int(match[1]) != len(counts) + 1:
            raise lines.error(
                f"count of {int(match[1])}-grams, expected that of {len(counts) + 1}-grams",
                "orders must be consecutive and start at 1",
            )
        counts.append(int(match[2]))
    if not counts or counts[0] < 1:
        raise lines.error("the header counts no unigrams", "`ngram 1=NUMBER` is missing or 0", hint=_COPY_HINT)
    if len(counts) > MAX_ORDER:
        raise lines.error(f"order {len(counts)} is not supported", f"the maximum is {MAX_ORDER}")
    return counts


def parse_entry(
    line: bytes, error: ErrorFactory, order: int, highest_order: bool, known: Mapping[bytes, int] | None = None
) -> tuple[float, list[bytes], float]:
    """Parse one entry.

    Args:
        line: The line without its end.
        error: Makes an error about the line.
        order: Number of words that the entry must have.
        highest_order: Whether it has the highest order, and thus no back-off weight.
        known: The words of the unigrams; None for a unigram.

    Returns:
        Base-10 log-probability, words, and log back-off weight (0 if it has none).

    Raises:
        FormatError: The entry is malformed.
    """
    number, tab, rest = line.partition(b"\t")
    log10 = 0.0
    if tab:
        log10 = -math.inf if _MINUS_INFINITY.fullmatch(number) else _parse_number(number, error, "the log-probability")
    match = entry_pattern(order).fullmatch(rest)
    if not tab or not match:
        columns = len(re.findall(rb"[^ \t\r]+", rest))
        form = "LOG10_PROBABILITY<TAB>" + " ".join(["WORD"] * order if order < 4 else ["WORD", "...", "WORD"])
        raise error(
            f"{quote(line)} is not a {order}-gram",
            f"an entry is {form}{'' if highest_order else '[<TAB>BACK-OFF]'}; this line has "
            + (f"{columns} columns after the log-probability" if tab else "no tab"),
            hint=_REPAIR_HINT,
        )
    if log10 > 0:
        raise error(
            f"log-probability {number.decode()} is positive",
            "a probability is at most 1, so its logarithm is at most 0",
            hint=f"the program that wrote the file has a bug; IRSTLM is known for this one; {_REPAIR_HINT}",
        )
    words = re.split(rb"[ \t]+", match[1])
    if known is not None:
        for word in words:
            if word not in known:
                raise error(
                    f"word {quote(word)} is not a unigram", "the unigrams are the vocabulary", hint=_REPAIR_HINT
                )
    backoff = _parse_number(match[2], error, "the back-off weight") if match[2] is not None else 0.0
    if highest_order and backoff != 0:
        raise error(
            f"back-off weight {backoff:g} in the highest order",
            f"no n-gram of this file extends a {order}-gram",
            hint=_REPAIR_HINT,
        )
    return log10, words, backoff


def _parse_number(text: bytes, error: ErrorFactory, name: str) -> float:
    if _NOT_FINITE.fullmatch(text) or (_NUMBER.fullmatch(text) and abs(float(text)) > _MAX_MAGNITUDE):
        raise error(
            f"{name} is {text.decode()}",
            "it must be finite; a probability of 0 is written as -99 or -inf",
            hint=_REPAIR_HINT,
        )
    if not _NUMBER.fullmatch(text):
        raise error(f"{name} {quote(text)} is not a number", hint=_REPAIR_HINT)
    return float(text)


def _read_unigrams(lines: ArpaLines, count: int, highest_order: bool) -> dict[bytes, Weights]:
    """Read the unigrams, in the order of the file."""
    _read_section_header(lines, 1, 0)
    weights: dict[bytes, Weights] = {}
    first_line = lines.number + 1
    for done in range(count):
        line = _next_entry(lines, 1, count, done)
        log10, (word,), backoff = parse_entry(line, lines.error, 1, highest_order)
        _check_utf8(word, lines, line.index(b"\t") + 1)
        if word in weights:
            first = first_line + list(weights).index(word)
            raise lines.error(
                f"duplicate unigram {quote(word)}",
                f"the first occurrence is {lines.name}:{first}",
                hint=_REPAIR_HINT,
            )
        weights[word] = log10, backoff
    return weights


def _check_utf8(word: bytes, lines: ArpaLines, column: int) -> None:
    try:
        decode_text(word, lines.name, lines.number, column)
    except DataError as error:
        raise DataError(
            error.what,
            *error.details,
            hint=f"{error.hint}; {_REPAIR_HINT}",
            path=lines.path,
            line=lines.number,
        ) from None


def _read_entries(
    lines: ArpaLines, order: int, count: int, highest_order: bool, id_of: Mapping[bytes, int]
) -> NgramEntries:
    """Read the n-grams of one order, in blocks; lines that the kernel stops at are parsed one by one."""
    words, ids = list(id_of), np.array(list(id_of.values()), dtype=np.int32)
    word_index = make_word_index(words)
    blocks = [NgramEntries(np.empty((0, order), np.int32), np.empty(0, np.float32), np.empty(0, np.float32))]
    done = 0
    while done < count:
        block = lines.complete_lines()
        capacity = min(count - done, _BLOCK)
        words_MK = np.empty((capacity, order), np.int32)
        log10_M, backoff_M = np.empty(capacity, np.float32), np.empty(capacity, np.float32)
        parsed, size = parse_entries(block, word_index, highest_order, words_MK, log10_M, backoff_M)
        lines.skip(size, parsed)
        blocks.append(NgramEntries(ids[words_MK[:parsed]], log10_M[:parsed].copy(), backoff_M[:parsed].copy()))
        done += parsed
        if parsed < capacity and (size < len(block) or not size):
            line = _next_entry(lines, order, count, done)
            log10, entry_words, backoff = parse_entry(line, lines.error, order, highest_order, id_of)
            entry_ids = np.array([[id_of[word] for word in entry_words]], dtype=np.int32)
            blocks.append(NgramEntries(entry_ids, np.array([log10], np.float32), np.array([backoff], np.float32)))
            done += 1
    return NgramEntries(
        np.concatenate([block.words_NK for block in blocks]),
        np.concatenate([block.log10_N for block in blocks]),
        np.concatenate([block.backoff_N for block in blocks]),
    )


def _next_entry(lines: ArpaLines, order: int, count: int, done: int) -> bytes:
    """Return the next line, which must be an entry."""
    line = lines.next_line()
    if line is None:
        raise _truncated(lines, f"it has {done:,} of {count:,} {order}-grams and no \\end\\")
    if not line.strip() or line.startswith(b"\\"):
        raise lines.error(
            f"the {order}-grams end after {done:,} entries",
            f"the header counts more: `ngram {order}={count}`",
            hint=f"the file may be truncated; correct the header count if the entries are right; {_REPAIR_HINT}",
        )
    return line


def _read_section_header(lines: ArpaLines, order: int, count_before: int) -> None:
    r"""Read `\N-grams:` after the entries of the previous order."""
    line = lines.next_nonblank()
    expected = b"\\%d-grams:" % order
    if line == expected:
        return
    if line is None:
        raise _truncated(lines, f"it ends before {expected.decode()}")
    if order > 1 and not line.startswith(b"\\"):
        raise _too_many_entries(lines, order - 1, count_before)
    raise lines.error(f"expected {expected.decode()}, got {quote(line)}", hint=_COPY_HINT)


def _read_end(lines: ArpaLines, count: int, order: int) -> None:
    line = lines.next_nonblank()
    if line is None:
        raise _truncated(lines, "it has no \\end\\")
    if line != b"\\end\\":
        if line.startswith(b"\\"):
            raise lines.error(f"expected \\end\\, got {quote(line)}", hint=_COPY_HINT)
        raise _too_many_entries(lines, order, count)
    if (line := lines.next_nonblank()) is not None:
        raise lines.error(f"{quote(line)} follows \\end\\", "the file must end there", hint=_COPY_HINT)


def _truncated(lines: ArpaLines, detail: str) -> FormatError:
    return FormatError(f"{lines.name} is truncated: {detail}", hint=_COPY_HINT, path=lines.path)


def _too_many_entries(lines: ArpaLines, order: int, count: int) -> FormatError:
    return lines.error(
        f"there are more {order}-grams than the header counts",
        f"the header has `ngram {order}={count}`",
        hint=f"correct the header count if the entries are right; {_REPAIR_HINT}",
    )


def _invalid_ngram(
    error: InvalidNgramError, lines: ArpaLines, first_line: int, entries: NgramEntries, tokens: Sequence[str]
) -> FormatError:
    """Describe an n-gram that the trie rejected; entries are on consecutive lines from `first_line` on."""
    words = entries.words_NK[error.index].tolist()
    ngram, line = " ".join(tokens[word] for word in words), first_line + error.index
    if error.first is None:
        return FormatError(
            f"{lines.name}:{line}: the context of {ngram!r} is missing",
            f"all its words but the last must be one of the {len(words) - 1}-grams",
            hint=f"the model was pruned incorrectly; make the file again; {_REPAIR_HINT}",
            path=lines.path,
            line=line,
        )
    return FormatError(
        f"{lines.name}:{line}: duplicate {len(words)}-gram {ngram!r}",
        f"the first occurrence is {lines.name}:{first_line + error.first}",
        hint=_REPAIR_HINT,
        path=lines.path,
        line=line,
    )
