"""What file names say."""

from __future__ import annotations

from pathlib import Path

import pytest

from rnnkit.text.token_files import CorpusName, parse_name


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
