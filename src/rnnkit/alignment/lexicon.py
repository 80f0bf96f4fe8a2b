"""A word table in order: for each source word its translations, the most probable first.

As text, which `align-words --lexicon` writes and `decode --lexicon` reads, it has rows `SOURCE<TAB>TARGET<TAB>P`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rnnkit.alignment.pair_table import EMPTY, PairTable
from rnnkit.errors import DataError
from rnnkit.io.atomic import atomic_file
from rnnkit.text.lines import read_lines
from rnnkit.text.special_tokens import NAMES, UNK

LEAST: Final = 1e-4
"""Translations that are less probable than this are left out."""

_SHOWN = 60


@dataclass(frozen=True)
class Lexicon:
    """The translations of each source word.

    Attributes:
        offset_S1: Where each source word's translations begin, and the end of the last.
        target_E: Target word of each.
        p_E: p(target | source); those of a source word, with what was left out, sum to one.
    """

    offset_S1: NDArray[np.int64]
    target_E: NDArray[np.int32]
    p_E: NDArray[np.float64]

    def rows(self, source_tokens: Sequence[str], target_tokens: Sequence[str]) -> Iterator[str]:
        """Lines `SOURCE<TAB>TARGET<TAB>P`, by source word."""
        for source in range(len(self.offset_S1) - 1):
            begin, end = self.offset_S1[source], self.offset_S1[source + 1]
            for target, p in zip(self.target_E[begin:end].tolist(), self.p_E[begin:end].tolist(), strict=True):
                yield f"{source_tokens[source]}\t{target_tokens[target]}\t{p:.6g}"


def make_lexicon(table: PairTable, least: float = LEAST) -> Lexicon:
    """Put a table in order; the empty word is left out.

    Args:
        table: The table.
        least: Translations that are less probable than this are left out.
    """
    rows = len(table.begin_R1) - 2
    row_A = np.repeat(np.arange(rows), np.diff(table.begin_R1[:-1]))
    taken_A = table.target_A[: len(row_A)] != EMPTY
    row_E, target_E, p_E = row_A[taken_A], table.target_A[: len(row_A)][taken_A], table.p_A[: len(row_A)][taken_A]
    total_R = np.bincount(row_E, p_E, rows)
    p_E = p_E / np.where(total_R > 0, total_R, 1)[row_E]  # variational Bayes leaves something over
    kept = p_E >= least
    row_E, target_E, p_E = row_E[kept], target_E[kept], p_E[kept]
    order_E = np.lexsort((target_E, -p_E, row_E))
    offset_S1 = np.concatenate(([0], np.cumsum(np.bincount(row_E, minlength=rows))))
    return Lexicon(offset_S1, target_E[order_E], p_E[order_E])


def write_lexicon(lexicon: Lexicon, path: Path, source_tokens: Sequence[str], target_tokens: Sequence[str]) -> None:
    """Write the table as text, whole or not at all. Raises ArtefactError where it cannot be written."""
    with atomic_file(path) as file:
        file.writelines(f"{row}\n" for row in lexicon.rows(source_tokens, target_tokens))


def read_likeliest(path: Path) -> dict[str, str]:
    """The likeliest translation of each source word in a table as text, the first of several that are equally likely.

    A word whose likeliest translation is the unknown symbol has none, nor has that symbol itself.

    Args:
        path: The file; its rows may be in any order.

    Raises:
        DataError: There is no such file, it has no row, or a row is malformed; the message names the line.
    """
    best: dict[str, tuple[float, str]] = {}
    for number, line in enumerate(read_lines(path), start=1):
        parts = line.split("\t")
        p = _probability(parts[-1])
        if len(parts) != 3 or p is None:
            raise DataError(
                f"{path}:{number}: {_short(line)!r} is no row of a lexicon",
                "a row is SOURCE, TARGET and P, parted by tabs; P is a probability, from 0 to 1",
                hint="`rnnkit align-words --lexicon FILE` makes one",
            )
        source, target, _ = parts
        if source not in best or p > best[source][0]:
            best[source] = (p, target)
    if not best:
        raise DataError(f"{path} is empty", hint="`rnnkit align-words --lexicon FILE` makes a lexicon")
    unknown = NAMES[UNK]
    return {source: target for source, (_, target) in best.items() if unknown not in (source, target)}


def _probability(text: str) -> float | None:
    """The number, where it can be a probability."""
    try:
        p = float(text)
    except ValueError:
        return None
    return p if 0 <= p <= 1 else None


def _short(line: str) -> str:
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}…"
