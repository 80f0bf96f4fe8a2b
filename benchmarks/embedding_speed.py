"""Words a second: rnnkit beside gensim and fastText, and rnnkit on one thread and on more."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace

from embedding_systems import (
    METHODS,
    NAMES,
    RNNKIT,
    Run,
    Settings,
    clean,
    make_job,
    rounds,
    time_rnnkit,
    train,
    warm_up,
)
from embedding_texts import Text
from tables import markdown, spread

Speed = Callable[[Run], float]

COUNTING = """\
Words are the raw tokens of all passes, those included that are too rare or sampled away. Training: gensim's is its
`train` alone, without the vocabulary; fastText's is the whole of `train_unsupervised`, which cannot be split and counts
the vocabulary too; rnnkit's is what it reports. The whole command is the time from the start of the process to its end:
imports, vocabulary, training, and the model written in the system's own format, both matrices. Ratios are taken within
each round. fastText's Python interface takes no seed."""


def measure_speed(settings: Settings, text: Text) -> tuple[str, list[Run]]:
    """Skip-gram and CBOW, all systems in turn: the training phase, and the whole command."""
    runs: list[Run] = []
    cold: dict[str, float] = {}
    for method in METHODS:
        job = make_job(settings, text, method)
        if RNNKIT in settings.systems:
            cold[method] = time_rnnkit(job, settings, clean(settings.work / "cold")).seconds
        runs += rounds(settings.systems, job, settings)
    return "\n\n".join([speed_table(runs), *cold_lines(cold, runs), COUNTING]), runs


def cold_lines(cold: dict[str, float], runs: Sequence[Run]) -> list[str]:
    """What the first start costs, beside the runs that find the kernels compiled."""
    lines = []
    for method, seconds in cold.items():
        warm = [run.ended.seconds for run in runs if run.system == RNNKIT and run.job.method == method]
        lines.append(
            f"rnnkit's very first start, {METHODS[method]}, kernels compiled on the way (measured once): "
            f"{seconds:.1f} s for the whole command, against {statistics.median(warm):.1f} s afterwards."
        )
    return lines


def speed_table(runs: Sequence[Run]) -> str:
    """Both figures of every system, method by method."""
    head = ["method", "system", "training, words/s", "ratio of rnnkit to it", "whole command, words/s", "ratio"]
    rows = []
    for method, system in dict.fromkeys((run.job.method, run.system) for run in runs):
        of_method = [run for run in runs if run.job.method == method]
        own = [run for run in of_method if run.system == system]
        cells = [METHODS[method], NAMES[system]]
        for speed in (training_speed, whole_speed):
            cells += [spread([speed(run) for run in own]), ratio_cell(system, of_method, speed)]
        rows.append(cells)
    return markdown(head, rows, right=2)


def training_speed(run: Run) -> float:
    """Words a second in the training phase."""
    return run.speed


def whole_speed(run: Run) -> float:
    """Words a second of the whole command."""
    return run.whole_speed


def ratio_cell(system: str, runs: Sequence[Run], speed: Speed) -> str:
    """Speed of rnnkit over a system's, round by round."""
    ours = {run.job.seed: speed(run) for run in runs if run.system == RNNKIT}
    if system == RNNKIT or not ours:
        return "-"
    return spread([ours[run.job.seed] / speed(run) for run in runs if run.system == system], digits=2)


def measure_threads(settings: Settings, text: Text) -> tuple[str, list[Run]]:
    """Run rnnkit on one thread and on all, in turn."""
    runs: list[Run] = []
    for method in METHODS:
        job = make_job(settings, text, method)
        warm_up(job, settings)
        for number in range(settings.rounds):
            for threads in (1, settings.threads):
                runs.append(train(RNNKIT, replace(job, threads=threads, seed=settings.seed + number), settings))
    return thread_table(runs, settings.threads), runs


def thread_table(runs: Sequence[Run], threads: int) -> str:
    """Training speed on one thread and on more; the ratio is taken within each round."""
    rows = []
    for method in METHODS:
        speeds = {(run.job.threads, run.job.seed): run.speed for run in runs if run.job.method == method}
        seeds = sorted({seed for _, seed in speeds})
        one, more = ([speeds[count, seed] for seed in seeds] for count in (1, threads))
        ratios = [b / a for a, b in zip(one, more, strict=True)]
        rows.append([METHODS[method], spread(one), spread(more), spread(ratios, digits=2)])
    return markdown(["method", "1 thread, words/s", f"{threads} threads, words/s", "ratio"], rows, right=1)
