"""The directory of a run: what may be replaced, when, and by whom."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from tests.raising import raises

from rnnkit.errors import ArtefactError
from rnnkit.io import lock, manifest
from rnnkit.stages.training import run_folder

KIND = "model"


class Fault(Exception):
    """Something ends the run."""


def fill(folder: Path, text: str) -> Path:
    """What a run leaves in its folder."""
    (folder / "last").mkdir(parents=True, exist_ok=True)
    for name in ("config.json", "last/state.json"):
        (folder / name).write_text(text, encoding="utf-8")
    manifest.write(folder / manifest.NAME, manifest.Manifest(KIND, 1))
    return folder


def text(folder: Path) -> str:
    """What both files of a folder hold."""
    (found,) = {(folder / name).read_text(encoding="utf-8") for name in ("config.json", "last/state.json")}
    return found


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("there", ["nothing", "an empty folder", "what a kill left"])
def test_new_run_directory_is_created_at_once(tmp_path: Path, there: str, overwrite: bool) -> None:
    folder = tmp_path / "model"
    if there != "nothing":
        folder.mkdir()
    if there == "what a kill left":
        (folder / ".text.partial").mkdir()
        (folder / lock.LOCK_NAME).write_text(f"999999999 {socket.gethostname()}", encoding="utf-8")
    with run_folder.begin(folder, overwrite, KIND) as run:
        assert not run.replaces
        fill(run.path, "new")
        run.commit()
        assert run.path == folder
    assert text(folder) == "new"
    assert [path.name for path in folder.rglob(".*")] == []


@pytest.mark.parametrize("was_there", [False, True])
def test_a_run_that_fails_leaves_no_new_folder(tmp_path: Path, was_there: bool) -> None:
    folder = tmp_path / "model"
    if was_there:
        folder.mkdir()
    with pytest.raises(Fault), run_folder.begin(folder, False, KIND) as run:
        fill(run.path, "half")
        raise Fault
    assert folder.exists() == was_there
    assert list(tmp_path.rglob("*")) == ([folder] if was_there else [])


def test_a_run_is_replaced_only_when_that_is_asked_for(tmp_path: Path) -> None:
    folder = fill(tmp_path / "model", "old")
    with raises(ArtefactError, "--resume", "--overwrite", path=folder), run_folder.begin(folder, False, KIND):
        pass
    assert text(folder) == "old"


@pytest.mark.parametrize("commits", [False, True])
@pytest.mark.parametrize("fails", [False, True])
def test_the_old_run_stays_until_the_new_one_commits(tmp_path: Path, commits: bool, fails: bool) -> None:
    folder = fill(tmp_path / "model", "old")
    try:
        with run_folder.begin(folder, True, KIND) as run:
            assert run.replaces
            fill(run.path, "new")
            assert text(folder) == "old"
            assert str(run) == str(folder)
            if commits:
                run.commit()
                assert text(folder) == "new"
                assert run / "last" == folder / "last"
                with pytest.raises(ArtefactError, match="in use"):
                    held_by_another(folder)
            if fails:
                raise Fault
    except Fault:
        pass
    assert text(folder) == ("new" if commits else "old")
    assert sorted(path.name for path in tmp_path.rglob("*")) == [
        "config.json",
        "last",
        "meta.json",
        "model",
        "state.json",
    ]


def held_by_another(folder: Path) -> None:
    """Take the lock as another process would."""
    with lock.lock_file(folder / lock.LOCK_NAME, folder) as held:
        if held.descriptor is None:
            raise ArtefactError("in use")


@pytest.mark.parametrize("name", ["notes.txt", "poetry.lock", ".git", "text.partial", "last/notes.txt"])
@pytest.mark.parametrize("a_run", [False, True])
def test_files_of_the_user_stay(tmp_path: Path, name: str, a_run: bool) -> None:
    folder = tmp_path / "model"
    if a_run:
        fill(folder, "old")
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).touch()
    for overwrite in (False, True):
        with pytest.raises(ArtefactError), run_folder.begin(folder, overwrite, KIND):
            pass
    assert (folder / name).exists()


def test_another_kind_stays(tmp_path: Path) -> None:
    folder = fill(tmp_path / "model", "old")
    with pytest.raises(ArtefactError, match="is model, not vectors"), run_folder.begin(folder, True, "vectors"):
        pass
    assert text(folder) == "old"


def test_a_run_in_progress_is_not_replaced(tmp_path: Path) -> None:
    folder = fill(tmp_path / "model", "old")
    (folder / lock.LOCK_NAME).write_text(f"{os.getppid()} {socket.gethostname()}", encoding="utf-8")
    with pytest.raises(ArtefactError, match="is in use"), run_folder.begin(folder, True, KIND):
        pass
    assert text(folder) == "old"


def test_files_that_a_run_needs_are_missed(tmp_path: Path) -> None:
    with run_folder.begin(tmp_path / "model", False, KIND) as run:
        for name in ("config.json", "best.safetensors"):
            (run / name).write_text("{}")
        files = manifest.describe_files(run.path, ["config.json", "best.safetensors"])
        manifest.write(run / manifest.NAME, manifest.Manifest(KIND, 1, {"arch": "gru"}, files=files))
        run_folder.require_listed_files(run)
        (run / "best.safetensors").unlink()  # it changes while the run lasts
        run.check()
        (run / "config.json").unlink()
        with pytest.raises(ArtefactError, match=r"is incomplete: config\.json is missing"):
            run.check()


@pytest.mark.parametrize("replaces", [False, True])
@pytest.mark.parametrize("loss", ["removed", "replaced"])
def test_a_removed_directory_is_detected(tmp_path: Path, replaces: bool, loss: str) -> None:
    folder = tmp_path / "model"
    if replaces:
        fill(folder, "old")
    with run_folder.begin(folder, replaces, KIND) as run:
        run.check()
        run.path.rename(tmp_path / "renamed")
        if loss == "replaced":
            run.path.mkdir()
        with raises(ArtefactError, folder):
            run.check()
        with pytest.raises(ArtefactError):
            run.commit()
