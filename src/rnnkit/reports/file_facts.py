"""Identification of files by content, with facts of their headers or a pass over their lines.

Binary files: NumPy arrays (`.npy`, `.npz`), weights (`.safetensors`), SentencePiece models and PNG pictures, from their
first bytes and headers. Nothing is unpickled; arrays of Python objects are an error. Word vectors: format, number of
words, dimension. Text: lines, lengths, encoding, and faults that `text/lines.py` rejects; unlike that reader, this one
continues after the first fault.
"""

from __future__ import annotations

import gzip
import math
import re
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Protocol

from rnnkit.embeddings import formats
from rnnkit.embeddings.formats import fasttext_binary, text_formats
from rnnkit.embeddings.formats.text_formats import ROW_PATTERN, count_numbers
from rnnkit.embeddings.formats.vector_reader import BLOCK_BYTES, VectorReader, open_vector_file
from rnnkit.errors import DataError, FormatError
from rnnkit.io.safe_reading import open_regular, parse_json
from rnnkit.json_types import JsonObject, JsonValue
from rnnkit.text.lines import MAX_LINE_BYTES

GZIP = b"\x1f\x8b"
NPY = b"\x93NUMPY"
PNG = b"\x89PNG\r\n\x1a\n"
ZIP = b"PK\x03\x04"
PICKLE = re.compile(rb"\x80[\x02-\x05]")

VECTOR_FORMAT_NAMES = {
    formats.WORD2VEC: "word2vec text",
    formats.WORD2VEC_BINARY: "word2vec binary",
    formats.FASTTEXT_BINARY: "fastText model",
    formats.GLOVE: "GloVe text",
}
"""Display names of the formats of word vectors."""

_ROWS_LOOKED_AT = 3

MAX_READ_BYTES = 1 << 26
"""Maximum length of a line in bytes, so that a file without line ends cannot fill the memory."""

_BOM = b"\xef\xbb\xbf"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")

Facts = tuple[str, JsonObject]


def binary_facts(path: Path) -> Facts | None:
    """Return the kind of a binary file and its facts; None if the format is unknown.

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


def _array(where: Path | str, file: IO[bytes], size: int) -> JsonObject:
    """Read the header of an array and compare it with the size of the data."""
    from rnnkit.io.npy import read_header

    try:
        header = read_header(file)
    except ValueError as error:
        raise FormatError(f"{where} is damaged", f"its header cannot be read: {error}") from error
    if header.dtype.hasobject:
        raise FormatError(f"{where} holds pickled objects", "rnnkit neither reads nor writes them: they can run code")
    there = size - header.start
    if there != header.bytes:
        raise FormatError(f"{where} is damaged", f"{there:,} bytes of values, its header gives {header.bytes:,}")
    return {"shape": list(header.shape), "type": str(header.dtype), "bytes": header.bytes}


def _arrays(path: Path) -> JsonObject:
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


def _tensors(path: Path) -> JsonObject:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            slices = {name: file.get_slice(name) for name in sorted(file.keys())}
            tensors = {name: {"shape": part.get_shape(), "type": part.get_dtype()} for name, part in slices.items()}
            metadata = {name: _value(text) for name, text in (file.metadata() or {}).items()}
    except SafetensorError as error:
        raise FormatError(f"{path} is damaged", f"not a complete safetensors file: {error}") from error
    values = sum(math.prod(tensor["shape"]) for tensor in tensors.values())
    return {"values": values, "metadata": metadata, "tensors": tensors}


def _value(text: str) -> JsonValue:
    """Parse a metadata value, which rnnkit writes as JSON; other text is returned unchanged."""
    try:
        return parse_json(text)
    except ValueError:
        return text


def _pieces(path: Path) -> JsonObject:
    from sentencepiece import SentencePieceProcessor

    try:
        model = SentencePieceProcessor(model_file=str(path))
    except (RuntimeError, OSError) as error:
        raise FormatError(f"{path} is not a complete SentencePiece model", str(error)) from error
    ids = {"unk": model.unk_id(), "bos": model.bos_id(), "eos": model.eos_id(), "pad": model.pad_id()}
    return {"pieces": model.get_piece_size(), "special_ids": ids}


def vector_facts(path: Path) -> tuple[str, JsonObject] | None:
    """Return the format of a file of word vectors with its facts; None if it is not one.

    Raises:
        DataError: The file is a damaged or quantized fastText model.
    """
    with open_vector_file(path) as source:
        try:
            head = source.peek(formats.HEAD_BYTES)
        except DataError:
            return None  # damaged gzip; `text_facts` reports the position
        kind = formats.detect_format(head)
        if kind is None:
            return None
        facts = _model_facts(source) if kind == formats.FASTTEXT_BINARY else _table_facts(source, kind, head)
    return None if facts is None else (VECTOR_FORMAT_NAMES[kind], {"bytes": path.stat().st_size, **facts})


def _model_facts(source: VectorReader) -> JsonObject:
    header = fasttext_binary.read_header(source)
    cut = header.subwords
    return {
        "words": header.words,
        "dimension": header.dimension,
        "labels": header.labels or None,
        "subwords": cut and {"min_length": cut.min_length, "max_length": cut.max_length, "buckets": cut.buckets},
    }


def _table_facts(source: VectorReader, kind: str, head: bytes) -> JsonObject | None:
    """Return facts of the header or the rows; None if the rows do not match: another text that begins with numbers."""
    lines = head.split(b"\n")[:-1][:_ROWS_LOOKED_AT]
    if kind != formats.WORD2VEC_BINARY and len(lines) < 2:
        return None  # a single line is not enough evidence
    if kind == formats.GLOVE:
        dimension = count_numbers(lines[0])
        fits = all(ROW_PATTERN.fullmatch(line) and count_numbers(line) == dimension for line in lines)
        return {"words": _count_lines(source), "dimension": dimension} if fits else None
    header = text_formats.HEADER_PATTERN.fullmatch(lines[0])
    words, dimension = (int(header[1]), int(header[2])) if header else (0, 0)
    if kind == formats.WORD2VEC:
        fits = all(count_numbers(line) == dimension for line in lines[1:])
    else:
        fits = source.can_hold(words * (4 * dimension + 2))
    return {"words": words, "dimension": dimension} if words and dimension and fits else None


def _count_lines(source: VectorReader) -> int:
    lines = 0
    while block := source.read(BLOCK_BYTES):
        lines += block.count(b"\n")
    return lines


class BinaryLines(Protocol):
    """An open binary file, plain or decompressed."""

    def readline(self, size: int = -1, /) -> bytes:
        """Read the next line including its end, at most `size` bytes."""


@dataclass
class TextStatistics:
    """Counts, accumulated line by line. Only LF ends a line, as in `text/lines.py`."""

    lines: int = 0
    blank: int = 0
    tokens: int = 0
    characters: int = 0
    longest: int = 0
    longest_at: int = 0
    carriage_returns: int = 0
    byte_order_mark: bool = False
    ended: bool = True
    faults: dict[str, str] = field(default_factory=dict)

    def add(self, raw: bytes) -> None:
        """Count one line, including its end."""
        self.lines += 1
        if self.lines == 1 and raw.startswith(_BOM):
            self.byte_order_mark = True
            raw = raw.removeprefix(_BOM)
        self.ended = raw.endswith(b"\n")
        body = raw.removesuffix(b"\n")
        self.carriage_returns += body.endswith(b"\r")
        body = body.removesuffix(b"\r")
        if b"\0" in body:
            self.faults.setdefault("NUL byte", f"line {self.lines}, byte {body.index(0) + 1}")
        if len(body) > MAX_LINE_BYTES:
            self.faults.setdefault(f"longer than {MAX_LINE_BYTES:,} bytes", f"line {self.lines}")
        try:
            line = body.decode("utf-8")
        except UnicodeDecodeError as error:
            where = f"line {self.lines}, byte {error.start + 1} (0x{body[error.start]:02x})"
            self.faults.setdefault("not UTF-8", where)
            line = body.decode("latin-1")  # the counts below are then of bytes
        self.tokens += len(line.split())
        self.blank += not line.strip()
        self.characters += len(line)
        if len(line) > self.longest:
            self.longest, self.longest_at = len(line), self.lines

    def as_dict(self) -> JsonObject:
        """JSON form: the counts, and the first occurrence of each fault."""
        ends = "LF" if not self.carriage_returns else f"CR LF on {self.carriage_returns} lines"
        encoding = "UTF-8" if "not UTF-8" not in self.faults else "not UTF-8"
        return {
            "lines": self.lines,
            "blank_lines": self.blank,
            "tokens": self.tokens,
            "characters": self.characters,
            "longest_line": {"characters": self.longest, "line": self.longest_at},
            "encoding": f"{encoding} with a byte order mark" if self.byte_order_mark else encoding,
            "line_ends": ends if self.ended else f"{ends}, none after the last line",
            "faults": dict(self.faults),
        }


def text_facts(path: Path) -> JsonObject | None:
    """Count a text file; None if the file is not text.

    Raises:
        DataError: The file is damaged gzip, or a line is too long.
    """
    with path.open("rb") as plain:
        start = plain.read(1 << 16)
    if start.startswith(_UTF16):
        return {"encoding": "UTF-16", "faults": {"not UTF-8": "`iconv -f UTF-16 -t UTF-8 FILE` converts it"}}
    if start.startswith(GZIP):
        with gzip.open(path) as packed:
            return {"compression": "gzip", **_count(path, packed).as_dict()}
    if _is_binary(start):
        return None
    with path.open("rb") as file:
        return _count(path, file).as_dict()


def _is_binary(start: bytes) -> bool:
    """Return whether more than 1 % of the bytes are control characters that do not occur in text."""
    controls = sum(byte < 32 and byte not in b"\t\n\r\f\x0b\x1b" for byte in start)
    return controls * 100 > len(start)


def _count(path: Path, file: BinaryLines) -> TextStatistics:
    facts = TextStatistics()
    try:
        while raw := file.readline(MAX_READ_BYTES + 1):
            if len(raw) > MAX_READ_BYTES:
                raise DataError(
                    f"{path}:{facts.lines + 1}: the line is longer than {MAX_READ_BYTES:,} bytes",
                    hint="one sentence a line is expected; is this a text file?",
                )
            facts.add(raw)
    except (OSError, EOFError, zlib.error) as error:  # gzip reports damage while reading
        raise DataError(f"cannot read {path} beyond line {facts.lines}", str(error)) from error
    return facts
