"""Formats are detected by name and content, and described."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from tests.raising import raises

from rnnkit.errors import DataError, UsageError
from rnnkit.text.tables.columns import parse_columns
from rnnkit.text.tables.table_format import GivenLayout, default_columns, detect_layout, missing_columns

CONLLU = "1\ta" + "\t_" * 8 + "\n"
DETECTED = {
    "a.csv": ("a,b\n", "CSV without a header"),
    "b.CSV": ("a;b,;c\n", "CSV separated by semicolons without a header"),
    "c.csv": ("a\tb\n", "CSV separated by tabs without a header"),
    "d.csv": ('"a;;;",b\n', "CSV without a header"),
    "e.tsv": ("a\tb\nc d\te\n", "TSV without a header"),
    "f.tsv": ("a\tO\nb\tO\n\nc\tB\n", "CoNLL columns"),
    "g.tsv": ("a b c\t1\n\nd e f\t0\n", "TSV without a header"),
    "h.tsv": ("a\t1\nb\t0\n\n", "TSV without a header"),
    "s.tsv": ('{"a": 1}\t0\n', "TSV without a header"),
    "t.csv": ("\na;b,;c\n", "CSV separated by semicolons without a header"),
    "u.txt": ("{a} b, c\n", "CSV without a header"),
    "i.conll": ("a b\n", "CoNLL columns separated by spaces"),
    "j": ("a b O\nc d O\n\ne f O\n", "CoNLL columns separated by spaces"),
    "k.jsonl": ("", "JSON Lines"),
    "l.txt": ('{"a": 1}\n', "JSON Lines"),
    "m.txt": ("__label__x a\n", "fastText label lines"),
    "n.txt": (f"# newdoc\n# text = a\n{CONLLU}", "CoNLL-U"),
    "o.conllu": ("a", "CoNLL-U"),
    "p.txt": ("a, b\n", "CSV without a header"),
    "q.txt": ("a\tb, c\n", "TSV without a header"),
    "r.bio": ("# id 1\ta\tb\nx O\n", "CoNLL columns separated by spaces"),
}


@pytest.mark.parametrize("name", DETECTED)
@pytest.mark.parametrize("packed", [False, True])
def test_detected_formats(tmp_path: Path, name: str, packed: bool) -> None:
    text, description = DETECTED[name]
    content = (text or "x\n").encode()
    path = tmp_path / (f"{name}.gz" if packed else name)
    path.write_bytes(gzip.compress(b"\xef\xbb\xbf" + content) if packed else content)
    assert str(detect_layout(path, GivenLayout(), [])) == description


def test_given_layout(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a|b\n", encoding="utf-8")
    named, numbered = parse_columns(["a"]), parse_columns(["a=1"])
    assert str(detect_layout(path, GivenLayout(), named)) == "CSV with a header"
    assert str(detect_layout(path, GivenLayout(header=True), numbered)) == "CSV with a header"
    given = GivenLayout("tsv", delimiter="|", quotes=True, header=False)
    assert str(detect_layout(path, given, named)) == "TSV separated by bars with quotes and without a header"
    for wrong in (GivenLayout("conllu", header=True), GivenLayout("jsonl", quotes=False), GivenLayout("conll", "x")):
        with raises(UsageError, "CSV"):
            detect_layout(path, wrong, named)


def test_files_that_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    refused = {
        "empty.csv": (b"", "is empty"),
        "blank.csv": (b"\n\r\n", "is empty"),
        "a.txt": (b"a sentence\n", "--format"),
        "spaces.txt": (b"  \n", "--format"),
        "a.csv": ("a,b\n".encode("utf-16"), "UTF-16"),
        "a.csv.gz": (gzip.compress(b"a,b\n" * 9)[:-9], "a.csv.gz"),
    }
    for name, (content, value) in refused.items():
        Path(name).write_bytes(content)
        with raises(DataError, value, path=name):
            detect_layout(Path(name), GivenLayout(), [])
    with raises(DataError, path="none.csv"):
        detect_layout(Path("none.csv"), GivenLayout(), [])


def test_default_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('"re,view",stars\n', encoding="utf-8")
    layout = detect_layout(path, GivenLayout(), [])
    assert default_columns(layout) == []
    error = missing_columns(path, layout)
    assert "re,view, stars" in str(error)
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": 1, "b": 2}\n', encoding="utf-8")
    assert "a, b" in str(missing_columns(path, detect_layout(path, GivenLayout(), [])))
