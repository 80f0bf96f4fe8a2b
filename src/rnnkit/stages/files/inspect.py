"""`rnnkit inspect`: descriptions of files and directories, and comparison of two."""

from __future__ import annotations

import dataclasses
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rnnkit.events import Listener, null_listener
from rnnkit.io.safe_reading import spool_pipes
from rnnkit.json_types import JsonObject
from rnnkit.options.declare import argument

if TYPE_CHECKING:
    from rnnkit.reports.artefact import Description
    from rnnkit.reports.artefact_diff import Difference

EXAMPLE = """\
rnnkit inspect train.de train.en
rnnkit inspect work
rnnkit inspect work/model work/other
rnnkit inspect work/model/best.safetensors --json"""


@dataclass(frozen=True)
class InspectOptions:
    """Describe files and directories, and compare them if there are two. Nothing is changed.

    For a text: lines, lengths, encoding, and lines that rnnkit would reject. For an artifact of rnnkit: its content,
    options and inputs. For weights and arrays: names and shapes. For two artifacts also the differences: facts,
    options, the step at which two training runs diverge, weights, vocabulary entries, lines.
    """

    paths: list[Path] = argument(
        help="Text, token file, vocabulary, tokenizer, data, model or vectors directory, .npy, .npz, .safetensors, "
        ".model, word vectors of word2vec, fastText or GloVe; or a directory that contains such files.",
        metavar="PATH",
    )


@dataclass(frozen=True)
class InspectResult:
    """Descriptions and differences.

    Attributes:
        descriptions: One for each path.
        differences: Differences between two paths; None unless there are two.
    """

    descriptions: tuple[Description, ...]
    differences: tuple[Difference, ...] | None = None

    @property
    def lines(self) -> tuple[str, ...]:
        """The result as text."""
        described = tuple(line for description in self.descriptions for line in description.lines())
        if self.differences is None:
            return described
        first, second = (description.path for description in self.descriptions)
        heading = f"differences: {first} | {second}" if self.differences else "no differences"
        return (*described, heading, *(f"  {difference.line()}" for difference in self.differences))

    def as_dict(self) -> JsonObject:
        """Return the result as JSON."""
        described = [description.as_dict() for description in self.descriptions]
        if self.differences is None:
            return {"artefacts": described}
        return {"artefacts": described, "differences": [asdict(difference) for difference in self.differences]}


def run(options: InspectOptions, listen: Listener = null_listener) -> InspectResult:
    """Describe each path, and compare two.

    Raises:
        DataError: A path does not exist, cannot be read, or has an unknown format.
        FormatError: A file of a known format is damaged.
    """
    from rnnkit.reports.artefact import describe
    from rnnkit.reports.artefact_diff import differences

    with spool_pipes(options.paths, named=False) as paths:
        described = tuple(
            dataclasses.replace(describe(found), path=path) for found, path in zip(paths, options.paths, strict=True)
        )
        if len(described) != 2:
            return InspectResult(described)
        return InspectResult(described, tuple(differences(*described)))
