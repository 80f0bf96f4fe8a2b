"""The linear text classifier beside fastText's, on 20 Newsgroups and SST-2: accuracy, and words a second.

Both train on the same tokens, lowercased, with punctuation split off, and with the same dimension, epochs, learning
rate and n-grams; the systems take turns, each round with another seed. fastText counts words and reads the text within
its call: the time of a call with no more than one epoch is subtracted. rnnkit's time is that of `train_linear_text`,
which numbers features and initializes weights, with words as ids. Of 20 Newsgroups a tenth of the training texts, by
their hash, is the development set; headers are not used.

    RNNKIT_CORPORA=corpora python benchmarks/linear_text.py --rounds 3
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
import platform
import re
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from folders import run_in_folder
from meter import Meter
from rivals import Environment, call, default_folder, distribution_versions, environment_python
from rnnkit.data.word_table import SparseRows
from rnnkit.models.labelling.linear_text import LinearText, LinearTextConfig, TextLabels, WordTexts
from rnnkit.training.linear_text_trainer import train_linear_text
from tables import markdown

FASTTEXT = Environment(
    name="fasttext",
    distribution="fasttext-numpy2-wheel==0.9.2",
    requirements=("numpy==2.4.6", "pybind11==3.1.0"),
    probe=("-c", "import fasttext"),
)

SETTINGS = {
    "20 Newsgroups": ("20ng", LinearTextConfig(epochs=20, learning_rate=1.0)),
    "20 Newsgroups, bigrams": ("20ng", LinearTextConfig(epochs=20, learning_rate=1.0, word_ngrams=2)),
    "SST-2": ("sst2", LinearTextConfig(epochs=20, learning_rate=0.1)),
    "SST-2, bigrams": ("sst2", LinearTextConfig(epochs=20, learning_rate=0.1, word_ngrams=2)),
}
SPLITS = ("train", "dev", "test")
MILLION = 1e6

Lines = list[tuple[str, str]]
"""Tokens and label of each text."""


@dataclass(frozen=True)
class Run:
    """Accuracies in percent, and millions of words a second of training, by the clock and the processor."""

    dev: float
    test: float
    speed: float
    processor_speed: float


def read(path: Path) -> Iterator[tuple[str, str]]:
    """Yield tokens and label of each line."""
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    for line in data.decode("utf-8").removesuffix("\n").split("\n"):
        text, _, label = line.rpartition("\t")
        yield " ".join(re.findall(r"\w+|[^\w\s]", text.lower())), label


def is_development(text: str) -> bool:
    """Choose a tenth of the texts by their hash."""
    return int(hashlib.sha256(text.encode()).hexdigest(), 16) % 10 == 0


def load(corpora: Path, name: str) -> dict[str, Lines]:
    """Read the three splits of a corpus."""
    if name == "sst2":
        return {split: list(read(corpora / "sst2" / f"{split}.tsv")) for split in SPLITS}
    train = list(read(corpora / "20newsgroups" / "train.tsv.gz"))
    return {
        "train": [line for line in train if not is_development(line[0])],
        "dev": [line for line in train if is_development(line[0])],
        "test": list(read(corpora / "20newsgroups" / "test.tsv.gz")),
    }


def to_texts(lines: Lines, labels: list[str]) -> tuple[WordTexts, SparseRows]:
    """Number words and labels."""
    ids: dict[str, int] = {}
    rows = [[ids.setdefault(word, len(ids)) for word in text.split()] for text, _ in lines]
    gold = SparseRows.from_lists([[labels.index(label)] for _, label in lines])
    return WordTexts(list(ids), SparseRows.from_lists(rows)), gold


def train_rnnkit(config: LinearTextConfig, corpus: dict[str, Lines], threads: int) -> Run:
    """Train and test rnnkit."""
    labels = sorted({label for _, label in corpus["train"]})
    texts, gold = to_texts(corpus["train"], labels)
    start, start_cpu = time.perf_counter(), time.process_time()
    model, _ = train_linear_text(config, texts, TextLabels(gold, len(labels)), threads)
    seconds, processor = time.perf_counter() - start, time.process_time() - start_cpu
    dev, test = (accuracy(model, *to_texts(corpus[split], labels)) for split in SPLITS[1:])
    words = len(texts.ids.values) * config.epochs / MILLION
    return Run(dev, test, words / seconds, words / processor)


def accuracy(model: LinearText, texts: WordTexts, gold: SparseRows) -> float:
    """Percentage of texts with the right label."""
    return 100 * float((model.scores(texts).argmax(axis=1) == gold.values).mean())


def train_fasttext(python: Path, folder: Path, config: LinearTextConfig, words: int, threads: int) -> Run:
    """Train and test fastText, with all epochs and with one."""
    options = {
        "dim": config.dimension, "lr": config.learning_rate, "wordNgrams": config.word_ngrams, "minCount": 1,
        "bucket": config.buckets, "seed": config.seed, "thread": threads,
    }  # fmt: skip
    script = str(Path(__file__).with_name("linear_text_rival.py"))
    files = {split: str(folder / split) for split in SPLITS}
    answers = []
    for epochs in (config.epochs, 1):
        job = json.dumps({"options": options | {"epoch": epochs}, **files})
        answers.append(json.loads(call([str(python), script, job]).splitlines()[-1]))
    whole, single = answers
    trained = words * (config.epochs - 1) / MILLION
    speeds = [trained / (whole[clock] - single[clock]) for clock in ("seconds", "processor")]
    return Run(100 * whole["dev"], 100 * whole["test"], speeds[0], speeds[1])


def measure(options: argparse.Namespace, work: Path) -> int:
    """Measure all settings and print the table."""
    python = options.python or environment_python(FASTTEXT, options.environments)
    meter, rows = Meter(), []
    for name, (corpus_name, config) in SETTINGS.items():
        corpus = load(options.corpora, corpus_name)
        folder = work / corpus_name
        folder.mkdir(exist_ok=True)
        for split, lines in corpus.items():
            (folder / split).write_text("".join(f"__label__{label} {text}\n" for text, label in lines))
        words = sum(len(text.split()) for text, _ in corpus["train"])
        runs: dict[str, list[Run]] = {"fastText": [], "rnnkit": []}
        for seed in range(1, options.rounds + 1):
            seeded = LinearTextConfig(**{**vars(config), "seed": seed})
            runs["fastText"].append(train_fasttext(python, folder, seeded, words, options.threads))
            runs["rnnkit"].append(train_rnnkit(seeded, corpus, options.threads))
        rows += [[name, system, *cells(found, runs["fastText"])] for system, found in runs.items()]
    head = ["texts", "system", "dev", "test", "million words/s", "ratio", "by processor time", "ratio"]
    print(markdown(head, rows, right=2))
    others = meter.others()
    versions = distribution_versions(python, ["fasttext-numpy2-wheel"])
    print(
        f"\nPython {platform.python_version()}, fastText {versions}, {options.threads} threads, "
        f"{options.rounds} rounds; other processes took "
        + ("an unknown share of the cores" if others is None else f"{others:.0%} of the cores")
    )
    return 0


def cells(runs: list[Run], base: list[Run]) -> list[str]:
    """Means of accuracies, medians of speeds and of ratios within rounds."""
    found = [f"{statistics.mean(run.dev for run in runs):.1f}", f"{statistics.mean(run.test for run in runs):.1f}"]
    for speed in ("speed", "processor_speed"):
        own, other = ([getattr(run, speed) for run in each] for each in (runs, base))
        ratios = np.array(own) / np.array(other)
        found += [f"{statistics.median(own):.2f}", f"{np.median(ratios):.1f}"]
    return found


def main() -> int:
    """Parse the options and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", type=Path, default=Path(os.environ.get("RNNKIT_CORPORA", "corpora")))
    parser.add_argument("--environments", type=Path, default=default_folder())
    parser.add_argument("--python", type=Path, help="a Python that has fastText, instead of an environment of its own")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--work", type=Path)
    return run_in_folder(measure, parser.parse_args(), "linear_text")


if __name__ == "__main__":
    sys.exit(main())
