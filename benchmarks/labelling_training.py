"""Trained taggers and classifiers of `labelling.py`: each is trained once, labels the test data, and is evaluated."""

from __future__ import annotations

import json
import shutil
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from labelling_systems import (
    CRFSUITE,
    FAST,
    LINEAR,
    RNNKIT,
    SPACY,
    Result,
    Settings,
    evaluate,
    measure_once,
    run_rival,
    run_rnnkit,
    score,
)
from labelling_texts import Corpus, prepare

OPTIONS = {RNNKIT: (), FAST: ("--preset", "fast"), LINEAR: ("--arch", "linear")}
WARM_UP = {RNNKIT: ("--max-steps", 2), FAST: ("--max-steps", 2), LINEAR: ("--epochs", 1)}

CRF_CANDIDATES: tuple[Mapping[str, Any], ...] = (
    {"algorithm": "ap", "max_iterations": 10},
    {"algorithm": "ap", "max_iterations": 30},
    {"algorithm": "lbfgs", "c1": 0.0, "c2": 1.0, "max_iterations": 100},
    {"algorithm": "lbfgs", "c1": 0.0, "c2": 0.1, "max_iterations": 100},
    {"algorithm": "lbfgs", "c1": 0.1, "c2": 0.01, "max_iterations": 100},
)
"""Averaged perceptron and L-BFGS with L1 and L2 regularization."""

MANY_LABELS = 100
"""Number of labels from which on a CRF is trained by the first candidate alone: its time is quadratic in the labels."""

QUICK_SPACY = {"max_steps": 40, "eval_frequency": 20}


def model_folder(settings: Settings, corpus: Corpus, system: str, detail: str) -> Path:
    """Return the path of a trained model."""
    name = "-".join([corpus.folder, system.replace(" ", "").replace("--", "-"), detail])
    return settings.work / "models" / name


def train_rnnkit(
    settings: Settings, corpus: Corpus, system: str, seed: int, options: Sequence[object] = (), detail: str = ""
) -> Result:
    """Train rnnkit, label the test data and evaluate the labels.

    Args:
        settings: Settings.
        corpus: Corpus.
        system: A key of `OPTIONS`.
        seed: Random seed.
        options: More options of the training.
        detail: Name of these options in the name of the part.

    Returns:
        `model`, seconds and processor seconds of the whole command, `valid`, its scores on the validation data, and
        `columns`: scores on the test data by column.
    """
    model = model_folder(settings, corpus, system, f"{detail}{seed}")
    name = f"train {corpus.name} {system} {detail} seed {seed}"
    words = [*OPTIONS[system], *map(str, options)]
    job = {"options": words, "seed": seed}
    return measure_once(settings, name, job, lambda: _train_rnnkit(settings, corpus, model, words, seed))


def _train_rnnkit(settings: Settings, corpus: Corpus, model: Path, options: Sequence[str], seed: int) -> Result:
    folder = prepare(settings, corpus)
    command = "train-classifier" if corpus.classes else "train-tagger"
    base = [command, "--work", folder / "work", "--threads", 1, "--overwrite", "--json", *options]
    system = next(name for name in (LINEAR, FAST, RNNKIT) if set(OPTIONS[name]) <= set(options))
    warm = settings.work / "models" / "warm"
    warm_name = f"compile {command} {system} {'spans' if 'name' in corpus.labels else ''}"
    measure_once(
        settings,
        warm_name,
        {},
        lambda: {"warm": run_rnnkit(settings, *base, "--output", warm, *WARM_UP[system]).seconds},
    )
    shutil.rmtree(model, ignore_errors=True)
    quick = ["--epochs", 1] if settings.quick and system != LINEAR else []
    ended = run_rnnkit(settings, *base, *quick, "--output", model, "--seed", seed)
    report = json.loads(ended.output.splitlines()[-1])
    columns = {column: _label_test(settings, corpus, folder, model, column) for column in corpus.labels}
    return {
        "model": str(model),
        "seconds": ended.seconds,
        "processor": ended.processor,
        "valid": report["scores"],
        "columns": columns,
    }


def _label_test(settings: Settings, corpus: Corpus, folder: Path, model: Path, column: str) -> Result:
    hypotheses = model.with_name(f"{model.name}.{column}")
    which = ["--column", column] if len(corpus.labels) > 1 else []
    ended = run_rnnkit(
        settings, "decode", folder / f"test.{corpus.text}", "--model", model, "--output", hypotheses, "--overwrite",
        "--threads", 1, *which,
    )  # fmt: skip
    decoding = {"seconds": ended.seconds, "processor": ended.processor}
    return {**test_scores(settings, corpus, folder, column, hypotheses), "decode": decoding}


def test_scores(settings: Settings, corpus: Corpus, folder: Path, column: str, hypotheses: Path) -> Result:
    """Return the scores of labels of the test data in percent: accuracy, that of unknown words, span F1."""
    files = [folder / f"{split}.{corpus.text}" for split in ("test", "train")]
    words = [] if corpus.classes else ["--text", files[0], "--train-text", files[1]]
    level = "line" if corpus.classes else "word"
    report = evaluate(settings, folder / f"test.{column}", hypotheses, "--label-level", level, *words)
    names = [each["name"] for each in report["scores"]]
    found: Result = {name: score(report, name) for name in ("accuracy", "unknown words", "span F1") if name in names}
    if report["spans"] is not None:
        average = next(each for each in report["spans"]["averages"] if each["name"] == "micro average")
        found |= {name: 100 * average[name] for name in ("precision", "recall")}
    return {**found, "hypotheses": str(hypotheses)}


def train_tagger_rival(settings: Settings, corpus: Corpus, system: str, column: str, seed: int) -> Result:
    """Train crfsuite, which has no seed, or spaCy, tag the test data and evaluate the tags.

    Returns:
        `model`, seconds and processor seconds of the training with the chosen options, `options`, `valid`, `tag`, the
        result of tagging, and `columns` as of `train_rnnkit`.
    """
    folder = prepare(settings, corpus)
    model = model_folder(settings, corpus, system, f"{column}-{seed}")
    hypotheses = model.with_name(f"{model.name}.{column}")
    job: Result = {
        "folder": str(folder), "text": corpus.text, "label": column, "spans": column == "name", "model": str(model),
    }  # fmt: skip
    if system == SPACY:
        training = {**(QUICK_SPACY if settings.quick else {})}
        job |= {"language": corpus.language, "seed": seed, "training": training}
    else:
        job |= {"candidates": _candidates(settings, folder, column)}
    kind = {CRFSUITE: "crfsuite", SPACY: "spacy"}[system]

    def act() -> Result:
        model.parent.mkdir(parents=True, exist_ok=True)
        result = run_rival(settings, "tagger_rivals.py", kind, "train", job=job)
        tagging = {**job, "input": str(folder / f"test.{corpus.text}"), "hypotheses": str(hypotheses)}
        tag = run_rival(settings, "tagger_rivals.py", kind, "tag", job=tagging)
        columns = {column: test_scores(settings, corpus, folder, column, hypotheses)}
        return {**result, "model": str(model), "tag": tag, "columns": columns}

    return measure_once(settings, f"train {corpus.name} {system} {column} seed {seed}", job, act)


def _candidates(settings: Settings, folder: Path, column: str) -> list[Mapping[str, Any]]:
    """Return the options of crfsuite to choose from."""
    labels = set((folder / f"train.{column}").read_text(encoding="utf-8").split())
    only_one = settings.quick or len(labels) >= MANY_LABELS
    return list(CRF_CANDIDATES[:1] if only_one else CRF_CANDIDATES)


def mean(values: Sequence[float]) -> float:
    """Return the mean."""
    return statistics.fmean(values)


def standard_error(values: Sequence[float]) -> float | None:
    """Return the standard error of the mean; None of a single value."""
    return statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else None


def with_error(values: Sequence[float], digits: int = 2) -> str:
    """Format a mean with its standard error."""
    error = standard_error(values)
    return f"{mean(values):.{digits}f}" + ("" if error is None else f" ± {error:.{digits}f}")
