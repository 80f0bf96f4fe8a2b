"""Writes are whole or absent."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from rnnkit.errors import ArtefactError
from rnnkit.files.atomic import atomic_file, atomic_folder, recover_folder
from rnnkit.files.explained import explain_os_errors


class Fault(Exception):
    """Something goes wrong in the middle."""


def contents(folder: Path) -> dict[str, str]:
    """Every file below a folder, those under temporary names too."""
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "text"
    with atomic_file(path) as file:
        file.write("ü\n")
        assert not path.exists()
    assert path.read_bytes() == "ü\n".encode()
    with atomic_file(path, "wb") as file:
        file.write(b"2")
    assert contents(tmp_path) == {"new/text": "2"}


def test_a_file_stays_as_it_was_after_an_error(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("old")
    with pytest.raises(Fault), atomic_file(path) as file:
        file.write("new")
        raise Fault
    assert contents(tmp_path) == {"text": "old"}


def test_a_folder_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "data"
    for name in ("a", "b"):
        with atomic_folder(path) as folder:
            (folder / "inner").mkdir()
            (folder / "inner" / name).write_text(name)
    assert contents(tmp_path) == {"data/inner/b": "b"}
    with pytest.raises(Fault), atomic_folder(path) as folder:
        (folder / "c").write_text("c")
        raise Fault
    assert contents(tmp_path) == {"data/inner/b": "b"}


def test_what_a_kill_left_behind_is_replaced(tmp_path: Path) -> None:
    (tmp_path / ".data.partial").mkdir()
    (tmp_path / ".data.partial" / "half").write_text("half")
    with atomic_folder(tmp_path / "data") as folder:
        (folder / "whole").write_text("whole")
    assert contents(tmp_path) == {"data/whole": "whole"}


def test_a_folder_moved_aside_is_put_back(tmp_path: Path) -> None:
    (tmp_path / ".data.old").mkdir()
    (tmp_path / ".data.old" / "a").write_text("a")
    recover_folder(tmp_path / "data")
    assert contents(tmp_path) == {"data/a": "a"}
    recover_folder(tmp_path / "data")  # nothing to do
    (tmp_path / ".data.old").mkdir()
    recover_folder(tmp_path / "data")  # the new one is there: the old one is left for the next write to remove
    assert contents(tmp_path) == {"data/a": "a"}


@pytest.mark.parametrize("name", [".", "..", "a/.."])
def test_a_folder_needs_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ArtefactError, match="cannot be replaced by a new folder"), atomic_folder(Path(name)):
        pass
    recover_folder(Path(name))  # nothing to do


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_keeps_the_old_file(tmp_path: Path, code: int) -> None:
    path = tmp_path / "text"
    path.write_text("old")
    with pytest.raises(ArtefactError) as caught, atomic_file(path) as file:
        file.write("new")
        raise OSError(code, os.strerror(code))
    assert str(caught.value) == (
        f"the disk is full: {path} was not written\n"
        f"  {os.strerror(code)}; what was there before is untouched\n"
        "  hint: free some space and run the command again"
    )
    assert contents(tmp_path) == {"text": "old"}


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way of a folder")
    path = tmp_path / "file" / "text"
    with pytest.raises(ArtefactError) as caught, atomic_file(path):
        pass
    assert str(caught.value).splitlines()[0] == f"cannot write: {path} was not written"
    with pytest.raises(ArtefactError, match="cannot write"), atomic_folder(tmp_path / "file" / "data"):
        pass


def test_a_closed_pipe_is_no_disk_error(tmp_path: Path) -> None:
    with pytest.raises(BrokenPipeError), explain_os_errors(tmp_path):
        raise BrokenPipeError


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a process")
def test_a_kill_in_the_middle_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("old")
    program = (
        "import os, signal; from pathlib import Path; from rnnkit.files.atomic import atomic_file\n"
        f"with atomic_file(Path({str(path)!r})) as file:\n"
        "    file.write('new'); file.flush(); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 2
    with atomic_file(path) as file:
        file.write("newer")
    assert contents(tmp_path) == {"text": "newer"}


def test_what_a_living_process_writes_is_left_alone(tmp_path: Path) -> None:
    other = tmp_path / f".text.{os.getppid()}@{socket.gethostname()}.partial"
    other.write_text("half")
    with atomic_file(tmp_path / "text") as file:
        file.write("whole")
    assert contents(tmp_path) == {other.name: "half", "text": "whole"}


def test_a_folder_that_another_process_writes_is_in_use(tmp_path: Path) -> None:
    (tmp_path / ".data.lock").write_text(f"{os.getppid()} {socket.gethostname()}")
    with pytest.raises(ArtefactError, match=f"{tmp_path / 'data'} is in use"), atomic_folder(tmp_path / "data"):
        pass
    assert not (tmp_path / "data").exists()
