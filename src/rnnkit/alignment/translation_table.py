"""Lexical translation tables p(target word | source word): made for training, sorted by probability, read and written.

As text, which `align-words --lexicon` writes and `decode --lexicon` reads, a table has lines `SOURCE<TAB>TARGET<TAB>P`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rnnkit.alignment.bitext import Bitext
from rnnkit.errors import DataError
from rnnkit.io.atomic import atomic_file
from rnnkit.kernels.word_alignment import (
    EMPTY_SLOT,
    FREE_KEY,
    WordPairTable,
    allocate_rows,
    collect_pairs,
    double_capacity,
    insert_pairs,
)
from rnnkit.text.lines import read_lines
from rnnkit.text.special_tokens import NAMES, UNK

MIN_PROBABILITY: Final = 1e-4
"""Less probable translations are left out of a written table."""

_INITIAL_CAPACITY = 1 << 16
_MAX_QUOTED = 60


def make_word_pair_table(bitext: Bitext) -> WordPairTable:
    """Allocate slots for all word pairs that co-occur; each probability is 1 / target vocabulary size.

    Memory is proportional to the number of distinct pairs.
    """
    _, shape_N = bitext.shapes()
    rows = bitext.source.size + 1
    keys_K, used = np.full(_INITIAL_CAPACITY, FREE_KEY), 0
    for chunk in bitext.chunks(shape_N):
        done = 0
        while done < len(chunk.shape_N):
            done, used = collect_pairs(chunk, done, rows - 1, keys_K, used)
            if done < len(chunk.shape_N):
                keys_K = double_capacity(keys_K)
    begin_R1 = allocate_rows(keys_K, rows)
    target_A = np.full(begin_R1[-1], EMPTY_SLOT, dtype=np.int32)
    insert_pairs(keys_K, begin_R1, target_A)
    return WordPairTable(begin_R1, target_A, np.full(len(target_A), 1 / bitext.target.size))


def count_scale(words: int) -> float:
    """Return the fixed-point scale of counts: a power of two with which the counts of `words` words sum up in int64."""
    return float(1 << (61 - max(1, words).bit_length()))


@dataclass(frozen=True)
class TranslationTable:
    """The translations of each source word, sorted by probability, the highest first.

    Attributes:
        offset_S1: Offset of each source word's translations, and the total.
        target_E: Target word of each entry.
        p_E: p(target | source) of each entry; before entries were left out, those of a source word sum to one.
    """

    offset_S1: NDArray[np.int64]
    target_E: NDArray[np.int32]
    p_E: NDArray[np.float64]

    def format_lines(self, source_tokens: Sequence[str], target_tokens: Sequence[str]) -> Iterator[str]:
        """Yield lines `SOURCE<TAB>TARGET<TAB>P`, by source word."""
        for source in range(len(self.offset_S1) - 1):
            begin, end = self.offset_S1[source], self.offset_S1[source + 1]
            for target, p in zip(self.target_E[begin:end].tolist(), self.p_E[begin:end].tolist(), strict=True):
                yield f"{source_tokens[source]}\t{target_tokens[target]}\t{p:.6g}"


def make_translation_table(table: WordPairTable, min_probability: float = MIN_PROBABILITY) -> TranslationTable:
    """Sort the entries of a trained table by source word and probability, without the NULL word.

    Args:
        table: The trained table.
        min_probability: Less probable translations are left out.
    """
    rows = len(table.begin_R1) - 2
    row_A = np.repeat(np.arange(rows), np.diff(table.begin_R1[:-1]))
    taken_A = table.target_A[: len(row_A)] != EMPTY_SLOT
    row_E, target_E, p_E = row_A[taken_A], table.target_A[: len(row_A)][taken_A], table.p_A[: len(row_A)][taken_A]
    total_R = np.bincount(row_E, p_E, rows)
    p_E = p_E / np.where(total_R > 0, total_R, 1)[row_E]  # variational Bayes leaves sums below one
    kept = p_E >= min_probability
    row_E, target_E, p_E = row_E[kept], target_E[kept], p_E[kept]
    order_E = np.lexsort((target_E, -p_E, row_E))
    offset_S1 = np.concatenate(([0], np.cumsum(np.bincount(row_E, minlength=rows))))
    return TranslationTable(offset_S1, target_E[order_E], p_E[order_E])


def write_translation_table(
    table: TranslationTable, path: Path, source_tokens: Sequence[str], target_tokens: Sequence[str]
) -> None:
    """Write a table as text, atomically. Raises ArtefactError if it cannot be written."""
    with atomic_file(path) as file:
        file.writelines(f"{line}\n" for line in table.format_lines(source_tokens, target_tokens))


def read_best_translations(path: Path) -> dict[str, str]:
    """Read the most probable translation of each source word from a table as text; the first one of a tie.

    Source words whose best translation is `<unk>` are left out, and so is `<unk>` itself.

    Args:
        path: The file; its lines may be in any order.

    Raises:
        DataError: The file does not exist, is empty, or has a malformed line.
    """
    best: dict[str, tuple[float, str]] = {}
    for number, line in enumerate(read_lines(path), start=1):
        columns = line.split("\t")
        p = _parse_probability(columns[-1])
        if len(columns) != 3 or p is None:
            raise DataError(
                f"{path}:{number}: {_truncate(line)!r} is not an entry of a translation table",
                "an entry is SOURCE<TAB>TARGET<TAB>P with a probability P from 0 to 1",
                hint="`rnnkit align-words --lexicon FILE` writes such a table",
                path=path,
                line=number,
            )
        source, target, _ = columns
        if source not in best or p > best[source][0]:
            best[source] = (p, target)
    if not best:
        raise DataError(
            f"{path} is empty", hint="`rnnkit align-words --lexicon FILE` writes a translation table", path=path
        )
    unknown = NAMES[UNK]
    return {source: target for source, (_, target) in best.items() if unknown not in (source, target)}


def _parse_probability(text: str) -> float | None:
    try:
        p = float(text)
    except ValueError:
        return None
    return p if 0 <= p <= 1 else None


def _truncate(line: str) -> str:
    return line if len(line) <= _MAX_QUOTED else f"{line[:_MAX_QUOTED]}…"
