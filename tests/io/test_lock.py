"""One writer per directory; the identity of processes; removal of stale temporary files."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.file_limits import limit_files
from tests.raising import raises

from rnnkit.errors import ArtefactError
from rnnkit.io import lock
from rnnkit.io.lock import LOCK_NAME, lock_directory


def test_the_lock_is_there_while_it_is_held(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    with lock_directory(folder):
        assert (folder / LOCK_NAME).read_text() == lock.process_identity()
        (folder / "written").touch()
    assert [path.name for path in folder.iterdir()] == ["written"]


def test_an_unused_directory_is_removed(tmp_path: Path) -> None:
    with lock_directory(tmp_path / "a" / "b"):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("host", [None, "elsewhere"], ids=["living process", "another host"])
def test_a_second_writer_sees_the_owner(tmp_path: Path, host: str | None) -> None:
    holder = f"{os.getppid()} {host or socket.gethostname()}"
    (tmp_path / LOCK_NAME).write_text(holder)
    with pytest.raises(ArtefactError) as caught, lock_directory(tmp_path):
        pass
    process, name = holder.split()
    assert str(caught.value) == (
        f"{tmp_path} is in use\n"
        f"  process {process} on {name} writes to it\n"
        f"  hint: wait until it ends; if no such process runs, delete {tmp_path / LOCK_NAME}"
    )
    assert (tmp_path / LOCK_NAME).exists()


def test_a_lock_left_by_a_dead_process_is_taken_over(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    (tmp_path / LOCK_NAME).write_text(f"{done.stdout.decode().strip()} {socket.gethostname()}")
    with lock_directory(tmp_path):
        assert (tmp_path / LOCK_NAME).read_text().startswith(f"{os.getpid()} ")
    (tmp_path / LOCK_NAME).write_text("torn")
    with lock_directory(tmp_path):
        pass


def name(**changed: str) -> str:
    """Return the identity of this process with some fields changed: process, host, started, boot, space."""
    parts = dict(zip(("process", "host", "started", "boot", "space"), lock.process_identity().split(" "), strict=True))
    return " ".join({**parts, **changed}.values())


GONE = {
    "an earlier boot": name(boot="0123456789ab"),
    "a number that another program has by now": name(process=str(os.getppid()), started="1"),
    "a container that has ended": name(space="4026000000"),
    "a container of another host name that has ended": name(host="elsewhere", space="4026000000"),
}


@pytest.mark.parametrize("holder", GONE.values(), ids=GONE)
def test_a_lock_whose_owner_cannot_live_is_taken_over(tmp_path: Path, holder: str) -> None:
    (tmp_path / LOCK_NAME).write_text(holder)
    with lock_directory(tmp_path):
        assert (tmp_path / LOCK_NAME).read_text() == lock.process_identity()
    assert not (tmp_path / LOCK_NAME).exists()


HOLD = """
import fcntl, sys, time
with open(sys.argv[1], "r+") as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize(
    "holder", [*GONE.values(), f"999999999 {socket.gethostname()}", ""], ids=[*GONE, "an older rnnkit", "no name yet"]
)
def test_a_lock_held_in_another_container_is_in_use(tmp_path: Path, holder: str) -> None:
    path = tmp_path / LOCK_NAME
    path.write_text(holder)
    with subprocess.Popen([sys.executable, "-c", HOLD, path], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(ArtefactError, match=f"{tmp_path} is in use"), lock_directory(tmp_path):
            pass
        other.kill()
    with lock_directory(tmp_path):
        pass


def test_without_flock_the_identity_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "try_flock", lambda descriptor: None)
    for holder, free in ((name(boot="0123456789ab"), True), (name(space="4026000000"), False), (name(host="x"), False)):
        (tmp_path / LOCK_NAME).write_text(holder)
        if free:
            with lock_directory(tmp_path):
                pass
        else:
            with pytest.raises(ArtefactError, match="is in use"), lock_directory(tmp_path):
                pass


def test_a_process_may_hold_its_own_lock_twice(tmp_path: Path) -> None:
    with lock_directory(tmp_path):
        with lock_directory(tmp_path):
            pass
        assert (tmp_path / LOCK_NAME).exists(), "the inner block does not release it"
    assert not (tmp_path / LOCK_NAME).exists()


def test_a_lock_moves_with_its_folder(tmp_path: Path) -> None:
    with lock_directory(tmp_path / "a") as held:
        (tmp_path / "a").rename(tmp_path / "b")
        held.path = tmp_path / "b" / LOCK_NAME
        assert held.path.exists()
    assert list((tmp_path / "b").iterdir()) == []


def test_a_lock_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    (tmp_path / LOCK_NAME).symlink_to(tmp_path / "precious")
    with pytest.raises(ArtefactError, match="cannot write"), lock_directory(tmp_path):
        pass
    assert (tmp_path / "precious").read_text() == "precious"


def test_one_of_many_processes_takes_over_a_stale_lock(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    log = tmp_path / "log"
    program = (
        "import sys, time; from pathlib import Path; from rnnkit.errors import ArtefactError\n"
        "from rnnkit.io.lock import lock_directory\n"
        "folder, log, start = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])\n"
        "time.sleep(max(0.0, start - time.time()))\n"
        "try:\n"
        "    with lock_directory(folder), log.open('a') as file:\n"
        "        print('in', file=file, flush=True); time.sleep(0.05); print('out', file=file, flush=True)\n"
        "except ArtefactError as error:\n"
        "    assert 'is in use' in str(error)\n"
    )
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / LOCK_NAME).write_text(f"{done.stdout.decode().strip()} {socket.gethostname()}")
    start = str(time.time() + 2)
    many = [subprocess.Popen([sys.executable, "-c", program, folder, log, start]) for _ in range(5)]
    assert [process.wait() for process in many] == [0] * 5
    words = log.read_text().split()
    assert words == ["in", "out"] * (len(words) // 2)
    assert words
    assert list(folder.iterdir()) == []


def test_a_lock_that_another_process_took_meanwhile_stays(tmp_path: Path) -> None:
    with lock_directory(tmp_path):
        (tmp_path / LOCK_NAME).write_text("1 elsewhere")
    assert (tmp_path / LOCK_NAME).read_text() == "1 elsewhere"


def test_a_full_disk_leaves_no_empty_lock(tmp_path: Path) -> None:
    with raises(ArtefactError, tmp_path, path=tmp_path), limit_files(0), lock_directory(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtefactError, match="cannot write"), lock_directory(tmp_path / "file"):
        pass


HOST = socket.gethostname()


def test_processes_are_alive_or_ended() -> None:
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    assert lock.is_process_alive(lock.process_identity())
    assert lock.is_process_alive(f"{os.getppid()} {HOST}")
    assert not lock.is_process_alive(f"{gone.stdout.decode().strip()} {HOST}")
    assert lock.is_process_alive("1 elsewhere")


@pytest.mark.parametrize("nonsense", ["", "torn", "-1 here", f"{10**30} {HOST}", "1.5"])
def test_a_malformed_identity_counts_as_ended(nonsense: str) -> None:
    assert not lock.is_process_alive(nonsense)


def test_only_stale_temporaries_are_removed(tmp_path: Path) -> None:
    mine = lock.temporary_path(tmp_path / "a[b]")
    gone = f"{10**30}@{HOST}.partial"
    kept = [mine.name, f".a[b].meta.json.{gone}", ".a[b].7@elsewhere.partial", f".other.{gone}", "a[b].partial"]
    for name in (*kept, f".a[b].{gone}"):
        (tmp_path / name).touch()
    lock.remove_stale_temporaries(tmp_path / "a[b]")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)
