"""`rnnkit verify`: whether the files of an artefact are those that were written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnnkit.config import argument
from rnnkit.errors import DataError, FormatError
from rnnkit.events import Listener, Note, Progress, null_listener
from rnnkit.io import artifact_output, manifest

EXAMPLE = """\
rnnkit verify work
rnnkit verify model.copied && rnnkit decode --model model.copied < test.de"""


WEIGHTS = ".safetensors"

MODEL = "model"

NAMES = (
    "config.json", "*.safetensors", "*.npy", "*.spm", "*.tok", "vocab.tsv", "vocab.*.tsv", "metrics.jsonl",
    "state.json",
)  # fmt: skip
"""Names of files that only artefacts have: without a manifest the artefact has lost it."""


@dataclass(frozen=True)
class VerifyOptions:
    """Compare files with the checksums that were written beside them: sizes first, then SHA-256.

    Looks into folders, and into artefacts inside artefacts. Ends with exit code 1 and names the file if anything is
    missing or changed, or if an artefact holds a file that no manifest lists. What a run that is not finished still
    writes is left out.
    """

    paths: list[Path] = argument(help="Artefact, or a folder that holds some.", metavar="PATH")


@dataclass(frozen=True)
class VerifyResult:
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


def run(options: VerifyOptions, listen: Listener = null_listener) -> VerifyResult:
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
        folder = manifest.manifest_path(artefact).parent
        faults |= dict.fromkeys(f"{folder / fault}" for fault in _faults(artefact))
        files |= {folder / name for name in manifest.load(manifest.manifest_path(artefact)).files}
    unlisted = _unlisted(options.paths, found, files)
    growing = [path for path in unlisted if _is_growing(path, found)]
    loose = [path for path in unlisted if path not in growing and not _is_of_artefact(path, found)]
    for path in [path for path in unlisted if path not in growing and path not in loose]:
        files.add(path)
        faults[f"{path}: no manifest lists it"] = None
    for path in [path for path in growing if path.suffix == WEIGHTS]:
        growing.remove(path)
        files.add(path)
        faults |= dict.fromkeys(_own_faults(path))
    listen(Progress("verify", len(found), len(found), unit="artefacts", finished=True))
    if faults:
        raise FormatError(
            f"{len(faults)} of {len(files)} files are not as they were written",
            *faults,
            hint="copy them again from where they are whole, or make them again with --overwrite",
        )
    if growing:
        listen(Note(f"of a run that is not finished, so not checked: {', '.join(map(str, growing))}"))
    if loose:
        listen(Note(f"not part of an artefact, so not checked: {', '.join(map(str, loose))}"))
    return VerifyResult(len(files), len(found))


def _artefacts(path: Path) -> Iterator[Path]:
    """The artefact at a path and those inside it. Hidden folders are writes that were cut off: nobody reads them.

    Raises:
        DataError: There is none.
    """
    inside = sorted(path.rglob(f"*{manifest.NAME}")) if path.is_dir() else [manifest.manifest_path(path)]
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
        return manifest.find_mismatches(artefact)
    except (KeyError, TypeError, AttributeError) as error:
        place = manifest.manifest_path(artefact)
        raise FormatError(f"{place} is damaged", f"{type(error).__name__}: {error}") from error


def _unlisted(paths: list[Path], artefacts: list[Path], files: set[Path]) -> list[Path]:
    """Files at or below the paths that no manifest lists, but for manifests and hidden files."""
    places = {manifest.manifest_path(artefact) for artefact in artefacts}
    folders = [path for path in [*paths, *artefacts] if path.is_dir()]
    below = {path: folder for folder in reversed(folders) for path in folder.rglob("*")}
    return [
        path
        for path, folder in sorted(below.items())
        if (path.is_symlink() or not path.is_dir())
        and path not in files | places
        and not _hidden(path.relative_to(folder))
    ]


def _is_growing(path: Path, artefacts: list[Path]) -> bool:
    """Whether a run that is not finished writes to a file: its manifest lists it in the end."""
    for folder in (parent for parent in path.parents if parent in artefacts):
        found = manifest.load(manifest.manifest_path(folder))
        patterns = artifact_output.RUN_FILES.get(found.kind, ())
        # A run lists its weights when it is finished: until then they change.
        has_weights = any("/" not in name and name.endswith(WEIGHTS) for name in found.files)
        finished = found.facts.get("finished", has_weights or found.kind != MODEL)
        return not finished and artifact_output.matches_any(path.relative_to(folder).as_posix(), patterns)
    return False


def _is_of_artefact(path: Path, artefacts: list[Path]) -> bool:
    """Whether a file is inside an artefact's folder, or has a name that only files of artefacts have."""
    inside = any(parent in artefacts for parent in path.parents)
    return inside or artifact_output.matches_any(path.name, NAMES)


def _own_faults(path: Path) -> list[str]:
    """Faults of weights, which hold their own checksum."""
    from rnnkit.models import model_weights

    try:
        model_weights.load(path)
    except FormatError as error:
        return [f"{path}: {'; '.join(error.details)}"]
    return []
