"""Stored models are loaded unchanged, and damaged files are rejected."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file
from tests.file_limits import limit_files
from tests.raising import raises

from rnnkit.errors import ArtefactError, DataError, FormatError
from rnnkit.ngrams import store
from rnnkit.ngrams.ngram_model import BackoffModel

from .samples import flatten, make_model, random_lines


@pytest.fixture
def model() -> BackoffModel:
    return make_model(order=3)


@pytest.mark.parametrize("order", [1, 2, 5])
def test_a_model_is_loaded_unchanged(tmp_path: Path, order: int) -> None:
    model = make_model(order=order)
    store.save(tmp_path / store.NAME, model)
    loaded = store.load(tmp_path / store.NAME)
    assert all(np.array_equal(mine, its) for mine, its in zip(model._arrays, loaded._arrays, strict=True))
    assert (loaded.order, loaded.vocabulary_size, loaded.sizes) == (order, 9, model.sizes)
    assert loaded.facts == json.loads(json.dumps(dict(model.facts)))
    text = flatten(random_lines(seed=5))
    assert np.array_equal(loaded.score(*text), model.score(*text))
    store.check(loaded, "the model")


def test_arrays_are_mapped_and_read_only(tmp_path: Path, model: BackoffModel) -> None:
    store.save(tmp_path / "m", model)
    loaded = store.load(tmp_path / "m")
    assert isinstance(loaded.log10_A.base, np.memmap)
    assert not loaded.log10_A.flags.writeable


def test_file_is_safetensors_and_deterministic(tmp_path: Path, model: BackoffModel) -> None:
    store.save(tmp_path / "m", model)
    store.save(tmp_path / "again", make_model(order=3))
    assert (tmp_path / "m").read_bytes() == (tmp_path / "again").read_bytes()
    tensors = load_file(tmp_path / "m")
    assert tensors.keys() == {"word", "suffix", "log10", "backoff", "begins"}
    assert np.array_equal(tensors["log10"], model.log10_A)


def test_full_disk_leaves_the_old_file(tmp_path: Path, model: BackoffModel) -> None:
    store.save(tmp_path / "m", make_model(order=1))
    with raises(ArtefactError, tmp_path / "m"), limit_files(500):
        store.save(tmp_path / "m", model)
    assert store.load(tmp_path / "m").order == 1


def test_missing_file_is_an_error(tmp_path: Path) -> None:
    with raises(DataError, "rnnkit train-lm --arch ngram", path=tmp_path / "none"):
        store.load(tmp_path / "none")
    with raises(DataError, "cannot read", path=tmp_path):
        store.load(tmp_path)


def damage(path: Path, change: Any) -> None:
    """Change the header of a file and leave its arrays."""
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    about = json.loads(header["__metadata__"]["rnnkit"])
    change(header, about)
    header["__metadata__"] = {"rnnkit": json.dumps(about)}
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + raw[8 + length :])


@pytest.mark.parametrize(
    ("change", "values"),
    [
        (lambda header, about: about.update(version=2), ["version 2", "up to 1"]),
        (lambda header, about: about.update(order=2), ["damaged", "order"]),
        (lambda header, about: about.update(order=0), ["damaged", "order 0", "9 words"]),
        (lambda header, about: about.update(vocabulary=8), ["damaged", "order"]),
        (lambda header, about: about.pop("order"), ["KeyError: 'order'"]),
        (lambda header, about: header.pop("word"), ["KeyError: 'word'"]),
        (lambda header, about: header["word"].update(dtype="F32"), ["ValueError", "F32"]),
        (lambda header, about: header["word"].update(shape=[3]), ["ValueError", "I32"]),
        (lambda header, about: header.update(log10=header["backoff"]), ["damaged", "lengths"]),
    ],
)
def test_inconsistent_headers_are_rejected(tmp_path: Path, model: BackoffModel, change: Any, values: list[str]) -> None:
    store.save(tmp_path / "m", model)
    damage(tmp_path / "m", change)
    with raises(FormatError, tmp_path / "m", *values, path=tmp_path / "m"):
        store.load(tmp_path / "m")


@pytest.mark.parametrize("cut", [0, 5, 100, -4, -1])
def test_truncated_files_are_rejected(tmp_path: Path, model: BackoffModel, cut: int) -> None:
    store.save(tmp_path / "m", model)
    (tmp_path / "m").write_bytes((tmp_path / "m").read_bytes()[:cut])
    with raises(FormatError, path=tmp_path / "m"):
        store.load(tmp_path / "m")


def test_extra_bytes_are_rejected(tmp_path: Path, model: BackoffModel) -> None:
    store.save(tmp_path / "m", model)
    with (tmp_path / "m").open("ab") as file:
        file.write(b"more")
    with raises(FormatError, "extra bytes", path=tmp_path / "m"):
        store.load(tmp_path / "m")


@pytest.mark.parametrize("content", [b"\\data\\\nngram 1=3\n", b"\x02\0\0\0\0\0\0\0[]", b'\x02\0\0\0\0\0\0\0{"'])
def test_other_files_are_rejected(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m").write_bytes(content)
    with raises(FormatError, path=tmp_path / "m"):
        store.load(tmp_path / "m")


def change_one(array: Any, index: Any, value: Any) -> Any:
    changed = array.copy()
    changed[index] = value
    return changed


@pytest.mark.parametrize(
    ("name", "index", "value", "fault"),
    [
        ("word_A", 15, 99, "vocabulary"),
        ("word_A", 15, -1, "vocabulary"),
        ("word_A", 3, 7, "unigrams"),
        ("word_A", 13, 8, "sorted"),
        ("suffix_A", 40, 41, "suffix"),
        ("suffix_A", 40, -1, "suffix"),
        ("first_child_I1", 4, 0, "ranges"),
        ("first_child_I1", 0, 2, "ranges"),
        ("first_child_I1", 4, -70_000, "ranges"),
        ("first_child_I1", slice(4, 6), (2**31 - 1, -(2**31)), "ranges"),
        ("log10_A", 5, 0.5, "probability"),
        ("log10_A", 5, np.nan, "probability"),
        ("backoff_I", 5, np.nan, "probability"),
    ],
)
def test_check_finds_invalid_values(model: BackoffModel, name: str, index: Any, value: Any, fault: str) -> None:
    store.check(model, "the model")
    changed = replace(model, **{name: change_one(getattr(model, name), index, value)})
    with raises(FormatError, "the model is damaged", fault):
        store.check(changed, "the model")
