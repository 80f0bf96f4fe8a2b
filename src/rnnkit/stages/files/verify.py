"""`rnnkit verify`: verification of artifacts by their checksums."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rnnkit.errors import DataError, FormatError
from rnnkit.events import Listener, Note, Progress, null_listener
from rnnkit.io import artifact_output, manifest
from rnnkit.json_types import JsonObject
from rnnkit.options.declare import argument

EXAMPLE = """\
rnnkit verify work
rnnkit verify model.copied && rnnkit decode --model model.copied < test.de"""

WEIGHTS = ".safetensors"
MODEL = "model"
ARTIFACT_NAMES = (
    "config.json", "*.safetensors", "*.npy", "*.spm", "*.tok", "vocab.tsv", "vocab.*.tsv", "metrics.jsonl",
    "state.json",
)  # fmt: skip
"""Names that only files of artifacts have: such a file without a manifest is an error."""


@dataclass(frozen=True)
class VerifyOptions:
    """Compare files with the checksums in their manifests: sizes first, then SHA-256.

    Includes all artifacts below a directory, also those inside other artifacts. The exit code is 1, and the error
    names the file, if a file is missing or changed, or if an artifact contains a file that no manifest lists. Files
    that an unfinished run still writes are skipped.
    """

    paths: list[Path] = argument(help="Artifact, or a directory that contains some.", metavar="PATH")


@dataclass(frozen=True)
class VerifyResult:
    """The counts of what was verified.

    Attributes:
        files: Files that match their checksums.
        artefacts: Manifests that list them.
    """

    files: int
    artefacts: int

    @property
    def lines(self) -> tuple[str, ...]:
        """The result as text."""
        return (f"{self.files} files verified",)

    def as_dict(self) -> JsonObject:
        """Return the result as JSON."""
        return {"files": self.files, "artefacts": self.artefacts}


def run(options: VerifyOptions, listen: Listener = null_listener) -> VerifyResult:
    """Verify every artifact at or below the paths.

    Raises:
        DataError: There is no artifact.
        FormatError: Files are missing or changed; the details name each.
    """
    found = list(dict.fromkeys(artifact for path in options.paths for artifact in _find_artifacts(path)))
    faults: dict[str, None] = {}  # an ordered set: two manifests may list the same file
    files: set[Path] = set()
    for done, artifact in enumerate(found):
        listen(Progress("verify", done, len(found), unit="artifacts"))
        folder = manifest.manifest_path(artifact).parent
        faults |= dict.fromkeys(f"{folder / fault}" for fault in _find_faults(artifact))
        files |= {folder / name for name in manifest.load(manifest.manifest_path(artifact)).files}
    unlisted = _unlisted(options.paths, found, files)
    unfinished = [path for path in unlisted if _is_unfinished(path, found)]
    unrelated = [path for path in unlisted if path not in unfinished and not _is_of_artifact(path, found)]
    for path in [path for path in unlisted if path not in unfinished and path not in unrelated]:
        files.add(path)
        faults[f"{path}: not listed in any manifest"] = None
    for path in [path for path in unfinished if path.suffix == WEIGHTS]:
        unfinished.remove(path)
        files.add(path)
        faults |= dict.fromkeys(_find_weight_faults(path))
    listen(Progress("verify", len(found), len(found), unit="artifacts", finished=True))
    if faults:
        raise FormatError(
            f"verification failed for {len(faults)} of {len(files)} files",
            *faults,
            hint="copy them again from an intact source, or write them again with --overwrite",
        )
    if unfinished:
        listen(Note(f"skipped, because an unfinished run writes them: {', '.join(map(str, unfinished))}"))
    if unrelated:
        listen(Note(f"skipped, because they belong to no artifact: {', '.join(map(str, unrelated))}"))
    return VerifyResult(len(files), len(found))


def _find_artifacts(path: Path) -> Iterator[Path]:
    """Yield the artifact at a path and those inside it, except in hidden directories, which are interrupted writes.

    Raises:
        DataError: There is none.
    """
    inside = sorted(path.rglob(f"*{manifest.NAME}")) if path.is_dir() else [manifest.manifest_path(path)]
    places = [place for place in inside if place.is_file() and not (path.is_dir() and _hidden(place.relative_to(path)))]
    if not places:
        if not path.exists():
            raise DataError(f"file or directory not found: {path}", path=path)
        raise DataError(
            f"{path} has no checksums",
            f"there is no {manifest.NAME} in it or beside it",
            hint="only artifacts of rnnkit have checksums; `rnnkit inspect` describes other files",
            path=path,
        )
    for place in places:
        own = place.name == manifest.NAME
        yield place.parent if own else place.with_name(place.name.removesuffix(f".{manifest.NAME}"))


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _find_faults(artifact: Path) -> list[str]:
    """Compare an artifact with its manifest. Raises FormatError if the manifest is malformed."""
    try:
        return manifest.find_mismatches(artifact)
    except (KeyError, TypeError, AttributeError) as error:
        place = manifest.manifest_path(artifact)
        raise FormatError(f"{place} is damaged", f"{type(error).__name__}: {error}", path=place) from error


def _unlisted(paths: list[Path], artifacts: list[Path], files: set[Path]) -> list[Path]:
    """Find files at or below the paths that no manifest lists, except manifests and hidden files."""
    places = {manifest.manifest_path(artifact) for artifact in artifacts}
    folders = [path for path in [*paths, *artifacts] if path.is_dir()]
    below = {path: folder for folder in reversed(folders) for path in folder.rglob("*")}
    return [
        path
        for path, folder in sorted(below.items())
        if (path.is_symlink() or not path.is_dir())
        and path not in files | places
        and not _hidden(path.relative_to(folder))
    ]


def _is_unfinished(path: Path, artifacts: list[Path]) -> bool:
    """Return whether an unfinished run writes to a file, which its final manifest will list."""
    for folder in (parent for parent in path.parents if parent in artifacts):
        found = manifest.load(manifest.manifest_path(folder))
        patterns = artifact_output.RUN_FILES.get(found.kind, ())
        # The manifest of an unfinished run does not list its weights, which still change.
        has_weights = any("/" not in name and name.endswith(WEIGHTS) for name in found.files)
        finished = found.facts.get("finished", has_weights or found.kind != MODEL)
        return not finished and artifact_output.matches_any(path.relative_to(folder).as_posix(), patterns)
    return False


def _is_of_artifact(path: Path, artifacts: list[Path]) -> bool:
    """Return whether a file is inside an artifact, or has one of the names of `ARTIFACT_NAMES`."""
    inside = any(parent in artifacts for parent in path.parents)
    return inside or artifact_output.matches_any(path.name, ARTIFACT_NAMES)


def _find_weight_faults(path: Path) -> list[str]:
    """Verify a weights file by the checksum that it contains."""
    from rnnkit.models import model_weights

    try:
        model_weights.load(path)
    except FormatError as error:
        return [f"{path}: {'; '.join(error.details)}"]
    return []
