"""Section `speed` of `labelling.py`: training beside a tagger of torch's own layers, and tagging beside the rivals."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path

from labelling_systems import (
    CRFSUITE,
    FAST,
    RNNKIT,
    SPACY,
    Result,
    Section,
    Settings,
    measure_once,
    run,
    run_rival,
    run_rnnkit,
    with_whole,
)
from labelling_texts import TREEBANKS, prepare, read_lines
from labelling_training import train_rnnkit, train_tagger_rival
from plain_tagger import DISTINCT, Sizes, first_batches
from rivals import BenchmarkError
from rnnkit.stages.training.labelling_options import TAGGER
from tables import markdown, spread

TREEBANK = TREEBANKS[0]
LABEL = "upos"
BATCH_TOKENS: int = TAGGER["batch_tokens"]
SEED = 1

SKIPPED, STEPS = 40, 200
QUICK_SKIPPED, QUICK_STEPS = 3, 6
TAGGED = "train"
"""The split that is tagged: the largest. How well it is tagged does not matter here."""

SAME, SAME_FP32 = "rnnkit --characters lstm", "rnnkit --characters lstm --precision fp32"
TRAINING: Mapping[str, Sequence[str]] = {
    RNNKIT: (),
    SAME: ("--characters", "lstm"),
    SAME_FP32: ("--characters", "lstm", "--precision", "fp32"),
}
"""Options of rnnkit: its defaults, and the characters of the plain tagger, with the precision that rnnkit chooses and
with float32, which torch has."""

OCCURRENCE, PER_WORD = "torch, characters per occurrence", "torch, characters per distinct word"
GOALS = {OCCURRENCE: 4.0, PER_WORD: 1.3}
"""How many times as fast as each rnnkit is expected to train."""


@dataclass(frozen=True)
class Timed:
    """A measurement.

    Attributes:
        words: Number of words.
        seconds: Seconds by the clock.
        processor: Seconds of the processor.
    """

    words: int
    seconds: float
    processor: float

    @property
    def speed(self) -> float:
        """Words per second by the clock."""
        return self.words / self.seconds

    @property
    def processor_speed(self) -> float:
        """Words per second of processor time."""
        return self.words / self.processor


Runs = dict[str, list[Timed]]
"""Measurements by system, one of each round."""


def speed(settings: Settings) -> Section:
    """Measure the speed of training and tagging."""
    training, tagging = _training(settings), _tagging(settings)
    skipped, steps = _steps(settings)
    note = (
        f"Training on {TREEBANK.name}, {LABEL}: one thread, {steps} steps after {skipped}, batches of {BATCH_TOKENS} "
        f"tokens, {settings.rounds} rounds in turn, medians and ranges. The same sizes and batches for all; "
        f"rnnkit's default has `--characters {TAGGER['characters']}`, torch a character LSTM. rnnkit: "
        "the difference of two commands with more and fewer steps; torch: its training loop."
    )
    parts = [note, _training_table(training)]
    parts += [
        f"Tagging the text of {TAGGED}, {settings.threads} threads for rnnkit; crfsuite and spaCy compute on one. The "
        "loop is without start and loading.",
        _tagging_table(tagging),
    ]
    records: list[Result] = [
        {"measured": measured, "system": system, "runs": [vars(each) for each in found]}
        for measured, runs in (("training", training), *tagging.items())
        for system, found in runs.items()
    ]
    return Section("Speed", "\n\n".join(parts), records)


def _steps(settings: Settings) -> tuple[int, int]:
    return (QUICK_SKIPPED, QUICK_STEPS) if settings.quick else (SKIPPED, STEPS)


def _conditions(settings: Settings) -> Result:
    """Return what determines a measurement."""
    return {"threads": settings.threads, "steps": _steps(settings)}


def _in_turn(settings: Settings, name: str, systems: Mapping[str, Callable[[], Result]]) -> dict[str, list[Result]]:
    """Measure systems in turn, several rounds."""
    results: dict[str, list[Result]] = {system: [] for system in systems}
    for number in range(1, settings.rounds + 1):
        for system, act in systems.items():
            part = f"speed {name} {system} round {number}"
            results[system].append(measure_once(settings, part, _conditions(settings), act))
    return results


def _timed(results: Mapping[str, Sequence[Result]]) -> Runs:
    """Return the measurements of results."""
    return {
        system: [Timed(each["words"], each["seconds"], each["processor"]) for each in found]
        for system, found in results.items()
    }


# Training


def _training(settings: Settings) -> Runs:
    """Measure training."""
    folder = prepare(settings, TREEBANK)
    systems: dict[str, Callable[[], Result]] = {}
    if settings.chosen(TREEBANK.name, RNNKIT):
        systems |= {name: partial(_train_steps, settings, folder, options) for name, options in TRAINING.items()}
    systems[OCCURRENCE] = partial(_train_plain, settings, folder, "occurrence")
    systems[PER_WORD] = partial(_train_plain, settings, folder, DISTINCT)
    return _timed(_in_turn(settings, "training", systems))


def _train_steps(settings: Settings, folder: Path, options: Sequence[str]) -> Result:
    """Train rnnkit for few and for more steps; returns the difference."""
    skipped, steps = _steps(settings)
    model = settings.work / "models" / "timed"
    ended = [
        run_rnnkit(
            settings, "train-tagger", "--work", folder / "work", "--output", model, "--overwrite", "--threads", 1,
            "--batch-tokens", BATCH_TOKENS, "--seed", SEED, "--max-steps", count, "--report-every", count, *options,
        )
        for count in (skipped, skipped, skipped + steps)
    ][1:]  # fmt: skip  # the first one compiles kernels
    sentences = [line.split(" ") for line in read_lines(folder / f"train.{TREEBANK.text}")]
    batches = first_batches(sentences, BATCH_TOKENS, SEED)
    words = [
        sum(len(sentences[row]) for rows in batches[:count] for row in rows) for count in (skipped, skipped + steps)
    ]
    metrics = [json.loads(line) for line in read_lines(model / "metrics.jsonl")]
    counted = sum(each.get("target_tokens", 0) for each in metrics)
    if counted != words[1]:
        raise BenchmarkError(f"rnnkit trained on {counted} words, the plain tagger's batches have {words[1]}")
    return {
        "words": words[1] - words[0],
        "seconds": ended[1].seconds - ended[0].seconds,
        "processor": ended[1].processor - ended[0].processor,
    }


def _train_plain(settings: Settings, folder: Path, characters: str) -> Result:
    skipped, steps = _steps(settings)
    job = {
        "text": str(folder / f"train.{TREEBANK.text}"), "labels": str(folder / f"train.{LABEL}"), "skip": skipped,
        "steps": steps, "characters": characters, "sizes": {each.name: TAGGER[each.name] for each in fields(Sizes)},
        "batch_tokens": BATCH_TOKENS, "seed": SEED,
    }  # fmt: skip
    return _run_own(settings, "plain_tagger.py", job, 1)


def _run_own(settings: Settings, script: str, job: Result, threads: int) -> Result:
    """Run a script of the benchmark in our own Python."""
    command = [sys.executable, str(Path(__file__).with_name(script)), json.dumps(job)]
    return with_whole(run(settings, command, threads))


def _training_table(runs: Runs) -> str:
    rows = []
    for system, found in runs.items():
        cells = [spread([each.processor_speed for each in found]), spread([each.speed for each in found])]
        for rnnkit in TRAINING:
            ratios = _ratios(runs.get(rnnkit, []), found)
            cells.append(spread(ratios, 2) if ratios and system in GOALS else "")
        rows.append([system, *cells, f"{GOALS[system]}" if system in GOALS else ""])
    head = [
        "system",
        "words per CPU s",
        "words per s",
        "rnnkit to it, CPU",
        "same characters",
        "and float32",
        "expected",
    ]
    return markdown(head, rows, right=1)


def _ratios(own: Sequence[Timed], others: Sequence[Timed]) -> list[float]:
    """Return the ratios of processor speeds within rounds."""
    return [one.processor_speed / other.processor_speed for one, other in zip(own, others, strict=False)]


# Tagging


def _tagging(settings: Settings) -> dict[str, Runs]:
    """Measure tagging, as whole commands and in a loop."""
    folder = prepare(settings, TREEBANK)
    text = folder / f"{TAGGED}.{TREEBANK.text}"
    whole: dict[str, Callable[[], Result]] = {}
    loop: dict[str, Callable[[], Result]] = {}
    for system in (RNNKIT, FAST):
        if settings.chosen(TREEBANK.name, system):
            model = train_rnnkit(settings, TREEBANK, system, settings.seeds[0])["model"]
            whole[system] = partial(_decode, settings, model, text)
            loop[system] = partial(_loop, settings, model, text)
    for system in (CRFSUITE, SPACY):
        if settings.chosen(TREEBANK.name, system):
            seed = 0 if system == CRFSUITE else settings.seeds[0]
            model = train_tagger_rival(settings, TREEBANK, system, LABEL, seed)["model"]
            loop[system] = partial(_tag_rival, settings, system, model, text)
    in_loop = _in_turn(settings, "tagging in a loop", loop)
    commands = _in_turn(settings, "tagging", whole)
    commands |= {
        system: [{**each, **each["whole"]} for each in in_loop[system]] for system in loop if system not in whole
    }
    return {"whole command": _timed(commands), "loop": _timed(in_loop)}


def _decode(settings: Settings, model: str, text: Path) -> Result:
    """Run `rnnkit decode`."""
    output = text.with_name("tagged.hyp")
    ended = run_rnnkit(
        settings, "decode", text, "--model", model, "--output", output, "--overwrite", "--threads", settings.threads,
        threads=settings.threads,
    )  # fmt: skip
    words = len(text.read_text(encoding="utf-8").split())
    return {"words": words, "seconds": ended.seconds, "processor": ended.processor}


def _loop(settings: Settings, model: str, text: Path) -> Result:
    """Tag with the Python API of rnnkit."""
    job = {"model": model, "input": str(text), "threads": settings.threads}
    return _run_own(settings, "tagging_loop.py", job, settings.threads)


def _tag_rival(settings: Settings, system: str, model: str, text: Path) -> Result:
    """Tag with a rival; its tags are written after the loop."""
    kind = {CRFSUITE: "crfsuite", SPACY: "spacy"}[system]
    job = {"model": model, "input": str(text), "hypotheses": str(text.with_name("tagged.hyp"))}
    return run_rival(settings, "tagger_rivals.py", kind, "tag", job=job, threads=settings.threads)


def _tagging_table(tagging: Mapping[str, Runs]) -> str:
    rows = []
    for system in tagging["loop"]:
        cells = []
        for found in (tagging["whole command"][system], tagging["loop"][system]):
            cells += [spread([each.speed for each in found]), spread([each.processor_speed for each in found])]
        rows.append([system, *cells])
    head = ["system", "whole command, words/s", "per CPU s", "loop, words/s", "per CPU s"]
    return markdown(head, rows, right=1)
