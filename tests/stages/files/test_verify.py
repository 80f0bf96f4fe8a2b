"""`verify`: intact artefacts pass, and every kind of damage is reported."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from tests.raising import raises

from rnnkit.errors import DataError, FormatError
from rnnkit.events import Event, Note, Progress
from rnnkit.io import manifest
from rnnkit.io.manifest import Manifest, describe_files
from rnnkit.models import model_weights
from rnnkit.stages.files.verify import VerifyOptions, VerifyResult, run


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def seal(folder: Path, *names: str) -> None:
    manifest.write(folder / manifest.NAME, Manifest("toy", 1, files=describe_files(folder, names)))


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A workspace: a model with a checkpoint and a tokenizer inside it, and a vocabulary beside it."""
    root = tmp_path / "work"
    write(root / "model" / "tokenizer" / "table", b"table")
    seal(root / "model" / "tokenizer", "table")
    write(root / "model" / "last" / "state.json", b"{}")
    seal(root / "model" / "last", "state.json")
    write(root / "model" / "best", b"weights")
    seal(root / "model", "best", "tokenizer/table")
    vocabulary = write(root / "vocab.tsv", b"<pad>\t0\n")
    described = describe_files(root, ["vocab.tsv"])
    manifest.write(manifest.manifest_path(vocabulary), Manifest("vocabulary", 1, files=described))
    return root


def verify(*paths: Path) -> VerifyResult:
    return run(VerifyOptions(list(paths)))


def test_intact_artefacts(work: Path) -> None:
    result = verify(work)
    assert result.lines == ("4 files verified",)
    assert result.as_dict() == {"files": 4, "artefacts": 4}


def test_single_file_and_inner_artefact(work: Path) -> None:
    assert verify(work / "vocab.tsv").files == 1
    assert verify(work / "model" / "tokenizer").files == 1
    assert verify(work / "model", work / "model" / "last").artefacts == 3


def test_lists_every_fault(work: Path) -> None:
    write(work / "model" / "best", b"weighty")
    write(work / "model" / "tokenizer" / "table", b"tab")
    (work / "model" / "last" / "state.json").unlink()
    with raises(FormatError, "3 of 4 files") as caught:
        verify(work)
    assert caught.value.exit_code == 1
    assert [detail.partition(": ")[0] for detail in caught.value.details] == [
        f"{work}/model/last/state.json", f"{work}/model/best", f"{work}/model/tokenizer/table",
    ]  # fmt: skip
    assert all(value in caught.value.details[2] for value in ("3 bytes", "5"))


def test_missing_file(work: Path) -> None:
    (work / "vocab.tsv").unlink()
    with raises(FormatError, f"{work}/vocab.tsv: missing"):
        verify(work / "vocab.tsv")


@pytest.mark.parametrize("name", ["model/metrics.jsonl", "model/notes.txt", "model/best.safetensors", "model/last/x"])
def test_unlisted_file_is_a_fault(work: Path, name: str) -> None:
    path = write(work / name, b"")
    with raises(FormatError, f"{path}: not listed"):
        verify(work)


@pytest.mark.parametrize("link", [os.devnull, "nowhere", "."])
def test_unlisted_link_is_a_fault(work: Path, link: str) -> None:
    (work / "model" / "linked").symlink_to(link)
    with raises(FormatError, "linked: not listed"):
        verify(work)


@pytest.mark.parametrize("manifests", [["model/meta.json"], ["model/last/meta.json", "vocab.tsv.meta.json"]])
def test_artefacts_without_manifest(work: Path, manifests: list[str]) -> None:
    model_weights.save(work / "model" / "average.safetensors", {"weight": torch.ones(3)}, {"step": 4})
    for name in manifests:
        (work / name).unlink()
    with raises(FormatError, "not listed"):
        verify(work)


def test_notes_unrelated_files(work: Path) -> None:
    text = write(work / "test.hyp", b"")
    heard: list[Event] = []
    run(VerifyOptions([work]), heard.append)
    (note,) = (event.text for event in heard if isinstance(event, Note))
    assert note.endswith(f": {text}")
    assert heard[-2] == Progress("verify", 4, 4, unit="artifacts", finished=True)


def test_unfinished_run(tmp_path: Path) -> None:
    write(tmp_path / "config.json", b"{}")
    described = describe_files(tmp_path, ["config.json"])
    manifest.write(tmp_path / manifest.NAME, Manifest("model", 1, files=described))
    log = write(tmp_path / "metrics.jsonl", b"")
    heard: list[Event] = []
    run(VerifyOptions([tmp_path]), heard.append)
    (note,) = (event.text for event in heard if isinstance(event, Note))
    assert "unfinished" in note
    assert note.endswith(f": {log}")
    path = tmp_path / "best.safetensors"
    model_weights.save(path, {"weight": torch.ones(3)}, {"step": 4})
    assert verify(tmp_path).files == 2
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    write(path, bytes(content))
    with raises(FormatError, f"{path}: ", "SHA-256"):
        verify(tmp_path)


def test_skips_interrupted_writes(work: Path) -> None:
    folder = work / ".model.partial"
    write(folder / "best", b"weights")
    seal(folder, "best")
    write(folder / "best", b"cut")
    assert verify(work).artefacts == 4


def test_path_traversal_is_a_fault(work: Path) -> None:
    place = work / "model" / manifest.NAME
    document = json.loads(place.read_bytes())
    document["files"]["../vocab.tsv"] = document["files"].pop("best")
    place.write_text(json.dumps(document), encoding="utf-8")
    with raises(FormatError, "../vocab.tsv"):
        verify(work / "model")


@pytest.mark.parametrize("entry", ["{}", "5", "null"])
def test_damaged_manifest(work: Path, entry: str) -> None:
    place = work / "model" / manifest.NAME
    document = json.loads(place.read_bytes())
    document["files"]["best"] = json.loads(entry)
    place.write_text(json.dumps(document), encoding="utf-8")
    with raises(FormatError, place):
        verify(work)


def test_nothing_to_verify(tmp_path: Path) -> None:
    with raises(DataError, path=tmp_path / "nothing"):
        verify(tmp_path / "nothing")
    for path in (tmp_path, write(tmp_path / "file", b"")):
        with raises(DataError, "meta.json", "`rnnkit inspect`", path=path):
            verify(path)
