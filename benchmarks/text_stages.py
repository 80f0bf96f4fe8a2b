"""Text stages: seconds, tokens a second and memory of tokenize, vocab and align, beside SentencePiece's own encoder.

Every figure is that of a whole command in a process of its own. All take turns within each round, because machines are
noisy; the tables give medians and ranges, and the median of the ratios within the rounds.

    RNNKIT_CORPORA=corpora python benchmarks/text_stages.py --json text_stages.json

`--clock processor` counts seconds of processor time of the command and all its processes, which other programs disturb
little; what several processes gain only `--clock wall` shows, on a machine with nothing else to do.
"""

from __future__ import annotations

import argparse
import datetime
import gzip
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import sentencepiece

from meter import DISTURBED, Meter
from tables import markdown, spread

ENCODER = "SentencePiece"
ENCODER_BAR, TOKENS_BAR, PROCESSES_BAR = 1.3, 1e6, 1.7
BATCH = 4096


@dataclass(frozen=True)
class Timing:
    """One command.

    Attributes:
        subject: What ran: a stage, or the rival.
        processes: How many shared the work.
        wall: Seconds by the clock on the wall.
        processor: Seconds of processor time, those of all processes.
        memory: Most memory of any one of the processes, in bytes.
        others: Share of the cores in other processes' hands; None where it is not known.
    """

    subject: str
    processes: int
    wall: float
    processor: float
    memory: int
    others: float | None


def main() -> int:
    """Measure and print."""
    options = parse()
    if options.encode:
        encode(*options.encode)
        return 0
    options.work.mkdir(parents=True, exist_ok=True)
    lines, text_bytes = write_text(options)
    learn(options)
    timings = [timing for _ in range(options.rounds) for timing in measure_round(options)]
    tokens = {"words": count(options, "words"), "unigram": count(options, "unigram")}
    print(describe(options, timings, lines, text_bytes))
    print(table(options, timings, lines, tokens))
    print(verdicts(options, timings, tokens))
    if options.json:
        document = {"lines": lines, "bytes": text_bytes, "tokens": tokens, "timings": [asdict(one) for one in timings]}
        options.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return 0


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", type=Path, default=Path(os.environ.get("RNNKIT_CORPORA", "corpora")))
    parser.add_argument("--bytes", type=int, default=12_000_000, help="text of one copy, in bytes")
    parser.add_argument("--copies", type=int, default=1, help="copies of that text, one after the other")
    parser.add_argument("--processes", type=int, nargs="+", default=[1], help="numbers of processes to measure")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clock", choices=("wall", "processor"), default="wall")
    parser.add_argument("--work", type=Path, default=Path("text_stages"), help="folder for texts and results")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--encode", nargs=3, type=Path, metavar=("MODEL", "TEXT", "OUTPUT"), help=argparse.SUPPRESS)
    return parser.parse_args()


def encode(model: Path, text: Path, output: Path) -> None:
    """What SentencePiece's package does from file to file on one thread: the rival."""
    processor = sentencepiece.SentencePieceProcessor(model_file=str(model))
    batch: list[str] = []
    with (
        text.open(encoding="utf-8", newline="\n") as source,
        output.open("w", encoding="utf-8", newline="\n") as target,
    ):
        for line in source:
            batch.append(line.removesuffix("\n"))
            if len(batch) == BATCH:
                target.writelines(f"{' '.join(row)}\n" for row in processor.encode(batch, out_type=str, num_threads=1))
                batch = []
        target.writelines(f"{' '.join(row)}\n" for row in processor.encode(batch, out_type=str, num_threads=1))


def write_text(options: argparse.Namespace) -> tuple[int, int]:
    """Write the text `news.en`, and one copy as `train.en`; returns lines and bytes of the first."""
    with gzip.open(options.corpora / "wikipedia-en-2015" / "wiki.az.txt.gz", "rb") as file:
        part = file.read(options.bytes)
    part = part[: part.rindex(b"\n") + 1]
    (options.work / "train.en").write_bytes(part)
    with (options.work / "news.en").open("wb") as target:
        for _ in range(options.copies):
            target.write(part)
    return part.count(b"\n") * options.copies, len(part) * options.copies


def learn(options: argparse.Namespace) -> None:
    """Make the tokenizers, once."""
    for kind in ("words", "unigram"):
        if not (options.work / kind / "tokenizer").exists():
            more = ["--size", "8000"] if kind == "unigram" else []
            rnnkit(options, "tokenize", "train.en", "--type", kind, "--work", kind, *more)


def measure_round(options: argparse.Namespace) -> list[Timing]:
    """Each stage with each number of processes, and the rival."""
    python = [sys.executable, str(Path(__file__).resolve()), "--encode"]
    rival = [*python, "unigram/tokenizer/model.spm", "news.en", "rival.tok"]
    timings = [measure(options, ENCODER, 1, rival)]
    for processes in options.processes:
        for subject, words in STAGES.items():
            command = [sys.executable, "-m", "rnnkit", *words, "--overwrite", "--quiet", "--processes", str(processes)]
            threads = ["--threads", str(processes)] if words[0] == "tokenize" else []
            timings.append(measure(options, subject, processes, [*command, *threads]))
    return timings


STAGES = {
    "tokenize words": ["tokenize", "news.en", "--work", "words"],
    "tokenize unigram": ["tokenize", "news.en", "--work", "unigram"],
    "vocab": ["vocab", "words/tokens/news.en.tok", "--work", "words"],
    "align": ["align", "--train", "words/tokens/news.en.tok", "--work", "words"],
}


def measure(options: argparse.Namespace, subject: str, processes: int, command: Sequence[str]) -> Timing:
    """Run one command to its end."""
    meter, began = Meter(), time.monotonic()
    process = subprocess.Popen(command, cwd=options.work, env={**os.environ, "OMP_NUM_THREADS": "1"})
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(map(str, command))} ended with {process.returncode}")
    memory = used.ru_maxrss if sys.platform == "darwin" else used.ru_maxrss * 1024
    wall = time.monotonic() - began
    return Timing(subject, processes, wall, used.ru_utime + used.ru_stime, memory, meter.others())


def rnnkit(options: argparse.Namespace, *words: str) -> None:
    """Run a command of rnnkit."""
    subprocess.run([sys.executable, "-m", "rnnkit", *words], cwd=options.work, check=True)


def count(options: argparse.Namespace, kind: str) -> int:
    """Tokens of the text."""
    meta = json.loads((options.work / kind / "tokens" / "news.en.tok.meta.json").read_text(encoding="utf-8"))
    return int(meta["facts"]["tokens"])


def describe(options: argparse.Namespace, timings: Sequence[Timing], lines: int, text_bytes: int) -> str:
    """The conditions."""
    said = [
        f"{datetime.date.today()}, {platform.machine()}, {os.cpu_count()} cores, {options.clock} clock, "
        f"{options.rounds} rounds; {lines:,} lines, {text_bytes / 1e6:.0f} MB; Python {platform.python_version()}, "
        f"sentencepiece {sentencepiece.__version__}"
    ]
    taken = [timing.others for timing in timings if timing.others is not None]
    if taken and statistics.median(taken) > DISTURBED:
        said.append(f"Disturbed: other processes took {statistics.median(taken):.0%} of the cores in half of the runs.")
    return "\n".join(said) + "\n"


def seconds(options: argparse.Namespace, timings: Sequence[Timing], subject: str, processes: int) -> list[float]:
    """Of each round."""
    chosen = [timing for timing in timings if (timing.subject, timing.processes) == (subject, processes)]
    return [timing.wall if options.clock == "wall" else timing.processor for timing in chosen]


def table(options: argparse.Namespace, timings: Sequence[Timing], lines: int, tokens: dict[str, int]) -> str:
    """A row for each subject and number of processes."""
    rows = []
    for subject, processes in dict.fromkeys((timing.subject, timing.processes) for timing in timings):
        taken = seconds(options, timings, subject, processes)
        middle = statistics.median(taken)
        made = tokens["unigram" if subject in (ENCODER, "tokenize unigram") else "words"]
        memory = max(one.memory for one in timings if (one.subject, one.processes) == (subject, processes))
        cells = [spread(taken, 1), f"{made / middle:,.0f}", f"{middle * 1e6 / lines:,.0f}", f"{memory / 1e6:,.0f}"]
        rows.append([subject, str(processes), *cells])
    head = ["", "processes", "seconds", "tokens/s", "seconds a million lines", "MB"]
    return markdown(head, rows, 1) + "\n"


def verdicts(options: argparse.Namespace, timings: Sequence[Timing], tokens: dict[str, int]) -> str:
    """Whether the stages are as fast as they must be."""
    said = []
    own = {subject: seconds(options, timings, subject, options.processes[0]) for subject in STAGES}
    rival = seconds(options, timings, ENCODER, 1)
    if options.processes[0] == 1:
        for subject in ("tokenize words", "tokenize unigram"):
            found = statistics.median(ours / theirs for ours, theirs in zip(own[subject], rival, strict=True))
            said.append(
                f"{subject}: {found:.2f} times the encoder's time; {ENCODER_BAR} is {word(found <= ENCODER_BAR)}."
            )
        for subject in ("vocab", "align"):
            rate = tokens["words"] / statistics.median(own[subject])
            said.append(f"{subject}: {rate:,.0f} tokens/s; {TOKENS_BAR:,.0f} is {word(rate >= TOKENS_BAR)}.")
    for processes in options.processes[1:] if options.clock == "wall" else ():
        for subject, first in own.items():
            gain = statistics.median(
                one / many for one, many in zip(first, seconds(options, timings, subject, processes), strict=True)
            )
            bar = f"; {PROCESSES_BAR} is {word(gain >= PROCESSES_BAR)}" if processes == 2 else ""
            said.append(
                f"{subject}: {processes} processes have {gain:.2f} times the speed of {options.processes[0]}{bar}."
            )
    return "\n".join(said)


def word(reached: bool) -> str:
    """A verdict."""
    return "reached" if reached else "missed"


if __name__ == "__main__":
    sys.exit(main())
