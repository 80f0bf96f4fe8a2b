"""One writer a folder."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from rnnkit.errors import ArtefactError
from rnnkit.files.lock import NAME, hold


def test_the_lock_is_there_while_it_is_held(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    with hold(folder):
        assert (folder / NAME).read_text() == f"{os.getpid()} {socket.gethostname()}"
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("host", [None, "elsewhere"], ids=["living process", "another host"])
def test_a_second_writer_is_told_who_holds_it(tmp_path: Path, host: str | None) -> None:
    holder = f"{os.getppid()} {host or socket.gethostname()}"
    (tmp_path / NAME).write_text(holder)
    with pytest.raises(ArtefactError) as caught, hold(tmp_path):
        pass
    process, name = holder.split()
    assert str(caught.value) == (
        f"{tmp_path} is in use\n"
        f"  process {process} on {name} writes to it\n"
        f"  hint: wait for it; if it is certain that no such process runs, delete {tmp_path / NAME}"
    )
    assert (tmp_path / NAME).exists()


def test_a_lock_left_by_a_dead_process_is_taken_over(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    (tmp_path / NAME).write_text(f"{done.stdout.decode().strip()} {socket.gethostname()}")
    with hold(tmp_path):
        assert (tmp_path / NAME).read_text().startswith(f"{os.getpid()} ")
    (tmp_path / NAME).write_text("torn")
    with hold(tmp_path):
        pass


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtefactError, match="cannot write"), hold(tmp_path / "file"):
        pass
