"""What artefacts say of themselves."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from rnnkit.errors import ArtefactError, DataError, FormatError
from rnnkit.files.manifest import Manifest, describe_files, faults, load, place, read, sha256, write


def artefact(folder: Path) -> Path:
    """A folder with two files and a manifest."""
    (folder / "a").write_text("aa")
    (folder / "b").write_text("b")
    files = describe_files(folder, ["b", "a"])
    write(place(folder), Manifest("thing", 2, {"size": 3}, {"text": "abc"}, files, {"lines": 1}))
    return folder


def test_written_and_read_are_equal(tmp_path: Path) -> None:
    manifest = read(artefact(tmp_path), "thing", 2)
    digest = hashlib.sha256(b"aa").hexdigest()
    assert manifest.files["a"] == {"sha256": digest, "size": 2}
    assert list(manifest.files) == ["a", "b"]
    assert (manifest.options, manifest.inputs, manifest.facts) == ({"size": 3}, {"text": "abc"}, {"lines": 1})
    assert sha256(tmp_path / "a") == digest
    before = place(tmp_path).read_bytes()
    write(place(tmp_path), manifest)
    assert place(tmp_path).read_bytes() == before


def test_a_single_file_has_its_manifest_beside_it(tmp_path: Path) -> None:
    (tmp_path / "vocab.tsv").write_text("")
    assert place(tmp_path / "vocab.tsv") == tmp_path / "vocab.tsv.meta.json"
    assert place(tmp_path) == tmp_path / "meta.json"


def test_missing_foreign_and_newer_artefacts(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no thing at"):
        read(tmp_path / "none", "thing", 2)
    with pytest.raises(DataError) as missing:
        read(tmp_path, "thing", 2)
    assert str(missing.value).splitlines()[0] == f"{tmp_path / 'meta.json'} is missing"
    artefact(tmp_path)
    with pytest.raises(ArtefactError) as foreign:
        read(tmp_path, "other", 2)
    assert str(foreign.value) == f"{tmp_path} is thing, not other"
    with pytest.raises(FormatError) as newer:
        read(tmp_path, "thing", 1)
    assert str(newer.value) == (
        f"{tmp_path} has format version 2; this rnnkit reads up to 1\n"
        "  hint: install a newer rnnkit: `pip install --upgrade rnnkit`"
    )
    with pytest.raises(DataError, match="cannot read"):
        sha256(tmp_path / "none")


@pytest.mark.parametrize(
    ("key", "value"),
    [("options", 3), ("files", ["a"]), ("files", {"a": {}}), ("inputs", None), ("version", "new"), ("facts", "ab")],
)
def test_a_manifest_of_the_wrong_shape_is_damaged(tmp_path: Path, key: str, value: object) -> None:
    path = place(artefact(tmp_path))
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(FormatError, match="is damaged"):
        load(path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"\xff", b"null"])
def test_a_file_that_is_no_manifest_is_damaged(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "meta.json"
    path.write_bytes(content)
    with pytest.raises(FormatError, match="is damaged"):
        load(path)


def test_a_folder_in_its_place_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "meta.json").mkdir()
    with pytest.raises(DataError, match="cannot read"):
        load(tmp_path / "meta.json")


def test_faults_are_found_by_name(tmp_path: Path) -> None:
    assert faults(artefact(tmp_path)) == []
    (tmp_path / "a").write_text("ab")
    (tmp_path / "b").unlink()
    assert faults(tmp_path) == ["a: its bytes have changed (sha256 differs)", "b: missing"]
    (tmp_path / "a").write_text("a")
    assert faults(tmp_path)[0] == "a: 1 bytes, 2 were written"


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname"])
def test_names_do_not_lead_outside(tmp_path: Path, name: str) -> None:
    write(place(tmp_path), Manifest("thing", 1, files={name: {"sha256": "", "size": 0}}))
    assert faults(tmp_path) == [f"{name}: the name leads outside the artefact's folder"]
