"""`rnnkit plot`: the learning curve of a run as a picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnnkit.config import argument, option
from rnnkit.errors import ArtefactError
from rnnkit.events import Listener, Note, ignore
from rnnkit.files.workspace import Workspace

EXAMPLE = """\
rnnkit plot
rnnkit plot work/model --output curve.svg"""


@dataclass(frozen=True)
class Options:
    """Draw the learning curve of a run, finished or not: loss and validation BLEU over steps."""

    model: Path | None = argument(None, help="Model directory; the workspace's unless given.", metavar="MODEL")
    work: Path = option(Path("work"), help="Workspace that paths not given are in.", panel="Data")
    output: Path | None = option(
        None, help="Picture to write: .png, .svg or .pdf.", panel="Output", shown_default="MODEL/curve.png"
    )
    overwrite: bool = option(False, help="Replace the picture at --output.", panel="Output")


@dataclass(frozen=True)
class Result:
    """Where the picture is."""

    picture: Path

    def as_dict(self) -> dict[str, Any]:
        """The result as JSON."""
        return {"picture": str(self.picture)}


def run(options: Options, listen: Listener = ignore) -> Result:
    """Draw.

    Raises:
        DataError: Nothing has been measured, or the picture's ending is unknown.
        ArtefactError: The picture is there already.
    """
    from rnnkit.reports.curve import draw_curve
    from rnnkit.training import metrics

    model = options.model or Workspace(options.work).model
    picture = options.output or model / "curve.png"
    if options.output is not None and picture.exists() and not options.overwrite:
        raise ArtefactError(f"{picture} is there already", hint="--overwrite replaces it")
    draw_curve(model / metrics.NAME, picture)
    listen(Note(f"{picture} drawn"))
    return Result(picture)
