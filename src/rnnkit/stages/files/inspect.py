"""`rnnkit inspect`: what a file or directory is, in words."""

from __future__ import annotations

import dataclasses
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnkit.config import argument
from rnnkit.events import Listener, null_listener
from rnnkit.io.safe_reading import spool_pipes

if TYPE_CHECKING:
    from rnnkit.reports.artefact import Description
    from rnnkit.reports.difference import Difference

EXAMPLE = """\
rnnkit inspect train.de train.en
rnnkit inspect work
rnnkit inspect work/model work/other
rnnkit inspect work/model/best.safetensors --json"""


@dataclass(frozen=True)
class InspectOptions:
    """Say what files and directories are.

    Of a text: lines, lengths, encoding, and what rnnkit would stumble over. Of what rnnkit made: what it holds, how and
    from what it was made. Of weights and arrays: names and shapes. Of two artefacts also what differs: facts, options,
    the step at which two trainings went separate ways, weights, rows, lines. Nothing is changed.
    """

    paths: list[Path] = argument(
        help="Text, token file, vocabulary, tokenizer, data, model or vectors directory, .npy, .npz, .safetensors, "
        ".model, word vectors of word2vec, fastText or GloVe; or a folder that holds such.",
        metavar="PATH",
    )


@dataclass(frozen=True)
class InspectResult:
    """What was found.

    Attributes:
        descriptions: One a path.
        differences: What tells two paths apart; None where there are not two.
    """

    descriptions: tuple[Description, ...]
    differences: tuple[Difference, ...] | None = None

    @property
    def lines(self) -> tuple[str, ...]:
        """What is printed."""
        described = tuple(line for description in self.descriptions for line in description.lines())
        if self.differences is None:
            return described
        first, second = (description.path for description in self.descriptions)
        heading = f"what differs: {first} | {second}" if self.differences else "nothing differs"
        return (*described, heading, *(f"  {difference.line()}" for difference in self.differences))

    def as_dict(self) -> dict[str, Any]:
        """What is printed with `--json`."""
        described = [description.as_dict() for description in self.descriptions]
        if self.differences is None:
            return {"artefacts": described}
        return {"artefacts": described, "differences": [asdict(difference) for difference in self.differences]}


def run(options: InspectOptions, listen: Listener = null_listener) -> InspectResult:
    """Look at each path, and hold two against each other.

    Raises:
        DataError: There is nothing, it cannot be read, or nobody knows what it is.
        FormatError: It is of a known format and damaged.
    """
    from rnnkit.reports.artefact import describe
    from rnnkit.reports.difference import differences

    with spool_pipes(options.paths, named=False) as paths:
        described = tuple(
            dataclasses.replace(describe(found), path=path) for found, path in zip(paths, options.paths, strict=True)
        )
        if len(described) != 2:
            return InspectResult(described)
        return InspectResult(described, tuple(differences(*described)))
