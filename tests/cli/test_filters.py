"""Output that is written line by line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rnnkit.cli.console import Console
from rnnkit.cli.filters import note_terminal_input, write_lines
from rnnkit.errors import DataError
from rnnkit.options.declare import STDIN


def test_lines_go_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    write_lines(["one", "", "zwei\u2028drei"], STDIN, Console())
    assert capsys.readouterr().out == "one\n\nzwei\u2028drei\n"


def test_a_file_is_there_only_when_it_is_whole(tmp_path: Path) -> None:
    def lines() -> Iterator[str]:
        yield "one"
        raise DataError("the second line is bad")

    output = tmp_path / "new" / "out.txt"
    with pytest.raises(DataError):
        write_lines(lines(), output, Console())
    assert list(tmp_path.rglob("*.txt*")) == []
    write_lines(["one", "two"], output, Console())
    assert output.read_bytes() == b"one\ntwo\n"


def test_a_person_is_told_what_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    note_terminal_input([Path("a.txt")], Console())
    assert capsys.readouterr().err == ""
    note_terminal_input([Path("a.txt"), STDIN], Console())
    assert capsys.readouterr().err == "reading lines from the terminal; Ctrl-D ends\n"
