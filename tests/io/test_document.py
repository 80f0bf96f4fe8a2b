"""JSON that anybody may have written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnkit.io.safe_reading import MAX_JSON_BYTES, parse_json, read_json

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
