"""Readers of annotated corpora and tables beside packages that do the same: seconds of processor time, and the ratio.

    RNNKIT_CORPORA=corpora python benchmarks/table_readers.py

CoNLL-U: forms and universal tags of UD English EWT, train, beside conllu and pyconll. CSV: text and label of 100,000
rows that are made here, half of them with quotes, beside Python's `csv`, which is written in C. The readers take turns.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import os
import platform
import random
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path

from folders import run_in_folder
from rivals import BenchmarkError, Environment, call, default_folder, environment_python
from rnnkit.text.tables.conllu import ConlluReader
from rnnkit.text.tables.delimited import DelimitedReader
from rnnkit.text.tables.records import read_rows
from tables import markdown, spread

CONLLU = Environment(
    name="conllu",
    distribution="conllu==6.0.0",
    requirements=("pyconll==3.3.1",),
    probe=("-c", "import conllu, pyconll"),
)
PROGRAMS = {
    "conllu 6.0.0": (
        "import conllu; file = open(path, encoding='utf-8'); "
        "found = [[(word['form'], word['upos']) for word in sentence if isinstance(word['id'], int)] "
        "for sentence in conllu.parse_incr(file)]"
    ),
    "pyconll 3.3.1": (
        "import pyconll; found = [[(word.form, word.upos) for word in sentence "
        "if not word.is_multiword() and not word.is_empty_node()] for sentence in pyconll.iter_from_file(path)]"
    ),
}
"""What each rival runs; `found` is the words of each sentence."""

TIMED = (
    "import sys, time; path = sys.argv[1]; began = time.process_time(); {}; "
    "print(time.process_time() - began, sum(map(len, found)))"
)
CSV_ROWS = 100_000


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--environments", type=Path, default=default_folder())
    parser.add_argument("--work", type=Path)
    return run_in_folder(measure, parser.parse_args(), "table_readers")


def measure(options: argparse.Namespace, work: Path) -> int:
    """Read each file with each reader, several times."""
    if "RNNKIT_CORPORA" not in os.environ:
        raise BenchmarkError("RNNKIT_CORPORA names no folder of corpora")
    packed = Path(os.environ["RNNKIT_CORPORA"]) / "ud-english-ewt" / "en_ewt-ud-train.conllu.gz"
    corpus, table = work / "train.conllu", work / "train.csv"
    corpus.write_bytes(gzip.decompress(packed.read_bytes()))
    write_table(table)
    python = environment_python(CONLLU, options.environments)
    readers: dict[str, Callable[[], tuple[float, int]]] = {
        "CoNLL-U, rnnkit": lambda: timed(lambda: count_words(corpus)),
        **{f"CoNLL-U, {name}": partial(rival, python, program, corpus) for name, program in PROGRAMS.items()},
        "CSV, rnnkit": lambda: timed(lambda: count_rows(table)),
        "CSV, csv of Python": lambda: timed(lambda: count_csv(table)),
    }
    seconds: dict[str, list[float]] = {name: [] for name in readers}
    counts: dict[str, int] = {}
    for _ in range(options.rounds):
        for name, read in readers.items():
            took, counts[name] = read()
            seconds[name].append(took)
    print(f"Python {platform.python_version()}, rnnkit {version('rnnkit')}, {options.rounds} rounds, processor time")
    rows = []
    for name, found in seconds.items():
        ours = seconds[f"{name.partition(',')[0]}, rnnkit"]
        ratio = statistics.median(theirs / own for theirs, own in zip(found, ours, strict=True))
        rows.append([name, f"{counts[name]:,}", spread(found, 2), f"{ratio:.2f}"])
    print(markdown(["reader", "words or rows", "seconds", "ratio to rnnkit"], rows, right=1))
    return 0


def write_table(path: Path) -> None:
    """Rows of a number, a text and a label; every other text has quotes and commas."""
    dice = random.Random(1)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        for number in range(CSV_ROWS):
            text = f'some, "quoted" text number {number}' if number % 2 else "plain text with a few words"
            writer.writerow([number, text, dice.choice("ab")])


def timed(act: Callable[[], int]) -> tuple[float, int]:
    """Seconds that a call takes, and its result."""
    began = time.process_time()
    result = act()
    return time.process_time() - began, result


def rival(python: Path, program: str, path: Path) -> tuple[float, int]:
    """Seconds and words of a rival."""
    seconds, words = call([str(python), "-c", TIMED.format(program), str(path)]).split()
    return float(seconds), int(words)


def count_words(path: Path) -> int:
    """Words of a treebank."""
    return sum(len(values[0].split()) for _, values in read_rows(path, ConlluReader(str(path), [1, 3])) if values)


def count_rows(path: Path) -> int:
    """Rows of a table."""
    reader = DelimitedReader(str(path), ",", quotes=True, header=False, columns=[1, 2], width=3)
    return sum(values is not None for _, values in read_rows(path, reader))


def count_csv(path: Path) -> int:
    """Rows of a table as Python's `csv` reads them."""
    with path.open(newline="", encoding="utf-8") as file:
        return sum(len(row) == 3 for row in csv.reader(file))


if __name__ == "__main__":
    sys.exit(main())
