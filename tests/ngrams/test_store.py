"""A stored model comes back as it was, and a damaged file is refused."""

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
from rnnkit.ngrams.model import NgramModel

from .samples import lay, make_model, random_lines


@pytest.fixture
def model() -> NgramModel:
    return make_model(order=3)


@pytest.mark.parametrize("order", [1, 2, 5])
def test_a_model_comes_back_as_it_was(tmp_path: Path, order: int) -> None:
    model = make_model(order=order)
    store.save(tmp_path / store.NAME, model)
    loaded = store.load(tmp_path / store.NAME)
    assert all(np.array_equal(mine, its) for mine, its in zip(model._arrays, loaded._arrays, strict=True))
    assert (loaded.order, loaded.vocabulary_size, loaded.sizes) == (order, 9, model.sizes)
    assert loaded.facts == json.loads(json.dumps(dict(model.facts)))
    text = lay(random_lines(seed=5))
    assert np.array_equal(loaded.score(*text), model.score(*text))
    store.check(loaded, "the model")


def test_it_is_mapped_and_cannot_be_written_to(tmp_path: Path, model: NgramModel) -> None:
    store.save(tmp_path / "m", model)
    loaded = store.load(tmp_path / "m")
    assert isinstance(loaded.log10_A.base, np.memmap)
    assert not loaded.log10_A.flags.writeable


def test_the_file_is_one_of_safetensors_and_the_same_each_time(tmp_path: Path, model: NgramModel) -> None:
    store.save(tmp_path / "m", model)
    store.save(tmp_path / "again", make_model(order=3))
    assert (tmp_path / "m").read_bytes() == (tmp_path / "again").read_bytes()
    tensors = load_file(tmp_path / "m")
    assert tensors.keys() == {"word", "suffix", "log10", "backoff", "begins"}
    assert np.array_equal(tensors["log10"], model.log10_A)


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, model: NgramModel) -> None:
    store.save(tmp_path / "m", make_model(order=1))
    with raises(ArtefactError, path=tmp_path / "m"), limit_files(500):
        store.save(tmp_path / "m", model)
    assert store.load(tmp_path / "m").order == 1


def test_no_file_is_an_error_that_says_what_makes_one(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"there are no n-grams at .*\n  hint: `rnnkit train-lm --arch ngram` makes them"
    ):
        store.load(tmp_path / "none")
    with pytest.raises(DataError, match="cannot read"):
        store.load(tmp_path)


def damage(path: Path, change: Any) -> None:
    """Change the header of a file, its arrays staying as they are."""
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    about = json.loads(header["__metadata__"]["rnnkit"])
    change(header, about)
    header["__metadata__"] = {"rnnkit": json.dumps(about)}
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + raw[8 + length :])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda header, about: about.update(version=2), "has format version 2; this rnnkit reads up to 1"),
        (lambda header, about: about.update(order=2), "its n-grams do not fit its order"),
        (lambda header, about: about.update(order=0), "order 0 and 9 words do not fit"),
        (lambda header, about: about.update(vocabulary=8), "its n-grams do not fit its order"),
        (lambda header, about: about.pop("order"), "holds no n-gram model\n  KeyError: 'order'"),
        (lambda header, about: header.pop("word"), "holds no n-gram model\n  KeyError: 'word'"),
        (
            lambda header, about: header["word"].update(dtype="F32"),
            "holds no n-gram model\n  ValueError: an array of F32",
        ),
        (
            lambda header, about: header["word"].update(shape=[3]),
            "holds no n-gram model\n  ValueError: an array of I32",
        ),
        (lambda header, about: header.update(log10=header["backoff"]), "its arrays are of different lengths"),
    ],
)
def test_a_header_that_contradicts_itself_is_refused(
    tmp_path: Path, model: NgramModel, change: Any, message: str
) -> None:
    store.save(tmp_path / "m", model)
    damage(tmp_path / "m", change)
    with pytest.raises(FormatError) as caught:
        store.load(tmp_path / "m")
    assert message in str(caught.value) and str(tmp_path / "m") in str(caught.value)


@pytest.mark.parametrize("cut", [0, 5, 100, -4, -1])
def test_a_file_cut_short_is_refused(tmp_path: Path, model: NgramModel, cut: int) -> None:
    store.save(tmp_path / "m", model)
    (tmp_path / "m").write_bytes((tmp_path / "m").read_bytes()[:cut])
    with pytest.raises(FormatError, match=r"holds no n-gram model|is damaged"):
        store.load(tmp_path / "m")


def test_bytes_behind_the_last_array_are_refused(tmp_path: Path, model: NgramModel) -> None:
    store.save(tmp_path / "m", model)
    with (tmp_path / "m").open("ab") as file:
        file.write(b"more")
    with pytest.raises(FormatError, match="bytes stand behind its last array"):
        store.load(tmp_path / "m")


@pytest.mark.parametrize("content", [b"\\data\\\nngram 1=3\n", b"\x02\0\0\0\0\0\0\0[]", b'\x02\0\0\0\0\0\0\0{"'])
def test_something_else_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m").write_bytes(content)
    with pytest.raises(FormatError, match=r"holds no n-gram model|is damaged"):
        store.load(tmp_path / "m")


def change_one(array: Any, place: Any, value: Any) -> Any:
    changed = array.copy()
    changed[place] = value
    return changed


@pytest.mark.parametrize(
    ("name", "place", "value", "message"),
    [
        ("word_A", 15, 99, "a word lies outside the vocabulary"),
        ("word_A", 15, -1, "a word lies outside the vocabulary"),
        ("word_A", 3, 7, "the single words are not those of the vocabulary"),
        ("word_A", 13, 8, "the words of a context are not in order"),
        ("suffix_A", 40, 41, "an n-gram ends like none that is shorter"),
        ("suffix_A", 40, -1, "an n-gram ends like none that is shorter"),
        ("begins_I1", 4, 0, "the ranges of n-grams overlap"),
        ("begins_I1", 0, 2, "the ranges of n-grams overlap"),
        ("begins_I1", 4, -70_000, "the ranges of n-grams overlap"),
        ("begins_I1", slice(4, 6), (2**31 - 1, -(2**31)), "the ranges of n-grams overlap"),
        ("log10_A", 5, 0.5, "a probability is none"),
        ("log10_A", 5, np.nan, "a probability is none"),
        ("backoff_I", 5, np.nan, "a probability is none"),
    ],
)
def test_a_check_finds_values_that_cannot_be(
    model: NgramModel, name: str, place: Any, value: Any, message: str
) -> None:
    store.check(model, "it")
    changed = replace(model, **{name: change_one(getattr(model, name), place, value)})
    with pytest.raises(FormatError) as caught:
        store.check(changed, "it")
    assert str(caught.value).startswith("it is damaged") and message in str(caught.value)
