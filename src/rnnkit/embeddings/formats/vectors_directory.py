"""The vectors directory: arrays mapped into memory, words left as the bytes of their vocabulary.

A directory is opened at once, whatever its size: sizes are held against the manifest, bytes are not read.
`rnnkit verify` compares the checksums.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from rnnkit.embeddings.formats.word_validation import check_writable
from rnnkit.embeddings.vector_table import Matrix, VectorTable
from rnnkit.embeddings.word_index import WordIndex
from rnnkit.errors import DataError, FormatError
from rnnkit.io import manifest
from rnnkit.io.artifact_output import ARTIFACT_PART, atomic_directory
from rnnkit.io.durable import explain_os_errors, fsync_directory
from rnnkit.io.npy import map_npy
from rnnkit.io.safe_reading import open_regular
from rnnkit.text import special_tokens

if TYPE_CHECKING:
    from rnnkit.embeddings.subword_ngrams import Subwords

KIND: Final = "vectors"
VERSION: Final = 1

VOCABULARY: Final = "vocab.tsv"
VECTORS: Final = "vectors.npy"
CONTEXTS: Final = "contexts.npy"
SUBWORDS: Final = "subwords.npy"

METRICS: Final = "metrics.jsonl"

_FILES: Final = (VOCABULARY, VECTORS, CONTEXTS, SUBWORDS)

_SPECIAL_ROWS = re.compile(b"".join(b"%b\t[0-9]+\n" % re.escape(name.encode()) for name in special_tokens.NAMES))
_BLOCK_ROWS = 8192
_AGAIN = "copy the directory again, or make it again with --overwrite"


def read(folder: str | os.PathLike[str]) -> VectorTable:
    """Open a vectors directory.

    Raises:
        DataError: There is none.
        ArtefactError: It is a directory of another kind.
        FormatError: A file is missing, damaged or of a newer version; the message names it.
    """
    folder = Path(folder)
    meta = manifest.read(folder, KIND, VERSION)
    words, subwords, dimension = _open_words(folder, meta)
    if VECTORS not in meta.files:
        raise DataError(
            f"{folder} holds a run that has not written its vectors yet",
            hint="`rnnkit train-embeddings --resume` goes on with it",
        )
    rows = len(words) + len(special_tokens.NAMES)
    matrix_VD = _map(folder / VECTORS, rows, dimension)[len(special_tokens.NAMES) :]
    has_contexts = CONTEXTS in meta.files
    return VectorTable(
        words,
        matrix_VD,
        subwords,
        _map(folder / SUBWORDS, subwords.buckets, dimension) if subwords else None,
        _map(folder / CONTEXTS, rows, dimension)[len(special_tokens.NAMES) :] if has_contexts else None,
        str(folder),
    )


def read_words(folder: str | os.PathLike[str]) -> tuple[WordIndex, Subwords | None]:
    """The words of a vectors directory, its vectors being there or not, and how they are cut into n-grams.

    Raises: As `read`.
    """
    folder = Path(folder)
    words, subwords, _ = _open_words(folder, manifest.read(folder, KIND, VERSION))
    return words, subwords


def write(
    folder: str | os.PathLike[str],
    table: VectorTable,
    *,
    options: Mapping[str, Any] | None = None,
    inputs: Mapping[str, str] | None = None,
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Write a vectors directory, whole or not at all.

    Args:
        folder: Where; a directory that is there is replaced.
        table: The words and their vectors.
        options: The resolved options of the command.
        inputs: sha256 of what they were made from.
        facts: What else is known.

    Raises:
        DataError: A word holds white space, or a vector is not finite.
        ArtefactError: It cannot be written.
    """
    check_writable(table, "a vectors directory", b" \r")
    with atomic_directory(Path(folder), KIND) as temporary:
        write_files(temporary, table)
        write_manifest(temporary, table, options=options, inputs=inputs, facts=facts)


def write_files(folder: Path, table: VectorTable) -> None:
    """Write the vocabulary and the arrays into a folder."""
    write_words(folder, table.words)
    _save(folder / VECTORS, table.matrix_VD, len(special_tokens.NAMES))
    if table.contexts_VD is not None:
        _save(folder / CONTEXTS, table.contexts_VD, len(special_tokens.NAMES))
    if table.buckets_KD is not None:
        _save(folder / SUBWORDS, table.buckets_KD, 0)


def write_words(folder: Path, words: WordIndex) -> None:
    """Write the vocabulary into a folder."""
    with (folder / VOCABULARY).open("wb") as file:
        file.writelines(b"%b\t0\n" % name.encode() for name in special_tokens.NAMES)
        file.write(words.table)


def write_manifest(
    folder: Path,
    table: VectorTable,
    *,
    options: Mapping[str, Any] | None = None,
    inputs: Mapping[str, str] | None = None,
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Write `meta.json` with the checksums of the files that stand in the folder. Arguments as those of `write`."""
    cut = table.subwords
    known = {
        "words": len(table.words),
        "dimension": table.dimension,
        "subwords": cut and {"min_length": cut.min_length, "max_length": cut.max_length, "buckets": cut.buckets},
        **(facts or {}),
    }
    wanted = (*_FILES, METRICS) if known.get("finished") else _FILES  # until then lines are added to it
    files = manifest.describe_files(folder, [name for name in wanted if (folder / name).is_file()])
    manifest.write(folder / manifest.NAME, manifest.Manifest(KIND, VERSION, options or {}, inputs or {}, files, known))


def _open_words(folder: Path, meta: manifest.Manifest) -> tuple[WordIndex, Subwords | None, int]:
    """The words, how they are cut, and the dimension."""
    with manifest.explain_damage(folder / manifest.NAME):
        count, dimension = int(meta.facts["words"]), int(meta.facts["dimension"])
        cut = meta.facts["subwords"]
        subwords = _subwords(cut) if cut else None
    _check_sizes(folder, meta)
    return _read_words(folder / VOCABULARY, count), subwords, dimension


def _subwords(facts: Mapping[str, Any]) -> Subwords:
    from rnnkit.embeddings.subword_ngrams import Subwords  # with its compiler: only those wait who need it

    return Subwords(int(facts["min_length"]), int(facts["max_length"]), int(facts["buckets"]))


def _check_sizes(folder: Path, meta: manifest.Manifest) -> None:
    for name, entry in meta.files.items():
        path = folder / name
        if not path.is_file():
            raise FormatError(f"{path} is missing", hint=_AGAIN)
        size = path.stat().st_size
        if size != entry["size"]:
            raise FormatError(f"{path} is damaged", f"{size:,} bytes, {entry['size']:,} were written", hint=_AGAIN)


def _read_words(path: Path, count: int) -> WordIndex:
    try:
        with open_regular(path) as file:
            table = file.read()
    except OSError as error:
        raise DataError(f"cannot read {path}", str(error.strerror)) from error
    if not _SPECIAL_ROWS.match(table):
        raise FormatError(f"{path} is damaged", f"its first rows are not {' '.join(special_tokens.NAMES)}", hint=_AGAIN)
    words = WordIndex.from_table(table, str(path), skip=len(special_tokens.NAMES))
    if len(words) != count:
        raise FormatError(f"{path} is damaged", f"it has {len(words):,} words, meta.json says {count:,}", hint=_AGAIN)
    return words


def _map(path: Path, rows: int, dimension: int) -> Matrix:
    """Map an array into memory, read-only."""
    try:
        array = map_npy(path)
    except (OSError, ValueError) as error:
        raise FormatError(f"{path} is damaged or missing", str(error), hint=_AGAIN) from error
    if array.dtype != np.dtype("<f4") or array.shape != (rows, dimension):
        found = f"it holds {array.dtype} of shape {' x '.join(map(str, array.shape))}"
        raise FormatError(f"{path} is damaged", f"{found}, float32 of {rows} x {dimension} is wanted", hint=_AGAIN)
    return array


def _save(path: Path, matrix: Matrix, zero_rows: int) -> None:
    """Write rows behind rows of zeros, without a copy of them all."""
    header = {"descr": "<f4", "fortran_order": False, "shape": (zero_rows + len(matrix), matrix.shape[1])}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        file.write(np.zeros((zero_rows, matrix.shape[1]), dtype="<f4").tobytes())
        for start in range(0, len(matrix), _BLOCK_ROWS):
            file.write(np.ascontiguousarray(matrix[start : start + _BLOCK_ROWS], dtype="<f4").data)


_NEW_FOLDER: Final = "new"


def start_run(folder: Path, table: VectorTable, options: Mapping[str, Any], inputs: Mapping[str, str]) -> None:
    """Write the words and a manifest that says that the run is not finished.

    Args:
        folder: The directory; it exists.
        table: The words, and how they are cut; its vectors are not written.
        options: The resolved options of the command.
        inputs: sha256 of what is learned from.

    Raises:
        ArtefactError: They cannot be written.
    """
    with explain_os_errors(folder):
        write_words(folder, table.words)
    write_manifest(folder, table, options=options, inputs=inputs, facts={"finished": False})


def update_run(folder: Path, table: VectorTable, facts: Mapping[str, Any]) -> None:
    """Write the vectors as they are now, in place of those that are there.

    All of them are written before the first takes its name, so that a full disk costs nothing.

    Args:
        folder: The directory of a run that was started.
        table: The words and their vectors.
        facts: What else is known.

    Raises:
        ArtefactError: They cannot be written; the old ones are whole.
    """
    started = manifest.load(folder / manifest.NAME)
    with atomic_directory(folder / _NEW_FOLDER, ARTIFACT_PART) as temporary:
        write_files(temporary, table)
    with explain_os_errors(folder):
        for path in sorted((folder / _NEW_FOLDER).iterdir()):
            path.replace(folder / path.name)
        fsync_directory(folder)
        shutil.rmtree(folder / _NEW_FOLDER)
    write_manifest(folder, table, options=started.options, inputs=started.inputs, facts=facts)
