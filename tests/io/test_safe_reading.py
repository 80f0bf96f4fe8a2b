"""Reading of untrusted files: JSON, and pipes that are read more than once."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnkit.config import STDIN
from rnnkit.errors import DataError
from rnnkit.io.safe_reading import MAX_JSON_BYTES, parse_json, read_json, spool_pipes

LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()


@given(st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)), st.booleans())
def test_what_was_written_is_read(value: object, plain: bool) -> None:
    text = json.dumps(value, ensure_ascii=plain)
    assert parse_json(text) == parse_json(text.encode()) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "nested too deeply"),
        ('{"a": "\\ud800"}', "surrogates not allowed"),
        ('["\\UD800"]', "Invalid"),
        ('"\ud800"', "surrogates not allowed"),
        ("{", "Expecting"),
        ("1" * 5000, "4300 digits"),
    ],
)
def test_malformed_json_is_a_value_error(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_json(text)
    with pytest.raises(ValueError, match=f"{message}|invalid continuation byte"):
        parse_json(text.encode("utf-8", "surrogatepass"))


def test_pairs_of_surrogates_are_text() -> None:
    assert parse_json('"\\uD83D\\ude00"') == "\U0001f600"


def test_a_long_file_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b" " * MAX_JSON_BYTES + b"1")
    with pytest.raises(ValueError, match=r"4,194,305 bytes .* 4,194,304"):
        read_json(tmp_path / "a.json")
    (tmp_path / "a.json").write_bytes(b" " * (MAX_JSON_BYTES - 1) + b"1")
    assert read_json(tmp_path / "a.json") == 1


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
