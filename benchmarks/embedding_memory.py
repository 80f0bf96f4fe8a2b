"""Peak memory of all systems on the same job, and rnnkit on a text that is larger than the memory it may have.

The limit is RLIMIT_DATA: memory that is private and can be written to, so what can lie nowhere but in memory. The
text's ids are a file that rnnkit maps; its pages are the system's to drop and to read again, so the process does not
need them. RLIMIT_AS would count the mapped file whole, and resident memory counts what of it happens to be cached.
"""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Sequence
from dataclasses import replace

from embedding_systems import (
    CORPUS,
    METHODS,
    NAMES,
    RNNKIT,
    Run,
    Settings,
    clean,
    make_job,
    rounds,
    run_command,
    time_rnnkit,
    warm_up,
)
from embedding_texts import Text, write_beginning, write_copies
from rivals import BenchmarkError
from tables import markdown, spread

ID_BYTES = 4
"""Bytes of a token's id on disk."""

MARGIN = 1.1
"""How much larger than the limit the file of ids is at least."""

MEBIBYTE = 1 << 20


def measure_memory(settings: Settings, text: Text) -> tuple[str, list[Run]]:
    """Peaks of the whole commands, skip-gram; then the larger text."""
    runs = rounds(settings.systems, make_job(settings, text, "skipgram"), settings)
    parts = [memory_table(runs)]
    if RNNKIT in settings.systems:
        parts.append(exceed_memory(settings))
    return "\n\n".join(parts), runs


def memory_table(runs: Sequence[Run]) -> str:
    """Greatest resident memory of each system."""
    rows = []
    for system in dict.fromkeys(run.system for run in runs):
        peaks = [run.ended.peak_bytes / MEBIBYTE for run in runs if run.system == system]
        ours = [run.ended.peak_bytes / MEBIBYTE for run in runs if run.system == RNNKIT]
        ratio = f"{statistics.median(ours) / statistics.median(peaks):.2f}" if ours and system != RNNKIT else "-"
        rows.append([NAMES[system], METHODS["skipgram"], spread(peaks), ratio])
    return markdown(["system", "method", "peak resident memory, MiB", "ratio of rnnkit to it"], rows, right=2)


def exceed_memory(settings: Settings) -> str:
    """Train on copies of the whole text whose ids would not fit into the limit."""
    refuse_idle_limit(settings)
    whole = write_beginning(settings.corpora / CORPUS, settings.work / "whole.txt", None)
    copies = math.ceil(MARGIN * settings.limit / (ID_BYTES * whole.tokens))
    big = write_copies(whole, settings.work / "big.txt", copies)
    job = make_job(settings, big, "skipgram")
    job = replace(job, epochs=1, min_count=job.min_count * copies)  # the same words as in one copy
    warm_up(job, settings)
    ended = time_rnnkit(job, settings, settings.work / "numba", settings.limit)
    ids, limit, peak = (size / MEBIBYTE for size in (ID_BYTES * big.tokens, settings.limit, ended.peak_bytes))
    return (
        f"Larger than memory: {big.tokens:,} tokens, {copies} copies of the whole text, whose ids take {ids:,.0f} MiB. "
        f"With private memory held to {limit:,.0f} MiB (RLIMIT_DATA) one pass of skip-gram ended well after "
        f"{ended.seconds:,.0f} s; peak resident memory {peak:,.0f} MiB, cached pages of mapped files included."
    )


def refuse_idle_limit(settings: Settings) -> None:
    """Make sure that the limit is one: a process that asks for as much must fail.

    Raises:
        BenchmarkError: It does not.
    """
    greedy = [sys.executable, "-c", f"bytearray({settings.limit})"]
    folder = clean(settings.work / "greedy")
    try:
        run_command(greedy, folder, threads=1, numba_cache=settings.work / "numba", limit=settings.limit)
    except BenchmarkError:
        return
    raise BenchmarkError("this system does not hold a process to RLIMIT_DATA: nothing can be shown here")
