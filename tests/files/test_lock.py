"""One writer a folder."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
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


def test_of_many_that_find_a_dead_lock_one_gets_it(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    log = tmp_path / "log"
    program = (
        "import sys, time; from pathlib import Path; from rnnkit.errors import ArtefactError\n"
        "from rnnkit.files.lock import hold\n"
        "folder, log, start = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])\n"
        "time.sleep(max(0.0, start - time.time()))\n"
        "try:\n"
        "    with hold(folder), log.open('a') as file:\n"
        "        print('in', file=file, flush=True); time.sleep(0.05); print('out', file=file, flush=True)\n"
        "except ArtefactError as error:\n"
        "    assert 'is in use' in str(error)\n"
    )
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / NAME).write_text(f"{done.stdout.decode().strip()} {socket.gethostname()}")
    start = str(time.time() + 2)
    many = [subprocess.Popen([sys.executable, "-c", program, folder, log, start]) for _ in range(5)]
    assert [process.wait() for process in many] == [0] * 5
    words = log.read_text().split()
    assert words == ["in", "out"] * (len(words) // 2)
    assert words
    assert list(folder.iterdir()) == []


def test_a_lock_that_another_process_took_meanwhile_stays(tmp_path: Path) -> None:
    with hold(tmp_path):
        (tmp_path / NAME).write_text("1 elsewhere")
    assert (tmp_path / NAME).read_text() == "1 elsewhere"


def test_a_full_disk_leaves_no_empty_lock(tmp_path: Path, limit_files: Callable[[int], None]) -> None:
    limit_files(0)
    with pytest.raises(ArtefactError, match=f"the disk is full: {tmp_path} was not written"), hold(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtefactError, match="cannot write"), hold(tmp_path / "file"):
        pass
