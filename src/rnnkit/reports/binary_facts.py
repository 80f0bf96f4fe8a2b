"""What can be said of a binary file that rnnkit reads or writes, without loading what it holds.

NumPy arrays (`.npy`, `.npz`), weights (`.safetensors`), SentencePiece models and PNG pictures, recognised by their
first bytes. Nothing is unpickled: an array that would need it is refused.
"""

from __future__ import annotations

import math
import re
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

from rnnkit.errors import FormatError
from rnnkit.io.safe_reading import open_regular, parse_json

NPY = b"\x93NUMPY"
PNG = b"\x89PNG\r\n\x1a\n"
ZIP = b"PK\x03\x04"
PICKLE = re.compile(rb"\x80[\x02-\x05]")

Facts = tuple[str, dict[str, Any]]


def binary_facts(path: Path) -> Facts | None:
    """The kind of a binary file and what it holds; None where it is of no known format.

    Raises:
        FormatError: The file is of a known format and damaged.
    """
    with open_regular(path) as file:
        start = file.read(24)
    size = path.stat().st_size
    if start.startswith(NPY):
        with path.open("rb") as file:
            return "array", _array(path, file, size)
    if start.startswith(ZIP):
        return "arrays", _arrays(path)
    if start.startswith(PNG):
        return "picture", {"width": int.from_bytes(start[16:20]), "height": int.from_bytes(start[20:24])}
    if path.suffix == ".safetensors" or (start[8:10] == b'{"' and int.from_bytes(start[:8], "little") < size):
        return "safetensors", _tensors(path)
    if PICKLE.match(start):
        raise FormatError(
            f"{path} is a pickle of Python, as gensim's own `save` makes",
            "rnnkit reads none: a pickle can run any code",
            hint="word vectors: save them in gensim with `vectors.save_word2vec_format(path)`",
        )
    if path.suffix in (".model", ".spm"):
        return "sentencepiece", _pieces(path)
    return None


def _array(where: Path | str, file: IO[bytes], size: int) -> dict[str, Any]:
    """The header of an array, held against the bytes that follow it."""
    from rnnkit.io.npy import read_header

    try:
        header = read_header(file)
    except ValueError as error:
        raise FormatError(f"{where} is damaged", f"its header cannot be read: {error}") from error
    if header.dtype.hasobject:
        raise FormatError(f"{where} holds pickled objects", "rnnkit neither reads nor writes them: they can run code")
    there = size - header.start
    if there != header.bytes:
        raise FormatError(f"{where} is damaged", f"{there:,} bytes of values, its header says {header.bytes:,}")
    return {"shape": list(header.shape), "type": str(header.dtype), "bytes": header.bytes}


def _arrays(path: Path) -> dict[str, Any]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            foreign = [member.filename for member in members if not member.filename.endswith(".npy")]
            if foreign:
                raise FormatError(f"{path} is a ZIP archive that holds {foreign[0]}", "only .npy arrays are known")
            result = {}
            for member in members:
                with archive.open(member) as file:
                    name = member.filename.removesuffix(".npy")
                    result[name] = _array(f"{path}: {name}", file, member.file_size)
            return {"arrays": result}
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise FormatError(f"{path} is damaged", str(error)) from error


def _tensors(path: Path) -> dict[str, Any]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            slices = {name: file.get_slice(name) for name in sorted(file.keys())}
            tensors = {name: {"shape": part.get_shape(), "type": part.get_dtype()} for name, part in slices.items()}
            metadata = {name: _value(text) for name, text in (file.metadata() or {}).items()}
    except SafetensorError as error:
        raise FormatError(f"{path} is damaged", f"it is no whole safetensors file: {error}") from error
    values = sum(math.prod(tensor["shape"]) for tensor in tensors.values())
    return {"values": values, "metadata": metadata, "tensors": tensors}


def _value(text: str) -> Any:
    """The format's header holds text only; rnnkit writes numbers and tables there as JSON."""
    try:
        return parse_json(text)
    except ValueError:
        return text


def _pieces(path: Path) -> dict[str, Any]:
    from sentencepiece import SentencePieceProcessor

    try:
        model = SentencePieceProcessor(model_file=str(path))
    except (RuntimeError, OSError) as error:
        raise FormatError(f"{path} is no whole SentencePiece model", str(error)) from error
    ids = {"unk": model.unk_id(), "bos": model.bos_id(), "eos": model.eos_id(), "pad": model.pad_id()}
    return {"pieces": model.get_piece_size(), "special_ids": ids}
