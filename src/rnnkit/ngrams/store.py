"""N-gram models on disk: one safetensors file, which is memory-mapped.

    8 bytes     length of the header
    header      JSON: type, shape and offsets of each array; under `__metadata__` the model's parameters, JSON again
    arrays      `word`, `suffix`, `begins` (int32), `log10`, `backoff` (float32), as in `ngram_model`; `begins` is
                `first_child_I1` there

Sizes and values are validated when a file is opened, as compiled code follows the indices without checking them; this
takes some hundredths of a second for ten million n-grams. `rnnkit verify` also compares the checksum in `meta.json`.
"""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from rnnkit.errors import DataError, FormatError
from rnnkit.io.atomic import atomic_file
from rnnkit.io.safe_reading import open_regular, parse_json
from rnnkit.json_types import JsonObject
from rnnkit.kernels.compiler import Float32Array, Int32Array
from rnnkit.ngrams.ngram_model import BackoffModel
from rnnkit.text import special_tokens

NAME: Final = "ngrams.safetensors"
"""Name of the file in a model directory."""

ENTRY: Final = "rnnkit"
VERSION: Final = 1

_TYPES: Final = {"word": "I32", "suffix": "I32", "log10": "F32", "backoff": "F32", "begins": "I32"}
_DTYPES: Final = {"I32": np.dtype("<i4"), "F32": np.dtype("<f4")}
_MAX_HEADER_BYTES = 1 << 20
_BLOCK = 1 << 24
_HINT: Final = "copy the model again, or train it again"


def save(path: Path, model: BackoffModel) -> None:
    """Write a model atomically.

    Args:
        path: The file; an existing one is replaced.
        model: The model. Its facts are stored as JSON.

    Raises:
        ArtefactError: The file cannot be written.
    """
    arrays = _arrays(model)
    parameters = {
        "version": VERSION,
        "order": model.order,
        "vocabulary": model.vocabulary_size,
        "facts": dict(model.facts),
    }
    header: JsonObject = {"__metadata__": {ENTRY: json.dumps(parameters)}}
    end = 0
    for name, array in arrays.items():
        begin, end = end, end + array.nbytes
        header[name] = {"dtype": _TYPES[name], "shape": list(array.shape), "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with atomic_file(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name, array in arrays.items():
            _write_array(file, array, _DTYPES[_TYPES[name]])


def load(path: Path) -> BackoffModel:
    """Map a model into memory and validate it.

    Raises:
        DataError: The file does not exist or cannot be read.
        FormatError: It is not an n-gram model, or is damaged, truncated, or of a newer version.
    """
    try:
        with open_regular(path) as file:
            header, begin = _read_header(file, path)
    except FileNotFoundError:
        raise DataError(
            f"{path} does not exist", hint="`rnnkit train-lm --arch ngram` trains an n-gram model", path=path
        ) from None
    except OSError as error:
        raise DataError(f"cannot read {path}", str(error.strerror), path=path) from error
    try:
        parameters = parse_json(header["__metadata__"][ENTRY])
        version = int(parameters["version"])
        if version > VERSION:
            raise FormatError(
                f"{path} has format version {version}; this rnnkit reads versions up to {VERSION}",
                hint="install a newer rnnkit: `pip install --upgrade rnnkit`",
                path=path,
            )
        arrays = {name: _map_array(path, header[name], begin, kind) for name, kind in _TYPES.items()}
        model = BackoffModel(
            order=int(parameters["order"]),
            vocabulary_size=int(parameters["vocabulary"]),
            word_A=arrays["word"],
            suffix_A=arrays["suffix"],
            log10_A=arrays["log10"],
            backoff_I=arrays["backoff"],
            first_child_I1=arrays["begins"],
            facts=dict(parameters["facts"]),
        )
    except (KeyError, TypeError, ValueError, OSError, OverflowError) as error:
        detail = f"{type(error).__name__}: {error}"
        raise FormatError(f"{path} is not an n-gram model", detail, hint=_HINT, path=path) from error
    if mismatch := _find_size_mismatch(model, path, begin):
        raise FormatError(f"{path} is damaged", mismatch, hint=_HINT, path=path)
    check(model, str(path))
    return model


def check(model: BackoffModel, name: str) -> None:
    """Validate every value: whether the arrays make a trie in which each lookup ends.

    Args:
        model: The model.
        name: Name of the model in messages.

    Raises:
        FormatError: They do not.
    """
    nodes, inner = len(model.word_A), len(model.backoff_I)
    first_child_I1 = model.first_child_I1
    faults = []
    if np.any(first_child_I1[1:] < first_child_I1[:-1]) or first_child_I1[0] != 1 or first_child_I1[-1] != nodes:
        faults.append("ranges of n-grams overlap")
    if model.word_A.min() < 0 or model.word_A.max() >= model.vocabulary_size:
        faults.append("a word is outside the vocabulary")
    elif np.any(model.word_A[1 : 1 + model.vocabulary_size] != np.arange(model.vocabulary_size)):
        faults.append("the unigrams are not the words of the vocabulary")
    if not faults:
        ascending = np.diff(model.word_A) > 0
        ascending[first_child_I1[:-1][first_child_I1[:-1] < nodes] - 1] = True
        if not ascending.all():
            faults.append("the words of a context are not sorted")
    for begin, end in pairwise(model.order_begins[1:]):
        if np.any(model.suffix_A[begin:end] < 0) or np.any(model.suffix_A[begin:end] >= min(begin, inner)):
            faults.append("the suffix of an n-gram is not shorter than it")
    if np.isnan(model.log10_A).any() or np.isnan(model.backoff_I).any() or model.log10_A.max() > 0:
        faults.append("a probability or back-off weight is out of range")
    if faults:
        raise FormatError(f"{name} is damaged", *faults, hint=_HINT)


def _arrays(model: BackoffModel) -> dict[str, Int32Array | Float32Array]:
    return {
        "word": model.word_A,
        "suffix": model.suffix_A,
        "log10": model.log10_A,
        "backoff": model.backoff_I,
        "begins": model.first_child_I1,
    }


def _write_array(file: IO[bytes], array: Int32Array | Float32Array, dtype: np.dtype[np.generic]) -> None:
    for start in range(0, len(array), _BLOCK):
        file.write(np.ascontiguousarray(array[start : start + _BLOCK], dtype=dtype).data)


def _read_header(file: IO[bytes], path: Path) -> tuple[JsonObject, int]:
    """Return the header and the offset of the arrays."""
    start = file.read(8)
    length = int.from_bytes(start, "little")
    if len(start) < 8 or length > _MAX_HEADER_BYTES:
        raise FormatError(f"{path} is not an n-gram model", "it is not a safetensors file", hint=_HINT, path=path)
    try:
        header = parse_json(file.read(length))
        if not isinstance(header, dict):
            raise ValueError("not a JSON object")
    except ValueError as error:
        raise FormatError(f"{path} is damaged", f"its header: {error}", hint=_HINT, path=path) from error
    return header, 8 + length


def _map_array(path: Path, entry: JsonObject, begin: int, kind: str) -> NDArray[Any]:
    """Map one array. Raises ValueError if it is not as its header entry says, or extends beyond the end of the file."""
    (length,), (start, end) = entry["shape"], entry["data_offsets"]
    if entry["dtype"] != kind or end - start != 4 * length or start < 0 or length < 1:
        raise ValueError(f"unexpected array of type {entry['dtype']} from byte {start} to {end}")
    if path.stat().st_size < begin + end:
        raise ValueError("the file is truncated")
    mapped = np.memmap(path, dtype=_DTYPES[kind], mode="r", offset=begin + start, shape=(length,))
    return mapped.view(np.ndarray)


def _find_size_mismatch(model: BackoffModel, path: Path, begin: int) -> str | None:
    """Describe how the sizes of the arrays and the parameters contradict each other, if they do."""
    nodes, inner = len(model.word_A), len(model.backoff_I)
    if len(model.suffix_A) != nodes or len(model.log10_A) != nodes or len(model.first_child_I1) != inner + 1:
        return "its arrays have inconsistent lengths"
    if path.stat().st_size != begin + 4 * (3 * nodes + 2 * inner + 1):
        return "there are extra bytes after its last array"
    if model.order < 1 or model.vocabulary_size < len(special_tokens.NAMES) or nodes < 1 + model.vocabulary_size:
        return f"order {model.order} and {model.vocabulary_size} words do not match {nodes} n-grams"
    begins = model.order_begins
    if sorted(begins) != list(begins) or begins[-1] != nodes or begins[2] != 1 + model.vocabulary_size:
        return "its n-grams do not match its order"
    return None
