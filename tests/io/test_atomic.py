"""Atomic and durable writes of files, and errors of the operating system."""

from __future__ import annotations

import errno
import gzip
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tests.file_limits import limit_files
from tests.raising import raises

from rnnkit.errors import ArtefactError, explain_os_errors
from rnnkit.io import lock
from rnnkit.io.atomic import atomic_file, copy_directory


class Fault(Exception):
    """A failure during a write."""


def contents(folder: Path) -> dict[str, str]:
    """Return every file below a directory, including temporary ones."""
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


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_keeps_the_old_file(tmp_path: Path, code: int) -> None:
    path = tmp_path / "text"
    path.write_text("old")
    with pytest.raises(ArtefactError) as caught, atomic_file(path) as file:
        file.write("new")
        raise OSError(code, os.strerror(code))
    assert str(caught.value) == (
        f"the disk is full: {path} was not written\n"
        f"  {os.strerror(code)}; existing files are unchanged\n"
        "  hint: free some space and run the command again"
    )
    assert contents(tmp_path) == {"text": "old"}


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way of a folder")
    path = tmp_path / "file" / "text"
    with pytest.raises(ArtefactError) as caught, atomic_file(path):
        pass
    assert str(caught.value).splitlines()[0] == f"cannot write: {path} was not written"


def test_a_closed_pipe_is_no_disk_error(tmp_path: Path) -> None:
    with pytest.raises(BrokenPipeError), explain_os_errors(tmp_path):
        raise BrokenPipeError


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a process")
def test_a_kill_in_the_middle_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("old")
    program = (
        "import os, signal; from pathlib import Path; from rnnkit.io.atomic import atomic_file\n"
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


def test_a_name_as_long_as_a_name_can_be(tmp_path: Path) -> None:
    path = tmp_path / ("ü" * 127)
    with atomic_file(path) as file:
        file.write("long")
    assert path.read_text() == "long"
    left = lock.temporary_path(path).name.replace(f".{os.getpid()}@", ".999999999@")
    (tmp_path / left).touch()
    with atomic_file(path) as file:
        file.write("longer")
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [(path.name, "longer")]


@pytest.mark.parametrize("name", [".", "..", "/", "folder"])
def test_a_folder_is_not_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    with (
        pytest.raises(ArtefactError, match=f"{re.escape(name)} is a folder, not a file"),
        atomic_file(Path(name)),
    ):
        pass


@pytest.mark.parametrize("mode", ["w", "wb"])
def test_a_name_in_gz_is_compressed(tmp_path: Path, mode: str) -> None:
    path, twin = tmp_path / "a.txt.gz", tmp_path / "b.txt.gz"
    for one in (path, twin):
        with atomic_file(one, mode) as file:
            file.write("ü\n" * 1000 if mode == "w" else "ü\n".encode() * 1000)
    assert gzip.decompress(path.read_bytes()).decode() == "ü\n" * 1000
    assert path.read_bytes() == twin.read_bytes(), "no name, no time"
    with pytest.raises(Fault), atomic_file(path, mode):
        raise Fault
    assert path.read_bytes() == twin.read_bytes()


def test_permissions_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("old")
    path.chmod(0o640)
    with atomic_file(path) as file:
        file.write("new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_links_are_followed(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    for name in ("old", "new"):
        (tmp_path / name).symlink_to(tmp_path / "there" / name)
    (tmp_path / "there" / "old").write_text("old")
    for name in ("old", "new"):
        with atomic_file(tmp_path / name) as file:
            file.write("written")
        assert (tmp_path / name).is_symlink()
    assert contents(tmp_path / "there") == {"new": "written", "old": "written"}
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    with pytest.raises(ArtefactError, match="cannot write"), atomic_file(tmp_path / "circle"):
        pass
    assert (tmp_path / "circle").is_symlink()


def test_what_is_not_a_file_is_written_into(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(fifo.read_text()))
    reader.start()
    with atomic_file(fifo) as file:
        file.write("through")
    reader.join(timeout=60)
    assert read == ["through"]
    assert fifo.is_fifo()
    with atomic_file(Path(os.devnull), "wb") as file:
        file.write(b"gone")
    assert Path(os.devnull).is_char_device()
    assert list(tmp_path.iterdir()) == [fifo]


def test_a_socket_is_written_into(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        server.listen()
        with atomic_file(tmp_path / "s") as file:
            file.write("through")
        connection, _ = server.accept()
        with connection:
            assert connection.recv(100) == b"through"


def test_standard_output_by_name(tmp_path: Path) -> None:
    program = (
        "from pathlib import Path; from rnnkit.io.atomic import atomic_file\n"
        "with atomic_file(Path('/dev/stdout')) as file: file.write('one')\n"
        "with atomic_file(Path('/proc/self/fd/1'), 'wb') as file: file.write(b'two')\n"
    )
    with (tmp_path / "out").open("wb") as out:
        subprocess.run([sys.executable, "-c", program], check=True, stdout=out)
    assert contents(tmp_path) == {"out": "onetwo"}


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP, errno.EACCES])
def test_folders_that_cannot_be_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(code, os.strerror(code))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with atomic_file(tmp_path / "text") as file:
        file.write("written")
    assert contents(tmp_path) == {"text": "written"}


def test_a_file_that_cannot_be_synced_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fsync(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(ArtefactError, match="cannot write"), atomic_file(tmp_path / "text") as file:
        file.write("lost")
    assert contents(tmp_path) == {}


def test_a_folder_is_copied_with_what_is_in_it(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "new" / "target"
    (source / "inner").mkdir(parents=True)
    (source / "inner" / "file").write_bytes(b"\0ab")
    (source / "empty").mkdir()
    copy_directory(source, target)
    copy_directory(source, target)
    assert sorted(str(path.relative_to(target)) for path in target.rglob("*")) == ["empty", "inner", "inner/file"]
    assert (target / "inner" / "file").read_bytes() == b"\0ab"


def test_a_disk_that_fills_up_during_a_copy_is_named(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    (source / "file").write_bytes(bytes(5000))
    with raises(ArtefactError, "File too large", path=target), limit_files(1000), explain_os_errors(target):
        copy_directory(source, target)
