"""Inputs that are read more than once: a pipe is copied to a temporary file first."""

from __future__ import annotations

import shutil
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rnnkit.errors import DataError, RnnkitError


@contextmanager
def spooled(paths: Sequence[Path], named: bool = True) -> Iterator[list[Path]]:
    """Give files in place of pipes, such as `<(zcat train.de.tok.gz)`; other paths stay as they are.

    Args:
        paths: Inputs. The files live as long as the block, in the folder for temporary files.
        named: Copy FIFOs that have a name in a folder, too, which may mean to wait for a writer.

    Raises:
        DataError: A pipe cannot be read, or does not fit on the disk.
    """
    pipes = [path for path in paths if _is_pipe(path) and (named or path.parts[:2] in (("/", "dev"), ("/", "proc")))]
    if not pipes:
        yield list(paths)
        return
    with tempfile.TemporaryDirectory(prefix="rnnkit-") as folder:
        copies = {path: Path(folder) / str(number) / path.name for number, path in enumerate(pipes, start=1)}
        for pipe, target in copies.items():
            _copy(pipe, target)
        try:
            yield [copies.get(path, path) for path in paths]
        except RnnkitError as error:  # the user knows the pipe, not its copy
            for pipe, target in copies.items():
                error.rename(str(target), str(pipe))
            raise


def _is_pipe(path: Path) -> bool:
    try:
        return stat.S_ISFIFO(path.stat().st_mode)
    except OSError:
        return False


def _copy(pipe: Path, target: Path) -> None:
    try:
        target.parent.mkdir()
        with pipe.open("rb") as source, target.open("wb") as copy:
            shutil.copyfileobj(source, copy, 1 << 20)
    except OSError as error:
        raise DataError(f"cannot read {pipe}", f"{error.strerror}: {target}") from error
