"""One reader fuzzed by atheris, which must see rnnkit's files while they are imported, to know where a file leads them.

python -m tests.fuzz.guided READER SECONDS SEED FOLDER

A file that brings the process down is put into the folder.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import rnnkit

SOURCE = Path(rnnkit.__file__).parent


def compiled() -> Iterator[str]:
    """Files that Numba compiles: it wants them as they are."""
    for path in SOURCE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if "import numba" in text or "compiled import" in text or "@kernel" in text:
            yield ".".join(("rnnkit", *path.relative_to(SOURCE).with_suffix("").parts))


def main(reader: str, seconds: str, seed: str, folder: str) -> None:
    """Fuzz until the time is over."""
    atheris = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["rnnkit"], exclude=list(compiled())):
        from tests.fuzz import loop, readers
    chosen = next(each for each in readers.READERS if each.name == reader)
    loop.fuzz_guided(chosen, float(seconds), int(seed), Path(folder), atheris)


if __name__ == "__main__":
    main(*sys.argv[1:])
