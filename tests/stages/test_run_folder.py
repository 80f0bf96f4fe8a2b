"""The directory of a run: what may be replaced, and by whom."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from rnnkit.errors import ArtefactError
from rnnkit.files import lock, manifest
from rnnkit.stages.run_folder import clear, empty, refuse_taken


def fill(folder: Path, *names: str) -> Path:
    """A folder with files of these names, and a folder of its own with one more."""
    (folder / "last").mkdir(parents=True)
    for name in (*names, "last/state.json"):
        (folder / name).write_text("{}", encoding="utf-8")
    return folder


def test_an_empty_folder_is_free(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        refuse_taken(folder, overwrite=False)
        clear(folder, overwrite=False)
    assert not (tmp_path / "none").exists()


def test_a_run_goes_only_when_that_is_asked_for(tmp_path: Path) -> None:
    fill(tmp_path, manifest.NAME)
    with pytest.raises(ArtefactError) as caught:
        clear(tmp_path, overwrite=False)
    assert str(caught.value) == (
        f"{tmp_path} is there already\n  hint: --resume goes on with its run, --overwrite replaces it"
    )
    refuse_taken(tmp_path, overwrite=True)
    assert (tmp_path / "last" / "state.json").exists(), "to ask is not to clear"
    clear(tmp_path, overwrite=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["notes.txt", "poetry.lock", ".git", "text.partial"])
def test_a_folder_of_somebody_else_stays(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    for overwrite in (False, True):
        with pytest.raises(ArtefactError):
            clear(tmp_path, overwrite)
    assert (tmp_path / name).exists()


def test_what_a_kill_left_is_nobodys(tmp_path: Path) -> None:
    (tmp_path / ".text.partial").mkdir()
    (tmp_path / lock.NAME).write_text(f"999999999 {socket.gethostname()}", encoding="utf-8")
    refuse_taken(tmp_path, overwrite=False)
    clear(tmp_path, overwrite=False)
    assert list(tmp_path.iterdir()) == []


def test_a_run_in_progress_is_not_cleared(tmp_path: Path) -> None:
    fill(tmp_path, manifest.NAME)
    (tmp_path / lock.NAME).write_text(f"{os.getppid()} {socket.gethostname()}", encoding="utf-8")
    with pytest.raises(ArtefactError, match="is in use"):
        clear(tmp_path, overwrite=True)
    assert (tmp_path / manifest.NAME).exists()


def test_what_is_kept(tmp_path: Path) -> None:
    fill(tmp_path, manifest.NAME, lock.NAME)
    empty(tmp_path, keep="last")
    assert sorted(path.name for path in tmp_path.iterdir()) == [lock.NAME, "last"]
    empty(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [lock.NAME]
