"""Identity of processes, and removal of stale temporary files."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from rnnkit.io import lock

HOST = socket.gethostname()


def test_processes_are_alive_or_ended() -> None:
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    assert lock.is_process_alive(lock.process_identity())
    assert lock.is_process_alive(f"{os.getppid()} {HOST}")
    assert not lock.is_process_alive(f"{gone.stdout.decode().strip()} {HOST}")
    assert lock.is_process_alive("1 elsewhere")


@pytest.mark.parametrize("nonsense", ["", "torn", "-1 here", f"{10**30} {HOST}", "1.5"])
def test_a_malformed_identity_counts_as_ended(nonsense: str) -> None:
    assert not lock.is_process_alive(nonsense)


def test_only_stale_temporaries_are_removed(tmp_path: Path) -> None:
    mine = lock.temporary_path(tmp_path / "a[b]")
    gone = f"{10**30}@{HOST}.partial"
    kept = [mine.name, f".a[b].meta.json.{gone}", ".a[b].7@elsewhere.partial", f".other.{gone}", "a[b].partial"]
    for name in (*kept, f".a[b].{gone}"):
        (tmp_path / name).touch()
    lock.remove_stale_temporaries(tmp_path / "a[b]")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)
