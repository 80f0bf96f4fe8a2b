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
from pathlib import Path
from typing import Any

PREFIX = "__label__"
MAX_ITERATIONS = 1000
ROUNDING = 2

Predict = Callable[[Sequence[str]], list[str]]
Train = Callable[[dict[str, Any], int], Predict]


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
        begin, begin_processor = time.perf_counter(), time.process_time()
        predict = train(options, job["seeds"][0])
        spent = {"seconds": time.perf_counter() - begin, "processor": time.process_time() - begin_processor}
        candidates.append({"options": options, "valid": round(accuracy(labels, predict(texts)), ROUNDING), **spent})
    best = max(candidates, key=lambda each: each["valid"])
    texts, labels = read(job, "test")
    runs = []
    for seed, path in zip(job["seeds"], job["hypotheses"], strict=True):
        begin, begin_processor = time.perf_counter(), time.process_time()
        predict = train(best["options"], seed)
        spent = {"seconds": time.perf_counter() - begin, "processor": time.process_time() - begin_processor}
        found = predict(texts)
        Path(path).write_text("".join(f"{label}\n" for label in found), encoding="utf-8")
        runs.append({"seed": seed, "hypotheses": path, **spent})
    return {"options": best["options"], "valid": best["valid"], "runs": runs, "candidates": candidates}


def accuracy(gold: Sequence[str], predicted: Sequence[str]) -> float:
    """Percentage of equal labels."""
    return 100 * sum(one == other for one, other in zip(gold, predicted, strict=True)) / len(gold)


def fasttext_trainer(job: dict[str, Any], folder: Path) -> Train:
    """Return fastText's training; the same seed and one thread give the same model."""
    import fasttext

    path = folder / "train"
    rows = zip(*read(job, "train"), strict=True)
    path.write_text("".join(f"{PREFIX}{label} {text}\n" for text, label in rows), encoding="utf-8")

    def train(options: dict[str, Any], seed: int) -> Predict:
        model = fasttext.train_supervised(str(path), seed=seed, thread=1, verbose=0, **options)
        most_frequent = model.labels[0]

        def predict(texts: Sequence[str]) -> list[str]:
            found, _ = model.predict(list(texts))
            return [(row[0] if row else most_frequent).removeprefix(PREFIX) for row in found]

        return predict

    return train


def tfidf_trainer(job: dict[str, Any], folder: Path) -> Train:
    """Return the training of logistic regression; it does not depend on the seed."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    texts, labels = read(job, "train")

    def train(options: dict[str, Any], seed: int) -> Predict:
        settings = {name: value for name, value in options.items() if name != "C"}
        model = make_pipeline(
            TfidfVectorizer(token_pattern=r"\S+", lowercase=False, ngram_range=(1, 2), **settings),
            LogisticRegression(C=options["C"], max_iter=MAX_ITERATIONS),
        )
        model.fit(texts, labels)
        return lambda lines: [str(label) for label in model.predict(list(lines))]

    return train


def main() -> None:
    """Train and label."""
    trainers = {"fasttext": fasttext_trainer, "tfidf": tfidf_trainer}
    job = json.loads(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(compare(job, trainers[sys.argv[1]](job, Path(folder)))))


if __name__ == "__main__":
    main()
