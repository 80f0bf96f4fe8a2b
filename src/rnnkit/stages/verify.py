"""`rnnkit verify`: whether the files of an artefact are those that were written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnnkit.config import argument
from rnnkit.errors import DataError, FormatError
from rnnkit.events import Listener, Note, Progress, ignore
from rnnkit.files import manifest

EXAMPLE = """\
rnnkit verify work
rnnkit verify model.copied && rnnkit decode --model model.copied < test.de"""


@dataclass(frozen=True)
class Options:
    """Compare files with the checksums that were written beside them: sizes first, then SHA-256.

    Looks into folders, and into artefacts inside artefacts. Ends with exit code 1 where anything is missing or
    changed, and names it.
    """

    paths: list[Path] = argument(help="Artefact, or a folder that holds some.", metavar="PATH")


@dataclass(frozen=True)
class Result:
    """What was checked and found whole.

    Attributes:
        files: Files compared with their checksums.
        artefacts: Manifests that name them.
    """

    files: int
    artefacts: int

    @property
    def lines(self) -> tuple[str, ...]:
        """What is printed."""
        return (f"{self.files} files whole",)

    def as_dict(self) -> dict[str, Any]:
        """What is printed with `--json`."""
        return {"files": self.files, "artefacts": self.artefacts}


def run(options: Options, listen: Listener = ignore) -> Result:
    """Check every artefact at or below the paths.

    Raises:
        DataError: There is no artefact.
        FormatError: Files are missing or changed; the message names each.
    """
    found = list(dict.fromkeys(artefact for path in options.paths for artefact in _artefacts(path)))
    faults: dict[str, None] = {}  # ordered, and a file that two manifests name is one file
    files: set[Path] = set()
    for done, artefact in enumerate(found):
        listen(Progress("verify", done, len(found), unit="artefacts"))
        folder = manifest.place(artefact).parent
        faults |= dict.fromkeys(f"{folder / fault}" for fault in _faults(artefact))
        files |= {folder / name for name in manifest.load(manifest.place(artefact)).files}
    unlisted = list(_without_checksum(found, files))
    for path in [path for path in unlisted if _knows_itself(path)]:
        unlisted.remove(path)
        files.add(path)
        faults |= dict.fromkeys(_own_faults(path))
    listen(Progress("verify", len(found), len(found), unit="artefacts", finished=True))
    if faults:
        raise FormatError(
            f"{len(faults)} of {len(files)} files are not as they were written",
            *faults,
            hint="copy them again from where they are whole, or make them again with --overwrite",
        )
    if unlisted:
        listen(Note(f"without a checksum, so not checked: {', '.join(map(str, unlisted))}"))
    return Result(len(files), len(found))


def _artefacts(path: Path) -> Iterator[Path]:
    """The artefact at a path and those inside it. Hidden folders are writes that were cut off: nobody reads them.

    Raises:
        DataError: There is none.
    """
    inside = sorted(path.rglob(f"*{manifest.NAME}")) if path.is_dir() else [manifest.place(path)]
    places = [place for place in inside if place.is_file() and not (path.is_dir() and _hidden(place.relative_to(path)))]
    if not places:
        exists = path.exists()
        raise DataError(
            f"{path} has no checksums" if exists else f"there is no file or folder {path}",
            *([f"no {manifest.NAME} stands in it or beside it"] if exists else []),
            hint="rnnkit writes them with everything it makes; `rnnkit inspect` looks at other files"
            if exists
            else None,
        )
    for place in places:
        own = place.name == manifest.NAME
        yield place.parent if own else place.with_name(place.name.removesuffix(f".{manifest.NAME}"))


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _faults(artefact: Path) -> list[str]:
    try:
        return manifest.faults(artefact)
    except (KeyError, TypeError, AttributeError) as error:
        place = manifest.place(artefact)
        raise FormatError(f"{place} is damaged", f"{type(error).__name__}: {error}") from error


def _without_checksum(artefacts: list[Path], files: set[Path]) -> Iterator[Path]:
    """Files inside the artefacts' folders that no manifest names."""
    for path in sorted({path for artefact in artefacts if artefact.is_dir() for path in artefact.rglob("*")}):
        is_manifest = path.name == manifest.NAME or path.name.endswith(f".{manifest.NAME}")
        if path.is_file() and path not in files and not is_manifest and not path.name.startswith("."):
            yield path


def _knows_itself(path: Path) -> bool:
    """Whether a file holds its own checksum, as the weights of a model still in training do."""
    return path.suffix == ".safetensors"


def _own_faults(path: Path) -> list[str]:
    from rnnkit.models import weights

    try:
        weights.load(path)
    except FormatError as error:
        return [f"{path}: {'; '.join(error.details)}"]
    return []
