"""`rnnkit inspect`: what a file or directory is, in words."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnkit.config import argument
from rnnkit.events import Listener, ignore

if TYPE_CHECKING:
    from rnnkit.reports.artefact import Description

EXAMPLE = """\
rnnkit inspect train.de train.en
rnnkit inspect work
rnnkit inspect work/model/best.safetensors --json"""


@dataclass(frozen=True)
class Options:
    """Say what files and directories are.

    Of a text: lines, lengths, encoding, and what rnnkit would stumble over. Of what rnnkit made: what it holds, how and
    from what it was made. Of weights and arrays: names and shapes. Nothing is changed.
    """

    paths: list[Path] = argument(
        help="Text, token file, vocabulary, tokenizer, data, model or vectors directory, .npy, .npz, .safetensors, "
        ".model, word vectors of word2vec, fastText or GloVe; or a folder that holds such.",
        metavar="PATH",
    )


@dataclass(frozen=True)
class Result:
    """One description a path."""

    descriptions: tuple[Description, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        """What is printed."""
        return tuple(line for description in self.descriptions for line in description.lines())

    def as_dict(self) -> dict[str, Any]:
        """What is printed with `--json`."""
        return {"artefacts": [description.as_dict() for description in self.descriptions]}


def run(options: Options, listen: Listener = ignore) -> Result:
    """Look at each path.

    Raises:
        DataError: There is nothing, it cannot be read, or nobody knows what it is.
        FormatError: It is of a known format and damaged.
    """
    from rnnkit.reports.artefact import describe

    return Result(tuple(describe(path) for path in options.paths))
