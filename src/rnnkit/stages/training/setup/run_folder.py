"""The directory of a run: made, replaced or taken up again, with the options that the run was started with."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from rnnkit.config import as_dict, flag
from rnnkit.errors import ArtefactError, ConfigError
from rnnkit.events import Listener, WarningEvent
from rnnkit.io import artifact_output, manifest, resumable_output
from rnnkit.io.resumable_output import RunDirectory

NOT_SAVED = ("work", "output", "resume", "overwrite", "dry_run", "restarts", "save_every", "samples")
"""Options of one call rather than of the run: a resumed run may have others."""

CHANGEABLE = ("threads",)
"""Options that a resumed run keeps, and that may be given anew: the run is the same but for rounding."""

T = TypeVar("T")


def run_options(options: Any) -> dict[str, Any]:
    """The options that belong to the run, not to one call of the command."""
    return {key: value for key, value in as_dict(options).items() if key.replace("-", "_") not in NOT_SAVED}


def saved_options(folder: Path, options: T, kind: str = "model", version: int = 1) -> T:
    """The options that the run was started with, for `--resume`.

    Args:
        folder: The directory of the run.
        options: Those of this call.
        kind: What the run makes.
        version: The newest format version of that kind that can be read.

    Raises:
        ArtefactError: There is no run.
        ConfigError: An option was given that differs from the run's.
    """
    if not has_run(folder):
        raise no_run_error(folder)
    saved = manifest.read(folder, kind, version).options
    changes: dict[str, Any] = {}
    differing = []
    hints = typing.get_type_hints(type(options))
    for field in dataclasses.fields(options):  # type: ignore[arg-type]
        key = flag(field.name)
        if field.name in NOT_SAVED or key not in saved:
            continue
        given, default = getattr(options, field.name), _default(field)
        kept = _restore(saved[key], hints[field.name])
        if field.name in CHANGEABLE and given != default:
            continue
        if given not in (default, kept):
            differing.append(f"--{key}: {_shown(kept)} in the run, {_shown(given)} now")
        changes[field.name] = kept
    if differing:
        raise ConfigError(
            f"--resume continues with the options of the run in {folder}",
            *differing,
            hint="leave them out; --init-from with another --output starts a run with other options from these weights",
        )
    return dataclasses.replace(options, **changes)  # type: ignore[type-var]


def has_run(folder: Path) -> bool:
    """Whether a folder holds a run, finished or not."""
    return (folder / manifest.NAME).exists()


def no_run_error(folder: Path) -> ArtefactError:
    """The error of `--resume` where there is no run."""
    return ArtefactError(f"there is no run to resume in {folder}", hint="leave out --resume to start one")


def _shown(value: Any) -> str:
    return "not given" if value is None or value == [] else str(value)


def require_listed_files(folder: RunDirectory) -> None:
    """Let the run stop when a file is gone that its manifest lists, but for those that change while it lasts.

    Raises:
        ArtefactError: One is gone already.
    """
    changing = (".safetensors", ".jsonl", ".png")
    listed = manifest.load(folder / manifest.NAME).files
    folder.required = tuple(name for name in listed if not name.endswith(changing))
    folder.check()


def warn_of_threads(folder: Path, threads: int, listen: Listener) -> None:
    """Say that a resumed run has another number of threads than it was started with."""
    started_with = manifest.load(folder / manifest.NAME).options.get("threads") or threads
    if started_with != threads:
        listen(
            WarningEvent(
                f"the run in {folder} was started with --threads {started_with}, and resumes with {threads}: "
                "its weights will differ from those of an uninterrupted run by rounding"
            )
        )


def check_inputs(folder: Path, digests: Mapping[str, str]) -> None:
    """Hold what a resumed run would read against what it was started with.

    Raises:
        ArtefactError: Something has changed since; the message names it.
    """
    started_with = manifest.load(folder / manifest.NAME).inputs
    changed = sorted(name for name in {*started_with, *digests} if started_with.get(name) != digests.get(name))
    if changed:
        raise ArtefactError(
            f"the run in {folder} was started with other data",
            f"changed since: {', '.join(changed)}",
            hint="bring the old data back, or start anew with --overwrite",
        )


def _default(field: dataclasses.Field[Any]) -> Any:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def _restore(value: Any, wanted: Any) -> Any:
    """A value from JSON as the options hold it: text is a path where the annotation says so."""
    if Path not in (wanted, *typing.get_args(wanted)):
        return value
    if isinstance(value, list):
        return [Path(item) for item in value]
    return None if value is None else Path(value)


def check_replaceable(folder: Path, overwrite: bool, kind: str) -> None:
    """Keep what is there, before any work is done for a new run.

    Raises:
        ArtefactError: The folder holds something and may not be replaced. What a kill left half written may be.
    """
    artifact_output.resolve_directory(folder)
    if not overwrite and artifact_output.is_occupied(folder):
        raise ArtefactError(f"{folder} already exists", hint="--resume continues its run, --overwrite replaces it")
    artifact_output.check_replaceable_directory(folder, (kind,))


@contextmanager
def begin(folder: Path, overwrite: bool, kind: str) -> Iterator[RunDirectory]:
    """Make room for a new run, and keep other writers out while it lasts.

    The run writes into a folder beside, which takes the name at `commit`: where there is something to replace with the
    first checkpoint, elsewhere as soon as it is ready. A run that ends before leaves everything as it was.

    Raises:
        ArtefactError: As `refuse_taken`; or another run writes there.
    """
    check_replaceable(folder, overwrite, kind)
    with resumable_output.staged_run_directory(folder, kind) as place:
        check_replaceable(folder, overwrite, kind)  # again, now that no other run can begin there
        yield place


def resume(folder: Path) -> AbstractContextManager[RunDirectory]:
    """Take up a run, and keep other writers out while it lasts. Raises ArtefactError where another one writes there."""
    return resumable_output.resume_run_directory(folder)
