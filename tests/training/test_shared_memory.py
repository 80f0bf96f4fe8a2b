"""Shared memory: what one process writes another reads, and nothing is left behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from rnnkit.training.shared_memory import attach_shared_memory, create_shared_memory

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="this system has no anonymous files")

OTHER = """
import sys
from rnnkit.training.shared_memory import attach_shared_memory
rows = attach_shared_memory(int(sys.argv[1]), int(sys.argv[2]), 2, 3)
assert rows[0].tolist() == [1.0, 2.0, 3.0]
rows[1] = rows[0] * 2
"""


REFUSED = """
import os
from rnnkit.training.shared_memory import create_shared_memory
before = os.listdir("/proc/self/fd")
try:
    create_shared_memory(2, 1000)
except OSError as failure:
    assert "too large" in str(failure), failure
else:
    raise AssertionError
assert os.listdir("/proc/self/fd") == before
"""


def test_another_process_reads_and_writes_the_same_numbers() -> None:
    descriptor = create_shared_memory(2, 3)
    rows = attach_shared_memory(os.getpid(), descriptor, 2, 3)
    assert torch.equal(rows, torch.zeros(2, 3))
    rows[0] = torch.tensor([1.0, 2.0, 3.0])
    subprocess.run([sys.executable, "-c", OTHER, str(os.getpid()), str(descriptor)], check=True)
    os.close(descriptor)
    assert rows[1].tolist() == [2.0, 4.0, 6.0]


def test_the_memory_is_freed_with_the_rows() -> None:
    descriptor = create_shared_memory(1, 1_000_000)
    rows = attach_shared_memory(os.getpid(), descriptor, 1, 1_000_000)
    os.close(descriptor)
    held = Path("/proc/self/maps").read_text()
    assert rows.sum() == 0
    assert "rnnkit-sum" in held
    del rows
    assert "rnnkit-sum" not in Path("/proc/self/maps").read_text()


def test_attaching_to_a_closed_descriptor_fails() -> None:
    with pytest.raises(OSError, match="No such file"):
        attach_shared_memory(os.getpid(), -1, 2, 3)


def test_attaching_to_another_file_fails(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_bytes(bytes(24))
    with path.open("r+b") as file, pytest.raises(OSError, match="not the shared memory"):
        attach_shared_memory(os.getpid(), file.fileno(), 2, 3)
    descriptor = create_shared_memory(2, 4)
    with pytest.raises(OSError, match="not the shared memory"):
        attach_shared_memory(os.getpid(), descriptor, 2, 3)
    os.close(descriptor)
    assert path.read_bytes() == bytes(24)


def test_a_file_size_limit_raises_and_closes_the_file() -> None:
    limited = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
    done = subprocess.run([sys.executable, "-c", limited + REFUSED], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
