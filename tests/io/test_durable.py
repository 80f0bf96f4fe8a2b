"""Errors of the operating system, as errors that a user can act on."""

from __future__ import annotations

from pathlib import Path

from tests.file_limits import limit_files
from tests.raising import raises

from rnnkit.errors import ArtefactError
from rnnkit.io.durable import copy_directory, explain_os_errors


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
