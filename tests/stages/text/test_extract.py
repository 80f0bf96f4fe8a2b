"""`extract`: from tables and annotated corpora to files with one line per row or sentence."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from tests.raising import raises

from rnnkit.errors import ArtefactError, DataError, RnnkitError, UsageError
from rnnkit.events import Event, Progress, WarningEvent
from rnnkit.io import manifest
from rnnkit.stages.text.extract import run
from rnnkit.stages.text.extract_options import ExtractOptions, ExtractResult
from rnnkit.text.tables.records import RowError
from rnnkit.text.token_files import parse_name

CONLLU = "1\tEin\t_\tDET" + "\t_" * 6 + "\n2\tHaus\t_\tNOUN" + "\t_" * 6 + "\n\n1\tJa\t_\tINTJ" + "\t_" * 6 + "\n"
TABLES = {
    "train.csv": 'text,label\n"good, very",pos\nbad,neg\nfine,pos\n\n',
    "dev.csv": 'label,text\nneg,bad\nodd,"what\nnow"\nneg,new\n',
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(**files: str) -> None:
    for name, text in files.items():
        Path(name).write_text(text, encoding="utf-8")


def extract(*files: str, listen: list[Event] | None = None, **changes: Any) -> ExtractResult:
    options = ExtractOptions(**{"files": [Path(name) for name in files], **changes})
    result = run(options, (listen if listen is not None else []).append)
    assert isinstance(result, ExtractResult)
    return result


def read(name: str) -> str:
    return Path(name).read_text(encoding="utf-8")


def written() -> set[str]:
    return {path.name for path in Path().rglob("*") if path.is_file() and not path.name.endswith(manifest.NAME)}


def warnings(events: list[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, WarningEvent)]


def refused(kind: type[RnnkitError], *values: object, files: tuple[str, ...] = ("train.csv",), **changes: Any) -> None:
    """Check that the command fails with this error and writes nothing."""
    before = {path.name for path in Path().iterdir()}
    with raises(kind, *values):
        extract(*files, **changes)
    assert {path.name for path in Path().iterdir()} == before


def test_tables_by_name() -> None:
    write(**TABLES)
    events: list[Event] = []
    result = extract("dev.csv", "train.csv", columns=["text", "label"], listen=events)
    assert read("train.text") == "good, very\nbad\nfine\n"
    assert read("train.label") == "pos\nneg\npos\n"
    assert (read("valid.text"), read("valid.label")) == ("bad\nwhat now\nnew\n", "neg\nodd\nneg\n")
    assert warnings(events) == ["valid.label has labels that train.label lacks: odd"]
    assert result.lines == (
        "dev.csv: CSV with a header, 3 rows, line ends in values became spaces (1)",
        "train.csv: CSV with a header, 3 rows, blank lines skipped (1)",
        "train.text: 3 lines",
        "train.label: 3 lines, 2 labels: pos 2, neg 1",
        "valid.text: 3 lines",
        "valid.label: 3 lines, 2 labels: neg 2, odd 1",
        "duplicates: 1 of 3 lines of valid.text occur in train.text",
    )
    found = json.loads(json.dumps(result.as_dict()))
    assert found["files"][1] == {
        "path": "train.label", "split": "train", "column": "label", "lines": 3, "empty_lines": 0, "tokens": None,
        "labels": {"pos": 2, "neg": 1},
    }  # fmt: skip
    assert found["sources"][0]["changes"] == {"line_ends": 1}
    assert found["duplicates"] == [{"column": "text", "split": "valid", "other": "train", "lines": 1, "compared": 3}]


def test_sentences_and_their_manifests() -> None:
    write(**{"x-ud-test.conllu": CONLLU})
    events: list[Event] = []
    result = extract("x-ud-test.conllu", output=Path("out/new"), listen=events)
    assert read("out/new/test.form") == "Ein Haus\nJa\n"
    assert read("out/new/test.upos") == "DET NOUN\nINTJ\n"
    assert [(each.tokens, each.labels and dict(each.labels)) for each in result.files] == [(3, None), (3, None)]
    assert events == [Progress("extract x-ud-test.conllu", 2, 2, "sentences", finished=True)]
    meta = manifest.read(Path("out/new/test.upos"), "text", 1)
    assert meta.inputs == {"x-ud-test.conllu": manifest.sha256(Path("x-ud-test.conllu"))}
    assert (meta.facts["split"], meta.facts["column"], meta.facts["lines"]) == ("test", "upos", 2)
    assert manifest.find_mismatches(Path("out/new/test.upos")) == []
    name = parse_name(Path("out/new/test.upos"))
    assert (name.split, name.language) == ("test", "upos")


def test_duplicates_are_those_of_the_text() -> None:
    write(**{"train.tsv": "pos\ta b c\nneg\tc d\n", "test.tsv": "neg\ta b c\nneg\te f\n", "dev.tsv": "x\tO\n\ny\tO\n"})
    result = extract("train.tsv", "test.tsv", columns=["label=1", "text=2"])
    assert (result.compared, [each.lines for each in result.duplicates]) == ("text", [1])
    assert extract("dev.tsv", columns=["tag", "token"]).compared == "token"


def test_hash_split_with_groups() -> None:
    rows = [f"r{number},a{number % 40}" for number in range(200)]
    write(**{"all.csv": "\n".join(["review,author", *rows])})
    options: dict[str, Any] = {"columns": ["review"], "split": ["train=0.6", "test=0.4"], "group": "author", "seed": 3}
    extract("all.csv", **options)
    splits = {name: read(f"{name}.review").split() for name in ("train", "test")}
    assert sorted(splits["train"] + splits["test"]) == sorted(row.partition(",")[0] for row in rows)
    authors = {name: {int(review[1:]) % 40 for review in found} for name, found in splits.items()}
    assert authors["train"] & authors["test"] == set()
    assert min(map(len, authors.values())) > 5
    extract("all.csv", **options, overwrite=True)
    assert read("train.review").split() == splits["train"]
    extract("all.csv", **{**options, "seed": 4}, overwrite=True)
    assert read("train.review").split() != splits["train"]


def test_equal_rows_are_in_one_split() -> None:
    sentences = [f"# sent_id = {number}\n1\tw{number % 9}\t_\tX" + "\t_" * 6 + "\n" for number in range(60)]
    write(**{"a.conllu": "\n".join(sentences[:30]), "b.conllu": "\n".join(sentences[30:])})
    events: list[Event] = []
    result = extract("a.conllu", "b.conllu", split=["train=0.5", "valid=0.5"], listen=events)
    assert [each.lines for each in result.duplicates] == [0]
    assert warnings(events) == []
    assert {file.lines for file in result.files} != {60}
    extract("a.conllu", split=["train=0.999", "test2=0.001"], overwrite=True, listen=events)
    assert warnings(events) == ["no row is in the split test2: there are too few for --split"]
    assert read("test2.form") == ""


def test_split_disregards_names() -> None:
    write(**TABLES)
    events: list[Event] = []
    extract("train.csv", "dev.csv", columns=["text"], split=["test=1"], listen=events)
    [warning] = warnings(events)
    assert all(value in warning for value in ("train.csv", "dev.csv", "--split"))
    assert read("test.text").count("\n") == 6


def test_columns_by_number() -> None:
    write(**{"train.tsv": "label\ttext\n" + "".join(f"{'ab'[n % 2]}\tt{n}\n" for n in range(9))})
    events: list[Event] = []
    extract("train.tsv", columns=["x=-1", "y=1"], listen=events)
    assert read("train.y") == "label\na\nb\na\nb\na\nb\na\nb\na\n"
    assert [text for text in warnings(events) if "train.tsv:1" in text and "--header" in text]
    events.clear()
    extract("train.tsv", columns=["x=2", "y=1"], header=True, overwrite=True, listen=events)
    assert read("train.y").split()[0] == "a"
    extract("train.tsv", columns=["x=2", "y=1"], header=False, overwrite=True, listen=events)
    write(**{"train.tsv": "\t1\na\t2\n"})
    assert str(extract("train.tsv", columns=["x=1"], overwrite=True).files[0]) == "train.x: 2 lines, empty lines (1)"
    assert warnings(events) == []


def test_repair_skips_broken_rows() -> None:
    Path("train.jsonl").write_bytes(b'{"a": "x"}\n{"a": NaN}\n{"a": "\xff"}\n{}\n[]\n{"a": "y"}\n')
    refused(RowError, "train.jsonl:2", files=("train.jsonl",), columns=["a"])
    events: list[Event] = []
    result = extract("train.jsonl", columns=["a"], repair=True, listen=events)
    assert read("train.a") == "x\ny\n"
    counts = {
        "rows that are not JSON": 1, "rows that are not UTF-8 text": 1, "rows without a column": 1,
        "rows that are not objects": 1,
    }  # fmt: skip
    [repairs] = result.as_dict()["repairs"]
    assert repairs["counts"] == counts
    assert repairs["repairs"][1]["place"] == "train.jsonl:3"
    [warning] = warnings(events)
    assert all(kind in warning for kind in counts)
    Path("train.jsonl").write_bytes(b"{}\n")
    refused(DataError, "train.jsonl", 1, files=("train.jsonl",), columns=["a"], repair=True, overwrite=True)


def test_refused_options() -> None:
    write(**TABLES, **{"a.csv": "a,b\n", "train-dev.csv": "a,b\n", "x.train": "a\tb\n"})
    (Path("sub")).mkdir()
    write(**{"sub/train.csv": "a,b\n"})
    refused(UsageError, "text, label", columns=[])
    refused(DataError, "a.csv", "--split", files=("train.csv", "a.csv"), columns=["text"])
    refused(DataError, "train.csv", "x.train", files=("train.csv", "x.train"), columns=["text"])
    refused(DataError, "train-dev.csv", files=("train-dev.csv",), columns=["a"])
    refused(UsageError, "sub/train.csv", files=("train.csv", "sub/train.csv"), columns=["a"], split=["train=1"])
    refused(UsageError, "--group", columns=["text"], group="label")
    refused(UsageError, "--extracted", columns=["text"], extracted=Path("sub"))
    refused(UsageError, "standard input", files=("-",), columns=["text"])
    refused(DataError, "did you mean 'text'?", columns=["texts"])
    refused(DataError, "text, label", files=("train.csv", "dev.csv"), columns=["stars"])
    refused(DataError, "none.csv", files=("train.csv", "dev-none.csv", "none.csv"), columns=["text"])
    for delimiter in ("", "ab", '"', "ä"):
        refused(UsageError, "--delimiter", columns=["text"], delimiter=delimiter)
    refused(ArtefactError, "dev.csv", columns=["text"], output=Path("dev.csv"))


def test_existing_files_are_kept() -> None:
    write(**TABLES)
    extract("train.csv", columns=["text"])
    write(**{"train.label": "mine\n"})
    refused(ArtefactError, "train.text", "--overwrite", columns=["text"])
    refused(ArtefactError, "train.label", "--overwrite", columns=["label"])
    refused(ArtefactError, "train.label", columns=["text", "label"], overwrite=True)
    refused(ArtefactError, "train.csv", files=("train.csv",), columns=["csv=text"], overwrite=True)
    assert read("train.label") == "mine\n"
    extract("train.csv", columns=["text=label"], overwrite=True)
    assert read("train.text") == "pos\nneg\npos\n"


def test_delimiters() -> None:
    write(**{"train.txt": "a|b\nc|d\n", "dev.tsv": "a\tb\n"})
    extract("train.txt", format="csv", delimiter="|", columns=["x=2"])
    assert read("train.x") == "b\nd\n"
    extract("dev.tsv", delimiter="\\t", columns=["x=2"])
    assert read("valid.x") == "b\n"


def test_pipes() -> None:
    reading, writing = os.pipe()
    os.write(writing, CONLLU.encode())
    os.close(writing)
    extract(f"/dev/fd/{reading}", split=["test=1"])
    os.close(reading)
    assert read("test.form") == "Ein Haus\nJa\n"


def test_a_failure_leaves_nothing() -> None:
    write(**TABLES, **{"test.csv": "text,label\na,b\nc\n"})
    refused(RowError, "test.csv:3", files=("train.csv", "dev.csv", "test.csv"), columns=["text"])
    assert written() == {"train.csv", "dev.csv", "test.csv"}
