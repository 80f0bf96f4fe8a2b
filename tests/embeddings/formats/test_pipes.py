"""Every format from every kind of source: a file or a pipe, as it is or compressed."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import struct
import threading
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.embeddings.formats.imperfect_files import REPAIRABLE, File
from tests.embeddings.samples import WORDS, make_table, same_bits
from tests.raising import raises

from rnnkit.embeddings import formats
from rnnkit.embeddings.formats.vector_reader import DecompressedStream, open_vector_file
from rnnkit.embeddings.vector_table import VectorTable
from rnnkit.errors import DataError

Pack = Callable[[bytes], bytes]

PACKERS: dict[str, Pack] = {"plain": bytes, "gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress}


def feed(path: Path, content: bytes, step: int = 1 << 16) -> threading.Thread:
    """Make a pipe, and write into it while it is read."""
    os.mkfifo(path)

    def write() -> None:
        try:
            with path.open("wb", buffering=0) as file:
                for start in range(0, len(content), step):
                    file.write(content[start : start + step])
        except BrokenPipeError:
            pass

    thread = threading.Thread(target=write)
    thread.start()
    return thread


def load(path: Path, content: bytes, pipe: bool, repair: bool = False, step: int = 1 << 16) -> VectorTable:
    if not pipe:
        path.write_bytes(content)
        return formats.load(path, repair)
    thread = feed(path, content, step)
    try:
        return formats.load(path, repair)
    finally:
        thread.join()
        path.unlink()


@pytest.mark.parametrize("pipe", [False, True], ids=["file", "pipe"])
@pytest.mark.parametrize("pack", PACKERS.values(), ids=PACKERS)
@pytest.mark.parametrize("format", sorted(formats.WRITERS))
def test_every_format_from_every_source(tmp_path: Path, format: str, pack: Pack, pipe: bool) -> None:
    table = make_table(7, subwords=format == formats.FASTTEXT_BINARY)
    formats.WRITERS[format](tmp_path / "written", table)
    found = load(tmp_path / "source", pack((tmp_path / "written").read_bytes()), pipe)
    expected = formats.load(tmp_path / "written")
    assert list(found.words) == WORDS
    assert same_bits(found.matrix_VD, expected.matrix_VD)
    assert found.subwords == expected.subwords


@pytest.mark.parametrize("pack", PACKERS.values(), ids=PACKERS)
@pytest.mark.parametrize("format", sorted(formats.WRITERS))
def test_a_pipe_that_delivers_single_bytes(tmp_path: Path, format: str, pack: Pack) -> None:
    formats.WRITERS[format](tmp_path / "written", make_table(2))
    content = pack((tmp_path / "written").read_bytes())
    assert list(load(tmp_path / "source", content, pipe=True, step=1).words) == WORDS


@pytest.mark.parametrize("file", REPAIRABLE, ids=lambda file: file.name)
def test_imperfect_files_from_pipes(tmp_path: Path, file: File) -> None:
    table = load(tmp_path / file.name, file.content, pipe=True, repair=True)
    assert tuple(table.words) == file.words
    assert table.repairs is not None
    assert table.repairs.counts == file.counts


@pytest.mark.parametrize("format", [formats.WORD2VEC, formats.WORD2VEC_BINARY, formats.FASTTEXT_BINARY])
def test_a_pipe_that_ends_early_is_rejected(tmp_path: Path, format: str) -> None:
    formats.WRITERS[format](tmp_path / "written", make_table(2))
    whole = (tmp_path / "written").read_bytes()
    for length in range(0, len(whole), 7):
        with raises(DataError, path=tmp_path / "source"):
            load(tmp_path / "source", whole[:length], pipe=True)


LIES = {
    "words": b"999999999 300\nthe " + bytes(1200),
    "numbers": b"2 999999999\nthe " + bytes(1200),
    "fastText": struct.pack("<2i12id3i2q", 793712314, 12, 300, *[5] * 11, 1e-4, 10**9, 10**9, 0, 99, -1) + b"the\0",
    "matrix": struct.pack("<2i12id3i2q", 793712314, 12, 10**6, 5, 5, 1, 5, 1, 2, 2, 0, 0, 0, 9, 1e-4, 1, 1, 0, 9, -1)
    + b"the\0" + struct.pack("<qb", 9, 0) + struct.pack("<?2q", False, 1, 10**6) + bytes(4000),
}  # fmt: skip


@pytest.mark.parametrize("repair", [False, True])
@pytest.mark.parametrize("pack", PACKERS.values(), ids=PACKERS)
@pytest.mark.parametrize("lie", LIES)
def test_a_wrong_header_takes_no_memory(tmp_path: Path, lie: str, pack: Pack, repair: bool) -> None:
    content = pack(LIES[lie])
    tracemalloc.start()
    try:
        with pytest.raises(DataError):
            load(tmp_path / "source", content, pipe=True, repair=repair and lie != "words")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 64 << 20


@pytest.mark.parametrize("pack", [bz2.compress, lzma.compress], ids=["bzip2", "xz"])
def test_concatenated_streams(tmp_path: Path, pack: Pack) -> None:
    (tmp_path / "f").write_bytes(pack(b"abc") + bytes(8) + pack(b"") + pack(b"def") + bytes(4))
    with open_vector_file(tmp_path / "f") as source:
        assert source.read(99) == b"abcdef"


@pytest.mark.parametrize("pack", [bz2.compress, lzma.compress], ids=["bzip2", "xz"])
def test_damage_in_compressed_files(tmp_path: Path, pack: Pack) -> None:
    packed = pack(os.urandom(3000))
    spoilt = packed[:1000] + bytes([byte ^ 255 for byte in packed[1000:1010]]) + packed[1010:]
    for content in (packed[:-9], packed[:20], packed + b"junk", spoilt):
        (tmp_path / "f").write_bytes(content)
        with (
            open_vector_file(tmp_path / "f") as source,
            raises(DataError, "beyond byte", path=tmp_path / "f"),
        ):
            source.read(5000)


def test_highly_compressed_data_is_read_in_pieces(tmp_path: Path) -> None:
    """A bzip2 bomb: 45 bytes per megabyte."""
    (tmp_path / "f").write_bytes(b"".join(bz2.compress(b"0" * (1 << 24)) for _ in range(16)))
    tracemalloc.start()
    try:
        with open_vector_file(tmp_path / "f") as source:
            source.skip(1 << 28, "zeros")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 64 << 20


def test_an_xz_window_that_is_too_large_is_rejected(tmp_path: Path) -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 29}]
    (tmp_path / "f").write_bytes(lzma.compress(b"the 1 2\n", filters=filters))
    with raises(DataError, "byte 0", path=tmp_path / "f"):
        formats.load(tmp_path / "f")


def test_text_that_begins_like_bzip2_is_not_decompressed(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"BZh9 1 2\nb 1 2\n")
    assert list(formats.load(tmp_path / "f").words) == ["BZh9", "b"]


def test_a_piece_is_no_larger_than_requested() -> None:
    class Stream:
        def __init__(self) -> None:
            self.rest = bz2.compress(bytes(100_000))

        def read(self, size: int, /) -> bytes:
            found, self.rest = self.rest[:size], self.rest[size:]
            return found

    unpacked = DecompressedStream(Stream(), bz2.BZ2Decompressor)
    sizes = []
    while found := unpacked.read(777):
        sizes.append(len(found))
    assert max(sizes) <= 777
    assert sum(sizes) == 100_000


def test_a_pipe_has_no_size_limit(tmp_path: Path) -> None:
    thread = feed(tmp_path / "p", b"abc")
    with open_vector_file(tmp_path / "p") as source:
        assert (source.max_size, source.editable) == (None, False)
        assert source.can_hold(1 << 60)
        assert source.read(9) == b"abc"
    thread.join()


def test_the_name_of_standard_input(tmp_path: Path) -> None:
    table = replace(make_table(3), name="/dev/fd/0")
    formats.WRITERS[formats.WORD2VEC_BINARY](tmp_path / "f", table)
    reading, writing = os.pipe()
    os.write(writing, (tmp_path / "f").read_bytes())
    os.close(writing)
    try:
        assert list(formats.load(f"/dev/fd/{reading}").words) == WORDS
    finally:
        os.close(reading)
