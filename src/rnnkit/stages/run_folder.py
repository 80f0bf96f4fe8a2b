"""The directory of a run: made, replaced or taken up again, with the options that the run was started with."""

from __future__ import annotations

import dataclasses
import shutil
import typing
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from rnnkit.config import as_dict, flag
from rnnkit.errors import ArtefactError, ConfigError
from rnnkit.files import lock, manifest
from rnnkit.files.owner import TEMPORARY

NOT_SAVED = ("work", "output", "resume", "overwrite", "dry_run", "threads", "restarts", "save_every", "samples")
"""Options of one call rather than of the run: a resumed run may have others."""

T = TypeVar("T")


def kept(options: Any) -> dict[str, Any]:
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
    if not folder.exists() or not (folder / manifest.NAME).exists():
        raise ArtefactError(f"there is no run to resume in {folder}", hint="leave out --resume to start one")
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
        if given not in (default, kept):
            differing.append(f"--{key}: {kept} in the run, {given} now")
        changes[field.name] = kept
    if differing:
        raise ConfigError(
            f"--resume goes on with the options of the run in {folder}",
            *differing,
            hint="leave them out, or start anew with --overwrite",
        )
    return dataclasses.replace(options, **changes)  # type: ignore[type-var]


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


def clear(folder: Path, overwrite: bool) -> None:
    """Make room for a new run. Raises ArtefactError where something is there and may not go."""
    refuse_taken(folder, overwrite)
    if folder.exists():
        with lock.hold(folder):
            empty(folder)


@contextmanager
def undone_on_failure(folder: Path) -> Iterator[None]:
    """Empty the directory again where what makes it ready for a run fails: nothing was learned yet."""
    try:
        yield
    except BaseException:
        empty(folder)
        raise


def refuse_taken(folder: Path, overwrite: bool) -> None:
    """Raise ArtefactError where something is there and may not go; what a kill left half written may."""
    if not folder.exists() or all(_is_left_over(path.name) for path in folder.iterdir()):
        return
    if not overwrite:
        raise ArtefactError(f"{folder} is there already", hint="--resume goes on with its run, --overwrite replaces it")
    if not (folder / manifest.NAME).exists() and not (folder / lock.NAME).exists():
        raise ArtefactError(f"{folder} is no model directory; it is not replaced", hint="choose another --output")


def _is_left_over(name: str) -> bool:
    return name == lock.NAME or (name.startswith(".") and name.endswith(TEMPORARY))


def empty(folder: Path, keep: str = "") -> None:
    """Remove what a directory holds, but for its lock and what is called `keep`."""
    for path in folder.iterdir():
        if path.name not in (lock.NAME, keep):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
