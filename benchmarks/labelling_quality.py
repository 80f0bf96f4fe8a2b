"""Sections `pos`, `entities` and `calibration` of `labelling.py`."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from labelling_systems import (
    CRFSUITE,
    FAST,
    RNNKIT,
    SPACY,
    Result,
    Section,
    Settings,
    evaluate,
    measure_once,
    run_rnnkit,
)
from labelling_texts import ENTITIES, SST2, TREEBANKS, Corpus, prepare
from labelling_training import train_rnnkit, train_tagger_rival, with_error
from tables import markdown

SPACY_COLUMNS = ("upos", "xpos", "name")
"""Columns that spaCy learns: its tagger is not made for strings of hundreds of combinations of features."""

ENTITY_CANDIDATES: tuple[Sequence[object], ...] = tuple(
    ("--class-weights", f"O={weight}") if weight < 1 else () for weight in (1, 0.6, 0.3)
)
"""A lower weight of the words outside names trades precision for recall, which names in few data need."""

DIGITS = 4


def pos(settings: Settings) -> Section:
    """Measure taggers of parts of speech and morphological features."""
    rows, records = [], []
    for corpus in TREEBANKS:
        runs = _tagger_runs(settings, corpus, (RNNKIT, FAST, CRFSUITE, SPACY))
        for column in corpus.labels:
            for system, by_column in runs.items():
                if found := by_column.get(column):
                    rows.append([corpus.name, column, system, *_cells(found, column, ("accuracy", "unknown words"))])
                    records.append(_record(corpus, column, system, found))
    head = ["treebank", "labels", "system", "accuracy", "of unknown words", "training, CPU s", "options"]
    note = (
        "Gold tokens, test data; mean ± standard error over seeds, median CPU seconds. rnnkit: the whole command; one "
        "model for all columns of a treebank. Rivals: the training with the chosen options, a model per column."
    )
    return Section("Parts of speech and features", f"{note}\n\n{markdown(head, rows, right=3)}", records)


def entities(settings: Settings) -> Section:
    """Measure taggers of named entities."""
    rows, records = [], []
    for corpus in ENTITIES:
        runs = _tagger_runs(settings, corpus, (RNNKIT, CRFSUITE, SPACY), ENTITY_CANDIDATES)
        for system, by_column in runs.items():
            found = by_column["name"]
            rows.append([corpus.name, system, *_cells(found, "name", ("precision", "recall", "span F1"))])
            records.append(_record(corpus, "name", system, found))
    head = ["corpus", "system", "precision", "recall", "F1", "training, CPU s", "options"]
    note = "Spans as `rnnkit evaluate-labels` counts them, test data; mean ± standard error over seeds."
    return Section("Named entities", f"{note}\n\n{markdown(head, rows, right=2)}", records)


def _tagger_runs(
    settings: Settings, corpus: Corpus, systems: Sequence[str], candidates: Sequence[Sequence[object]] = ((),)
) -> dict[str, dict[str, list[Result]]]:
    """Train the chosen systems; returns their runs by system and column.

    Args:
        settings: Settings.
        corpus: Corpus.
        systems: Systems, of which the settings choose some.
        candidates: Options of rnnkit, of which the best F1 on the validation data chooses.
    """
    runs: dict[str, dict[str, list[Result]]] = {}
    for system in systems:
        if not settings.chosen(corpus.name, system):
            continue
        if system in (RNNKIT, FAST):
            runs[system] = dict.fromkeys(corpus.labels, _own_runs(settings, corpus, system, candidates))
        elif system == CRFSUITE:
            runs[system] = {
                column: [train_tagger_rival(settings, corpus, system, column, 0)] for column in corpus.labels
            }
        else:
            runs[system] = {
                column: [train_tagger_rival(settings, corpus, system, column, seed) for seed in settings.seeds]
                for column in corpus.labels
                if column in SPACY_COLUMNS
            }
    return runs


def _own_runs(settings: Settings, corpus: Corpus, system: str, candidates: Sequence[Sequence[object]]) -> list[Result]:
    """Train rnnkit with the candidate that is best on the validation data with the first seed."""

    def train(options: Sequence[object], seed: int) -> Result:
        detail = "".join(f"{word}-" for word in options[1::2])
        chosen = {str(name): value for name, value in zip(options[::2], options[1::2], strict=True)}
        return {**train_rnnkit(settings, corpus, system, seed, options, detail), "options": chosen}

    best: Sequence[object] = candidates[0]
    if len(candidates) > 1:
        best = max(candidates, key=lambda options: train(options, settings.seeds[0])["valid"]["f1"])
    return [train(best, seed) for seed in settings.seeds]


def _cells(found: Sequence[Result], column: str, scores: Sequence[str]) -> list[str]:
    """Format the scores of a system's runs, the time of its training and its options."""
    cells = [with_error([run["columns"][column].get(name, 0.0) for run in found]) for name in scores]
    seconds = statistics.median(run["processor"] for run in found)
    options = " ".join(f"{name}={value}" for name, value in found[0].get("options", {}).items())
    return [*cells, f"{seconds:.0f}", options or "default"]


def _record(corpus: Corpus, column: str, system: str, found: Sequence[Result]) -> Result:
    """Return the runs of a system for JSON."""
    return {"corpus": corpus.name, "column": column, "system": system, "runs": list(found)}


def calibration(settings: Settings) -> Section:
    """Measure the calibration of the default tagger and the default classifier."""
    rows, records = [], []
    for corpus in (TREEBANKS[0], SST2):
        if not settings.chosen(corpus.name, RNNKIT):
            continue
        reports = [_calibrate(settings, corpus, seed)["calibration"] for seed in settings.seeds]
        names = ("expected_calibration_error", "mean_probability", "accuracy")
        cells = [with_error([report[name] for report in reports], DIGITS) for name in names]
        rows.append([corpus.name, corpus.labels[0], str(len(reports[0]["bins"])), *cells])
        records.append({"corpus": corpus.name, "seeds": list(settings.seeds), "reports": reports})
    head = ["corpus", "labels", "bins", "calibration error", "mean probability", "accuracy"]
    return Section("Calibration", f"rnnkit, default options, test data.\n\n{markdown(head, rows, right=2)}", records)


def _calibrate(settings: Settings, corpus: Corpus, seed: int) -> Result:
    """Return the calibration of a trained model on the test data."""
    trained = train_rnnkit(settings, corpus, RNNKIT, seed)
    model = Path(trained["model"])
    folder = prepare(settings, corpus)
    column = corpus.labels[0]

    def act() -> dict[str, Any]:
        labelled = model.with_name(f"{model.name}.jsonl")
        run_rnnkit(
            settings, "decode", folder / f"test.{corpus.text}", "--model", model, "--json", "--output", labelled,
            "--overwrite", "--threads", 1,
        )  # fmt: skip
        return {"calibration": evaluate(settings, folder / f"test.{column}", labelled)["calibration"]}

    return measure_once(settings, f"calibration {corpus.name} seed {seed}", {"trained": trained["finished"]}, act)
