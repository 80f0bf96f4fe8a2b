"""Word embeddings: rnnkit beside gensim and fastText, on an English Wikipedia text, on the CPU.

All read the same lines and train the same sizes: dimension 100, window 5, 5 negatives, sample 1e-3, words met 5 times
or more; learning rates and the noise distribution stay at each system's default. The systems run in turn, several
rounds, because machines are noisy; the tables give medians and ranges.

    RNNKIT_CORPORA=corpora python benchmarks/embeddings.py speed
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from embedding_memory import MEBIBYTE, measure_memory
from embedding_quality import RIVAL, measure_quality, measure_subwords
from embedding_speed import measure_speed, measure_threads
from embedding_systems import ANALOGIES, CORPUS, NAMES, PAIRS, RNNKIT, Run, Settings
from embedding_texts import Text
from folders import run_in_folder
from meter import DISTURBED
from rivals import EMBED, BenchmarkError, default_folder, distribution_versions, environment_python

BEGINNING = 30_000_000
"""Bytes of the text that are enough to measure speed."""

LIMIT = 384
"""MiB. The libraries alone take 200 or so, and below that OpenBLAS tries for ever to get more."""


@dataclass(frozen=True)
class Benchmark:
    """One subcommand, with what it does unless told otherwise."""

    summary: str
    act: Callable[[Settings, Text], tuple[str, list[Run]]]
    systems: tuple[str, ...] = tuple(NAMES)
    size: int = BEGINNING  # bytes of the text; 0: all
    epochs: int = 5
    rounds: int = 3


BENCHMARKS = {
    "speed": Benchmark("words a second, of the training phase and of the whole command", measure_speed),
    "quality": Benchmark("analogies and rated pairs of words", measure_quality, systems=(RIVAL, RNNKIT), size=0),
    "subwords": Benchmark(
        "n-grams: speed, rated pairs, misspelt words", measure_subwords, systems=("fasttext", RNNKIT)
    ),
    "memory": Benchmark("peak memory, and a text larger than memory", measure_memory, epochs=1, rounds=1),
    "threads": Benchmark("one thread and more", measure_threads, systems=(RNNKIT,), rounds=5),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is asked for and print the table."""
    return run_in_folder(run_benchmark, parse_arguments(arguments), "embeddings")


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    subparsers = parser.add_subparsers(dest="benchmark", required=True, metavar="BENCHMARK")
    for name, benchmark in BENCHMARKS.items():
        add_options(subparsers.add_parser(name, help=benchmark.summary, description=benchmark.summary), benchmark)
    subparsers.choices["memory"].add_argument(
        "--limit", type=int, default=LIMIT, help="MiB of private memory for the text that is larger (%(default)s)"
    )
    options = parser.parse_args(arguments)
    if min(options.epochs, options.rounds, options.threads, options.limit) < 1 or options.bytes < 0:
        parser.error("--epochs, --rounds, --threads and --limit must be at least 1, --bytes at least 0")
    return options


def add_options(parser: argparse.ArgumentParser, benchmark: Benchmark) -> None:
    """Give a subcommand its options."""
    parser.add_argument("--corpora", type=Path, help="folder with wikipedia-en-2015/ (default: $RNNKIT_CORPORA)")
    parser.add_argument(
        "--environments", type=Path, default=default_folder(), help="the rivals' environments (%(default)s)"
    )
    parser.add_argument("--work", type=Path, help="folder for texts, models and logs (default: a temporary one)")
    parser.add_argument(
        "--systems",
        nargs="+",
        choices=benchmark.systems,
        default=benchmark.systems,
        metavar="SYSTEM",
        help="%(choices)s",
    )
    parser.add_argument("--bytes", type=int, default=benchmark.size, help="of the text, 0 for all (%(default)s)")
    parser.add_argument("--epochs", type=int, default=benchmark.epochs, help="passes over the text (%(default)s)")
    parser.add_argument("--rounds", type=int, default=benchmark.rounds, help="runs of each system (%(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the first round (%(default)s)")
    parser.set_defaults(limit=LIMIT)


def run_benchmark(options: argparse.Namespace, work: Path) -> int:
    """Find what is needed, measure, print."""
    settings = Settings(
        corpora=find_corpora(options.corpora),
        work=work.absolute(),
        python=environment_python(EMBED, options.environments.absolute()),
        systems=tuple(options.systems),
        size=options.bytes or None,
        epochs=options.epochs,
        rounds=options.rounds,
        threads=options.threads,
        seed=options.seed,
        limit=options.limit * MEBIBYTE,
    )
    text = settings.write_text()
    title = f"# Word embeddings: {BENCHMARKS[options.benchmark].summary}"
    table, runs = BENCHMARKS[options.benchmark].act(settings, text)
    print("\n\n".join([title, conditions(settings, text), table, load(runs)]))
    return 0


def find_corpora(corpora: Path | None) -> Path:
    """The folder of the corpora, with all that is read there."""
    if corpora is None and not os.environ.get("RNNKIT_CORPORA"):
        raise BenchmarkError("no corpora: set RNNKIT_CORPORA or give --corpora, the folder with wikipedia-en-2015/")
    folder = (corpora or Path(os.environ["RNNKIT_CORPORA"])).absolute()
    missing = [str(path) for path in (CORPUS, ANALOGIES, PAIRS) if not (folder / path).is_file()]
    if missing:
        raise BenchmarkError(f"{folder} lacks {', '.join(missing)}")
    return folder


def conditions(settings: Settings, text: Text) -> str:
    """When, where, on what, with what."""
    ours = distribution_versions(Path(sys.executable), ["rnnkit", "numba", "numpy"])
    theirs = distribution_versions(settings.python, ["gensim", "fasttext", "numpy"])
    seeds = [str(settings.seed + number) for number in range(settings.rounds)]
    return (
        f"{datetime.date.today()}, {platform.machine()}, {os.cpu_count()} cores; threads: {settings.threads}, rounds "
        f"in turn: {settings.rounds}, seeds: {', '.join(seeds)}, epochs: {settings.epochs}.\n"
        f"{text.tokens:,} tokens in {text.lines:,} lines. Dimension 100, window 5, 5 negatives, sample 1e-3, words met "
        "5 times or more; the rest as each system has it.\n"
        f"{versions(ours)}; rivals: {versions(theirs)}."
    )


def versions(found: dict[str, str]) -> str:
    """Names and versions in one line."""
    return ", ".join(f"{name} {version}" for name, version in found.items())


def load(runs: Sequence[Run]) -> str:
    """What else the machine did meanwhile."""
    known = [(run.others, run.name) for run in runs if run.others is not None]
    if not known:
        return "Load of other processes: not known."
    said = f"Load of other processes: at most {max(known)[0]:.1%} of the cores."
    disturbed = [f"{name} ({share:.0%})" for share, name in known if share > DISTURBED]
    return f"{said} Not to be relied on: {', '.join(disturbed)}." if disturbed else said


if __name__ == "__main__":
    sys.exit(main())
