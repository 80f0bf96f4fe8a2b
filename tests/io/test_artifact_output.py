"""Atomic writes of artifacts, which replace only artifacts of the same kind."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rnnkit.errors import ArtefactError
from rnnkit.io import artifact_output, atomic, lock, manifest
from rnnkit.io.artifact_output import (
    ARTIFACT_PART,
    announce_kind,
    artifact_file,
    atomic_directory,
    recover_directory,
    write_file_manifest,
)


class Fault(Exception):
    """A failure during a write."""


def contents(folder: Path) -> dict[str, str]:
    """Return every file below a directory, including temporary ones."""
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}


def make(folder: Path, *names: str, kind: str = "toy") -> None:
    """Write an artifact of these files."""
    with atomic_directory(folder, kind) as partial:
        for name in names:
            (partial / name).parent.mkdir(exist_ok=True)
            (partial / name).write_text(name)
        manifest.write(
            partial / manifest.NAME, manifest.Manifest(kind, 1, files=manifest.describe_files(partial, names))
        )


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.fixture(params=[True, False], ids=["exchange", "two renames"])
def swaps(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the system exchanges two names in one call."""
    if not request.param:
        monkeypatch.setattr(atomic, "_exchange_names", lambda first, second: False)
    return bool(request.param)


def test_a_folder_takes_the_place_of_the_old_one(tmp_path: Path, swaps: bool) -> None:
    path = tmp_path / "data"
    for name in ("a", "inner/b"):
        make(path, name)
    assert names(tmp_path) == ["data/inner/b", "data/meta.json"]
    with pytest.raises(Fault), atomic_directory(path, "toy") as folder:
        (folder / "c").write_text("c")
        raise Fault
    assert names(tmp_path) == ["data/inner/b", "data/meta.json"]


def test_a_reader_always_finds_a_folder(tmp_path: Path) -> None:
    make(tmp_path / "data", "a")
    program = (
        "import sys; from pathlib import Path\n"
        "path = Path(sys.argv[1]); missing = 0\n"
        "print('ready', flush=True)\n"
        "while not Path(sys.argv[2]).exists(): missing += not path.exists()\n"
        "print(missing)\n"
    )
    words = [sys.executable, "-c", program, str(tmp_path / "data"), str(tmp_path / "stop")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout is not None
        reader.stdout.readline()
        for _ in range(50):
            make(tmp_path / "data", "a")
        (tmp_path / "stop").touch()
        assert reader.stdout.read() == "0\n"


def test_what_a_kill_left_behind_is_replaced(tmp_path: Path) -> None:
    (tmp_path / ".data.partial").mkdir()
    (tmp_path / ".data.partial" / "half").write_text("half")
    make(tmp_path / "data", "whole")
    assert names(tmp_path) == ["data/meta.json", "data/whole"]


def test_a_directory_moved_aside_is_restored(tmp_path: Path) -> None:
    (tmp_path / ".data.old").mkdir()
    (tmp_path / ".data.old" / "a").write_text("a")
    recover_directory(tmp_path / "data")
    assert contents(tmp_path) == {"data/a": "a"}
    recover_directory(tmp_path / "data")  # nothing to do
    (tmp_path / ".data.old").mkdir()
    recover_directory(tmp_path / "data")  # the new one is there: the old one is left for the next write to remove
    assert contents(tmp_path) == {"data/a": "a"}


@pytest.mark.parametrize("name", [".", "..", "a/.."])
def test_a_folder_needs_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ArtefactError, match="cannot be replaced by a new folder"), atomic_directory(Path(name), "toy"):
        pass
    recover_directory(Path(name))  # nothing to do


def test_a_folder_that_another_process_writes_is_in_use(tmp_path: Path) -> None:
    (tmp_path / ".data.lock").write_text(f"{os.getppid()} {socket.gethostname()}")
    with pytest.raises(ArtefactError, match=f"{tmp_path / 'data'} is in use"):
        make(tmp_path / "data", "a")
    assert not (tmp_path / "data").exists()


def foreign(folder: Path) -> None:
    folder.mkdir()
    (folder / "chapter1.txt").write_text("precious")


def other_kind(folder: Path) -> None:
    make(folder, "a", kind="model")


def with_notes(folder: Path) -> None:
    make(folder, "a")
    (folder / "notes.txt").write_text("precious")


def with_a_link(folder: Path) -> None:
    make(folder, "a")
    (folder / "linked").symlink_to(folder.parent)


def with_a_hidden_folder(folder: Path) -> None:
    make(folder, "a")
    (folder / ".git").mkdir()
    (folder / ".git" / "HEAD").write_text("precious")


def with_another_artefact(folder: Path) -> None:
    make(folder, "a")
    make(folder / "tuned", "a")


def with_an_empty_folder(folder: Path) -> None:
    make(folder, "a")
    (folder / "plans").mkdir()


def model_with_a_copy_of_weights(folder: Path) -> None:
    make(folder, "best.safetensors", kind="toy")
    (folder / "backup").mkdir()
    (folder / "backup" / "best.safetensors").write_text("precious")


def workspace(folder: Path) -> None:
    folder.mkdir()
    make(folder / "data", "a")


def damaged(folder: Path) -> None:
    make(folder, "a")
    (folder / manifest.NAME).write_text("{")


def a_file(folder: Path) -> None:
    folder.write_text("precious")


PRECIOUS = (
    foreign, other_kind, with_notes, with_a_link, with_a_hidden_folder, with_another_artefact, with_an_empty_folder,
    model_with_a_copy_of_weights, workspace, damaged, a_file,
)  # fmt: skip


@pytest.mark.parametrize("there", PRECIOUS, ids=lambda there: there.__name__)
def test_only_the_same_kind_is_replaced(tmp_path: Path, there: Callable[[Path], None]) -> None:
    there(tmp_path / "data")
    before = contents(tmp_path)
    with pytest.raises(ArtefactError) as caught:
        make(tmp_path / "data", "b")
    assert str(tmp_path / "data") in caught.value.what
    assert caught.value.hint
    assert contents(tmp_path) == before


def test_files_created_meanwhile_are_kept(tmp_path: Path) -> None:
    make(tmp_path / "data", "a")
    with pytest.raises(ArtefactError, match="did not write"), atomic_directory(tmp_path / "data", "toy"):
        (tmp_path / "data" / "notes.txt").write_text("precious")
    assert names(tmp_path) == ["data/a", "data/meta.json", "data/notes.txt"]


def test_locks_and_what_a_desktop_leaves_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for name in (lock.LOCK_NAME, ".x.7@host.partial", ".DS_Store"):
        (tmp_path / "data" / name).touch()
    assert not artifact_output.is_occupied(tmp_path / "data")
    make(tmp_path / "data", "a")
    (tmp_path / "data" / ".DS_Store").touch()
    make(tmp_path / "data", "b")
    assert names(tmp_path) == ["data/b", "data/meta.json"]


def test_a_folder_behind_a_link(tmp_path: Path) -> None:
    make(tmp_path / "there", "a")
    (tmp_path / "data").symlink_to(tmp_path / "there")
    make(tmp_path / "data", "b")
    assert (tmp_path / "data").is_symlink()
    assert names(tmp_path / "there") == ["b", "meta.json"]


def test_a_part_of_an_artefact_needs_no_manifest(tmp_path: Path) -> None:
    for name in ("a", "b"):
        with atomic_directory(tmp_path / "last", ARTIFACT_PART) as folder:
            (folder / name).write_text(name)
    assert contents(tmp_path) == {"last/b": "b"}


def write(path: Path, text: str, kind: str = "toy") -> None:
    with artifact_file(path, kind, 1) as file:
        file.write(text)
    write_file_manifest(path, kind, 1)


def test_a_file_and_its_manifest(tmp_path: Path) -> None:
    path = tmp_path / "vocab"
    for text in ("old", "new"):
        write(path, text)
        assert manifest.find_mismatches(path) == []
    assert path.read_text() == "new"
    assert names(tmp_path) == ["vocab", "vocab.meta.json"]


def test_a_crash_before_the_manifest_leaves_a_replaceable_file(tmp_path: Path) -> None:
    path = tmp_path / "vocab"
    with artifact_file(path, "toy", 1) as file:
        file.write("half of the work")
    write(path, "whole")
    assert manifest.find_mismatches(path) == []


@pytest.mark.parametrize("new", [True, False])
def test_a_failure_leaves_no_announcement(tmp_path: Path, new: bool) -> None:
    path = tmp_path / "vocab"
    if not new:
        write(path, "old")
    before = contents(tmp_path)
    with pytest.raises(Fault), artifact_file(path, "toy", 1):
        raise Fault
    with pytest.raises(Fault), announce_kind(path, "toy", 1):
        raise Fault
    assert contents(tmp_path) == before


@pytest.mark.parametrize("content", ["precious", "{}"])
def test_a_file_with_the_name_of_the_manifest_stays(tmp_path: Path, content: str) -> None:
    (tmp_path / "vocab.meta.json").write_text(content)
    with pytest.raises(ArtefactError, match=r"vocab\.meta\.json was not written by rnnkit: it is not replaced"):
        write(tmp_path / "vocab", "new")
    assert contents(tmp_path) == {"vocab.meta.json": content}


@pytest.mark.parametrize(
    ("name", "own"),
    [("last/state.json", True), ("last", True), ("vocab.de.tsv", True), ("best.safetensors", True),
     ("mine.safetensors", False), ("old/best.safetensors", False), ("vocab.a/b.tsv", False), ("backup", False)],
)  # fmt: skip
def test_what_a_run_writes_is_known_by_its_whole_path(name: str, own: bool) -> None:
    assert artifact_output._is_run_file(name, "model") == own


@pytest.mark.parametrize("what", ["a text", "another kind", "a manifest", "part of a model"])
def test_no_other_file_is_replaced(tmp_path: Path, what: str) -> None:
    path = tmp_path / "vocab"
    if what == "a text":
        path.write_text("precious")
    elif what == "another kind":
        write(path, "precious", "links")
    elif what == "a manifest":
        write(path, "precious")
        path = manifest.manifest_path(path)
    else:
        make(tmp_path / "model", "vocab", kind="model")
        path = tmp_path / "model" / "vocab"
    before = contents(tmp_path)
    with pytest.raises(ArtefactError, match="it is not replaced"):
        write(path, "new")
    if what != "a text":
        with pytest.raises(ArtefactError, match="it is not replaced"):
            artifact_output.check_replaceable_file(path)
    assert contents(tmp_path) == before


def test_a_device_gets_no_manifest(tmp_path: Path) -> None:
    (tmp_path / "null").symlink_to(os.devnull)
    write(tmp_path / "null", "gone")
    assert [path.name for path in tmp_path.iterdir()] == ["null"]
