"""Links that attention is taught by: `--guided-attention` and `--guided-weight`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rnnkit.errors import DataError, UsageError
from rnnkit.io import manifest
from rnnkit.text.token_files import TRAIN

if TYPE_CHECKING:
    from rnnkit.data.aligned_data import AlignedData
    from rnnkit.training.seq2seq_task import AttentionSupervision

INPUT = "links"
"""Under this name the manifest of a model has the checksum of the links."""

WEIGHT = 0.2
"""What a nat of a linked token's attention counts, where nobody says otherwise."""


@dataclass(frozen=True)
class Guided:
    """What the options say of guided attention.

    Attributes:
        path: File of links; None for none.
        weight: How much they matter; with 0 the file is not looked at.
    """

    path: Path | None
    weight: float

    @property
    def file(self) -> Path | None:
        """The file of links that is read."""
        return self.path if self.weight else None

    def check(self, attention: str | None) -> None:
        """Refuse what makes no sense, before any work is done. Raises UsageError."""
        if self.path is None and self.weight != WEIGHT:
            raise UsageError(
                f"--guided-weight {self.weight:g} needs --guided-attention", "it is the weight of the links named there"
            )
        if self.path is not None and attention == "none":
            raise UsageError(
                f"--guided-attention {self.path} needs attention", "with --attention none there is nothing to guide"
            )

    def digests(self) -> dict[str, str]:
        """sha256 of the links, by the part they play. Raises DataError where there are none."""
        if self.file is None:
            return {}
        if not self.file.is_file():
            raise DataError(f"there are no links at {self.file}", hint=manifest.CREATION_HINTS["links"])
        return {INPUT: manifest.sha256(self.file)}

    def load(self, data: AlignedData) -> AttentionSupervision | None:
        """The links of the data's training part.

        Raises:
            DataError: A line is malformed or links words that its sentences do not have, or the lines are fewer or
                more than the pairs; the message names the line. Or there is no link in the file.
            ArtefactError: The words of other data were linked, or the file has changed since.
            FormatError: Its manifest is damaged.
        """
        from rnnkit.alignment.bitext import make_side
        from rnnkit.alignment.links import check_data, read_links
        from rnnkit.training.seq2seq_task import AttentionSupervision

        if self.file is None:
            return None
        check_data(self.file, data.folder)
        sides = (make_side(data.side(TRAIN, side), data.vocabulary_size(side)) for side in data.sides)
        source_N, target_N = (side.length_N for side in sides)
        links = read_links(self.file, source_N, target_N)
        if not len(links.source_L):
            raise DataError(
                f"{self.file} has no link", "all its lines are empty", hint=manifest.CREATION_HINTS["links"]
            )
        return AttentionSupervision(links, self.weight)
