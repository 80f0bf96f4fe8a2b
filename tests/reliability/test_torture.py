"""A little of every fault in commands that take little time; `make torture` is the long version."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.reliability import faults
from tests.reliability.child import Ended
from tests.reliability.stages import STAGES, Stage, contents, litter
from tests.reliability.table import Table, Tally, rows, show

ROOT = Path(__file__).parents[2]
QUICK = ("tokenize", "vocab", "align")
TRIALS = {
    "kill": 4, "cut": 4, "flip": 4, "full disk": 3, "small disk": 2, "read-only": 2, "two at once": 2, "clock": 2,
    "dead stream": 4, "foreign": 4, "failing input": 4, "odd output": 5, "vanish": 2, "readers": 2,
}  # fmt: skip

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="copies processes, limits files, mounts disks")


def torture(*words: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-m", "tests.reliability.torture", *words],
        capture_output=True, text=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def tallies() -> list[list[Any]]:
    stages = [word for stage in QUICK for word in ("--stage", stage)]
    counts = [word for fault, count in TRIALS.items() for word in (f"--{fault.replace(' ', '-')}", str(count))]
    done = torture(*stages, *counts, "--seed", "1", "--json")
    assert done.stdout, done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]


@pytest.mark.parametrize("fault", TRIALS)
def test_nothing_is_lost(tallies: list[list[Any]], fault: str) -> None:
    found = [(tried, lost) for _, other, tried, lost in tallies if other == fault]
    if fault == "small disk" and not found:
        pytest.skip("no disk may be mounted here")
    assert sum(tried for tried, _ in found) == TRIALS[fault]
    assert [lost for _, lost in found if lost] == []


SAID = "error: the disk is full: work/vocab.tsv was not written\n"


@pytest.mark.parametrize(
    ("ended", "fault"),
    [
        (Ended(1, "", SAID, 0), None),
        (Ended(-9, "", SAID, 0), "exit code -9"),
        (Ended(1, "", f"Traceback\n{SAID}", 0), "a traceback, or a defect"),
        (Ended(1, "", "error: work/vocab.tsv is gone", 0), "no reason"),
        (Ended(1, "", "error: the disk is full", 0), "no file is named"),
    ],
)
def test_messages_are_looked_at(ended: Ended, fault: str | None) -> None:
    found = faults.complaints(ended, ("the disk is full",), ("work/vocab.tsv",))
    assert [one.partition(":")[0] for one in found] == ([fault] if fault else [])


def test_losses_and_litter_are_found(tmp_path: Path) -> None:
    stage = Stage("write", (), ("out/a", "out/b"), ())
    bench = faults.Bench(tmp_path / "new", tmp_path / "old", tmp_path)
    for folder, text in ((bench.new, "new"), (bench.old, "old")):
        (folder / "out").mkdir(parents=True)
        for made in stage.makes:
            (folder / made).write_text(text)
    with bench.trial(stage, kept=True) as folder:
        assert faults.torn(bench, stage, folder) == []
        assert faults.compare(bench, stage, folder) == ["a differs", "b differs"]
        (folder / "out/a").write_text("half")
        assert faults.torn(bench, stage, folder) == ["a is neither old nor new"]
        (folder / "out/b").unlink()
        assert contents(folder, "out/b") is None
        assert faults.compare(bench, stage, folder)[1] == "out/b: [] in place of ['b']"
        (folder / "out/.c.7@host.partial").touch()
        assert litter(folder) == ["out/.c.7@host.partial"]
    assert not folder.exists()


def test_losing_rights_binds_root_too(tmp_path: Path) -> None:
    """Same user, so that what only this user may read can still be imported; but no file in a read-only folder."""
    (tmp_path / "inner").mkdir(mode=0o555)
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom tests.reliability import child\n"
        "before = os.getuid()\nchild.lose_rights()\nassert os.getuid() == before\n"
        "try:\n    Path(sys.argv[1], 'file').touch()\nexcept PermissionError:\n    print('refused')\n"
        "print(os.system(f'touch {sys.argv[1]}/file 2>/dev/null') != 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "inner")], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "refused\nTrue\n", done.stderr


def test_every_kind_of_damage_is_of_some_file() -> None:
    whole = bytes(range(50))
    dice = random.Random(1)
    assert {faults._place(whole, dice) for _ in range(2000)} == set(range(50))
    assert len({stage.name for stage in STAGES}) == len(STAGES)


def test_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    table: Table = {("vocab", "kill"): Tally(), ("align", "kill"): Tally(), ("align", "cut"): Tally()}
    table["vocab", "kill"].add("1/kill/vocab/0", [])
    table["align", "kill"].add("1/kill/align/1", ["data differs", "litter: x"])
    table["align", "cut"].add("1/cut/align/0", [])
    assert rows(table) == [
        ["stage", "kill", "cut"],
        ["vocab", "1/1", "-"],
        ["align", "0/1", "1/1"],
        ["all", "1/2", "1/1"],
    ]
    show(table)
    assert capsys.readouterr().out.splitlines()[-3:] == [
        "all\t1/2\t1/1", "LOST 1/kill/align/1: data differs", "LOST 1/kill/align/1: litter: x",
    ]  # fmt: skip
