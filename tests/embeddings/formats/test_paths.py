"""Paths may be text or `os.PathLike`, and files are written sequentially."""

from __future__ import annotations

import gzip
import importlib
import inspect
import os
import pkgutil
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.embeddings.samples import WORDS, make_table
from tests.word_vectors import ROYALS

import rnnkit.embeddings
from rnnkit.embeddings import WordVectors, corpus, formats
from rnnkit.embeddings.formats import vector_reader, vectors_directory
from rnnkit.embeddings.vector_table import VectorTable
from rnnkit.io import atomic

DOCS = Path(__file__).parents[3] / "docs" / "word_vectors.md"


def _paths() -> Iterator[tuple[str, str]]:
    """Yield each public function that opens or writes a path, with the annotation of the path."""
    for module in pkgutil.walk_packages(rnnkit.embeddings.__path__, "rnnkit.embeddings."):
        found = importlib.import_module(module.name)
        names = dict(inspect.getmembers(found, inspect.isfunction))
        for name, function in names.items():
            if function.__module__ != found.__name__ or not re.match(r"(load|read|open|write)(_|$)", name):
                continue
            first = next(iter(inspect.signature(function).parameters.values()), None)
            if first is not None and first.name in ("path", "folder"):
                yield f"{module.name.rpartition('.')[2]}.{name}", str(first.annotation)


INTERNAL = {
    "queries.load_table", "queries.load_vectors",
    "corpus.write_vocabulary_ids", "text_formats.write_projector", "vectors_directory.write_files",
    "vectors_directory.write_manifest", "vectors_directory.write_words",
}  # fmt: skip
"""Functions that fill an existing directory, or open the path of an option, which is a `Path`."""


@pytest.mark.parametrize(("name", "annotation"), [pair for pair in _paths() if pair[0] not in INTERNAL])
def test_every_function_accepts_text(name: str, annotation: str) -> None:
    assert annotation == "str | os.PathLike[str]"


@pytest.mark.parametrize("kind", [str, Path])
def test_vectors_directories(tmp_path: Path, kind: Callable[[Path], Any]) -> None:
    folder = kind(tmp_path / "v")
    vectors_directory.write(folder, make_table(3))
    assert list(vectors_directory.read(folder).words) == WORDS
    assert list(vectors_directory.read_words(folder)[0]) == WORDS
    assert list(formats.load(folder).words) == WORDS
    assert list(WordVectors.load(folder).words) == WORDS


@pytest.mark.parametrize("kind", [str, Path])
@pytest.mark.parametrize("format", sorted(formats.WRITERS))
def test_files(tmp_path: Path, format: str, kind: Callable[[Path], Any]) -> None:
    path = kind(tmp_path / "f")
    formats.WRITERS[format](path, make_table(3))
    assert list(formats.load(path).words) == WORDS
    assert list(WordVectors.load(path, repair=True).words) == WORDS
    with vector_reader.open_vector_file(path) as file:
        assert file.name == str(tmp_path / "f")


def test_a_path_of_another_kind(tmp_path: Path) -> None:
    class Named:
        def __fspath__(self) -> str:
            return str(tmp_path / "v")

    vectors_directory.write(Named(), make_table(3))
    assert isinstance(Named(), os.PathLike)
    assert list(WordVectors.load(Named()).words) == WORDS


def test_corpora(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("a b\n" * 9, encoding="utf-8")
    found = corpus.write_corpus([tmp_path / "text"], tmp_path, 1, lambda event: None)
    corpus.write_vocabulary_ids(tmp_path, found.vocabulary_ids(found.corpus_ids.astype("int32")))
    assert corpus.open_corpus(str(tmp_path)).tokens == 18


def test_the_example_of_the_documentation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = [*ROYALS, "france"]
    vectors_directory.write(
        "work/wiki", VectorTable.of(words, make_table(len(words)).matrix_VD[:1].repeat(len(words), 0))
    )
    examples = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    assert examples
    for example in examples:
        exec(example, {})


class OnlyWrites:
    """A file that can only be written sequentially, like a compressed one."""

    def __init__(self, file: gzip.GzipFile) -> None:
        self._file = file

    def write(self, data: Any) -> int:
        return self._file.write(data)

    def writelines(self, lines: Any) -> None:
        self._file.writelines(lines)


@pytest.mark.parametrize("format", sorted(formats.WRITERS))
def test_files_are_written_from_start_to_end(tmp_path: Path, format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def packed(path: Path, mode: str) -> Iterator[OnlyWrites]:
        assert mode == "wb"
        with gzip.open(path, "wb") as file:
            yield OnlyWrites(file)

    write, table = formats.WRITERS[format], make_table(3, subwords=True)
    write(tmp_path / "plain", table)
    module = inspect.getmodule(write)
    assert module is not None
    assert vars(module)["atomic_file"] is atomic.atomic_file
    monkeypatch.setattr(module, "atomic_file", packed)
    write(tmp_path / "packed", table)
    assert gzip.decompress((tmp_path / "packed").read_bytes()) == (tmp_path / "plain").read_bytes()
