"""Taggers and text classifiers: rnnkit beside python-crfsuite, spaCy, fastText and scikit-learn, on the CPU.

Sections: parts of speech and features of three treebanks, named entities, text classification, speed of training and
tagging, calibration. All systems read the same words, and `rnnkit evaluate-labels` scores the labels of all. Options
of rivals are chosen on the validation data. Finished parts are kept in the work folder; an interrupted run continues.

    RNNKIT_CORPORA=corpora python benchmarks/labelling.py pos classify --work labelling --json labelling.json
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from folders import run_in_folder
from labelling_classes import classify
from labelling_quality import calibration, entities, pos
from labelling_speed import speed
from labelling_systems import LABELLERS, RIVALS, SYSTEMS, Section, Settings, source_digest, stale
from labelling_texts import CORPORA
from meter import DISTURBED, Meter
from rivals import default_folder, distribution_versions, environment_python

SECTIONS: dict[str, Callable[[Settings], Section]] = {
    "pos": pos, "entities": entities, "classify": classify, "speed": speed, "calibration": calibration,
}  # fmt: skip
QUICK_TEXTS = ("English EWT", "WNUT-17", "SST-2")
"""One corpus of each section."""

OWN = ("rnnkit", "torch", "numpy", "numba")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the sections and print their tables."""
    return run_in_folder(measure, parse_arguments(arguments), "labelling")


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"{', '.join(SECTIONS)} (default: all)")
    parser.add_argument("--corpora", type=Path, default=Path(os.environ.get("RNNKIT_CORPORA", "corpora")))
    parser.add_argument("--environments", type=Path, default=default_folder(), help="the rivals' (%(default)s)")
    parser.add_argument("--work", type=Path, help="folder of texts, models and finished parts (default: temporary)")
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=SYSTEMS, metavar="SYSTEM", help="%(choices)s")
    parser.add_argument(
        "--texts", nargs="+", choices=[corpus.name for corpus in CORPORA], metavar="CORPUS",
        help=f"%(choices)s (default: all of a section; with --quick {', '.join(QUICK_TEXTS)})",
    )  # fmt: skip
    parser.add_argument("--seeds", help="of systems that have one (default: 1,2,3; 1 with --quick)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of `speed` (%(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="threads of tagging speed (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="few lines and steps, to test the benchmark itself")
    parser.add_argument("--json", type=Path, help="file for the figures")
    options = parser.parse_args(arguments)
    if unknown := set(options.sections) - set(SECTIONS):
        parser.error(f"no section {unknown.pop()}; sections: {', '.join(SECTIONS)}")
    try:
        options.seeds = tuple(map(int, (options.seeds or ("1" if options.quick else "1,2,3")).split(",")))
    except ValueError:
        parser.error("--seeds expects whole numbers, separated by commas")
    if options.texts is None:
        options.texts = QUICK_TEXTS if options.quick else ()
    return options


def measure(options: argparse.Namespace, work: Path) -> int:
    """Measure the sections, print each once it is complete, and write the figures."""
    settings = Settings(
        corpora=options.corpora.absolute(),
        work=(work / "quick" if options.quick else work).absolute(),
        environments=options.environments.absolute(),
        systems=tuple(options.systems),
        texts=tuple(options.texts),
        seeds=options.seeds,
        rounds=options.rounds,
        threads=options.threads,
        quick=options.quick,
    )
    meter = Meter()
    print(f"# Labelling\n\n{conditions(settings)}")
    figures: dict[str, object] = {"conditions": conditions(settings)}
    for name in options.sections or SECTIONS:
        section = SECTIONS[name](settings)
        print(f"\n## {section.title}\n\n{section.text}", flush=True)
        figures[name] = section.records
        if options.json is not None:
            options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    print(f"\n{load(settings, meter.others())}")
    return 0


def conditions(settings: Settings) -> str:
    """Describe date, machine, versions and seeds."""
    python = environment_python(LABELLERS, settings.environments)
    own, theirs = (
        ", ".join(f"{name} {version}" for name, version in distribution_versions(path, names).items())
        for path, names in ((Path(sys.executable), OWN), (python, RIVALS))
    )
    seeds = ", ".join(map(str, settings.seeds))
    quick = " Quick: small parts of the data, figures without meaning." if settings.quick else ""
    return (
        f"{datetime.date.today()}, {platform.machine()}, {os.cpu_count()} cores; seeds {seeds}; one thread for "
        f"training.{quick}\n{own}, source {source_digest()}; rivals: {theirs}."
    )


def load(settings: Settings, others: float | None) -> str:
    """Describe the load of other processes, and parts that were measured with another source."""
    share = "unknown" if others is None else f"{others:.0%} of the cores in this run"
    found = [f"Load of other processes: {share}."]
    if others is not None and others > DISTURBED:
        found.append("Clock times are disturbed; compare processor times.")
    if old := stale(settings):
        found.append(f"Parts that were measured with another source of rnnkit or other rivals: {', '.join(old)}.")
    return " ".join(found)


if __name__ == "__main__":
    sys.exit(main())
