"""`extract --write-back`: predictions in the original file, and every other byte as it was."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest
from tests.raising import raises

from rnnkit.errors import ArtefactError, DataError, FormatError, UsageError
from rnnkit.stages.text.extract import run
from rnnkit.stages.text.extract_options import ExtractOptions, WriteBackResult
from rnnkit.text.tables.extraction_manifest import find_extractions

WORD = "\t_" * 6
CONLLU = f"# a\r\n1-2\tx{WORD}\t_\t_\r\n1\tEin\t_\tDET{WORD}\r\n2\tHaus\t_\tNOUN{WORD}\r\n\r\n1\tJa\t_\tINTJ{WORD}"
ORIGINALS = {
    "x-test.conllu": (CONLLU, "upos", "NOUN NOUN\nX\n", CONLLU.replace("DET", "NOUN").replace("INTJ", "X")),
    "test.csv": ('\ufefftext,label\n"a\nb",1\n\nc, 2\n', "label", "3\n 2\n", '\ufefftext,label\n"a\nb",3\n\nc, 2\n'),
    "eng.testb": ("-DOCSTART- O\n\nEU  B\nis O\n\na O\n", "tag=2", "O O\nB\n", "-DOCSTART- O\n\nEU  O\nis O\n\na B\n"),
    "test.txt": ("__label__a b\nc __label__d\n", "label", "x y\nz\n", "__label__x __label__y b\nc __label__z\n"),
    "test.jsonl": ('{"a": 1}\n\n{"a":"b" }\n', "a", "2\nc\n", '{"a": 2}\n\n{"a":"c" }\n'),
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name: str, text: str) -> Path:
    path = Path(name)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text.encode())
    return path


def write_back(name: str, column: str, **changes: Any) -> bytes:
    options = {"write_back": Path("test.hyp"), "output": Path("out"), "overwrite": True, **changes}
    result = run(ExtractOptions([Path(name)], [column], **options))
    assert isinstance(result, WriteBackResult)
    return result.output.read_bytes()


def extract(*names: str, **changes: Any) -> None:
    run(ExtractOptions([Path(name) for name in names], **changes))


@pytest.mark.parametrize("name", ORIGINALS)
def test_one_column_changes(name: str) -> None:
    content, column, predictions, expected = ORIGINALS[name]
    path = write(name, content)
    extract(name, columns=[column])
    write("test.hyp", predictions)
    assert write_back(name, column) == expected.encode()
    assert write_back(name, column, write_back=Path(f"test.{column.partition('=')[0]}")) == path.read_bytes()
    assert path.read_bytes() == content.encode()


def test_result_and_columns_of_the_manifest() -> None:
    write("test.tsv", "a\t1\nb\t2\n")
    extract("test.tsv", columns=["text=1", "label=2"])
    write("test.hyp", "2\n2\n")
    result = run(ExtractOptions([Path("test.tsv")], ["label"], write_back=Path("test.hyp"), output=Path("out")))
    assert result.lines == ("out: predictions of 2 rows, 1 of them changed",)
    assert result.as_dict() == {"output": "out", "rows": 2, "changed": 1, "unit": "rows"}
    assert write_back("test.tsv", "other=1") == b"2\t1\n2\t2\n"


def test_changed_originals_are_refused() -> None:
    path = write("test.tsv", "a\t1\nb\t2\n")
    write("test.hyp", "2\n2\n")
    with raises(ArtefactError, "test.tsv", "--extracted", path="test.tsv"):
        write_back("test.tsv", "label=2")
    extract("test.tsv", columns=["label=2"])
    path.write_bytes(b"b\t1\nb\t2\n")
    with raises(ArtefactError, "test.tsv has changed", path="test.tsv"):
        write_back("test.tsv", "label=2")
    assert not Path("out").exists()


def test_counts_differ() -> None:
    write("test.conllu", CONLLU.replace("\r\n", "\n"))
    extract("test.conllu")
    for predictions, values, line in (
        ("A A\n", ("test.hyp has 1 lines", "2 sentences", "test.conllu:6"), 6),
        ("A A\nA\nA\nA\n", ("test.hyp has 4 lines", "2 sentences"), None),
        ("A A\nA A\n", ("test.hyp:2", "1 tokens, got 2", "test.conllu:6"), 2),
        ("A A\n\n", ("test.hyp:2", "got 0"), 2),
    ):
        write("test.hyp", predictions)
        with raises(DataError, *values, line=line):
            write_back("test.conllu", "upos")
        assert not Path("out").exists()


def test_broken_rows_keep_their_bytes() -> None:
    content = b"a,1\nb\nc,\xff\nd,2\n"
    Path("test.csv").write_bytes(content)
    extract("test.csv", columns=["x=1", "y=2"], repair=True)
    write("test.hyp", "7\n8\n")
    assert write_back("test.csv", "y") == b"a,7\nb\nc,\xff\nd,8\n"
    write("test.jsonl", '{"x": "a", "y": "b"}\n{"x": "c"}\n{"x": "d", "y": "e"}\n')
    extract("test.jsonl", columns=["x", "y"], repair=True, overwrite=True)
    assert write_back("test.jsonl", "x") == b'{"x": "7", "y": "b"}\n{"x": "c"}\n{"x": "8", "y": "e"}\n'


@pytest.mark.parametrize("group", [None, "author"])
def test_rows_of_one_split(group: str | None) -> None:
    for name, first in (("a.csv", 0), ("b.csv", 30)):
        write(name, "text,author\n" + "".join(f"t{n},{n % 9}\n" for n in range(first, first + 30)))
    extract("a.csv", "b.csv", columns=["text"], split=["train=0.5", "test=0.5"], group=group, seed=5)
    assert {"t1", "t31"} & {*Path("test.text").read_text().split(), *Path("train.text").read_text().split()}
    for name in ("a.csv", "b.csv"):
        before = Path(name).read_bytes()
        for split in ("train", "test"):
            lines = Path(f"{split}.text").read_text().split()
            write(f"{split}.hyp", "".join(f"new {line}\n" for line in lines))
            after = write_back(name, "text", write_back=Path(f"{split}.hyp")).decode()
            for old, new in zip(before.decode().splitlines()[1:], after.splitlines()[1:], strict=True):
                assert new == (f"new {old}" if old.partition(",")[0] in lines else old)
    write("other.hyp", "a\n")
    with raises(DataError, "train, test", "other.hyp"):
        write_back("a.csv", "text", write_back=Path("other.hyp"))


def test_where_manifests_are(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write("test.tsv", "a\t1\n")
    write("sub/test.hyp", "2\n")
    extract("test.tsv", columns=["y=2"], output=Path("made"))
    with raises(ArtefactError, "sub", "--extracted"):
        write_back("test.tsv", "y", write_back=Path("sub/test.hyp"))
    assert write_back("test.tsv", "y", write_back=Path("sub/test.hyp"), extracted=Path("made")) == b"a\t2\n"
    extract("test.tsv", columns=["y=2"], output=Path("sub"))
    assert write_back("test.tsv", "y", write_back=Path("sub/test.hyp")) == b"a\t2\n"
    write("broken.meta.json", "{}")
    assert [each.split for each in find_extractions("test.tsv", Path("sub"))] == ["test"]


def test_damaged_manifest() -> None:
    write("test.tsv", "a\t1\n")
    write("test.hyp", "2\n")
    extract("test.tsv", columns=["y=2"])
    path = Path("test.y.meta.json")
    path.write_text(path.read_text().replace('"layouts"', '"lay"'))
    with raises(FormatError, path=path):
        write_back("test.tsv", "y")


def test_refused_options() -> None:
    write("test.tsv", "a\t1\n")
    write("test.hyp", "2\n")
    extract("test.tsv", columns=["y=2"])
    for changes, option in (
        ({"output": None}, "--output"),
        ({"output": Path("-")}, "--output"),
        ({"format": "csv"}, "--format"),
        ({"header": False}, "--header"),
        ({"split": ["test=1"]}, "--split"),
        ({"repair": True}, "--repair"),
    ):
        with raises(UsageError, option=option):
            write_back("test.tsv", "y", **changes)
    for files, columns in (
        ([], ["y"]),
        (["test.tsv", "test.tsv"], ["y"]),
        (["test.tsv"], []),
        (["test.tsv"], ["x", "y"]),
    ):
        with raises(UsageError, option="--write-back"):
            run(
                ExtractOptions([Path(name) for name in files], columns, write_back=Path("test.hyp"), output=Path("out"))
            )
    for output in ("test.tsv", "test.hyp"):
        with raises(ArtefactError, "--output", path=output):
            write_back("test.tsv", "y", output=Path(output))
    Path("out").write_text("mine")
    with raises(ArtefactError, "--overwrite", path="out"):
        write_back("test.tsv", "y", overwrite=False)


def test_gzip() -> None:
    Path("test.tsv.gz").write_bytes(gzip.compress(b"a\t1\n"))
    extract("test.tsv.gz", columns=["y=2"])
    write("test.hyp", "2\n")
    assert gzip.decompress(write_back("test.tsv.gz", "y", output=Path("new.tsv.gz"))) == b"a\t2\n"
