"""What the vectors are worth: analogies and rated pairs, and misspelt words that n-grams know again."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from embedding_speed import ratio_cell, training_speed
from embedding_systems import (
    ANALOGIES,
    METHODS,
    NAMES,
    PAIRS,
    RNNKIT,
    Ended,
    Run,
    Settings,
    make_job,
    rnnkit,
    run_command,
    train,
    warm_up,
)
from embedding_texts import Text, frequent_words
from misspellings import Misspelling, misspellings
from tables import markdown, spread

LEAST_MARGIN = 0.5
"""Points below the rival's mean that are granted where its own spread between seeds is smaller."""

MISSPELT_WORDS = 500
MISSPELLING_SEED = 1

RIVAL = "gensim"


@dataclass(frozen=True)
class Scores:
    """What `evaluate-embeddings` says of some vectors.

    Attributes:
        analogies: Share of the questions that were answered rightly, times 100.
        asked: Questions whose words are all among the 30,000 most frequent.
        pairs: Spearman's rank correlation with WordSim-353, times 100.
        used: Pairs whose words both have a vector.
    """

    analogies: float
    asked: int
    pairs: float
    used: int


MEASURES: dict[str, Callable[[Scores], float]] = {
    "analogies, top 30,000, % right": lambda scores: scores.analogies,
    "WordSim-353, Spearman x 100": lambda scores: scores.pairs,
}

Scored = tuple[Run, Scores]


def measure_quality(settings: Settings, text: Text) -> tuple[str, list[Run]]:
    """Train with several seeds and score; all vectors are read from word2vec's binary format."""
    scored: list[Scored] = []
    for method in METHODS:
        job = make_job(settings, text, method)
        for number in range(settings.rounds):
            for system in settings.systems:
                run = train(system, replace(job, seed=settings.seed + number), settings, format="word2vec")
                scored.append((run, score(run, settings)))
    return quality_table(scored), [run for run, _ in scored]


def score(run: Run, settings: Settings) -> Scores:
    """Score what a run has written."""
    vectors = run.model
    if run.system == RNNKIT:
        vectors = run.model.with_name("vectors.bin")
        ask(settings, "convert-embeddings", vectors, "--vectors", run.model, "--to", "word2vec-binary", "--json")
    tests = [settings.corpora / ANALOGIES, settings.corpora / PAIRS]
    answer = ask(settings, "evaluate-embeddings", *tests, "--vectors", vectors, "--restrict", 30_000, "--json")
    analogies, pairs = json.loads(answer.output)["scores"]
    total = analogies["total"]
    return Scores(100 * total["accuracy"], total["asked"], 100 * pairs["spearman"], pairs["used"])


def ask(settings: Settings, *words: object) -> Ended:
    """Run one of rnnkit's short commands."""
    folder = settings.work / "questions"
    folder.mkdir(exist_ok=True)
    return run_command(rnnkit(*words), folder, threads=settings.threads, numba_cache=settings.work / "numba")


def quality_table(scored: Sequence[Scored]) -> str:
    """Means, standard deviations, each seed's figure, and whether rnnkit reaches the bar."""
    systems = list(dict.fromkeys(run.system for run, _ in scored))
    head = ["method", "measure", *(f"{NAMES[system]}: mean ± sd (each seed)" for system in systems), "bar", "reached"]
    rows = []
    for method in METHODS:
        for measure, value in MEASURES.items():
            figures = {
                system: [value(s) for run, s in scored if (run.job.method, run.system) == (method, system)]
                for system in systems
            }
            rows.append([METHODS[method], measure, *map(mean_cell, figures.values()), *bar_cells(figures)])
    grant = (
        f"The bar is {NAMES[RIVAL]}'s mean less its standard deviation, or less {LEAST_MARGIN} where that is smaller."
    )
    return f"{markdown(head, rows, right=2)}\n\n{grant}\n{coverage(scored)}"


def coverage(scored: Sequence[Scored]) -> str:
    """What could be asked; the systems have the same words, so one number each is expected."""
    asked = sorted({scores.asked for _, scores in scored})
    used = sorted({scores.used for _, scores in scored})
    return f"Asked: {' or '.join(map(str, asked))} analogies of 19544, {' or '.join(map(str, used))} pairs of 353."


def mean_cell(values: Sequence[float]) -> str:
    """Mean, standard deviation, and what they are of."""
    each = ", ".join(f"{value:.2f}" for value in values)
    return f"{statistics.mean(values):.2f} ± {deviation(values):.2f} ({each})"


def bar_cells(figures: dict[str, list[float]]) -> list[str]:
    """The bar, and whether rnnkit's mean reaches it."""
    if RIVAL not in figures or RNNKIT not in figures:
        return ["-", "-"]
    wanted = bar(figures[RIVAL])
    return [f"{wanted:.2f}", "yes" if statistics.mean(figures[RNNKIT]) >= wanted else "no"]


def bar(values: Sequence[float]) -> float:
    """What must be reached beside a rival with these figures."""
    return statistics.mean(values) - max(deviation(values), LEAST_MARGIN)


def deviation(values: Sequence[float]) -> float:
    """Standard deviation of a sample; 0 where there is but one value."""
    return statistics.stdev(values) if len(values) > 1 else 0.0


def measure_subwords(settings: Settings, text: Text) -> tuple[str, list[Run]]:
    """Skip-gram with n-grams of 3 to 6 characters, beside fastText: speed, rated pairs, misspelt words."""
    job = replace(make_job(settings, text, "skipgram"), subwords=True)
    asked = misspellings(frequent_words(text, job.min_count), MISSPELT_WORDS, MISSPELLING_SEED)
    queries = [each.wrong for each in asked]
    scored: list[Scored] = []
    found: dict[str, list[float]] = {}
    if RNNKIT in settings.systems:
        warm_up(job, settings)
    for number in range(settings.rounds):
        for system in settings.systems:
            moved = replace(job, seed=settings.seed + number)
            run = train(system, moved, settings, format="word2vec", queries=queries)
            nearest = nearest_words(run, queries, settings) if system == RNNKIT else run.report["nearest"]
            found.setdefault(system, []).append(100 * recovered(asked, nearest))
            scored.append((run, score(run, settings)))
    return subword_table(scored, found, len(asked)), [run for run, _ in scored]


def nearest_words(run: Run, queries: Sequence[str], settings: Settings) -> list[str]:
    """The known word nearest to each query, by `rnnkit neighbors`."""
    answer = ask(settings, "neighbors", *queries, "--vectors", run.model, "--count", 1, "--json")
    return [json.loads(line)["neighbors"][0]["word"] for line in answer.output.splitlines()]


def recovered(asked: Sequence[Misspelling], nearest: Sequence[str]) -> float:
    """Share of the misspelt words whose nearest known neighbour is the right word."""
    return sum(each.right == word for each, word in zip(asked, nearest, strict=True)) / len(asked)


def subword_table(scored: Sequence[Scored], found: dict[str, list[float]], asked: int) -> str:
    """One row a system."""
    head = ["system", "training, words/s", "ratio of rnnkit to it", "WordSim-353, Spearman x 100"]
    head += [f"right of {asked} misspelt words, %"]
    runs = [run for run, _ in scored]
    rows = []
    for system, shares in found.items():
        own = [(run, scores) for run, scores in scored if run.system == system]
        speeds = [spread([run.speed for run, _ in own]), ratio_cell(system, runs, training_speed)]
        rows.append([NAMES[system], *speeds, mean_cell([s.pairs for _, s in own]), mean_cell(shares)])
    note = (
        "N-grams of 3 to 6 characters; fastText has its 2,000,000 buckets, rnnkit as many as it chooses. A misspelt\n"
        "word is right where the known word of the greatest cosine to the vector of its n-grams is the one that was\n"
        "meant. Scores are mean ± sd (each seed)."
    )
    return f"{markdown(head, rows, right=1)}\n\n{note}"
