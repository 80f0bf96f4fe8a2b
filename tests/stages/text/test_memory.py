"""Memory of the text commands is the same for one and for ten copies of the sample corpus."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SAMPLE = Path(__file__).parents[3] / "sample_corpora" / "parallel"
LINES = 4000
FEW, MANY = 8, 40
"""Copies of the corpus; even a few exceed the block size of the readers."""

ALLOWED = 1.25

STAGES = {
    "extract": "extract.ExtractOptions(files=[Path('train.de')], columns=['text=1'], format='tsv')",
    "tokenize": "tokenize.TokenizeOptions(files=[Path('train.de'), Path('train.en')], learn_size=0.2, threads=1)",
    "vocab": "vocab.VocabOptions()",
    "align": "align_options.AlignOptions(source='de', target='en', drop_leaked=False)",
    "represent": "represent.RepresentOptions(kind='onehot', side='de')",
}

# The peak of the process itself: what getrusage gives would hold that of the process it was forked from.
PROGRAM = """
from pathlib import Path
from rnnkit.stages.text import align_options, {stage}
{stage}.run({options})
status = Path("/proc/self/status").read_text()
print(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
"""


def peaks(folder: Path, copies: int) -> dict[str, int]:
    """Run the commands in an empty folder; return the peak memory of each in kilobytes."""
    folder.mkdir()
    for name in ("train.de", "train.en"):
        lines = (SAMPLE / name).read_text(encoding="utf-8").splitlines(keepends=True)[:LINES]
        (folder / name).write_text("".join(lines) * copies, encoding="utf-8")
    found = {}
    for stage, options in STAGES.items():
        command = [sys.executable, "-c", PROGRAM.format(stage=stage, options=options)]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
        found[stage] = int(done.stdout)
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak memory from /proc")
def test_memory_does_not_grow_with_the_corpus(tmp_path: Path) -> None:
    few, many = peaks(tmp_path / "few", FEW), peaks(tmp_path / "many", MANY)
    growth = {stage: many[stage] / few[stage] for stage in STAGES}
    assert all(ratio < ALLOWED for ratio in growth.values()), f"{growth}, kilobytes: {few}, {many}"
    text = sum((tmp_path / "many" / name).stat().st_size for name in ("train.de", "train.en"))
    kept = {stage: (many[stage] - few[stage]) * 1024 / text for stage in STAGES}
    assert all(share < 1 for share in kept.values()), f"bytes kept for each byte of text: {kept}"
