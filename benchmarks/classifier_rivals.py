"""Train fastText's classifier, or logistic regression over TF-IDF; `labelling.py` runs this in the rivals' own Python.

    python classifier_rivals.py fasttext|tfidf JOB

JOB is a JSON object: `folder` with the files SPLIT.text, tokens separated by blanks, and SPLIT.label; `candidates`, the
options to choose from by the accuracy on `valid`; `seeds`, and for each of them a file in `hypotheses`, the predicted
labels of `test`. The result is one JSON object on the last line of standard output.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

PREFIX = "__label__"
MAX_ITERATIONS = 1000
ROUNDING = 2


@dataclass(frozen=True)
class Labelled:
    """Predicted labels, and seconds and processor seconds of the training."""

    labels: list[str]
    seconds: float
    processor: float


Train = Callable[[dict[str, Any], int, list[str]], Labelled]
"""Train with options and a seed, and label texts."""


def read(job: dict[str, Any], split: str) -> tuple[list[str], list[str]]:
    """Read texts and labels of a split."""
    texts, labels = (
        Path(job["folder"], f"{split}.{name}").read_text(encoding="utf-8").removesuffix("\n").split("\n")
        for name in ("text", "label")
    )
    return texts, labels


def compare(job: dict[str, Any], train: Train) -> dict[str, Any]:
    """Choose the options by the accuracy on the validation data, then train with each seed and label the test data."""
    candidates = []
    texts, labels = read(job, "valid")
    for options in job["candidates"]:
        found = train(options, job["seeds"][0], texts)
        valid = round(accuracy(labels, found.labels), ROUNDING)
        candidates.append({"options": options, "valid": valid, "seconds": found.seconds, "processor": found.processor})
        print(candidates[-1], file=sys.stderr, flush=True)
    best = max(candidates, key=lambda each: each["valid"])
    texts, _ = read(job, "test")
    runs = []
    for seed, path in zip(job["seeds"], job["hypotheses"], strict=True):
        found = train(best["options"], seed, texts)
        Path(path).write_text("".join(f"{label}\n" for label in found.labels), encoding="utf-8")
        runs.append({"seed": seed, "hypotheses": path, "seconds": found.seconds, "processor": found.processor})
    return {"options": best["options"], "valid": best["valid"], "runs": runs, "candidates": candidates}


def accuracy(gold: Sequence[str], predicted: Sequence[str]) -> float:
    """Percentage of equal labels."""
    return 100 * sum(one == other for one, other in zip(gold, predicted, strict=True)) / len(gold)


def fasttext_trainer(job: dict[str, Any], folder: Path) -> Train:
    """Return fastText's training on one thread, in a new process each.

    fastText 0.9.2 and 0.9.3 initialize a tenth of the input vectors per thread (`DenseMatrix::uniform`). The others
    begin as what the memory holds: zeros in a new process, which is deterministic; later often NaN.
    """
    path = folder / "train"
    rows = zip(*read(job, "train"), strict=True)
    path.write_text("".join(f"{PREFIX}{label} {text}\n" for text, label in rows), encoding="utf-8")

    def train(options: dict[str, Any], seed: int, texts: list[str]) -> Labelled:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            return pool.submit(label_with_fasttext, str(path), options, seed, texts).result()

    return train


def label_with_fasttext(path: str, options: dict[str, Any], seed: int, texts: list[str]) -> Labelled:
    """Train fastText and label texts; a text without words has the most frequent label."""
    import fasttext

    begin, begin_processor = time.perf_counter(), time.process_time()
    model = fasttext.train_supervised(path, seed=seed, thread=1, verbose=0, **options)
    seconds, processor = time.perf_counter() - begin, time.process_time() - begin_processor
    found, _ = model.predict(texts)
    labels = [(row[0] if row else model.labels[0]).removeprefix(PREFIX) for row in found]
    return Labelled(labels, seconds, processor)


def tfidf_trainer(job: dict[str, Any], folder: Path) -> Train:
    """Return the training of logistic regression; it does not depend on the seed."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    train_texts, train_labels = read(job, "train")

    def train(options: dict[str, Any], seed: int, texts: list[str]) -> Labelled:
        settings = {name: value for name, value in options.items() if name != "C"}
        model = make_pipeline(
            TfidfVectorizer(token_pattern=r"\S+", lowercase=False, ngram_range=(1, 2), **settings),
            LogisticRegression(C=options["C"], max_iter=MAX_ITERATIONS),
        )
        begin, begin_processor = time.perf_counter(), time.process_time()
        model.fit(train_texts, train_labels)
        seconds, processor = time.perf_counter() - begin, time.process_time() - begin_processor
        return Labelled([str(label) for label in model.predict(texts)], seconds, processor)

    return train


def main() -> None:
    """Train and label."""
    trainers = {"fasttext": fasttext_trainer, "tfidf": tfidf_trainer}
    job = json.loads(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(compare(job, trainers[sys.argv[1]](job, Path(folder)))))


if __name__ == "__main__":
    main()
