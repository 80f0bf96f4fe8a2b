r"""How fast a translation model decodes, beside other toolkits on the same lines.

    python benchmarks/decoding_speed.py test.de test.en --model work/model --shortlist work/shortlist
    python benchmarks/decoding_speed.py test.de test.en --model work/model \
        --rival "OpenNMT-py=onmt_translate -model m.pt -src {source} -output {output} -beam_size 5 -batch_size {batch}"

Every system is a command that reads the lines and writes their translations. What is compared is the time that it takes
for all of them less the time for the first line alone, so that neither starting nor loading counts. With --copies the
lines come so many times over, so that what starting takes more or less from run to run weighs less. The systems run in
turn; medians over the rounds. BLEU is sacreBLEU's with its defaults.

Where a rival's command says {batch}, which is 30 otherwise, it also translates the first hundred lines one at a time,
as rnnkit does: the milliseconds of a sentence that comes alone.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import sacrebleu

from tables import markdown

RNNKIT = f"{sys.executable} -m rnnkit decode {{source}} --output {{output}} --overwrite --quiet --model"
ONE_BY_ONE = " --batch-tokens 1 --threads 1"
BATCH, ALONE = 30, 100
"""Sentences a batch of rivals, and lines that are translated one at a time."""


@dataclass
class System:
    """One way to decode.

    Attributes:
        name: What the table calls it.
        command: With {source} and {output}, and {batch} where it can be told.
        alone: The same for one sentence at a time; empty where there is none.
        starts: Of each round, seconds for the first line.
        wholes: Of each round, seconds for all lines.
        singles: Of each round, seconds for some lines, one at a time.
        bleu: Of the last round.
    """

    name: str
    command: str
    alone: str = ""
    starts: list[float] = field(default_factory=list)
    wholes: list[float] = field(default_factory=list)
    singles: list[float] = field(default_factory=list)
    bleu: float = 0.0

    @property
    def seconds(self) -> list[float]:
        """For all lines less the first; a start that was held up in one round counts in none."""
        return [whole - statistics.median(self.starts) for whole in self.wholes]

    @property
    def latencies(self) -> list[float]:
        """Seconds of a sentence that comes alone."""
        return [(single - statistics.median(self.starts)) / (ALONE - 1) for single in self.singles]


def main() -> None:
    """Measure and print a table."""
    options = _options()
    systems = _systems(options)
    lines = options.source.read_text(encoding="utf-8").splitlines() * options.copies
    references = options.reference.read_text(encoding="utf-8").splitlines()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first, some, every = (folder / name for name in ("first.txt", "some.txt", "every.txt"))
        for path, count in ((first, 1), (some, ALONE), (every, len(lines))):
            path.write_text("".join(line + "\n" for line in lines[:count]), encoding="utf-8")
        for number in range(options.rounds):
            for system in systems:
                system.starts.append(_seconds(system.command, first, folder / "first.out"))
                system.wholes.append(_seconds(system.command, every, folder / "all.out"))
                if system.alone:
                    system.singles.append(_seconds(system.alone, some, folder / "some.out"))
                found = (folder / "all.out").read_text(encoding="utf-8").splitlines()[: len(references)]
                system.bleu = sacrebleu.corpus_bleu(found, [references]).score
                print(
                    f"round {number + 1}: {system.name}: {system.wholes[-1]:.1f} s, a line {system.starts[-1]:.1f} s",
                    file=sys.stderr,
                )
    print(f"{datetime.date.today()}, {platform.machine()}, {len(os.sched_getaffinity(0))} cores, {len(lines)} lines\n")
    print(_table(systems, len(lines)))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("reference", type=Path)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--shortlist", type=Path)
    parser.add_argument("--beam", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--copies", type=int, default=1)
    parser.add_argument("--rival", action="append", default=[], metavar="NAME=COMMAND")
    return parser.parse_args()


def _systems(options: argparse.Namespace) -> list[System]:
    """Our own, in fp32 and in eight bits, with and without a shortlist, and greedy; then the rivals."""
    short = f" --shortlist {options.shortlist.absolute()}" if options.shortlist else ""
    variants = {"fp32": "", "int8": " --int8"}
    if short:
        variants |= {"fp32, shortlist": short, "int8, shortlist": f" --int8{short}"}
    own = f"{RNNKIT} {options.model.absolute()}"
    beams = {name: f" --beam {options.beam}{more}" for name, more in variants.items()}
    name, more = list(variants.items())[-1]
    beams[f"{name}, greedy"] = f" --beam 1{more}"
    systems = [System(f"rnnkit, {name}", own + more, f"{own}{more}{ONE_BY_ONE}") for name, more in beams.items()]
    for rival in options.rival:
        name, _, command = rival.partition("=")
        alone = command.replace("{batch}", "1") if "{batch}" in command else ""
        systems.append(System(name, command.replace("{batch}", str(BATCH)), alone))
    return systems


def _seconds(command: str, source: Path, output: Path) -> float:
    output.unlink(missing_ok=True)
    words = [word.format(source=source, output=output) for word in shlex.split(command)]
    start = time.perf_counter()
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def _table(systems: list[System], lines: int) -> str:
    rows = []
    base = statistics.median(systems[0].seconds)
    for system in systems:
        seconds = statistics.median(system.seconds)
        spread = f"[{lines / max(system.seconds):.0f}-{lines / min(system.seconds):.0f}]"
        latency = f"{1000 * statistics.median(system.latencies):.0f}" if system.latencies else "-"
        figures = [f"{lines / seconds:.0f} {spread}", f"{base / seconds:.2f}", latency, f"{system.bleu:.1f}"]
        rows.append([system.name, *figures])
    return markdown(["system", "sentences/s", "ratio to the first", "ms for one alone", "BLEU"], rows, right=1)


if __name__ == "__main__":
    main()
