"""The vectors directory: memory-mapped arrays and a vocabulary, with a manifest.

A directory of any size opens at once: file sizes are compared with the manifest, arrays are mapped and words stay
undecoded. `rnnkit verify` compares the checksums.
"""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np

from rnnkit.embeddings.formats.word_validation import check_writable
from rnnkit.embeddings.vector_table import Matrix, Subwords, VectorTable
from rnnkit.embeddings.word_index import WordIndex
from rnnkit.errors import DataError, FormatError, explain_os_errors
from rnnkit.io import manifest
from rnnkit.io.artifact_output import ARTIFACT_PART, atomic_directory
from rnnkit.io.atomic import fsync_directory
from rnnkit.io.npy import map_npy
from rnnkit.io.safe_reading import open_regular
from rnnkit.json_types import JsonMapping
from rnnkit.text import special_tokens

KIND: Final = "vectors"
VERSION: Final = 1

VOCABULARY: Final = "vocab.tsv"
VECTORS: Final = "vectors.npy"
CONTEXTS: Final = "contexts.npy"
SUBWORDS: Final = "subwords.npy"

METRICS: Final = "metrics.jsonl"

_NEW_FOLDER: Final = "new"
"""Subdirectory for vectors that are being written."""

_FILES: Final = (VOCABULARY, VECTORS, CONTEXTS, SUBWORDS)

_SPECIAL_ROWS = re.compile(b"".join(b"%b\t[0-9]+\n" % re.escape(name.encode()) for name in special_tokens.NAMES))
_BLOCK_ROWS = 8192
_COPY_HINT = "copy the directory again, or create it again with --overwrite"


def read(folder: str | os.PathLike[str]) -> VectorTable:
    """Open a vectors directory.

    Raises:
        DataError: It does not exist, or contains a run that has not written vectors yet.
        ArtefactError: It is a directory of another kind.
        FormatError: A file is missing, damaged or of a newer version.
    """
    folder = Path(folder)
    meta = manifest.read(folder, KIND, VERSION)
    words, subwords, dimension = _open_words(folder, meta)
    if VECTORS not in meta.files:
        raise DataError(
            f"{folder} contains a training run that has not written vectors yet",
            hint="continue it with `rnnkit train-embeddings --resume`",
            path=folder,
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
    """Read the words of a vectors directory, with or without vectors, and which n-grams they have.

    Raises: Like `read`.
    """
    folder = Path(folder)
    words, subwords, _ = _open_words(folder, manifest.read(folder, KIND, VERSION))
    return words, subwords


def write(
    folder: str | os.PathLike[str],
    table: VectorTable,
    *,
    options: JsonMapping | None = None,
    inputs: Mapping[str, str] | None = None,
    facts: JsonMapping | None = None,
) -> None:
    """Write a vectors directory atomically.

    Args:
        folder: The directory; an existing one is replaced.
        table: The words and their vectors.
        options: The resolved options of the command.
        inputs: sha256 of the inputs.
        facts: Further metadata.

    Raises:
        DataError: A word contains white space.
        FormatError: A vector is not finite.
        ArtefactError: The directory cannot be written.
    """
    check_writable(table, "a vectors directory", b" \r")
    with atomic_directory(Path(folder), KIND) as temporary:
        write_files(temporary, table)
        write_manifest(temporary, table, options=options, inputs=inputs, facts=facts)


def write_files(folder: Path, table: VectorTable) -> None:
    """Write the vocabulary and the arrays into an existing directory."""
    write_words(folder, table.words)
    _save(folder / VECTORS, table.matrix_VD, len(special_tokens.NAMES))
    if table.contexts_VD is not None:
        _save(folder / CONTEXTS, table.contexts_VD, len(special_tokens.NAMES))
    if table.buckets_KD is not None:
        _save(folder / SUBWORDS, table.buckets_KD, 0)


def write_words(folder: Path, words: WordIndex) -> None:
    """Write the vocabulary into an existing directory."""
    with (folder / VOCABULARY).open("wb") as file:
        file.writelines(b"%b\t0\n" % name.encode() for name in special_tokens.NAMES)
        file.write(words.table)


def write_manifest(
    folder: Path,
    table: VectorTable,
    *,
    options: JsonMapping | None = None,
    inputs: Mapping[str, str] | None = None,
    facts: JsonMapping | None = None,
) -> None:
    """Write `meta.json` with the checksums of the existing files. The arguments are those of `write`."""
    subwords = table.subwords
    known = {
        "words": len(table.words),
        "dimension": table.dimension,
        "subwords": subwords and dataclasses.asdict(subwords),
        **(facts or {}),
    }
    # During training, lines are appended to the metrics, so they have no checksum yet.
    names = (*_FILES, METRICS) if known.get("finished") else _FILES
    files = manifest.describe_files(folder, [name for name in names if (folder / name).is_file()])
    manifest.write(folder / manifest.NAME, manifest.Manifest(KIND, VERSION, options or {}, inputs or {}, files, known))


def start_run(folder: Path, table: VectorTable, options: JsonMapping, inputs: Mapping[str, str]) -> None:
    """Write the words of a training run, and a manifest that marks the run as unfinished.

    Args:
        folder: An existing directory.
        table: The words and their n-grams; vectors are not written.
        options: The resolved options of the command.
        inputs: sha256 of the training data.

    Raises:
        ArtefactError: The files cannot be written.
    """
    with explain_os_errors(folder):
        write_words(folder, table.words)
    write_manifest(folder, table, options=options, inputs=inputs, facts={"finished": False})


def update_run(folder: Path, table: VectorTable, facts: JsonMapping) -> None:
    """Replace the vectors of a training run by the current ones.

    All files are written before the first is renamed, so that nothing is lost if the disk is full.

    Args:
        folder: The directory of a run.
        table: The words and their vectors.
        facts: Further metadata.

    Raises:
        ArtefactError: The files cannot be written; the previous ones are intact.
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


def _open_words(folder: Path, meta: manifest.Manifest) -> tuple[WordIndex, Subwords | None, int]:
    """Read the words, their n-grams, and the dimension."""
    with manifest.explain_damage(folder / manifest.NAME):
        count, dimension = int(meta.facts["words"]), int(meta.facts["dimension"])
        facts = meta.facts["subwords"]
        subwords = _subwords(facts) if facts else None
    _check_sizes(folder, meta)
    return _read_words(folder / VOCABULARY, count), subwords, dimension


def _subwords(facts: JsonMapping) -> Subwords:
    return Subwords(int(facts["min_length"]), int(facts["max_length"]), int(facts["buckets"]))


def _check_sizes(folder: Path, meta: manifest.Manifest) -> None:
    for name, entry in meta.files.items():
        path = folder / name
        if not path.is_file():
            raise FormatError(f"{path} is missing", hint=_COPY_HINT, path=path)
        size = path.stat().st_size
        if size != entry["size"]:
            raise FormatError(
                f"{path} is damaged",
                f"it has {size:,} bytes, {entry['size']:,} were written",
                hint=_COPY_HINT,
                path=path,
            )


def _read_words(path: Path, count: int) -> WordIndex:
    try:
        with open_regular(path) as file:
            table = file.read()
    except OSError as error:
        raise DataError(f"cannot read {path}", str(error.strerror), path=path) from error
    if not _SPECIAL_ROWS.match(table):
        expected = " ".join(special_tokens.NAMES)
        raise FormatError(f"{path} is damaged", f"its first rows are not {expected}", hint=_COPY_HINT, path=path)
    words = WordIndex.from_table(table, str(path), skip=len(special_tokens.NAMES))
    if len(words) != count:
        why = f"it has {len(words):,} words, expected {count:,} from meta.json"
        raise FormatError(f"{path} is damaged", why, hint=_COPY_HINT, path=path)
    return words


def _map(path: Path, rows: int, dimension: int) -> Matrix:
    """Memory-map an array, read-only."""
    try:
        array = map_npy(path)
    except (OSError, ValueError) as error:
        raise FormatError(f"{path} is damaged or missing", str(error), hint=_COPY_HINT, path=path) from error
    if array.dtype != np.dtype("<f4") or array.shape != (rows, dimension):
        found = f"it contains {array.dtype} of shape {' x '.join(map(str, array.shape))}"
        why = f"{found}, expected float32 of shape {rows} x {dimension}"
        raise FormatError(f"{path} is damaged", why, hint=_COPY_HINT, path=path)
    return array


def _save(path: Path, matrix: Matrix, zero_rows: int) -> None:
    """Write rows after `zero_rows` rows of zeros, in blocks to avoid a copy of the matrix."""
    header = {"descr": "<f4", "fortran_order": False, "shape": (zero_rows + len(matrix), matrix.shape[1])}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        file.write(np.zeros((zero_rows, matrix.shape[1]), dtype="<f4").tobytes())
        for start in range(0, len(matrix), _BLOCK_ROWS):
            file.write(np.ascontiguousarray(matrix[start : start + _BLOCK_ROWS], dtype="<f4").data)
