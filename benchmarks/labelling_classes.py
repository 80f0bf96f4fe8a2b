"""Section `classify` of `labelling.py`: text classifiers, and whether rnnkit reaches its rivals."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labelling_systems import FASTTEXT, LINEAR, RNNKIT, TFIDF, Result, Section, Settings, measure_once, run_rival
from labelling_texts import CLASSIFICATION, NEWSGROUPS, Corpus, prepare
from labelling_training import mean, model_folder, standard_error, test_scores, train_rnnkit, with_error
from tables import markdown

CHOSEN = "rnnkit, chosen on valid"
"""Of the network and the linear classifier, the one with the higher accuracy on the validation data."""

ALLOWED_ERRORS = 1.5
"""Standard errors that rnnkit may be below the better rival on a corpus."""

LINEAR_CANDIDATES: tuple[Sequence[object], ...] = tuple(
    ("--word-ngrams", ngrams, "--learning-rate", rate) for ngrams in (1, 2) for rate in (0.03, 0.05, 0.1)
)
FASTTEXT_CANDIDATES: tuple[Mapping[str, Any], ...] = tuple(
    {"epoch": epoch, "lr": rate, "wordNgrams": ngrams}
    for epoch, rate, ngrams in itertools.product((5, 20, 50), (0.1, 0.5, 1.0), (1, 2))
)
TFIDF_CANDIDATES: tuple[Mapping[str, Any], ...] = tuple(
    {"sublinear_tf": sublinear, "min_df": 2, "C": strength}
    for sublinear, strength in itertools.product((False, True), (1.0, 3.0, 10.0, 30.0, 100.0))
)

MANY_LABELS_CANDIDATES: tuple[Mapping[str, Any], ...] = tuple(
    {"sublinear_tf": True, "min_df": 2, "C": strength} for strength in (1.0, 10.0, 100.0)
)
"""Of logistic regression with the 20 labels of 20 Newsgroups, which takes minutes for each."""


@dataclass(frozen=True)
class Measured:
    """A system on a corpus.

    Attributes:
        accuracies: Accuracy on the test data in percent, of each seed.
        valid: Accuracy on the validation data.
        processor: Processor seconds of the training with each seed.
        options: The chosen options.
        tests: Number of texts of the test data.
    """

    accuracies: tuple[float, ...]
    valid: float
    processor: tuple[float, ...]
    options: str
    tests: int

    @property
    def mean(self) -> float:
        """Mean accuracy over seeds."""
        return mean(self.accuracies)

    @property
    def seed_error(self) -> float:
        """Standard error of the mean over seeds; 0 for one seed."""
        return standard_error(self.accuracies) or 0.0

    @property
    def sampling_error(self) -> float:
        """Standard error of an accuracy on so many texts: sqrt(p (1 - p) / n)."""
        p = self.mean / 100
        return 100 * math.sqrt(p * (1 - p) / self.tests)


Results = dict[str, dict[str, Measured]]
"""Results by corpus and system."""


def classify(settings: Settings) -> Section:
    """Measure text classifiers."""
    measure = {RNNKIT: _network, LINEAR: _linear, FASTTEXT: _rival, TFIDF: _rival}
    results: Results = {}
    for corpus in CLASSIFICATION:
        found = {
            system: act(settings, corpus, system)
            for system, act in measure.items()
            if settings.chosen(corpus.name, system)
        }
        if found:
            results[corpus.name] = _with_choice(found)
    records = [
        {"corpus": name, "system": system, **vars(measured)}
        for name, found in results.items()
        for system, measured in found.items()
    ]
    return Section("Text classification", "\n\n".join([_table(results), *verdicts(results)]), records)


def _network(settings: Settings, corpus: Corpus, system: str) -> Measured:
    """Measure the default network."""
    runs = [train_rnnkit(settings, corpus, system, seed) for seed in settings.seeds]
    return _measured(settings, corpus, runs, runs[0]["valid"]["accuracy"], "default")


def _linear(settings: Settings, corpus: Corpus, system: str) -> Measured:
    """Measure the linear classifier, with the options that are best on the validation data."""
    candidates = LINEAR_CANDIDATES[-1:] if settings.quick else LINEAR_CANDIDATES

    def train(options: Sequence[object], seed: int) -> Result:
        return train_rnnkit(settings, corpus, system, seed, options, "-".join(map(str, options[1::2])) + "-")

    first = [train(options, settings.seeds[0]) for options in candidates]
    best = max(range(len(first)), key=lambda number: first[number]["valid"]["accuracy"])
    runs = [train(candidates[best], seed) for seed in settings.seeds]
    options = " ".join(map(str, candidates[best]))
    return _measured(settings, corpus, runs, first[best]["valid"]["accuracy"], options)


def _rival(settings: Settings, corpus: Corpus, system: str) -> Measured:
    """Measure fastText or TF-IDF with logistic regression, which does not depend on a seed."""
    folder = prepare(settings, corpus)
    seeds = settings.seeds if system == FASTTEXT else (0,)
    tfidf = MANY_LABELS_CANDIDATES if corpus is NEWSGROUPS else TFIDF_CANDIDATES
    kind, candidates = {FASTTEXT: ("fasttext", FASTTEXT_CANDIDATES), TFIDF: ("tfidf", tfidf)}[system]
    files = [model_folder(settings, corpus, kind, str(seed)) for seed in seeds]
    job: Result = {
        "folder": str(folder),
        "candidates": list(candidates[:2] if settings.quick else candidates),
        "seeds": list(seeds),
        "hypotheses": [str(path) for path in files],
    }

    def act() -> Result:
        files[0].parent.mkdir(parents=True, exist_ok=True)
        result = run_rival(settings, "classifier_rivals.py", kind, job=job)
        for run in result["runs"]:
            run["columns"] = {"label": test_scores(settings, corpus, folder, "label", Path(run["hypotheses"]))}
        return result

    result = measure_once(settings, f"train {corpus.name} {system}", job, act)
    options = " ".join(f"{name}={value}" for name, value in result["options"].items())
    return _measured(settings, corpus, result["runs"], result["valid"], options)


def _measured(settings: Settings, corpus: Corpus, runs: Sequence[Result], valid: float, options: str) -> Measured:
    """Collect the runs of a system."""
    tests = (prepare(settings, corpus) / "test.label").read_text(encoding="utf-8").count("\n")
    accuracies = tuple(run["columns"]["label"]["accuracy"] for run in runs)
    return Measured(accuracies, valid, tuple(run["processor"] for run in runs), options, tests)


def _with_choice(found: dict[str, Measured]) -> dict[str, Measured]:
    """Add rnnkit's classifier that is better on the validation data."""
    own = [found[system] for system in (RNNKIT, LINEAR) if system in found]
    return found if len(own) < 2 else {**found, CHOSEN: max(own, key=lambda measured: measured.valid)}


def _table(results: Results) -> str:
    rows = [
        [name, system, with_error(m.accuracies), f"{m.sampling_error:.2f}", f"{m.valid:.2f}",
         f"{mean(m.processor):.1f}", m.options]
        for name, found in results.items()
        for system, m in found.items()
        if system != CHOSEN
    ]  # fmt: skip
    head = ["texts", "system", "accuracy", "sampling error", "valid", "training, CPU s", "options"]
    note = (
        "Accuracy on the test data, mean ± standard error over seeds; the sampling error is sqrt(p (1 - p) / n) of n "
        "test texts. The same tokens for all: lowercased words and punctuation marks. Options are chosen on the "
        "validation data with the first seed; seconds are those of the training with the chosen options, of rnnkit the "
        "whole command. Headers of 20 Newsgroups are not used."
    )
    return f"{note}\n\n{markdown(head, rows, right=2)}"


def verdicts(results: Results) -> list[str]:
    """Compare the means over all corpora, and each corpus with the better rival on it."""
    systems = [name for name in (RNNKIT, LINEAR, CHOSEN) if all(name in found for found in results.values())]
    rivals = [name for name in (FASTTEXT, TFIDF) if all(name in found for found in results.values())]
    if not results or not systems or not rivals:
        return []
    means = {name: mean([found[name].mean for found in results.values()]) for name in (*systems, *rivals)}
    better = max(rivals, key=lambda name: means[name])
    rows = [[name, f"{means[name]:.2f}", *_reached(results, name, rivals, means[better])] for name in systems]
    head = ["system", "mean", f"at least {means[better]:.2f} of {better}", "lowest", "in sampling errors",
            "in errors of seeds", f"above -{ALLOWED_ERRORS}"]  # fmt: skip
    note = (
        f"Means over the sets, of which there are {len(results)}: "
        + ", ".join(f"{name} {means[name]:.2f}" for name in rivals)
        + ". Lowest is the corpus with the lowest difference from the better rival on it, in standard errors: of the "
        "test sample of rnnkit, and of the difference over seeds."
    )
    return [f"{note}\n\n{markdown(head, rows, right=1)}"]


def _reached(results: Results, system: str, rivals: Sequence[str], goal: float) -> list[str]:
    """Format whether a system reaches the mean, and its lowest difference from the better rival of a corpus."""
    own_mean = mean([found[system].mean for found in results.values()])
    differences = []
    for name, found in results.items():
        own, other = found[system], max((found[rival] for rival in rivals), key=lambda measured: measured.mean)
        difference = own.mean - other.mean
        seeds = math.hypot(own.seed_error, other.seed_error)
        differences.append((difference / own.sampling_error, difference / seeds if seeds else math.nan, name))
    sampling, _, name = min(differences)
    seeds_lowest = min((each[1] for each in differences if not math.isnan(each[1])), default=math.nan)
    return [
        "yes" if own_mean >= goal else "no", name, f"{sampling:+.2f}",
        "-" if math.isnan(seeds_lowest) else f"{seeds_lowest:+.2f}",
        "yes" if sampling >= -ALLOWED_ERRORS else "no",
    ]  # fmt: skip
