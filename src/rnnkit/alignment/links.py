"""Links between words in Pharaoh's format: `0-0 1-2`, source and target word, counted from 0; a line for each pair.

Files of links made by hand may tell sure links, `0-0`, from possible ones, `0?0`.
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

_LINES_AT_ONCE = 4096
_LINK = re.compile(r"([0-9]{1,9})([-?])([0-9]{1,9})")


@dataclass(frozen=True)
class Links:
    """The links of all sentence pairs, packed.

    Attributes:
        offset_N1: Where each pair's links begin, and the end of the last.
        source_L: Place of the source word of each link.
        target_L: Place of the target word.
    """

    offset_N1: NDArray[np.int64]
    source_L: NDArray[np.int32]
    target_L: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.offset_N1) - 1

    def __getitem__(self, pair: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Source and target places of one pair's links."""
        if not 0 <= pair < len(self):
            raise IndexError(f"pair {pair} of {len(self)}")
        where = slice(self.offset_N1[pair], self.offset_N1[pair + 1])
        return self.source_L[where], self.target_L[where]

    def select(self, pair_B: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32]]:
        """The links of some pairs, for a batch.

        Args:
            pair_B: Numbers of the pairs, in any order.

        Returns:
            Of each link: which of the asked pairs it belongs to, from 0; place of the source word; of the target word.
        """
        begin_B = self.offset_N1[pair_B]
        length_B = self.offset_N1[pair_B + 1] - begin_B
        row_L = np.repeat(np.arange(len(pair_B)), length_B)
        before_B = np.cumsum(length_B) - length_B
        place_L = np.arange(len(row_L)) + np.repeat(begin_B - before_B, length_B)
        return row_L, self.source_L[place_L], self.target_L[place_L]

    def keys(self) -> NDArray[np.int64]:
        """A number for each link that no other link of the file has, if none is there twice; at most 2^20 words."""
        pair_L = np.repeat(np.arange(len(self)), np.diff(self.offset_N1))
        return (pair_L << 40) | (self.source_L.astype(np.int64) << 20) | self.target_L

    def lines(self) -> Iterator[str]:
        """The text of each pair's line."""
        for first in range(0, len(self), _LINES_AT_ONCE):
            offsets = self.offset_N1[first : first + _LINES_AT_ONCE + 1]
            part = slice(offsets[0], offsets[-1])
            sources, targets = self.source_L[part].tolist(), self.target_L[part].tolist()
            texts = [f"{source}-{target}" for source, target in zip(sources, targets, strict=True)]
            bounds = (offsets - offsets[0]).tolist()
            for begin, end in pairwise(bounds):
                yield " ".join(texts[begin:end])


def write_links(links: Links, path: Path) -> None:
    """Write a file of links, whole or not at all. Raises ArtefactError where it cannot be written."""
    with artifact_file(path, KIND, VERSION) as file:
        file.writelines(f"{line}\n" for line in links.lines())


def read_links(
    path: Path,
    source_lengths_N: NDArray[np.int64],
    target_lengths_N: NDArray[np.int64],
    possible: bool = False,
) -> Links:
    """Read a file of links.

    Args:
        path: The file.
        source_lengths_N: Words of each source sentence, the end symbol not counted.
        target_lengths_N: Of each target sentence.
        possible: Take possible links, `0?0`, too; without it they are left out.

    Raises:
        DataError: There is no such file, a line is malformed or names a word that its sentence does not have, or the
            lines are fewer or more than the pairs; the message names the line.
    """
    pairs = len(source_lengths_N)
    offsets, sources, targets, number = [0], [], [], 0
    for number, line in enumerate(read_lines(path), start=1):
        if number > pairs:
            raise _wrong_number(path, f"more than {pairs:,}", pairs)
        source_length, target_length = source_lengths_N[number - 1], target_lengths_N[number - 1]
        for word in line.split():
            found = _LINK.fullmatch(word)
            if found is None:
                raise DataError(f"{path}:{number}: {word!r} is no link", "a link is `SOURCE-TARGET`, such as 0-2")
            source, target = int(found[1]), int(found[3])
            if source >= source_length or target >= target_length:
                raise DataError(
                    f"{path}:{number}: the link {word} leads out of the pair",
                    f"its sentences have {source_length} and {target_length} words, counted from 0",
                    hint="are these links of other sentences, other tokens, or of the other direction?",
                )
            if possible or found[2] == "-":
                sources.append(source)
                targets.append(target)
        offsets.append(len(sources))
    if number < pairs:
        raise _wrong_number(path, f"{number:,}", pairs)
    return Links(np.array(offsets, np.int64), np.array(sources, np.int32), np.array(targets, np.int32))


def check_data(path: Path, data: Path) -> None:
    """Hold a file of links against the aligned data that it is to be used with; one without a manifest passes.

    Args:
        path: The file of links.
        data: The folder of aligned data.

    Raises:
        ArtefactError: Other data's words were linked, or the file has changed since it was written.
    """
    if not manifest.manifest_path(path).exists():
        return
    meta = manifest.read(path, KIND, VERSION)
    if faults := manifest.find_mismatches(path):
        raise ArtefactError(f"{path} is not as it was written", *faults, hint="`rnnkit align-words` makes it again")
    digest = manifest.sha256(data / manifest.NAME)
    if meta.inputs.get("data", digest) != digest:
        raise ArtefactError(
            f"{path} does not belong to {data}",
            f"the words of data with sha256 {meta.inputs['data'][:12]}… were linked, {data} has {digest[:12]}…",
            hint="run `rnnkit align-words` on this data",
        )


def _wrong_number(path: Path, lines: str, pairs: int) -> DataError:
    return DataError(
        f"{path} has {lines} lines, there are {pairs:,} sentence pairs",
        "there is a line for each pair, an empty one for a pair without links",
        hint="`rnnkit align` leaves out pairs; links made from its data fit",
    )
