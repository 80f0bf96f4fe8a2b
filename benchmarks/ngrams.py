"""Counted language models: rnnkit beside KenLM, on Penn Treebank and WikiText-2.

For each text and order: seconds of training, the test part's perplexity, sizes, how fast a stored model opens and
scores, how fast an ARPA file is written and read, and how far each of its probabilities is from what KenLM reads there.

    RNNKIT_CORPORA=corpora python benchmarks/ngrams.py

The `kenlm` package gets an environment of its own, for which a C++ compiler must be there. Its programs are no part of
the package: with `--kenlm FOLDER`, where `lmplz` and `query` lie, their seconds and perplexities stand in the table.
The texts spell rare words `<unk>`, which lmplz refuses; all systems read `<rare>` in its place, a word like any other.
"""

from __future__ import annotations

import argparse
import datetime
import gzip
import json
import math
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import rnnkit
from folders import run_in_folder
from rivals import BenchmarkError, Environment, call, default_folder, distribution_versions, environment_python
from rnnkit.ngrams import store
from rnnkit.ngrams.arpa_reader import read_arpa
from rnnkit.ngrams.arpa_writer import write_arpa
from rnnkit.ngrams.ngram_estimation import estimate_ngram_model
from rnnkit.ngrams.ngram_model import LN10
from rnnkit.ngrams.options import NgramOptions
from rnnkit.text.special_tokens import EOS
from rnnkit.text.vocabulary import Vocabulary
from tables import markdown, spread

CORPORA = {"ptb": "ptb/ptb.{}.txt.gz", "wikitext-2": "wikitext-2/wiki.{}.tokens.gz"}
KENLM = Environment("kenlm", "kenlm==0.3.0", ("setuptools",), ("-c", "import kenlm"))
MEBIBYTE = 1 << 20


@dataclass
class Result:
    """What was measured of one text and order; seconds are of each round.

    Attributes:
        tokens: Of the test part, ends of lines counted.
        differences: From KenLM's figures.
        rival: What `run_kenlm` measured; empty where it did not.
    """

    corpus: str
    order: int
    ngrams: int
    tokens: int
    perplexity: float
    arpa_bytes: int
    model_bytes: int
    seconds: dict[str, list[float]]
    differences: dict[str, Any] = field(default_factory=dict)
    rival: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Text:
    """A part of a corpus as tokens, as a file, and as ids."""

    path: Path
    ids: NDArray[np.int32]
    offsets: NDArray[np.int64]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print the tables."""
    return run_in_folder(run, parse_arguments(arguments), "ngrams")


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--corpora", type=Path, default=os.environ.get("RNNKIT_CORPORA"), help="folder of the texts")
    parser.add_argument("--only", choices=list(CORPORA), action="append", help="measure this text alone")
    parser.add_argument("--orders", type=int, nargs="+", default=[3, 5])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kenlm", type=Path, help="folder of KenLM's programs lmplz and query")
    parser.add_argument("--environments", type=Path, default=default_folder(), help="where the rival's Python lies")
    parser.add_argument("--work", type=Path, help="keep models and files here")
    parser.add_argument("--json", type=Path, help="write all figures here")
    options = parser.parse_args(arguments)
    if options.corpora is None:
        parser.error("name the folder of the texts with --corpora or RNNKIT_CORPORA")
    return options


def run(options: argparse.Namespace, work: Path) -> int:
    """Measure all texts and orders."""
    python = environment_python(KENLM, options.environments)
    results = []
    for corpus in options.only or CORPORA:
        vocabulary, train, test = prepare(options.corpora, corpus, work)
        for order in options.orders:
            print(f"{corpus}, order {order}", file=sys.stderr)
            result, arpa = measure(corpus, order, vocabulary, train, test, options.rounds, work)
            result.differences = compare(python, arpa, test, work)
            if options.kenlm is not None:
                result.rival = run_kenlm(options.kenlm, order, train, test, work, options.rounds)
            results.append(result)
    versions = distribution_versions(python, ["kenlm"])
    print(report(results, versions, first_start(work)))
    if options.json is not None:
        figures = {"versions": versions, "results": [vars(result) for result in results]}
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 0


def prepare(corpora: Path, corpus: str, work: Path) -> tuple[Vocabulary, Text, Text]:
    """The vocabulary of a corpus, and its training and test parts."""
    lines = {}
    for part in ("train", "test"):
        path = corpora / CORPORA[corpus].format(part)
        if not path.is_file():
            raise BenchmarkError(f"there is no {path}")
        with gzip.open(path, "rt", encoding="utf-8", newline="\n") as file:
            lines[part] = [line.replace("<unk>", "<rare>").split() for line in file]
    vocabulary = Vocabulary.from_counts(Counter(word for line in lines["train"] for word in line))
    texts = []
    for part, rows in lines.items():
        path = work / f"{corpus}.{part}.txt"
        path.write_text("".join(" ".join(row) + "\n" for row in rows), encoding="utf-8")
        ids = [[*vocabulary.encode(row), EOS] for row in rows]
        offsets = np.cumsum([0, *map(len, ids)], dtype=np.int64)
        texts.append(Text(path, np.array([word for row in ids for word in row], dtype=np.int32), offsets))
    return vocabulary, texts[0], texts[1]


def measure(
    corpus: str, order: int, vocabulary: Vocabulary, train: Text, test: Text, rounds: int, work: Path
) -> tuple[Result, Path]:
    """All figures of rnnkit for one text and order, and the ARPA file. A round before the first is not counted."""
    arpa, stored = work / f"{corpus}.{order}.arpa", work / f"{corpus}.{order}.ngrams"
    seconds: dict[str, list[float]] = {}

    def timed(name: str, act: Callable[..., Any], *arguments: Any) -> Any:
        start = time.perf_counter()
        value = act(*arguments)
        seconds.setdefault(name, []).append(time.perf_counter() - start)
        return value

    for _ in range(rounds + 1):
        model = timed(
            "train", estimate_ngram_model, train.ids, train.offsets, len(vocabulary), NgramOptions(order=order)
        )
        timed("save", store.save, stored, model)
        opened = timed("open", store.load, stored)
        scores = timed("score", opened.score, test.ids, test.offsets)
        timed("write ARPA", write_arpa, model, vocabulary.tokens, arpa)
        timed("read ARPA", read_arpa, arpa)
    (work / "scores").write_bytes((scores / LN10).tobytes())
    counted = {name: values[1:] for name, values in seconds.items()}
    sizes = arpa.stat().st_size, stored.stat().st_size
    return Result(corpus, order, sum(model.sizes), len(scores), math.exp(-scores.mean()), *sizes, counted), arpa


def compare(python: Path, arpa: Path, test: Text, work: Path) -> dict[str, Any]:
    """How far KenLM's figures are from rnnkit's."""
    program = Path(__file__).with_name("ngram_rivals.py")
    answer = call([str(python), str(program), str(arpa), str(test.path), str(work / "scores")])
    differences: dict[str, Any] = json.loads(answer.splitlines()[-1])
    return differences


def first_start(work: Path) -> tuple[float, float]:
    """Seconds of a process that does everything with a small text: the first time, and once kernels are compiled."""
    code = (
        "import sys, numpy as np; from pathlib import Path; "
        "from rnnkit.ngrams import NgramOptions, estimate_ngram_model, read_arpa, write_arpa;"
        "ids, offsets = np.array([4, 3]), np.array([0, 2]);"
        "model = estimate_ngram_model(ids, offsets, 5, NgramOptions()); model.score(ids, offsets);"
        "names = ['<pad>', '<unk>', '<s>', '</s>', 'a']; path = Path(sys.argv[1]) / 'small.arpa';"
        "write_arpa(model, names, path); read_arpa(path)"
    )
    seconds = []
    with tempfile.TemporaryDirectory(dir=work) as cache:
        for _ in range(2):
            start = time.perf_counter()
            call([sys.executable, "-c", code, str(work)], extra_environment={"NUMBA_CACHE_DIR": cache})
            seconds.append(time.perf_counter() - start)
    return seconds[0], seconds[1]


def run_kenlm(folder: Path, order: int, train: Text, test: Text, work: Path, rounds: int) -> dict[str, Any]:
    """Seconds of `lmplz`, and the perplexity that `query` finds."""
    arpa = work / "lmplz.arpa"
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        with train.path.open("rb") as text, arpa.open("wb") as output:
            command = [str(folder / "lmplz"), "-o", str(order), "-S", "2G", "-T", str(work)]
            done = subprocess.run(command, stdin=text, stdout=output, stderr=subprocess.PIPE, check=False)
        if done.returncode:
            raise BenchmarkError(f"lmplz failed: {done.stderr.decode()[-500:]}")
        seconds.append(time.perf_counter() - start)
    with test.path.open("rb") as text:
        command = [str(folder / "query"), "-v", "summary", str(arpa)]
        answer = subprocess.run(command, stdin=text, capture_output=True, check=True).stdout.decode()
    found = re.search(r"including OOVs:\s*(\S+)", answer)
    if found is None:
        raise BenchmarkError(f"query gave no perplexity: {answer[-500:]}")
    return {"seconds": seconds, "perplexity": float(found[1])}


def report(results: Sequence[Result], versions: dict[str, str], starts: tuple[float, float]) -> str:
    """The tables, and what they depend on."""
    models = markdown(
        ["text", "order", "test perplexity", "KenLM's", "training, s", "lmplz, s", "ratio"],
        [[result.corpus, str(result.order), *training_cells(result)] for result in results],
        right=1,
    )
    speeds = markdown(
        ["text", "order", "n-grams", "model, MiB", "opens in, ms", "scores, million tokens/s", "ARPA, MiB",
         "written in, s", "read in, s"],
        [[result.corpus, str(result.order), *speed_cells(result)] for result in results],
        right=1,
    )  # fmt: skip
    agreement = markdown(
        ["text", "order", "n-grams compared", "largest difference", "test tokens", "largest difference"],
        [[result.corpus, str(result.order), *difference_cells(result.differences)] for result in results],
        right=1,
    )
    facts = (
        f"Differences are of logarithms to base 10. A process that does all of it with a text of one word takes "
        f"{starts[0]:.1f} s the first time, when it compiles, and {starts[1]:.1f} s from then on. rnnkit "
        f"{rnnkit.__version__}, kenlm {versions['kenlm']}, Python {platform.python_version()}, numpy {np.__version__}, "
        f"{os.cpu_count()} cores, {datetime.date.today()}."
    )
    return "\n\n".join([models, speeds, agreement, facts])


def training_cells(result: Result) -> list[str]:
    """Perplexity and seconds, beside KenLM's."""
    mine, rival = result.seconds["train"], result.rival
    if not rival:
        return [f"{result.perplexity:.3f}", "-", spread(mine, 2), "-", "-"]
    ratio = statistics.median(rival["seconds"]) / statistics.median(mine)
    perplexities = f"{result.perplexity:.3f}", f"{rival['perplexity']:.3f}"
    return [*perplexities, spread(mine, 2), spread(rival["seconds"], 2), f"{ratio:.1f}"]


def speed_cells(result: Result) -> list[str]:
    """Sizes and speeds."""
    return [
        f"{result.ngrams:,}",
        f"{result.model_bytes / MEBIBYTE:.0f}",
        f"{1000 * statistics.median(result.seconds['open']):.1f}",
        spread([result.tokens / seconds / 1e6 for seconds in result.seconds["score"]], 2),
        f"{result.arpa_bytes / MEBIBYTE:.0f}",
        spread(result.seconds["write ARPA"], 2),
        spread(result.seconds["read ARPA"], 2),
    ]


def difference_cells(found: dict[str, Any]) -> list[str]:
    """How far KenLM is, of all n-grams and of the test part's tokens."""
    ngrams, tokens = found["ngrams"], found["tokens"]
    return [f"{ngrams:,}", f"{found['ngram_difference']:.1e}", f"{tokens:,}", f"{found['token_difference']:.1e}"]


if __name__ == "__main__":
    sys.exit(main())
