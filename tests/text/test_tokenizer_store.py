"""Tokenizers on disk."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.raising import raises

from rnnkit.errors import ArtefactError, DataError, FormatError
from rnnkit.text.rule_based_tokenizers import CharacterTokenizer, WordTokenizer
from rnnkit.text.subword_training import train_subwords
from rnnkit.text.tokenizer import FeaturedTokenizer, Tokenizer
from rnnkit.text.tokenizer_store import (
    load_compatible_tokenizer,
    load_tokenizer,
    read_tokenizer_identity,
    save_tokenizer,
)
from rnnkit.text.unicode import Normalizer

LINE = "Ein Mann, ein Wort ﬁ"


def bpe() -> Tokenizer:
    return train_subwords([LINE, "ein anderer Mann"] * 3, "bpe", None, Normalizer())


def edit(folder: Path, old: str, new: str) -> None:
    meta = folder / "meta.json"
    meta.write_text(meta.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")


@pytest.mark.parametrize(
    "tokenizer",
    [
        WordTokenizer(Normalizer("nfkc", lowercase=True)),
        CharacterTokenizer(Normalizer("none")),
        bpe(),
        FeaturedTokenizer(CharacterTokenizer(Normalizer())),
        FeaturedTokenizer(bpe()),
    ],
    ids=str,
)
def test_saved_and_loaded_tokenizers_are_equal(tmp_path: Path, tokenizer: Tokenizer) -> None:
    save_tokenizer(tokenizer, tmp_path / "tokenizer", {"train.de": "abc"}, {"lines": 3})
    loaded = load_tokenizer(tmp_path / "tokenizer")
    assert loaded.options == tokenizer.options
    for line in (LINE, f"{LINE}\tV;PST x", f"{LINE}\t"):
        assert loaded.tokenize(line) == tokenizer.tokenize(line)
    document = json.loads((tmp_path / "tokenizer" / "meta.json").read_text(encoding="utf-8"))
    assert (document["inputs"], document["facts"]) == ({"train.de": "abc"}, {"lines": 3})


def test_identity_depends_on_settings_and_model(tmp_path: Path) -> None:
    save_tokenizer(bpe(), tmp_path / "a", {"train.de": "abc"})
    save_tokenizer(load_tokenizer(tmp_path / "a"), tmp_path / "b")
    shutil.copytree(tmp_path / "b", tmp_path / "c")
    assert (
        read_tokenizer_identity(tmp_path / "a")
        == read_tokenizer_identity(tmp_path / "b")
        == read_tokenizer_identity(tmp_path / "c")
    )
    save_tokenizer(WordTokenizer(Normalizer()), tmp_path / "d")
    save_tokenizer(WordTokenizer(Normalizer(lowercase=True)), tmp_path / "e")
    assert len({read_tokenizer_identity(tmp_path / name) for name in "ade"}) == 3


def test_incompatible_settings_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "tokenizer"
    save_tokenizer(WordTokenizer(Normalizer()), folder)
    assert (
        load_compatible_tokenizer(folder, {"type": "words", "lowercase": False, "normalise": None, "size": None}).kind
        == "words"
    )
    for asked, message in (
        (
            {"type": "bpe"},
            "was made with --type words, not with --type bpe\n  it is words, nfc\n  hint: omit --type ",
        ),
        ({"lowercase": True}, "was made with --lowercase false, not with --lowercase true"),
        ({"size": 9}, "was made without --size, not with --size 9"),
    ):
        with pytest.raises(ArtefactError) as caught:
            load_compatible_tokenizer(folder, asked)
        assert str(caught.value).startswith(f"the tokenizer {folder} {message}")


def test_the_features_setting_is_compared(tmp_path: Path) -> None:
    plain, featured = tmp_path / "plain", tmp_path / "featured"
    save_tokenizer(WordTokenizer(Normalizer()), plain)
    save_tokenizer(FeaturedTokenizer(WordTokenizer(Normalizer())), featured)
    assert read_tokenizer_identity(plain) != read_tokenizer_identity(featured)
    options = json.loads((plain / "meta.json").read_text(encoding="utf-8"))["options"]
    assert options == {"type": "words", "normalise": "nfc", "lowercase": False}, "as folders before there were features"
    assert load_tokenizer(plain).tokenize("a\tb") == ["a", "b"]
    assert str(load_compatible_tokenizer(featured, {"features": None})) == "words, nfc, features"
    assert str(load_compatible_tokenizer(plain, {"features": False})) == "words, nfc"
    for folder, asked, message in (
        (plain, True, "was made without --features, not with --features true\n  it is words, nfc\n"),
        (featured, False, "was made with --features true, not with --features false\n  it is words, nfc, features\n"),
    ):
        with pytest.raises(ArtefactError) as caught:
            load_compatible_tokenizer(folder, {"features": asked})
        assert str(caught.value).startswith(f"the tokenizer {folder} {message}")
    edit(featured, '"features": true', '"features": "yes"')
    with raises(FormatError, "type 'words'", "features 'yes'", path=featured / "meta.json"):
        load_tokenizer(featured)


def test_damaged_foreign_and_newer_directories(tmp_path: Path) -> None:
    folder = tmp_path / "tokenizer"
    with pytest.raises(DataError, match="there is no tokenizer at"):
        load_tokenizer(folder)
    save_tokenizer(bpe(), folder)
    model = (folder / "model.spm").read_bytes()
    (folder / "model.spm").write_bytes(model[:-9])
    with pytest.raises(FormatError) as caught:
        load_tokenizer(folder)
    assert str(caught.value).splitlines()[:2] == [
        f"the tokenizer {folder} is damaged",
        f"  model.spm: {len(model) - 9} bytes, expected {len(model)}",
    ]
    (folder / "model.spm").unlink()
    with pytest.raises(FormatError, match=r"model.spm: missing"):
        load_tokenizer(folder)
    edit(folder, '"type": "bpe"', '"type": "morphemes"')
    with raises(FormatError, "type 'morphemes'", path=folder / "meta.json"):
        load_tokenizer(folder)
    edit(folder, '"version": 1', '"version": 2')
    with pytest.raises(FormatError, match="has format version 2; this rnnkit reads up to 1"):
        load_tokenizer(folder)
    edit(folder, '"kind": "tokenizer"', '"kind": "model"')
    with pytest.raises(ArtefactError, match="is model, not tokenizer"):
        load_tokenizer(folder)
    (folder / "meta.json").write_text("{")
    with pytest.raises(FormatError, match=r"meta\.json is damaged"):
        load_tokenizer(folder)


def test_sentencepiece_is_imported_only_where_it_is_needed(tmp_path: Path) -> None:
    save_tokenizer(WordTokenizer(Normalizer()), tmp_path / "tokenizer")
    program = (
        "import sys; from pathlib import Path; from rnnkit.text.tokenizer_store import load_tokenizer; "
        f"load_tokenizer(Path({str(tmp_path / 'tokenizer')!r})); print({{'sentencepiece', 'numpy'}} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
