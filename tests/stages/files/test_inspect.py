"""`inspect`: descriptions of all kinds of files and directories, intact and damaged."""

from __future__ import annotations

import gzip
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from tests.raising import raises

from rnnkit.errors import DataError, FormatError
from rnnkit.io import manifest
from rnnkit.io.manifest import Manifest, describe_files
from rnnkit.reports import file_facts
from rnnkit.stages.files.inspect import InspectOptions, InspectResult, run
from rnnkit.text.vocabulary import Vocabulary


def inspect(*paths: Path) -> InspectResult:
    return run(InspectOptions(list(paths)))


def facts(path: Path) -> dict[str, Any]:
    [artefact] = inspect(path).as_dict()["artefacts"]
    return {"kind": artefact["kind"], **artefact["facts"]}


def write(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def test_text(tmp_path: Path) -> None:
    path = write(tmp_path, "train.de", "Zwei Hunde.\n\nEin\u2028Mädchen liest\n".encode())
    assert facts(path) == {
        "kind": "text",
        "bytes": 34,
        "lines": 3,
        "blank_lines": 1,
        "tokens": 5,
        "characters": 28,
        "longest_line": {"characters": 17, "line": 3},
        "encoding": "UTF-8",
        "line_ends": "LF",
        "faults": {},
    }
    assert inspect(path).lines[:3] == (f"{path}: text", "  bytes: 34", "  lines: 3")
    assert "  longest line: characters 17, line 3" in inspect(path).lines


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"a\r\nb\r\n", {"lines": 2, "line_ends": "CR LF on 2 lines"}),
        (b"a\nb", {"lines": 2, "line_ends": "LF, none after the last line"}),
        (b"\xef\xbb\xbfa\n", {"characters": 1, "encoding": "UTF-8 with a byte order mark"}),
        (b"a\nb\xe9\n", {"encoding": "not UTF-8", "faults": {"not UTF-8": "line 2, byte 2 (0xe9)"}}),
        ((b"word " * 30 + b"\n") * 2 + b"a\0\n", {"faults": {"NUL byte": "line 3, byte 2"}}),
        ("a\n".encode("utf-16"), {"kind": "text", "encoding": "UTF-16"}),
        (b"x" * 1_000_001 + b"\ny\n", {"lines": 2, "faults": {"longer than 1,000,000 bytes": "line 1"}}),
        (b"", {"kind": "empty file", "bytes": 0, "lines": 0}),
        (gzip.compress(b"a b\nc\n", mtime=0), {"kind": "text", "compression": "gzip", "lines": 2, "tokens": 3}),
    ],
)
def test_text_with_problems(tmp_path: Path, content: bytes, expected: dict[str, Any]) -> None:
    found = facts(write(tmp_path, "text", content))
    assert {name: found.get(name) for name in expected} == expected


def test_huge_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_facts, "MAX_READ_BYTES", 10)
    path = write(tmp_path, "text", b"short\n" + b"x" * 11)
    with raises(DataError, f"{path}:2", 10):
        inspect(path)


@pytest.mark.parametrize("cut", [b"", b"damage"])
def test_damaged_gzip(tmp_path: Path, cut: bytes) -> None:
    packed = gzip.compress(b"".join(b"line %d\n" % number for number in range(1000)))
    path = write(tmp_path, "text.gz", packed[:500] + cut)
    with raises(DataError, path, "line"):
        inspect(path)


def test_array(tmp_path: Path) -> None:
    path = tmp_path / "ids.npy"
    np.save(path, np.zeros((3, 5), dtype=np.uint16))
    assert facts(path) == {"kind": "array", "shape": [3, 5], "type": "uint16", "bytes": 30}
    assert inspect(path).lines[1] == "  shape: 3 x 5"


def test_arrays(tmp_path: Path) -> None:
    path = tmp_path / "bags.npz"
    np.savez_compressed(path, data=np.ones(7), indices=np.zeros((2, 3), dtype=np.int32))
    arrays = facts(path)["arrays"]
    assert arrays["data"] == {"shape": [7], "type": "float64", "bytes": 56}
    assert arrays["indices"]["shape"] == [2, 3]


def test_weights(tmp_path: Path) -> None:
    path = tmp_path / "best.safetensors"
    save_file(
        {"output.bias": np.zeros(3), "embedding": np.zeros((5, 7), np.float32)}, path, {"step": "40", "made by": "hand"}
    )
    found = facts(path)
    assert (found["kind"], found["values"], found["metadata"]) == ("safetensors", 38, {"step": 40, "made by": "hand"})
    assert found["tensors"]["embedding"] == {"shape": [5, 7], "type": "F32"}
    assert "    embedding: shape 5 x 7, type F32" in inspect(path).lines


def test_weights_without_suffix(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    save_file({"a": np.zeros(3)}, path)
    assert facts(path)["kind"] == "safetensors"


def test_sentencepiece_model(tmp_path: Path) -> None:
    import sentencepiece

    lines = (f"{word} and {other}" for word in ("one", "two", "three") for other in ("four", "five", "six"))
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=lines, model_prefix=str(tmp_path / "pieces"), vocab_size=22, minloglevel=2, num_threads=1
    )
    found = facts(tmp_path / "pieces.model")
    assert (found["kind"], found["pieces"]) == ("sentencepiece", 22)
    assert found["special_ids"]["unk"] == 0


@pytest.mark.parametrize("name", ["w2v.model", "w2v.kv", "fasttext", "pieces.spm"])
def test_a_pickle_as_gensim_saves_it(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, name, b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00\x8c\x06gensim")
    with raises(FormatError, path, "pickle", "gensim", "`vectors.save_word2vec_format(path)`"):
        inspect(path)


def test_a_pipe_cannot_be_inspected(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with raises(DataError, "pipe", "regular file"):
        inspect(tmp_path / "pipe")


def test_picture(tmp_path: Path) -> None:
    header = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + (640).to_bytes(4) + (480).to_bytes(4)
    assert facts(write(tmp_path, "curve.png", header)) == {"kind": "picture", "width": 640, "height": 480}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Write a small artefact directory."""
    folder = tmp_path / "work" / "model"
    (folder / "tokenizer").mkdir(parents=True)
    write(folder / "tokenizer", "table.txt", b"a\nb\n")
    described = describe_files(folder / "tokenizer", ["table.txt"])
    manifest.write(folder / "tokenizer" / manifest.NAME, Manifest("tokenizer", 1, {"type": "words"}, files=described))
    save_file({"weight": np.zeros((2, 3), np.float32)}, folder / "best.safetensors", {"step": "7"})
    write(folder, "config.json", json.dumps({"task": "toy", "network": {"layers": 2, "arch": "gru"}}).encode())
    described = describe_files(folder, ["best.safetensors", "config.json"])
    inputs = {"data": "0123456789abcdef" * 4}
    written = Manifest("model", 1, {"arch": "gru", "seed": 1, "resume": None}, inputs, described, {"pairs": 29000})
    manifest.write(folder / manifest.NAME, written)
    return folder


def test_directory(model: Path) -> None:
    size = (model / "best.safetensors").stat().st_size
    assert inspect(model).lines == (
        f"{model}: model",
        "  config:",
        "    task: toy",
        "    network: layers 2, arch gru",
        "  format version: 1",
        "  pairs: 29,000",
        "  options: arch gru, seed 1",
        "  inputs: data 0123456789ab",
        "  files:",
        f"    best.safetensors: bytes {size}, kind safetensors, values 6, metadata (step 7)",
        "    config.json: bytes 56",
        f"  {model / 'tokenizer'}: tokenizer",
        "    format version: 1",
        "    options: type words",
        "    files:",
        "      table.txt: bytes 4",
    )


def test_folder_of_artefacts(model: Path) -> None:
    vocabulary = model.parent / "vocab.tsv"
    Vocabulary.from_counts({"hello": 3}).save(vocabulary)
    write(model.parent, ".model.partial", b"")
    [work] = inspect(model.parent).as_dict()["artefacts"]
    assert (work["kind"], work["facts"]) == ("folder", {"artefacts": 2})
    assert [(part["path"], part["kind"]) for part in work["parts"]] == [
        (str(model), "model"),
        (str(vocabulary), "vocabulary"),
    ]
    assert work["parts"][1]["facts"]["rows"] == 5
    assert work["parts"][1]["facts"]["lines"] == 5


def test_missing_file_of_an_artefact(model: Path) -> None:
    (model / "config.json").unlink()
    assert "    config.json: bytes 56, missing yes" in inspect(model).lines


def test_damaged_manifest(model: Path) -> None:
    write(model, "meta.json", b'{"kind": "model"')
    with raises(FormatError, model / "meta.json"):
        inspect(model)


def test_damaged_config(model: Path) -> None:
    write(model, "config.json", b"{")
    with raises(FormatError, model / "config.json"):
        inspect(model)


def test_truncated_weights(model: Path) -> None:
    path = model / "best.safetensors"
    whole = path.read_bytes()
    for length in range(1, len(whole)):
        write(model, "best.safetensors", whole[:length])
        with raises(FormatError, path, "safetensors"):
            inspect(path)


def test_truncated_and_overlong_arrays(tmp_path: Path) -> None:
    path = tmp_path / "ids.npy"
    np.save(path, np.zeros(8))
    whole = path.read_bytes()
    for content, values in [
        (whole[:-1], (63, 64)),
        (whole + b"xx", (66, 64)),
        (whole[:40], ("header",)),
        (b"\x93NUMPY\x09\x00" + whole[8:], ("header",)),
    ]:
        write(tmp_path, "ids.npy", content)
        with raises(FormatError, path, *values):
            inspect(path)


def test_pickled_arrays_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "objects.npy"
    np.lib.format.write_array(path.open("wb"), np.array([{}], dtype=object))
    with raises(FormatError, path, "pickled objects"):
        inspect(path)


@pytest.mark.parametrize(
    ("name", "content", "value"),
    [("a.npz", b"PK\x03\x04 and no more", "damaged"), ("a.model", b"no model", "SentencePiece")],
)
def test_other_damaged_files(tmp_path: Path, name: str, content: bytes, value: str) -> None:
    with raises(FormatError, tmp_path / name, value):
        inspect(write(tmp_path, name, content))


def test_foreign_zip(tmp_path: Path) -> None:
    write(tmp_path, "letter.txt", b"hello")
    path = Path(shutil.make_archive(str(tmp_path / "archive"), "zip", tmp_path, "letter.txt"))
    with raises(FormatError, path, "ZIP", "letter.txt"):
        inspect(path)


def test_unknown_file(tmp_path: Path) -> None:
    path = write(tmp_path, "a.bin", bytes(range(200)))
    with raises(DataError, path, "00 01 02 03 04 05 06 07"):
        inspect(path)


def test_missing_file_with_similar_name(tmp_path: Path) -> None:
    write(tmp_path, "train.de", b"a\n")
    with raises(DataError, tmp_path / "trian.de", "'train.de'"):
        inspect(tmp_path / "trian.de")


def test_folder_without_artefacts(tmp_path: Path) -> None:
    with raises(DataError, tmp_path, "meta.json"):
        inspect(tmp_path)


def test_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, "secret", b"a\n")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)  # file modes would not stop a test that runs as root
    with raises(DataError, path, "Permission denied"):
        inspect(path)


def test_copied_vocabulary(tmp_path: Path) -> None:
    path = tmp_path / "vocab.de.tsv"
    Vocabulary.from_counts({"der": 5, "Hund": 2}).save(path)
    for place in (path, Path(shutil.copy(path, tmp_path / "copy.tsv"))):
        found = facts(place)
        assert (found["kind"], found["rows"], found["tokens_counted"]) == ("vocabulary", 6, 7)
        assert found["most_frequent"] == ["der", "Hund"]
    write(tmp_path, "copy.tsv", path.read_bytes() + b"der\t1\n")
    with raises(FormatError, "copy.tsv:7", "'der'"):
        inspect(tmp_path / "copy.tsv")
