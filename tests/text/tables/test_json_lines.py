"""JSON Lines: which values are text, nested keys, and rows that are broken."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.raising import raises

from rnnkit.errors import UsageError
from rnnkit.text.tables.records import RowError

from .reading import read_values, replace_values


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path("table.jsonl")


def test_values_are_as_written(table: Path) -> None:
    table.write_bytes(b'{"a": "x\\ty\\n\\nz", "b": 1.50}\n\n  \n{"b": true, "a": "\\u00e4\\ud83d\\ude00"}\r\n')
    assert read_values(table, ["a", "b"]) == [["x\ty z", "1.50"], ["ä😀", "true"]]


def test_keys_of_inner_objects(table: Path) -> None:
    table.write_bytes(b'{"t": {"de": "a", "en": "b"}, "t.en": "c"}\n')
    assert read_values(table, ["de=t.de", "en=t.en"]) == [["a", "c"]]
    assert replace_values(table, ["de=t.de"], ["d"]) == b'{"t": {"de": "d", "en": "b"}, "t.en": "c"}\n'


def test_replacements_keep_types(table: Path) -> None:
    table.write_bytes(b'{ "a" : 1 ,"b":false, "c":"x" }\n')
    assert replace_values(table, ["a"], ["2.5e3"]) == b'{ "a" : 2.5e3 ,"b":false, "c":"x" }\n'
    assert replace_values(table, ["a"], ["01"]) == b'{ "a" : "01" ,"b":false, "c":"x" }\n'
    assert replace_values(table, ["b"], ["true"]) == b'{ "a" : 1 ,"b":true, "c":"x" }\n'
    assert replace_values(table, ["c"], ["2"]) == b'{ "a" : 1 ,"b":false, "c":"2" }\n'
    assert replace_values(table, ["c"], ['"ä']).endswith(b'"c":"\\"\\u00e4" }\n')


BROKEN = {
    "cut": (b'{"a": "x"', "rows that are not JSON"),
    "NaN": (b'{"a": NaN}', "rows that are not JSON"),
    "nested": (b'{"a": ' + b"[" * 100_000, "rows that are not JSON"),
    "key twice": (b'{"a": "x", "a": "y"}', "rows that are not JSON"),
    "list": (b'["a"]', "rows that are not objects"),
    "null": (b'{"a": null}', "rows with values that are not text"),
    "inner list": (b'{"a": ["x"]}', "rows with values that are not text"),
    "surrogate": (b'{"a": "\\ud800"}', "rows with lone surrogates"),
    "NUL": (b'{"a": "\\u0000"}', "rows with NUL characters"),
    "missing": (b'{"b": "x"}', "rows without a column"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_rows(table: Path, name: str) -> None:
    content, kind = BROKEN[name]
    table.write_bytes(b'{"a": "x"}\n' + content + b"\n")
    with raises(RowError, "table.jsonl:2", path="table.jsonl", line=2) as raised:
        read_values(table, ["a"])
    assert raised.value.kind == kind


def test_columns_have_names(table: Path) -> None:
    table.write_bytes(b'{"text": "x"}\n')
    with raises(RowError, "did you mean 'text'?", line=1):
        read_values(table, ["tetx"])
    with raises(UsageError, "a=1", option="--columns"):
        read_values(table, ["a=1"])
