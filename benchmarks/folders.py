"""The folder that a benchmark works in: the one that was named, or one for this run alone."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from rivals import BenchmarkError


def run_in_folder(act: Callable[[argparse.Namespace, Path], int], options: argparse.Namespace, name: str) -> int:
    """Measure in the folder `--work`, or in a temporary one with this name in its own; returns the exit code."""
    try:
        if options.work is not None:
            options.work.mkdir(parents=True, exist_ok=True)
            return act(options, options.work)
        with tempfile.TemporaryDirectory(prefix=f"{name}_") as work:
            return act(options, Path(work))
    except BenchmarkError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
