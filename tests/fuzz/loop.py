"""The same readers for long; `make fuzz` runs this. What is found is kept in `tests/fuzz/corpus`.

    python -m tests.fuzz.loop --minutes 10 --reader arpa

With atheris, where it is installed, what the code does with a file guides the next changes; otherwise they are drawn.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.fuzz.mutation import mutate
from tests.fuzz.readers import READERS, Reader
from tests.fuzz.trial import find_fault, find_faults, keep, prepare

BATCH = 100
LIKE = 5
"""Of faults with the same last line so many are kept."""


@dataclass
class Outcome:
    """What fuzzing one reader came to.

    Attributes:
        reader: Its name.
        files: Files read.
        seconds: Time taken.
        found: Files that broke it.
    """

    reader: str
    files: int = 0
    seconds: float = 0.0
    found: int = 0


class Finds:
    """What was found, each kind a few times."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._kinds: dict[str, int] = {}
        self.count = 0

    def add(self, content: bytes, fault: str) -> None:
        """Keep a file and say what it did."""
        self.count += 1
        kind = fault.strip().splitlines()[-1][:60]
        self._kinds[kind] = self._kinds.get(kind, 0) + 1
        if self._kinds[kind] == 1:
            print(f"{self._reader.name}: {keep(self._reader, content)}\n{fault}", file=sys.stderr)
        elif self._kinds[kind] <= LIKE:
            keep(self._reader, content)


def fuzz_plainly(reader: Reader, seconds: float, seed: int) -> Outcome:
    """Read changed files until the time is over, in processes of their own."""
    dice, samples, finds = random.Random(seed), list(reader.samples()), Finds(reader)
    outcome, began = Outcome(reader.name), time.monotonic()
    while not outcome.files or time.monotonic() - began < seconds:
        contents = [mutate(dice.choice(samples), dice) for _ in range(BATCH)]
        for content, fault in find_faults(reader, sorted(set(contents))):
            finds.add(content, fault)
        outcome.files += len(contents)
    outcome.seconds, outcome.found = time.monotonic() - began, finds.count
    return outcome


def fuzz_guided(reader: Reader, seconds: float, seed: int, fatal: Path, atheris: Any) -> None:
    """Let atheris read files until the time is over; it ends the process. The last line printed is the outcome.

    A file that brings the process down is left in the folder `fatal`.
    """
    finds, samples, outcome = Finds(reader), list(reader.samples()), Outcome(reader.name)
    dice = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        folder, seeds = prepare(reader, Path(name) / "files"), Path(name) / "seeds"
        seeds.mkdir()
        for number, sample in enumerate(samples):
            (seeds / str(number)).write_bytes(sample)
            find_fault(reader, sample, folder)  # what is compiled is compiled before the clock runs
        began = time.monotonic()

        def once(content: bytes) -> None:
            outcome.files += 1
            if fault := find_fault(reader, content, folder):
                finds.add(content, fault)
            if time.monotonic() - began > seconds:
                outcome.seconds, outcome.found = time.monotonic() - began, finds.count
                print(json.dumps(asdict(outcome)), flush=True)
                os._exit(0)

        def change(content: bytes, most: int, seed: int) -> bytes:
            own = dice.random() < 0.5
            return mutate(content, random.Random(seed))[:most] if own else atheris.Mutate(content, most)

        options = [
            "fuzz",
            f"-seed={seed}",
            "-max_len=16384",
            "-rss_limit_mb=0",
            f"-artifact_prefix={fatal}/",
            str(seeds),
        ]
        atheris.Setup(options, once, custom_mutator=change)
        atheris.Fuzz()


def _by_itself(reader: Reader, seconds: float, seed: int) -> Outcome:
    """Run atheris in a process of its own. Where a file brings it down, the plain loop goes on."""
    with tempfile.TemporaryDirectory() as fatal:
        words = [sys.executable, "-m", "tests.fuzz.guided", reader.name, str(seconds), str(seed), fatal]
        done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode == 0 and done.stdout.strip():
            return Outcome(**json.loads(done.stdout.strip().splitlines()[-1]))
        suspects = [path.read_bytes() for path in Path(fatal).iterdir()]
    print(f"{reader.name}: atheris ended with {done.returncode}; the plain loop goes on", file=sys.stderr)
    finds = Finds(reader)
    for content, fault in find_faults(reader, suspects):
        finds.add(content, fault)
    outcome = fuzz_plainly(reader, seconds, seed)
    outcome.found += finds.count
    return outcome


def main(words: Sequence[str]) -> int:
    """Fuzz, print a line for each reader, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10, help="for each reader")
    parser.add_argument("--reader", action="append", choices=[reader.name for reader in READERS], help="only these")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plain", action="store_true", help="do without atheris")
    given = parser.parse_args(words)
    chosen = [reader for reader in READERS if not given.reader or reader.name in given.reader]
    guided = not given.plain and importlib.util.find_spec("atheris") is not None
    how = "guided by atheris" if guided else "drawn at random"
    print(f"changes {how}, seed {given.seed}\nreader\tfiles\tseconds\tfound", flush=True)
    found = 0
    for reader in chosen:
        # What is written in C++ may end the process, which the plain loop survives.
        fuzz = _by_itself if guided and not reader.foreign else fuzz_plainly
        outcome = fuzz(reader, 60 * given.minutes, given.seed)
        found += outcome.found
        print(f"{outcome.reader}\t{outcome.files}\t{outcome.seconds:.0f}\t{outcome.found}", flush=True)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
