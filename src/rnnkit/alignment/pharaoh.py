"""Word alignment links in Pharaoh format: one line per sentence pair, `0-0 1-2`, source and target positions from 0.

Manually aligned files may distinguish sure links, `0-0`, from possible links, `0?0`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rnnkit.errors import ArtefactError, DataError
from rnnkit.io import manifest
from rnnkit.io.artifact_output import artifact_file
from rnnkit.text.lines import read_lines

KIND: Final = "links"
VERSION: Final = 1

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
