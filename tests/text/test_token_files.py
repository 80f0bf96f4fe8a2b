"""Token files: names, manifests, raw lines."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.raising import raises

from rnnkit.errors import ArtefactError, DataError
from rnnkit.text.token_files import (
    CorpusName,
    TokenFileContents,
    common_tokenizer,
    describe_tokenizer,
    find_token_files,
    open_token_file,
    parse_name,
    read_token_lines,
    write_token_manifest,
)


def made(path: Path, tokenizer: str | None = None, text: str = "a b\n") -> Path:
    path.write_text(text, encoding="utf-8")
    if tokenizer is not None:
        write_token_manifest(
            path, TokenFileContents(1, 2, samples=3, features=True), options={}, inputs={"tokenizer": tokenizer}
        )
    return path


def test_a_manifest_is_read_back(tmp_path: Path) -> None:
    file = open_token_file(made(tmp_path / "train.de.tok", "abc"))
    assert (file.split, file.language, file.tokenizer, file.lines, file.samples) == ("train", "de", "abc", 1, 3)
    assert file.features


def test_a_file_from_elsewhere_has_a_name_only(tmp_path: Path) -> None:
    file = open_token_file(made(tmp_path / "dev.en.tok"))
    assert (file.split, file.language, file.tokenizer, file.lines, file.samples) == ("valid", "en", None, None, 0)
    assert not file.features


def test_missing_and_changed_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no token file"):
        open_token_file(tmp_path / "train.de.tok")
    path = made(tmp_path / "train.de.tok", "abc")
    path.write_text("a c\n", encoding="utf-8")
    with raises(ArtefactError, f"{path} has changed", f"delete {path}.meta.json", path=path):
        open_token_file(path)


def test_only_token_files_are_found(tmp_path: Path) -> None:
    paths = [made(tmp_path / name, "abc") for name in ("b.tok", "a.de.tok", ".c.tok", "a.de")]
    assert find_token_files(tmp_path) == [paths[1], paths[0]]
    assert find_token_files(tmp_path / "none") == []


def test_one_tokenizer_for_all(tmp_path: Path) -> None:
    files = [open_token_file(made(tmp_path / f"{name}.tok", name[0] * 20)) for name in ("a1", "a2", "b1")]
    assert common_tokenizer(files[:2]) == "a" * 20
    assert common_tokenizer([]) is None
    with pytest.raises(ArtefactError) as caught:
        common_tokenizer(files)
    assert caught.value.details == (
        f"{tmp_path / 'a1.tok'}: tokenizer aaaaaaaaaaaa",
        f"{tmp_path / 'b1.tok'}: tokenizer bbbbbbbbbbbb",
    )
    assert describe_tokenizer(None) == "no tokenizer of rnnkit"


def test_tokens_of_the_longest_line_of_text_can_be_read(tmp_path: Path) -> None:
    path = made(tmp_path / "train.de.tok", text=" ".join(["<0x61>"] * 1_000_000))
    assert len(next(read_token_lines(path))) == 6_999_999


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("train.de", CorpusName("train", "de", "train")),
        ("train.de.gz", CorpusName("train", "de", "train")),
        ("train.de.tok", CorpusName("train", "de", "train")),
        ("val.de", CorpusName("val", "de", "valid")),
        ("dev.de", CorpusName("dev", "de", "valid")),
        ("validation.de", CorpusName("validation", "de", "valid")),
        ("valid-2.de", CorpusName("valid-2", "de", "valid")),
        ("test_2016_flickr.de.gz", CorpusName("test_2016_flickr", "de", "test")),
        ("test2016.de", CorpusName("test2016", "de", "test")),
        ("news.test.de", CorpusName("news.test", "de", "news.test")),
        ("training.de", CorpusName("training", "de", "training")),
        ("tests.de", CorpusName("tests", "de", "tests")),
        ("trainé.de", CorpusName("trainé", "de", "trainé")),
        ("corpus.txt", CorpusName("corpus", "txt", "corpus")),
        ("train", CorpusName("train", "text", "train")),
        (".hidden", CorpusName(".hidden", "text", ".hidden")),
    ],
)
def test_names(name: str, parts: CorpusName) -> None:
    assert parse_name(Path("some") / name) == parts


def test_token_file_keeps_the_name() -> None:
    assert parse_name(Path("test_2016.de.gz")).token_file == "test_2016.de.tok"
    assert parse_name(Path("corpus")).token_file == "corpus.text.tok"
