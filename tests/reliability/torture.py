"""Many faults in many short runs of the real commands; `make torture` runs the long version.

    python -m tests.reliability.torture --kill 500 --cut 200 --flip 200 --full-disk 50 --seed 1

Each number is that of trials, spread over the stages in turn. A trial's seed is printed with what it finds, and
`--only SEED` repeats that one.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.reliability import child, disk
from tests.reliability.faults import FAULTS as PROCESS_FAULTS
from tests.reliability.faults import Bench, prepare
from tests.reliability.outputs import OUTPUT_FAULTS
from tests.reliability.stages import STAGES, Stage
from tests.reliability.table import Table, Tally, show

FAULTS = {**PROCESS_FAULTS, **OUTPUT_FAULTS}


def torture(bench: Bench, chosen: Sequence[Stage], counts: dict[str, int], seed: int) -> Table:
    """Try each fault so many times, the stages in turn."""
    table: Table = {(stage.name, fault): Tally() for stage in chosen for fault, count in counts.items() if count}
    for fault, count in counts.items():
        began = time.monotonic()
        for number in range(count):
            stage = chosen[number % len(chosen)]
            once(bench, table, stage, fault, f"{seed}/{fault}/{stage.name}/{number}")
        if count:
            print(f"{fault}: {count} in {time.monotonic() - began:.0f} s", file=sys.stderr)
    return table


def once(bench: Bench, table: Table, stage: Stage, fault: str, seed: str) -> None:
    """One trial. What it finds is told at once: a long torture may be stopped."""
    try:
        found = FAULTS[fault](bench, stage, random.Random(seed))
    except (TimeoutError, AssertionError) as error:
        found = [f"{type(error).__name__}: {error}"]
    table.setdefault((stage.name, fault), Tally()).add(seed, found)
    for one in found:
        print(f"{seed}: {one}", file=sys.stderr)


def main(words: Sequence[str]) -> int:
    """Torture, show the table, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for fault in FAULTS:
        parser.add_argument(f"--{fault.replace(' ', '-')}", type=int, default=0, metavar="N", dest=fault)
    parser.add_argument("--seed", type=int, default=1, help="of all moments, places and values")
    parser.add_argument("--stage", action="append", choices=[stage.name for stage in STAGES], help="only these")
    parser.add_argument("--only", metavar="SEED", help="repeat one trial")
    parser.add_argument("--json", action="store_true", help="print counts and losses as JSON")
    given = parser.parse_args(words)
    chosen = [stage for stage in STAGES if not given.stage or stage.name in given.stage]
    counts = {fault: getattr(given, fault) for fault in FAULTS}
    if given.only:
        counts, chosen = {}, [stage for stage in STAGES if stage.name == given.only.split("/")[2]]
    print(f"seed {given.seed}", file=sys.stderr)
    child.warm()
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name).resolve()
        scratch.chmod(0o755)
        if counts.get("small disk") and not disk.may_mount(scratch):
            print("no disk may be mounted here: --full-disk alone stands for it", file=sys.stderr)
            counts["small disk"] = 0
        bench = prepare(scratch, chosen)
        table = torture(bench, chosen, counts, given.seed)
        if given.only:
            once(bench, table, chosen[0], given.only.split("/")[1], given.only)
    if given.json:
        print(json.dumps([[*key, tally.tried, tally.lost] for key, tally in table.items()]))
    else:
        show(table)
    return 1 if any(tally.lost for tally in table.values()) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
