"""Pipes become files where an input is read more than once."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from rnnkit.config import STDIN
from rnnkit.errors import DataError
from rnnkit.io.safe_reading import spool_pipes


def feed(pipe: Path, content: bytes) -> threading.Thread:
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(content), daemon=True)
    writer.start()
    return writer


def test_only_pipes_are_copied(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("text")
    writer = feed(tmp_path / "pipe", b"through\n")
    given = [tmp_path / "text", tmp_path / "pipe", STDIN, tmp_path / "none", tmp_path, Path(os.devnull)]
    with spool_pipes(given) as found:
        assert [one for one in found if one not in given] == [found[1]]
        assert found[1].name == "pipe"
        assert [found[1].read_bytes() for _ in range(2)] == [b"through\n"] * 2
    writer.join()
    assert not found[1].exists()


def test_two_pipes_of_one_name(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        feed(tmp_path / name / "63", name.encode())
    with spool_pipes([tmp_path / "a" / "63", tmp_path / "b" / "63"]) as found:
        assert [one.read_text() for one in found] == ["a", "b"]


def test_a_pipe_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfileobj", fail)
    keeper = os.open(tmp_path / "pipe", os.O_RDWR)
    with pytest.raises(DataError, match=f"cannot read {tmp_path / 'pipe'}"), spool_pipes([tmp_path / "pipe"]):
        pass
    os.close(keeper)
