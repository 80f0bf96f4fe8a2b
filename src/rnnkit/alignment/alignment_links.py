"""Word alignments: links in Pharaoh format, their symmetrization, and their alignment error rate.

Pharaoh format has one line per sentence pair, `0-0 1-2`, source and target positions from 0. Manually aligned files may
distinguish sure links, `0-0`, from possible links, `0?0`.

Symmetrization combines the links of two directions (Och and Ney 2003; grow-diag and final-and as in Koehn, Och and
Marcu 2003):

- `intersection`: the links that both directions have; `union`: the links that either has.
- `grow-diag`: starts from the intersection and adds neighbors of links, diagonal ones included, that are in the union
  and link a word that has no link yet, until there are none.
- `grow-diag-final-and`: then adds links of the forward direction, and after them of the backward direction, whose words
  both have no link yet.

Links are visited by target position, then by source position, newly added ones included.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from rnnkit.errors import ArtefactError, DataError
from rnnkit.io import manifest
from rnnkit.io.artifact_output import artifact_file
from rnnkit.text.lines import read_lines

if TYPE_CHECKING:
    from rnnkit.alignment.bitext import Bitext

KIND: Final = "links"
VERSION: Final = 1

INTERSECTION: Final = "intersection"
UNION: Final = "union"
GROW_DIAG: Final = "grow-diag"
GROW_DIAG_FINAL_AND: Final = "grow-diag-final-and"
METHODS: Final = (GROW_DIAG_FINAL_AND, GROW_DIAG, INTERSECTION, UNION)

_LINES_PER_BLOCK = 4096
_LINK = re.compile(r"([0-9]{1,9})([-?])([0-9]{1,9})")


@dataclass(frozen=True)
class WordAlignments:
    """The alignment links of all sentence pairs, concatenated.

    Attributes:
        offset_N1: Offset of each pair's links, and the total.
        source_L: Source position of each link.
        target_L: Target position of each link.
    """

    offset_N1: NDArray[np.int64]
    source_L: NDArray[np.int32]
    target_L: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.offset_N1) - 1

    def __getitem__(self, pair: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Return the source and target positions of one pair's links."""
        if not 0 <= pair < len(self):
            raise IndexError(f"pair {pair} of {len(self)}")
        links = slice(self.offset_N1[pair], self.offset_N1[pair + 1])
        return self.source_L[links], self.target_L[links]

    def gather(self, pair_B: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32]]:
        """Gather the links of a batch of sentence pairs.

        Args:
            pair_B: Indices of the pairs, in any order.

        Returns:
            For each link its batch row, its source position, and its target position.
        """
        begin_B = self.offset_N1[pair_B]
        length_B = self.offset_N1[pair_B + 1] - begin_B
        row_L = np.repeat(np.arange(len(pair_B)), length_B)
        before_B = np.cumsum(length_B) - length_B
        index_L = np.arange(len(row_L)) + np.repeat(begin_B - before_B, length_B)
        return row_L, self.source_L[index_L], self.target_L[index_L]

    def keys(self) -> NDArray[np.int64]:
        """Return an integer that identifies each link among all pairs; positions must be below 2^20."""
        pair_L = np.repeat(np.arange(len(self)), np.diff(self.offset_N1))
        return (pair_L << 40) | (self.source_L.astype(np.int64) << 20) | self.target_L

    def format_lines(self) -> Iterator[str]:
        """Yield the line of each pair."""
        for first in range(0, len(self), _LINES_PER_BLOCK):
            offsets = self.offset_N1[first : first + _LINES_PER_BLOCK + 1]
            block = slice(offsets[0], offsets[-1])
            sources, targets = self.source_L[block].tolist(), self.target_L[block].tolist()
            texts = [f"{source}-{target}" for source, target in zip(sources, targets, strict=True)]
            for begin, end in pairwise((offsets - offsets[0]).tolist()):
                yield " ".join(texts[begin:end])


def write_links(links: WordAlignments, path: Path) -> None:
    """Write links in Pharaoh format, atomically. Raises ArtefactError if they cannot be written."""
    with artifact_file(path, KIND, VERSION) as file:
        file.writelines(f"{line}\n" for line in links.format_lines())


def read_links(
    path: Path,
    source_lengths_N: NDArray[np.int64],
    target_lengths_N: NDArray[np.int64],
    possible: bool = False,
) -> WordAlignments:
    """Read links in Pharaoh format.

    Args:
        path: The file.
        source_lengths_N: Length of each source sentence in words, EOS excluded.
        target_lengths_N: Length of each target sentence.
        possible: Also read possible links, `0?0`, which are left out otherwise.

    Raises:
        DataError: The file does not exist, a line is malformed or links a word that its sentence does not have, or the
            number of lines is not the number of pairs.
    """
    pairs = len(source_lengths_N)
    offsets, sources, targets, number = [0], [], [], 0
    for number, line in enumerate(read_lines(path), start=1):
        if number > pairs:
            raise _line_count_error(path, f"more than {pairs:,}", pairs)
        lengths = int(source_lengths_N[number - 1]), int(target_lengths_N[number - 1])
        for word in line.split():
            source, target, is_sure = _parse_link(word, lengths, path, number)
            if possible or is_sure:
                sources.append(source)
                targets.append(target)
        offsets.append(len(sources))
    if number < pairs:
        raise _line_count_error(path, f"{number:,}", pairs)
    return WordAlignments(np.array(offsets, np.int64), np.array(sources, np.int32), np.array(targets, np.int32))


def _parse_link(text: str, lengths: tuple[int, int], path: Path, line: int) -> tuple[int, int, bool]:
    """Return the source and target position of a link, and whether it is sure."""
    match = _LINK.fullmatch(text)
    if match is None:
        raise DataError(
            f"{path}:{line}: {text!r} is not a link", "a link is `SOURCE-TARGET`, such as 0-2", path=path, line=line
        )
    source, target = int(match[1]), int(match[3])
    if source >= lengths[0] or target >= lengths[1]:
        raise DataError(
            f"{path}:{line}: link {text} is outside its sentence pair",
            f"the sentences have {lengths[0]} and {lengths[1]} words; positions start at 0",
            hint="check that the links belong to these sentences and tokens, and to this direction",
            path=path,
            line=line,
        )
    return source, target, match[2] == "-"


def _line_count_error(path: Path, lines: str, pairs: int) -> DataError:
    return DataError(
        f"{path} has {lines} lines, but there are {pairs:,} sentence pairs",
        "each pair has one line, which is empty if the pair has no links",
        hint="`rnnkit align` leaves out pairs; align the words of the data that it wrote",
        path=path,
    )


def check_links_match_data(path: Path, data: Path) -> None:
    """Check that a file of links was made from the given aligned data; files without a manifest are not checked.

    Args:
        path: The file of links.
        data: Directory of the aligned data.

    Raises:
        ArtefactError: The links were made from other data, or the file was modified after it was written.
    """
    if not manifest.manifest_path(path).exists():
        return
    meta = manifest.read(path, KIND, VERSION)
    if faults := manifest.find_mismatches(path):
        raise ArtefactError(
            f"{path} was modified after it was written", *faults, hint="`rnnkit align-words` makes it again", path=path
        )
    digest = manifest.sha256(data / manifest.NAME)
    if meta.inputs.get("data", digest) != digest:
        raise ArtefactError(
            f"{path} does not belong to {data}",
            f"its links were made from data with sha256 {meta.inputs['data'][:12]}…; {data} has {digest[:12]}…",
            hint="run `rnnkit align-words` on this data",
            path=path,
        )


def symmetrize(
    bitext: Bitext, forward_T: NDArray[np.int32], backward_S: NDArray[np.int32], method: str
) -> WordAlignments:
    """Combine the links of two directions.

    Args:
        bitext: The sentence pairs, in the forward direction.
        forward_T: For each target word its source position, or NULL_LINK.
        backward_S: For each source word its target position, or NULL_LINK.
        method: One of METHODS.
    """
    from rnnkit.kernels.word_alignment import symmetrize_sentences

    lengths = bitext.source.length_N, bitext.target.length_N
    source_begin_N1, target_begin_N1 = (np.concatenate(([0], np.cumsum(length_N))) for length_N in lengths)
    max_links = int((forward_T >= 0).sum() + (backward_S >= 0).sum())
    offset_N1 = np.zeros(len(bitext) + 1, dtype=np.int64)
    source_L, target_L = np.empty(max_links, dtype=np.int32), np.empty(max_links, dtype=np.int32)
    begins, links = (source_begin_N1, target_begin_N1), (offset_N1, source_L, target_L)
    symmetrize_sentences(begins, forward_T, backward_S, METHODS.index(method), links)
    return WordAlignments(offset_N1, source_L[: offset_N1[-1]].copy(), target_L[: offset_N1[-1]].copy())


def single_direction_links(bitext: Bitext, link_T: NDArray[np.int32], backward: bool = False) -> WordAlignments:
    """Return the links of one direction.

    Args:
        bitext: The sentence pairs, in the forward direction.
        link_T: For each word of the generated side the position of its word on the other side, or NULL_LINK.
        backward: Whether the source side is the generated one.
    """
    none = np.full(int((bitext.target if backward else bitext.source).length_N.sum()), -1, dtype=np.int32)
    return symmetrize(bitext, none, link_T, UNION) if backward else symmetrize(bitext, link_T, none, UNION)


@dataclass(frozen=True)
class AlignmentScores:
    """Scores of links A against sure links S and possible links P, of which S is a subset.

    Attributes:
        precision: |A ∩ P| / |A|.
        recall: |A ∩ S| / |S|.
        f1: Harmonic mean of precision and recall.
        error_rate: AER, 1 - (|A ∩ S| + |A ∩ P|) / (|A| + |S|); equal to 1 - F1 if P = S.
    """

    precision: float
    recall: float
    f1: float
    error_rate: float


def score_links(links: WordAlignments, sure: WordAlignments, possible: WordAlignments | None = None) -> AlignmentScores:
    """Score links against a gold standard. Precision without links and recall without sure links are 1.

    Args:
        links: The links to score.
        sure: Sure links of the gold standard.
        possible: Possible links of the gold standard, with or without the sure ones; None if there are no others.
    """
    found, expected = np.unique(links.keys()), np.unique(sure.keys())
    allowed = expected if possible is None else np.union1d(expected, possible.keys())
    num_sure = len(np.intersect1d(found, expected, assume_unique=True))
    num_allowed = len(np.intersect1d(found, allowed, assume_unique=True))
    precision = num_allowed / len(found) if len(found) else 1.0
    recall = num_sure / len(expected) if len(expected) else 1.0
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    total = len(found) + len(expected)
    return AlignmentScores(precision, recall, f1, 1 - (num_sure + num_allowed) / total if total else 0.0)
