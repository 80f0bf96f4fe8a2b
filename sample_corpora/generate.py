"""Write the sample corpora: `python sample_corpora/generate.py`. The same seed gives the same bytes."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from generator import labelled, monolingual, normalise, parallel

HERE = Path(__file__).resolve().parent
SEED = 1


def corpora(seed: int) -> dict[str, str]:
    """Every generated file by its path below the output folder."""
    return {**parallel.corpus(seed), **monolingual.corpus(seed), **normalise.corpus(seed), **labelled.corpus(seed)}


def differing(files: dict[str, str], folder: Path) -> list[str]:
    """The files that are missing in the folder or hold something else."""
    return [
        name
        for name, text in files.items()
        if not (folder / name).is_file() or (folder / name).read_bytes() != text.encode()
    ]


def write(files: dict[str, str], folder: Path) -> None:
    """Write the files, the same on every system: UTF-8 and line feeds."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())


def main() -> int:
    """Read the command line, then write the corpora or compare them."""
    parser = argparse.ArgumentParser(description="Write the sample corpora.")
    parser.add_argument("--output", type=Path, default=HERE, help="folder to write to (default: beside this file)")
    parser.add_argument("--seed", type=int, default=SEED, help="seed of all choices (default: %(default)s)")
    parser.add_argument("--check", action="store_true", help="write nothing, compare with what the folder holds")
    options = parser.parse_args()
    files = corpora(options.seed)
    if not options.check:
        write(files, options.output)
        print(f"{len(files)} files, {sum(len(text.encode()) for text in files.values()):,} bytes in {options.output}")
        return 0
    changed = differing(files, options.output)
    for name in changed:
        print(f"{options.output / name} is not what seed {options.seed} gives", file=sys.stderr)
    return 1 if changed else 0


if __name__ == "__main__":
    sys.exit(main())
