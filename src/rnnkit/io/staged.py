"""The folder of a run: in its place from the start, or beside the folder that it replaces until it has a checkpoint."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rnnkit.errors import ArtefactError, RnnkitError
from rnnkit.io import artefact_output, durable, lock, replacing
from rnnkit.io.owner import TEMPORARY


class RunFolder:
    """A folder that a run writes into, which may still have to take its name.

    `required` are names of files without which what the run makes would be incomplete, and `replaces` tells whether
    there is something at its final name that is to stay until the run has a checkpoint.

    `folder / name` is a file in it, wherever it is at that moment.

    Args:
        final: The folder's name in the end.
        path: Where it is until `commit`; in its place unless given.
        kinds: Kinds of artefact that it may replace.
        held: The lock inside it.
    """

    def __init__(
        self, final: Path, path: Path | None = None, kinds: tuple[str, ...] = (), held: lock.Held | None = None
    ) -> None:
        self.final = final
        self.path = path or final
        self._kinds = kinds
        self.replaces = self.waits and replacing.is_taken(final)
        self._held = held
        self.required: tuple[str, ...] = ()
        self._identity = self._find()

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    def __str__(self) -> str:
        return str(self.final)

    @property
    def waits(self) -> bool:
        """Whether another folder still has its name."""
        return self.path != self.final

    def check(self) -> None:
        """Raise ArtefactError where the folder is gone: nothing written now would ever be found."""
        if self._identity is None:
            self._identity = self._find()
        elif self._find() != self._identity:
            raise ArtefactError(
                f"{self.final} is gone: it was removed or replaced during the run",
                "nothing more is written",
                hint="start the run again",
            )
        if gone := [name for name in self.required if not (self.path / name).exists()]:
            raise ArtefactError(
                f"{self.final} is incomplete: {', '.join(gone)} {'is' if len(gone) == 1 else 'are'} missing",
                "what the run makes would be incomplete without; nothing more is written",
                hint="bring it back and --resume, or start anew with --overwrite",
            )

    def commit(self) -> None:
        """Take the name, and remove the folder that had it. Does nothing where there is none any more.

        Raises:
            ArtefactError: What is there meanwhile may not be replaced.
        """
        if not self.waits:
            return
        self.check()
        replacing.check_folder(self.final, self._kinds)
        durable.exchange(self.path, self.final, self.final.with_name(f".{self.final.name}.old"))
        self.path = self.final
        if self._held is not None:
            self._held.path = self.final / lock.NAME

    def _find(self) -> tuple[int, int] | None:
        try:
            facts = self.path.stat()
        except OSError:
            return None
        return facts.st_dev, facts.st_ino


@contextmanager
def take_up(final: Path) -> Iterator[RunFolder]:
    """Give the folder of a run that is continued, locked; what a killed run has left beside it goes.

    Raises:
        ArtefactError: Another run writes there.
    """
    with lock.hold(final), lock.hold_beside(final):
        artefact_output.recover(final / "last")
        shutil.rmtree(final.with_name(f".{final.name}{TEMPORARY}"), ignore_errors=True)
        yield RunFolder(final)


@contextmanager
def replace_at_commit(final: Path, *kinds: str) -> Iterator[RunFolder]:
    """Give an empty folder beside `final` for a run, which replaces that at `commit`. Without one, it goes again.

    Both folders are locked meanwhile.

    Raises:
        ArtefactError: What is there is not of these kinds, holds files of the user, or is in use.
    """
    final = replacing.resolve_folder(final)
    with lock.hold(final), lock.hold_beside(final):
        artefact_output.recover(final)
        replacing.check_folder(final, kinds)
        staged = final.with_name(f".{final.name}{TEMPORARY}")
        shutil.rmtree(staged, ignore_errors=True)
        try:
            with lock.hold(staged) as held:
                yield RunFolder(final, staged, kinds, held)
        except RnnkitError as error:  # the user knows the folder by its final name
            error.rename(str(staged), str(final))
            raise
        finally:
            shutil.rmtree(staged, ignore_errors=True)
