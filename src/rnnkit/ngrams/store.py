"""A model on the disk: one safetensors file, mapped into memory.

    8 bytes     length of the header
    header      JSON: for each array its type, shape and place; under `__metadata__` what the model is, JSON again
    arrays      `word`, `suffix`, `begins` (int32), `log10`, `backoff` (float32), as `model.py` describes them

Sizes and values are held against each other when a file is opened, some hundredths of a second for ten million n-grams:
compiled code walks through them and checks nothing. `rnnkit verify` compares the checksum in `meta.json`, too.
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
from rnnkit.ngrams.model import NgramModel
from rnnkit.text import special_tokens

NAME: Final = "ngrams.safetensors"
"""Name of the file in a model directory."""

ENTRY: Final = "rnnkit"
VERSION: Final = 1

_TYPES: Final = {"word": "I32", "suffix": "I32", "log10": "F32", "backoff": "F32", "begins": "I32"}
_DTYPES: Final = {"I32": np.dtype("<i4"), "F32": np.dtype("<f4")}
_LONGEST_HEADER = 1 << 20
_BLOCK = 1 << 24
_AGAIN: Final = "copy the model again, or train it again"


def save(path: Path, model: NgramModel) -> None:
    """Write a model, whole or not at all.

    Args:
        path: The file; one that is there is replaced.
        model: The model. Its facts are kept as JSON.

    Raises:
        ArtefactError: It cannot be written.
    """
    arrays = _arrays(model)
    about = {
        "version": VERSION,
        "order": model.order,
        "vocabulary": model.vocabulary_size,
        "facts": dict(model.facts),
    }
    header: dict[str, Any] = {"__metadata__": {ENTRY: json.dumps(about)}}
    end = 0
    for name, array in arrays.items():
        begin, end = end, end + array.nbytes
        header[name] = {"dtype": _TYPES[name], "shape": list(array.shape), "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with atomic_file(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name, array in arrays.items():
            _write(file, array, _DTYPES[_TYPES[name]])


def load(path: Path) -> NgramModel:
    """Open a model; its arrays are mapped, and looked at once: what walks through them trusts them.

    Raises:
        DataError: There is no such file.
        FormatError: It is something else, damaged, cut short, or of a newer version.
    """
    try:
        with open_regular(path) as file:
            header, begin = _read_header(file, path)
    except FileNotFoundError:
        raise DataError(f"there are no n-grams at {path}", hint="`rnnkit train-lm --arch ngram` makes them") from None
    except OSError as error:
        raise DataError(f"cannot read {path}", str(error.strerror)) from error
    try:
        about = parse_json(header["__metadata__"][ENTRY])
        version = int(about["version"])
        if version > VERSION:
            raise FormatError(
                f"{path} has format version {version}; this rnnkit reads up to {VERSION}",
                hint="install a newer rnnkit: `pip install --upgrade rnnkit`",
            )
        arrays = {name: _map(path, header[name], begin, kind) for name, kind in _TYPES.items()}
        model = NgramModel(
            order=int(about["order"]),
            vocabulary_size=int(about["vocabulary"]),
            word_A=arrays["word"],
            suffix_A=arrays["suffix"],
            log10_A=arrays["log10"],
            backoff_I=arrays["backoff"],
            begins_I1=arrays["begins"],
            facts=dict(about["facts"]),
        )
    except (KeyError, TypeError, ValueError, OSError, OverflowError) as error:
        raise FormatError(f"{path} holds no n-gram model", f"{type(error).__name__}: {error}", hint=_AGAIN) from error
    if fault := _misfit(model, path, begin):
        raise FormatError(f"{path} is damaged", fault, hint=_AGAIN)
    check(model, str(path))
    return model


def check(model: NgramModel, name: str) -> None:
    """Look at every value: whether the nodes make a trie that can be walked to its end.

    Args:
        model: The model.
        name: What stands for it in messages.

    Raises:
        FormatError: They do not.
    """
    nodes, inner = len(model.word_A), len(model.backoff_I)
    levels = model.level_begins
    faults = []
    if np.any(model.begins_I1[1:] < model.begins_I1[:-1]) or model.begins_I1[0] != 1 or model.begins_I1[-1] != nodes:
        faults.append("the ranges of n-grams overlap")
    if model.word_A.min() < 0 or model.word_A.max() >= model.vocabulary_size:
        faults.append("a word lies outside the vocabulary")
    elif np.any(model.word_A[1 : 1 + model.vocabulary_size] != np.arange(model.vocabulary_size)):
        faults.append("the single words are not those of the vocabulary")
    if not faults:
        rising = np.diff(model.word_A) > 0
        rising[model.begins_I1[:-1][model.begins_I1[:-1] < nodes] - 1] = True
        if not rising.all():
            faults.append("the words of a context are not in order")
    for begin, end in pairwise(levels[1:]):
        if np.any(model.suffix_A[begin:end] < 0) or np.any(model.suffix_A[begin:end] >= min(begin, inner)):
            faults.append("an n-gram ends like none that is shorter")
    if np.isnan(model.log10_A).any() or np.isnan(model.backoff_I).any() or model.log10_A.max() > 0:
        faults.append("a probability is none")
    if faults:
        raise FormatError(f"{name} is damaged", *faults, hint=_AGAIN)


def _arrays(model: NgramModel) -> dict[str, NDArray[Any]]:
    return {
        "word": model.word_A,
        "suffix": model.suffix_A,
        "log10": model.log10_A,
        "backoff": model.backoff_I,
        "begins": model.begins_I1,
    }


def _write(file: IO[bytes], array: NDArray[Any], dtype: np.dtype[Any]) -> None:
    for start in range(0, len(array), _BLOCK):
        file.write(np.ascontiguousarray(array[start : start + _BLOCK], dtype=dtype).data)


def _read_header(file: IO[bytes], path: Path) -> tuple[dict[str, Any], int]:
    """The header, and where the arrays begin."""
    start = file.read(8)
    length = int.from_bytes(start, "little")
    if len(start) < 8 or length > _LONGEST_HEADER:
        raise FormatError(f"{path} holds no n-gram model", "it does not begin as a safetensors file", hint=_AGAIN)
    try:
        header = parse_json(file.read(length))
        if not isinstance(header, dict):
            raise ValueError("it is no JSON object")
    except ValueError as error:
        raise FormatError(f"{path} is damaged", f"its header: {error}", hint=_AGAIN) from error
    return header, 8 + length


def _map(path: Path, entry: dict[str, Any], begin: int, kind: str) -> NDArray[Any]:
    """Map one array. Raises ValueError where it is not what its entry says, or beyond the file's end."""
    (length,), (start, end) = entry["shape"], entry["data_offsets"]
    if entry["dtype"] != kind or end - start != 4 * length or start < 0 or length < 1:
        raise ValueError(f"an array of {entry['dtype']} lies at {start} to {end}")
    if path.stat().st_size < begin + end:
        raise ValueError("it was cut short")
    mapped = np.memmap(path, dtype=_DTYPES[kind], mode="r", offset=begin + start, shape=(length,))
    return mapped.view(np.ndarray)


def _misfit(model: NgramModel, path: Path, begin: int) -> str | None:
    """What about the sizes contradicts itself."""
    nodes, inner = len(model.word_A), len(model.backoff_I)
    if len(model.suffix_A) != nodes or len(model.log10_A) != nodes or len(model.begins_I1) != inner + 1:
        return "its arrays are of different lengths"
    if path.stat().st_size != begin + 4 * (3 * nodes + 2 * inner + 1):
        return "bytes stand behind its last array"
    if model.order < 1 or model.vocabulary_size < len(special_tokens.NAMES) or nodes < 1 + model.vocabulary_size:
        return f"order {model.order} and {model.vocabulary_size} words do not fit {nodes} n-grams"
    levels = model.level_begins
    if sorted(levels) != list(levels) or levels[-1] != nodes or levels[2] != 1 + model.vocabulary_size:
        return "its n-grams do not fit its order"
    return None
