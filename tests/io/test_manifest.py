"""Manifests: kinds, versions, checksums, safe names; default paths of artifacts."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests.raising import raises

from rnnkit.errors import ArtefactError, DataError, FormatError
from rnnkit.io.manifest import (
    Manifest,
    Workspace,
    describe_files,
    explain_damage,
    find_mismatches,
    load,
    manifest_path,
    read,
    sha256,
    write,
)


def artefact(folder: Path) -> Path:
    """A folder with two files and a manifest."""
    (folder / "a").write_text("aa")
    (folder / "b").write_text("b")
    files = describe_files(folder, ["b", "a"])
    write(manifest_path(folder), Manifest("thing", 2, {"size": 3}, {"text": "abc"}, files, {"lines": 1}))
    return folder


def test_written_and_read_are_equal(tmp_path: Path) -> None:
    manifest = read(artefact(tmp_path), "thing", 2)
    digest = hashlib.sha256(b"aa").hexdigest()
    assert manifest.files["a"] == {"sha256": digest, "size": 2}
    assert list(manifest.files) == ["a", "b"]
    assert (manifest.options, manifest.inputs, manifest.facts) == ({"size": 3}, {"text": "abc"}, {"lines": 1})
    assert sha256(tmp_path / "a") == digest
    before = manifest_path(tmp_path).read_bytes()
    write(manifest_path(tmp_path), manifest)
    assert manifest_path(tmp_path).read_bytes() == before


def test_a_single_file_has_its_manifest_beside_it(tmp_path: Path) -> None:
    (tmp_path / "vocab.tsv").write_text("")
    assert manifest_path(tmp_path / "vocab.tsv") == tmp_path / "vocab.tsv.meta.json"
    assert manifest_path(tmp_path) == tmp_path / "meta.json"


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
    path = manifest_path(artefact(tmp_path))
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


def test_mismatches_are_found_by_name(tmp_path: Path) -> None:
    assert find_mismatches(artefact(tmp_path)) == []
    (tmp_path / "a").write_text("ab")
    (tmp_path / "b").unlink()
    assert find_mismatches(tmp_path) == ["a: contents changed (sha256 mismatch)", "b: missing"]
    (tmp_path / "a").write_text("a")
    assert find_mismatches(tmp_path)[0] == "a: 1 bytes, expected 2"


def test_a_name_longer_than_any_file_has_is_missing(tmp_path: Path) -> None:
    name, document = 300 * "a", json.loads(manifest_path(artefact(tmp_path)).read_text())
    files = {**document["files"], name: {"sha256": "", "size": 0}}
    del document["sha256"]
    manifest_path(tmp_path).write_text(json.dumps({**document, "files": files}))
    assert find_mismatches(tmp_path) == [f"{name}: missing"]


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "a/../../b", "..", "", "a//b", "a\0b"])
def test_names_do_not_lead_outside(tmp_path: Path, name: str) -> None:
    document = {"kind": "thing", "version": 1, "options": {}, "inputs": {}, "facts": {}}
    manifest_path(tmp_path).write_text(json.dumps({**document, "files": {name: {"sha256": "", "size": 0}}}))
    with raises(FormatError, repr(name), path=manifest_path(tmp_path)):
        load(manifest_path(tmp_path))


def test_links_do_not_lead_outside(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("aa")
    (tmp_path / "folder").mkdir()
    folder = artefact(tmp_path / "folder")
    (tmp_path / "named").symlink_to(folder)
    assert find_mismatches(tmp_path / "named") == []  # whoever names a link means what it leads to
    (folder / "a").rename(folder / "c")
    (folder / "a").symlink_to("c")
    assert find_mismatches(folder) == []
    (folder / "a").unlink()
    (folder / "a").symlink_to(tmp_path / "secret")
    with raises(FormatError, "`cp -rL`", path=folder / "a"):
        load(manifest_path(folder))


def test_a_changed_manifest_is_detected(tmp_path: Path) -> None:
    path = manifest_path(artefact(tmp_path))
    written = path.read_text()
    path.write_text(written.replace('"size": 3', '"size": 4'))
    assert find_mismatches(tmp_path) == ["meta.json: contents changed (sha256 mismatch)"]
    path.write_text(written.rstrip("\n"))
    assert find_mismatches(tmp_path) == ["meta.json: contents changed (sha256 mismatch)"]
    path.write_text(written.replace('\n  "sha256"', '\n  "sha255"'))
    assert find_mismatches(tmp_path) == ["meta.json: contents changed (sha256 mismatch)"]
    document = json.loads(written)
    del document["sha256"]
    path.write_text(json.dumps(document))
    assert find_mismatches(tmp_path) == []  # as the first rnnkit wrote them


def test_a_reader_moves_nothing(tmp_path: Path) -> None:
    (tmp_path / ".data.old").mkdir()
    artefact(tmp_path / ".data.old")
    with pytest.raises(DataError) as caught:
        read(tmp_path / "data", "thing", 2)
    assert f"`mv {tmp_path / '.data.old'} {tmp_path / 'data'}`" in str(caught.value.hint)
    assert [path.name for path in tmp_path.iterdir()] == [".data.old"]


@pytest.mark.parametrize(("version", "what"), [("1e999", "OverflowError"), ("[" * 100_000, "nested too deeply")])
def test_extreme_values_are_damage(tmp_path: Path, version: str, what: str) -> None:
    path = manifest_path(artefact(tmp_path))
    path.write_text(path.read_text().replace('"version": 2', f'"version": {version}'))
    with pytest.raises(FormatError, match=what):
        load(path)


@pytest.mark.parametrize(
    ("facts", "what"),
    [
        ({}, "KeyError: 'lines'"),
        ({"lines": None}, "TypeError: .*'NoneType'"),
        ({"lines": "many"}, "ValueError: .*'many'"),
        ({"lines": float("inf")}, "OverflowError: .*infinity.*"),
    ],
)
def test_facts_that_are_not_what_they_should_be_are_damage(facts: dict[str, Any], what: str) -> None:
    with (
        pytest.raises(FormatError, match=r"^thing/meta\.json is damaged") as caught,
        explain_damage(Path("thing/meta.json")),
    ):
        int(facts["lines"])
    assert re.fullmatch(what, caught.value.details[0])


def test_other_errors_are_not_damage() -> None:
    with pytest.raises(PermissionError), explain_damage(Path("thing/meta.json")):
        raise PermissionError


def test_a_document_that_is_too_long_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "meta.json").write_bytes(b" " * ((1 << 22) + 1))
    with pytest.raises(FormatError, match=r"4,194,305 bytes .* 4,194,304"):
        load(tmp_path / "meta.json")


def test_default_paths() -> None:
    work = Workspace(Path("w"))
    assert [work.tokens, work.tokenizer, work.data, work.model, work.embeddings] == [
        Path("w") / name for name in ("tokens", "tokenizer", "data", "model", "embeddings")
    ]
    assert work.vocabulary() == Path("w/vocab.tsv")
    assert work.vocabulary("de") == Path("w/vocab.de.tsv")
