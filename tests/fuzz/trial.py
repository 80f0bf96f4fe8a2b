"""One hostile file given to one reader: returns what is wrong with the outcome, if anything."""

from __future__ import annotations

import gzip
import io
import os
import traceback
import tracemalloc
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.fuzz.readers import CORPUS, Reader

from rnnkit.errors import RnnkitError

TIMES, MORE = 10, 100_000_000
"""A reader takes at most so many times the bytes of its input, and so many more."""

_MOST_UNPACKED = 1 << 26


def find_fault(reader: Reader, content: bytes, folder: Path) -> str | None:
    """Read a file in a prepared folder; returns the traceback of what should not come out, or the memory taken."""
    path = folder / reader.file
    path.write_bytes(content)
    tracemalloc.start()
    try:
        reader.read(path)
    except RnnkitError as error:
        str(error).encode("utf-8", "surrogateescape")
    except Exception:
        return traceback.format_exc()
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    most = TIMES * unpacked_size(content) + MORE
    return f"{peak:,} bytes for a file of {len(content):,}, {most:,} is the most" if peak > most else None


def find_faults(reader: Reader, contents: Sequence[bytes]) -> Iterator[tuple[bytes, str]]:
    """Read many files in a process of its own; one that brings the process down is found, too."""
    with TemporaryDirectory() as name:
        folder = prepare(reader, Path(name))
        begin = 0
        while begin < len(contents):
            reading, writing = os.pipe()
            pid = os.fork()
            if not pid:
                _live(reader, contents[begin:], folder, writing)
            os.close(writing)
            with open(reading, encoding="utf-8") as pipe:  # noqa: PTH123 - a descriptor
                messages = pipe.read().split("\0")[:-1]
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            yield from ((contents[begin + n], text) for n, text in enumerate(messages) if text)
            begin += len(messages)
            if code:
                yield contents[begin], f"it brought the process down: {code}"
                begin += 1


def prepare(reader: Reader, folder: Path) -> Path:
    """Make the folder that the reader's file stands in."""
    (folder / reader.file).parent.mkdir(parents=True, exist_ok=True)
    if (folder / reader.file).parent == folder:
        reader.around(folder)
    else:  # what is around makes the inner folder itself
        (folder / reader.file).parent.rmdir()
        reader.around(folder)
    warm(reader, folder)
    return folder


def warm(reader: Reader, folder: Path) -> None:
    """Read a whole file once: what is imported and compiled for it is not memory that a file takes."""
    (folder / reader.file).write_bytes(next(iter(reader.samples())))
    with suppress(RnnkitError):
        reader.read(folder / reader.file)


def unpacked_size(content: bytes) -> int:
    """Bytes of a file, of a gzip file those inside, as far as they can be had."""
    if not content.startswith(b"\x1f\x8b"):
        return len(content)
    size = 0
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
            while size < _MOST_UNPACKED and (block := file.read(1 << 16)):
                size += len(block)
    except (OSError, EOFError, zlib.error):
        pass
    return max(size, len(content))


def kept(reader: Reader) -> list[Path]:
    """The files that once broke a reader."""
    folder = CORPUS / reader.name.replace(", ", "-").replace(" ", "-")
    return sorted(folder.iterdir()) if folder.is_dir() else []


def keep(reader: Reader, content: bytes) -> Path:
    """Keep a file for the tests."""
    folder = CORPUS / reader.name.replace(", ", "-").replace(" ", "-")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{zlib.crc32(content):08x}"
    path.write_bytes(content)
    return path


def _live(reader: Reader, contents: Sequence[bytes], folder: Path, writing: int) -> None:
    """The life of the process that reads; it never returns."""
    code = 70
    try:
        with open(writing, "w", encoding="utf-8", errors="replace") as pipe:
            for content in contents:
                pipe.write((find_fault(reader, content, folder) or "").replace("\0", "") + "\0")
                pipe.flush()
        code = 0
    finally:
        os._exit(code)
