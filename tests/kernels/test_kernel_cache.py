"""Compiled kernels are read only where this user alone can have written them, and only whole."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.file_limits import limit_files

from rnnkit.events import Event, WarningEvent
from rnnkit.kernels import kernel_cache
from rnnkit.kernels.kernel_cache import MAGIC, Store

NAME, ORIGIN, CODE = "walk.step-7.nbc", "5" * 64, b"machine code\x00\xff" * 99


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[Event]]:
    """Events, in a process that has reported none, whose user has an empty home."""
    monkeypatch.setattr(kernel_cache, "_reported", set())
    monkeypatch.setattr(kernel_cache, "_unwritable", set())
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path / "temporary"))
    forget_folders()
    events: list[Event] = []
    with kernel_cache.tell(events.append):
        yield events
    forget_folders()


@pytest.fixture
def store(heard: list[Event], tmp_path: Path) -> Store:
    found = Store(str(tmp_path / "cache"), "room")
    found.write(NAME, ORIGIN, CODE)
    assert found.read(NAME, ORIGIN) == CODE
    return found


@pytest.fixture
def file(store: Store) -> Path:
    return Path(store.named, store.room, NAME)


def forget_folders() -> None:
    """Look for the folders anew, as a new process does."""
    kernel_cache.cache_folder.cache_clear()
    kernel_cache.cache_folders.cache_clear()


def texts(heard: list[Event]) -> list[str]:
    return [event.text for event in heard if isinstance(event, WarningEvent)]


def test_only_the_user_can_look_at_the_files(store: Store, file: Path) -> None:
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (file, file.parent, file.parents[1])]
    assert modes == [0o600, 0o700, 0o700]
    assert [path.name for path in file.parent.iterdir()] == [NAME]


def flip(file: Path, at: int) -> None:
    content = bytearray(file.read_bytes())
    content[at] ^= 4
    file.write_bytes(content)


def replace(file: Path, make: Callable[[Path], None]) -> None:
    file.unlink()
    make(file)


def swap_for_link(file: Path, hard: bool) -> None:
    other = file.rename(file.with_name("other"))
    if hard:
        file.hardlink_to(other)
    else:
        file.symlink_to(other)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "cut": lambda file: os.truncate(file, file.stat().st_size - 1),
    "cut within the checksum": lambda file: os.truncate(file, len(MAGIC) + 9),
    "empty": lambda file: os.truncate(file, 0),
    "flipped in the code": lambda file: flip(file, -1),
    "flipped in the checksum": lambda file: flip(file, len(MAGIC) + 1),
    "flipped in the first line": lambda file: flip(file, 0),
    "longer": lambda file: file.write_bytes(file.read_bytes() + b"\0"),
    "a folder": lambda file: replace(file, Path.mkdir),
    "a link": lambda file: swap_for_link(file, hard=False),
    "a second name of a file": lambda file: swap_for_link(file, hard=True),
    "a pipe": lambda file: replace(file, os.mkfifo),
    "writable by others": lambda file: file.chmod(0o606),
    "missing": lambda file: file.unlink(),
    "in a folder that others can write to": lambda file: file.parent.chmod(0o770),
    "a folder that is a link": lambda file: file.parent.symlink_to(file.parent.rename(file.parents[1] / "elsewhere")),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_or_perhaps_of_others_counts_as_missing(damage: str, store: Store, file: Path) -> None:
    DAMAGES[damage](file)
    assert store.read(NAME, ORIGIN) is None


def test_what_is_damaged_is_replaced(store: Store, file: Path) -> None:
    flip(file, 300)
    store.write(NAME, ORIGIN, CODE)
    assert store.read(NAME, ORIGIN) == CODE


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("taken", ["file", "room", "cache"])
def test_what_belongs_to_another_user_is_not_read(taken: str, store: Store, file: Path) -> None:
    os.chown({"file": file, "room": file.parent, "cache": file.parents[1]}[taken], 65534, 65534)
    forget_folders()
    assert store.read(NAME, ORIGIN) is None


def test_another_origin_is_another_kernel(store: Store) -> None:
    assert store.read(NAME, "6" * 64) is None


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o707])
def test_a_named_folder_that_all_can_write_to_is_refused_once(mode: int, heard: list[Event], tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(mode)
    for room in ("one", "two"):
        store = Store(str(tmp_path / "shared"), room)
        store.write(NAME, ORIGIN, CODE)
        assert store.read(NAME, ORIGIN) == CODE, "it is kept in the home"
    assert list((tmp_path / "shared").iterdir()) == []
    assert len(list((tmp_path / "home/.cache/rnnkit/kernels").rglob(NAME))) == 2
    place = tmp_path / "shared"
    assert texts(heard) == [f"NUMBA_CACHE_DIR: compiled kernels are not kept in {place}: all users can write to it"]


def test_a_named_folder_that_is_a_link_is_refused(heard: list[Event], tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "target")
    Store(str(tmp_path / "link"), "room").write(NAME, ORIGIN, CODE)
    assert list((tmp_path / "target").iterdir()) == []
    assert texts(heard)[0].endswith("link: it is a link")


def test_a_named_folder_that_cannot_be_made_is_refused(heard: list[Event], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = Store(str(tmp_path / "file" / "cache"), "room")
    store.write(NAME, ORIGIN, CODE)
    assert store.read(NAME, ORIGIN) == CODE
    assert len(texts(heard)) == 1


def test_the_home_serves_where_nothing_is_named(heard: list[Event], tmp_path: Path) -> None:
    assert kernel_cache.cache_folder("") == tmp_path / "home/.cache/rnnkit/kernels"
    assert heard == []


def test_temporary_files_serve_where_there_is_no_home(
    heard: list[Event], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "home").touch()
    folder = tmp_path / f"temporary/rnnkit-kernels-{os.geteuid()}"
    assert kernel_cache.cache_folder("") == folder
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert heard == []


def test_without_a_safe_folder_nothing_is_kept_and_one_warning_comes(heard: list[Event], tmp_path: Path) -> None:
    (tmp_path / "home").touch()
    (tmp_path / "temporary").mkdir()
    (tmp_path / f"temporary/rnnkit-kernels-{os.geteuid()}").symlink_to(tmp_path)
    store = Store("", "room")
    for name in (NAME, "other.nbc"):
        store.write(name, ORIGIN, CODE)
        assert store.read(name, ORIGIN) is None
    assert len(texts(heard)) == 1


def test_a_folder_that_cannot_be_written_to_is_read_and_others_are_written_to(
    store: Store, file: Path, tmp_path: Path, heard: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    forget_folders()
    monkeypatch.setattr(kernel_cache, "_writable", lambda folder: folder != Path(store.named))
    assert store.read(NAME, ORIGIN) == CODE
    store.write("other.nbc", ORIGIN, CODE)
    assert store.read("other.nbc", ORIGIN) == CODE
    assert [path.name for path in file.parent.iterdir()] == [NAME]
    assert (tmp_path / "home/.cache/rnnkit/kernels/room/other.nbc").exists()
    assert heard == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EIO, errno.EACCES])
def test_a_disk_that_takes_nothing_is_a_warning(
    number: int, store: Store, file: Path, heard: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*places: object, **folders: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "replace", refuse)
    for name in ("one.nbc", "two.nbc"):
        store.write(name, ORIGIN, CODE)
    assert [path.name for path in file.parent.iterdir()] == [NAME], "nothing half-written stays"
    assert texts(heard) == [
        f"compiled kernels cannot be kept in {store.named} ({os.strerror(number)}): each run compiles them again"
    ]


def test_a_full_disk_leaves_nothing_half_written(store: Store, file: Path, heard: list[Event]) -> None:
    with limit_files(len(CODE) // 2):
        store.write("other.nbc", ORIGIN, CODE)
    assert [path.name for path in file.parent.iterdir()] == [NAME]
    assert len(texts(heard)) == 1


def test_warnings_alone_can_be_listened_to(heard: list[Event]) -> None:
    alone: list[Event] = []
    with kernel_cache.tell_warnings(alone.append):
        kernel_cache.compiling()
        kernel_cache._warn("the disk is full")
    assert [type(event) for event in alone] == [WarningEvent]
