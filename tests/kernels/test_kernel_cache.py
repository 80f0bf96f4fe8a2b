"""The disk cache of compiled kernels: only complete files that only this user can have written are read."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.file_limits import limit_files

from rnnkit.events import Event, Status, WarningEvent
from rnnkit.kernels import kernel_cache
from rnnkit.kernels.kernel_cache import MAGIC, KernelStore

NAME, ORIGIN, CODE = "walk.step-7.nbc", "5" * 64, b"machine code\x00\xff" * 99


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[Event]]:
    """Events of a process that has reported none, for a user with an empty home directory."""
    monkeypatch.setattr(kernel_cache, "_reported", set())
    monkeypatch.setattr(kernel_cache, "_unwritable_stores", set())
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path / "temporary"))
    clear_directory_caches()
    events: list[Event] = []
    with kernel_cache.report_to(events.append):
        yield events
    clear_directory_caches()


@pytest.fixture
def store(heard: list[Event], tmp_path: Path) -> KernelStore:
    found = KernelStore(str(tmp_path / "cache"), "kernels")
    found.write(NAME, ORIGIN, CODE)
    assert found.read(NAME, ORIGIN) == CODE
    return found


@pytest.fixture
def file(store: KernelStore) -> Path:
    return Path(store.user_dir, store.name, NAME)


def clear_directory_caches() -> None:
    """Search the directories again, as a new process does."""
    kernel_cache.cache_dir.cache_clear()
    kernel_cache.cache_dirs.cache_clear()


def texts(heard: list[Event]) -> list[str]:
    return [event.text for event in heard if isinstance(event, WarningEvent)]


def test_files_are_private(store: KernelStore, file: Path) -> None:
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
def test_damaged_or_foreign_files_count_as_missing(damage: str, store: KernelStore, file: Path) -> None:
    DAMAGES[damage](file)
    assert store.read(NAME, ORIGIN) is None


def test_damaged_file_is_replaced(store: KernelStore, file: Path) -> None:
    flip(file, 300)
    store.write(NAME, ORIGIN, CODE)
    assert store.read(NAME, ORIGIN) == CODE


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("taken", ["file", "store", "cache"])
def test_files_of_other_users_are_not_read(taken: str, store: KernelStore, file: Path) -> None:
    os.chown({"file": file, "store": file.parent, "cache": file.parents[1]}[taken], 65534, 65534)
    clear_directory_caches()
    assert store.read(NAME, ORIGIN) is None


def test_other_origin_is_not_read(store: KernelStore) -> None:
    assert store.read(NAME, "6" * 64) is None


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o707])
def test_world_writable_directory_is_refused_once(mode: int, heard: list[Event], tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(mode)
    for name in ("one", "two"):
        store = KernelStore(str(tmp_path / "shared"), name)
        store.write(NAME, ORIGIN, CODE)
        assert store.read(NAME, ORIGIN) == CODE, "it is stored in the home directory"
    assert list((tmp_path / "shared").iterdir()) == []
    assert len(list((tmp_path / "home/.cache/rnnkit/kernels").rglob(NAME))) == 2
    (warning,) = texts(heard)
    assert "NUMBA_CACHE_DIR" in warning and str(tmp_path / "shared") in warning


def test_symbolic_link_is_refused(heard: list[Event], tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "target")
    KernelStore(str(tmp_path / "link"), "kernels").write(NAME, ORIGIN, CODE)
    assert list((tmp_path / "target").iterdir()) == []
    (warning,) = texts(heard)
    assert "NUMBA_CACHE_DIR" in warning and str(tmp_path / "link") in warning


def test_directory_that_cannot_be_created_is_refused(heard: list[Event], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = KernelStore(str(tmp_path / "file" / "cache"), "kernels")
    store.write(NAME, ORIGIN, CODE)
    assert store.read(NAME, ORIGIN) == CODE
    assert len(texts(heard)) == 1


def test_default_directory_is_in_the_home(heard: list[Event], tmp_path: Path) -> None:
    assert kernel_cache.cache_dir("") == tmp_path / "home/.cache/rnnkit/kernels"
    assert heard == []


def test_temporary_directory_is_the_fallback(
    heard: list[Event], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "home").touch()
    folder = tmp_path / f"temporary/rnnkit-kernels-{os.geteuid()}"
    assert kernel_cache.cache_dir("") == folder
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert heard == []


def test_no_safe_directory_gives_one_warning(heard: list[Event], tmp_path: Path) -> None:
    (tmp_path / "home").touch()
    (tmp_path / "temporary").mkdir()
    (tmp_path / f"temporary/rnnkit-kernels-{os.geteuid()}").symlink_to(tmp_path)
    store = KernelStore("", "kernels")
    for name in (NAME, "other.nbc"):
        store.write(name, ORIGIN, CODE)
        assert store.read(name, ORIGIN) is None
    assert len(texts(heard)) == 1


def test_read_only_directory_is_read_and_next_one_written(
    store: KernelStore, file: Path, tmp_path: Path, heard: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    clear_directory_caches()
    monkeypatch.setattr(kernel_cache, "_writable", lambda directory: directory != Path(store.user_dir))
    assert store.read(NAME, ORIGIN) == CODE
    store.write("other.nbc", ORIGIN, CODE)
    assert store.read("other.nbc", ORIGIN) == CODE
    assert [path.name for path in file.parent.iterdir()] == [NAME]
    assert (tmp_path / "home/.cache/rnnkit/kernels/kernels/other.nbc").exists()
    assert heard == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EIO, errno.EACCES])
def test_write_error_gives_one_warning(
    number: int, store: KernelStore, file: Path, heard: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*places: object, **folders: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "replace", refuse)
    for name in ("one.nbc", "two.nbc"):
        store.write(name, ORIGIN, CODE)
    assert [path.name for path in file.parent.iterdir()] == [NAME], "no partial file remains"
    (warning,) = texts(heard)
    assert store.user_dir in warning and os.strerror(number) in warning


def test_full_disk_leaves_no_partial_file(store: KernelStore, file: Path, heard: list[Event]) -> None:
    with limit_files(len(CODE) // 2):
        store.write("other.nbc", ORIGIN, CODE)
    assert [path.name for path in file.parent.iterdir()] == [NAME]
    assert len(texts(heard)) == 1


def test_warnings_can_be_reported_without_notes(heard: list[Event]) -> None:
    alone: list[Event] = []
    with kernel_cache.report_warnings_to(alone.append):
        kernel_cache.report_compilation()
        kernel_cache._warn("the disk is full")
    assert [type(event) for event in alone] == [Status, WarningEvent]
