"""What all sections of `labelling.py` share: settings, commands, and parts that are kept once they are finished."""

from __future__ import annotations

import datetime
import hashlib
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import rnnkit
from embedding_systems import Ended, run_command
from meter import Meter
from rivals import Environment, environment_python

LABELLERS = Environment(
    name="labellers",
    distribution="fasttext-numpy2-wheel==0.9.2",  # that of linear_text.py: needs no compiler
    requirements=(
        "numpy==2.4.6",
        "scipy==1.17.1",
        "scikit-learn==1.9.1",
        "python-crfsuite==0.9.12",
        "spacy==3.8.18",
        "pybind11==3.1.0",
    ),
    probe=("-c", "import fasttext, pycrfsuite, sklearn, spacy"),
)
RIVALS = ("python-crfsuite", "spacy", "fasttext-numpy2-wheel", "scikit-learn", "numpy")
"""Distributions whose versions are printed."""

RNNKIT, FAST, CRFSUITE, SPACY = "rnnkit", "rnnkit --preset fast", "crfsuite", "spaCy"
LINEAR, FASTTEXT, TFIDF = "rnnkit --arch linear", "fastText", "TF-IDF + LR"
SYSTEMS = (RNNKIT, FAST, LINEAR, CRFSUITE, SPACY, FASTTEXT, TFIDF)

SPLITS = ("train", "valid", "test")
QUICK_LINES = {"train": 400, "valid": 100, "test": 100}

Result = dict[str, Any]


@dataclass(frozen=True)
class Settings:
    """What every part of the benchmark shares.

    Attributes:
        corpora: Folder of the corpora.
        work: Folder of texts, models, logs and finished parts.
        environments: Folder of the rivals' environments.
        systems: Systems to measure, of `SYSTEMS`.
        texts: Names of corpora to measure; empty for all.
        seeds: Seeds of systems that have one.
        rounds: Rounds of measurements of speed.
        threads: Threads of measurements of tagging speed.
        quick: Whether to measure small parts of the data only, to test the benchmark itself.
    """

    corpora: Path
    work: Path
    environments: Path
    systems: tuple[str, ...]
    texts: tuple[str, ...]
    seeds: tuple[int, ...]
    rounds: int
    threads: int
    quick: bool

    def chosen(self, name: str, system: str) -> bool:
        """Whether a corpus and a system are to be measured."""
        return system in self.systems and (not self.texts or name in self.texts)

    def rival_python(self) -> str:
        """Return the Python of the rivals; their environment is made if it is missing."""
        return str(environment_python(LABELLERS, self.environments))


@dataclass(frozen=True)
class Section:
    """Result of one section of the benchmark.

    Attributes:
        title: Heading.
        text: Tables and notes, as Markdown.
        records: The figures, for JSON.
    """

    title: str
    text: str
    records: list[Result]


def measure_once(settings: Settings, name: str, job: Mapping[str, Any], act: Callable[[], Result]) -> Result:
    """Return the result of a finished part, or do it and keep its result.

    A part is done again if its job differs. Changes of the source do not repeat it, which would lose hours for a
    comment; `stale` names the parts that were measured with another source.

    Args:
        settings: Settings.
        name: Name of the part, unique in the work folder.
        job: What determines the result; JSON.
        act: Does the part; replaces what an interrupted run has left.

    Returns:
        The result, with `others`, the share of the cores that other processes took, and `finished`, a date.
    """
    path = part_file(settings, name)
    wanted = json.loads(json.dumps(dict(job)))
    if path.is_file():
        found: Result = json.loads(path.read_text(encoding="utf-8"))
        if found["job"] == wanted:
            return {**found["result"], "finished": found["finished"]}
    print(f"{datetime.datetime.now():%H:%M:%S} {name}", file=sys.stderr)
    meter = Meter()
    result = {**act(), "others": meter.others()}
    record = {
        "job": wanted, "result": result, "source": source_digest(), "finished": f"{datetime.datetime.now():%F %T}",
    }  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    unfinished.replace(path)
    return {**result, "finished": record["finished"]}


def part_file(settings: Settings, name: str) -> Path:
    """Return the file of a part's result."""
    return settings.work / "parts" / f"{re.sub(r'[^A-Za-z0-9]+', '-', name).strip('-')}.json"


@cache
def source_digest() -> str:
    """Return a digest of rnnkit's source and of the versions of the rivals."""
    root, digest = Path(rnnkit.__file__).parent, hashlib.sha256(repr(LABELLERS).encode())
    for path in sorted(root.rglob("*.py")):
        digest.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def stale(settings: Settings) -> list[str]:
    """Return the names of files of parts that were measured with another source of rnnkit or other rivals."""
    found = (settings.work / "parts").glob("*.json")
    return sorted(path.stem for path in found if json.loads(path.read_text())["source"] != source_digest())


def run_rnnkit(settings: Settings, *words: object, threads: int = 1) -> Ended:
    """Run a command of rnnkit with `--quiet`, one thread unless told otherwise."""
    return run(settings, [sys.executable, "-m", "rnnkit", *map(str, words), "--quiet"], threads)


def run_rival(settings: Settings, script: str, *words: str, job: Mapping[str, Any], threads: int = 1) -> Result:
    """Run a script in the rivals' Python; returns its result and `whole`, the seconds of the whole command."""
    command = [settings.rival_python(), str(Path(__file__).with_name(script)), *words, json.dumps(dict(job))]
    return with_whole(run(settings, command, threads))


def with_whole(ended: Ended) -> Result:
    """Return the JSON object on the last line of a command's output, and the seconds of the whole command."""
    result: Result = json.loads(ended.output.splitlines()[-1])
    return {**result, "whole": {"seconds": ended.seconds, "processor": ended.processor}}


def run(settings: Settings, command: Sequence[str], threads: int) -> Ended:
    """Run a command; its output and its log stay in the work folder until the next one."""
    logs = settings.work / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    return run_command(command, logs, threads=threads, numba_cache=settings.work / "numba")


def evaluate(settings: Settings, reference: Path, hypotheses: Path, *words: object) -> Result:
    """Return the report of `rnnkit evaluate-labels --json`."""
    ended = run_rnnkit(
        settings, "evaluate-labels", reference, "--hypotheses", hypotheses, "--bootstrap-samples", 0, "--json", *words
    )
    report: Result = json.loads(ended.output)
    return report


def score(report: Mapping[str, Any], name: str) -> float:
    """Return a score of a report, in percent."""
    return next(100 * float(each["score"]) for each in report["scores"] if each["name"] == name)
