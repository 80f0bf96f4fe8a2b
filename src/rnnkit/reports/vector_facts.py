"""What can be said of a file of word vectors from elsewhere: its format, how many words, of which dimension."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rnnkit.embeddings import formats
from rnnkit.embeddings.formats import detection, fasttext_binary, word2vec_text
from rnnkit.embeddings.formats.text_rows import ROW_PATTERN, count_numbers
from rnnkit.embeddings.formats.vector_reader import BLOCK_BYTES, VectorReader, open_vector_file
from rnnkit.errors import DataError

NAMES = {
    formats.WORD2VEC: "word2vec text",
    formats.WORD2VEC_BINARY: "word2vec binary",
    formats.FASTTEXT_BINARY: "fastText model",
    formats.GLOVE: "GloVe text",
}
"""Formats as people call them."""

_ROWS_LOOKED_AT = 3


def vector_facts(path: Path) -> tuple[str, dict[str, Any]] | None:
    """The format of a file of word vectors, with the number of words and their dimension; None where it is no such.

    Raises:
        DataError: It is a damaged or quantised model of fastText.
    """
    with open_vector_file(path) as source:
        try:
            head = source.peek(detection.HEAD_BYTES)
        except DataError:
            return None  # damaged gzip: who counts its lines says where
        kind = detection.detect_format(head)
        if kind is None:
            return None
        facts = _model_facts(source) if kind == formats.FASTTEXT_BINARY else _table_facts(source, kind, head)
    return None if facts is None else (NAMES[kind], {"bytes": path.stat().st_size, **facts})


def _model_facts(source: VectorReader) -> dict[str, Any]:
    header = fasttext_binary.read_header(source)
    cut = header.subwords
    return {
        "words": header.words,
        "dimension": header.dimension,
        "labels": header.labels or None,
        "subwords": cut and {"min_length": cut.min_length, "max_length": cut.max_length, "buckets": cut.buckets},
    }


def _table_facts(source: VectorReader, kind: str, head: bytes) -> dict[str, Any] | None:
    """Facts of a header or of the rows; None where the rows do not fit it: some other text that begins with numbers."""
    lines = head.split(b"\n")[:-1][:_ROWS_LOOKED_AT]
    if kind != formats.WORD2VEC_BINARY and len(lines) < 2:
        return None  # a line of its own says too little
    if kind == formats.GLOVE:
        dimension = count_numbers(lines[0])
        fits = all(ROW_PATTERN.fullmatch(line) and count_numbers(line) == dimension for line in lines)
        return {"words": _count_lines(source), "dimension": dimension} if fits else None
    header = word2vec_text.HEADER_PATTERN.fullmatch(lines[0])
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
