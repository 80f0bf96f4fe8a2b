"""Resumable files: what an interruption leaves, and resuming."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.file_limits import limit_files
from tests.raising import raises

from rnnkit.errors import ArtefactError
from rnnkit.io.resumable_output import (
    check_no_partial,
    count_complete_lines,
    exclusive_writer,
    partial_path,
    resumable_file,
)

TAKE = """
import sys
from pathlib import Path
from rnnkit.io.resumable_output import exclusive_writer
with exclusive_writer(Path(sys.argv[1])):
    print("mine")
"""


def grow(path: Path, lines: list[str], keep: int = 0, stop: bool = False) -> None:
    with resumable_file(path, keep) as file:
        file.writelines(f"{line}\n" for line in lines)
        if stop:
            raise KeyboardInterrupt


def test_a_file_takes_its_name_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "out"
    grow(path, ["a", "ü"])
    assert path.read_text(encoding="utf-8") == "a\nü\n"
    assert list(path.parent.iterdir()) == [path]
    assert count_complete_lines(path) == 2


def test_an_interrupted_file_is_kept_and_resumed(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("old\n", encoding="utf-8")
    with pytest.raises(KeyboardInterrupt):
        grow(path, ["a", "b", "c"], stop=True)
    assert path.read_text(encoding="utf-8") == "old\n", "the old file stays until the new one is whole"
    with raises(ArtefactError, path, "--resume", path=partial_path(path)):
        check_no_partial(path)
    assert count_complete_lines(path) == 3
    grow(path, ["x", "y"], keep=2)
    assert path.read_text(encoding="utf-8") == "a\nb\nx\ny\n"
    assert not partial_path(path).exists()
    check_no_partial(path)


def test_nothing_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        grow(tmp_path / "out", [], stop=True)
    assert list(tmp_path.iterdir()) == []


def test_a_file_from_elsewhere_is_resumed(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"a\nb\nhalf a li")
    assert count_complete_lines(path) == 2
    grow(path, ["c"], keep=2)
    assert path.read_bytes() == b"a\nb\nc\n"


@given(st.binary(max_size=60).map(lambda text: text.replace(b"x", b"\n")), st.integers(0, 9))
def test_complete_lines_have_an_end(tmp_path_factory: pytest.TempPathFactory, text: bytes, keep: int) -> None:
    path = tmp_path_factory.mktemp("grow") / "out"
    path.write_bytes(text)
    lines = text.split(b"\n")[:-1]
    assert count_complete_lines(path) == len(lines)
    keep = min(keep, len(lines))
    grow(path, ["new"], keep)
    assert path.read_bytes() == b"".join(line + b"\n" for line in [*lines[:keep], b"new"])


def test_a_full_disk_keeps_what_fitted(tmp_path: Path) -> None:
    with raises(ArtefactError, path=tmp_path / "out.partial"), limit_files(3 * 8192):
        grow(tmp_path / "out", [f"{number:09d}" for number in range(5000)])
    assert count_complete_lines(tmp_path / "out") == 3 * 8192 // 10


def test_one_process_writes(tmp_path: Path) -> None:
    here, there = tmp_path / "new" / "out", tmp_path / "links"
    with exclusive_writer(here, there):
        other = subprocess.run(
            [sys.executable, "-c", TAKE, str(there)], capture_output=True, text=True, timeout=60, check=False
        )
        assert other.stdout == "", "the block of the second process did not run"
        assert f"{there} is in use\n  process {os.getpid()} on " in other.stderr
    assert list(tmp_path.rglob(".*")) == [], "no lock stays behind"
    with exclusive_writer(there):
        pass
