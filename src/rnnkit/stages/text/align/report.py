"""The report of `rnnkit align` on each split: sentences kept, dropped and truncated, with warnings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rnnkit.errors import DataError
from rnnkit.events import Listener, Note, WarningEvent
from rnnkit.text.token_files import TEST

if TYPE_CHECKING:
    from rnnkit.data.aligned_data_writer import SplitCounts

_DROPPED_WARNING: Final = 0.1
"""Share of dropped lines above which the note becomes a warning."""


def describe(counts: SplitCounts) -> str:
    """Describe the counts of a split in one line."""
    sides = [
        f"{side} {side_counts.tokens:,} tokens ({side_counts.unknown / max(1, side_counts.tokens):.2%} unknown, "
        f"longest {side_counts.longest})"
        for side, side_counts in counts.sides.items()
    ]
    dropped = [f"dropped {count:,} {reason}" for reason, count in counts.dropped.items()]
    truncated = [f"truncated {counts.truncated:,}"] if counts.truncated else []
    return "; ".join([f"{counts.sentences:,} of {counts.lines:,} lines", *sides, *dropped, *truncated])


def report_split(name: str, split: str, counts: SplitCounts, sources: Sequence[Path], listen: Listener) -> None:
    """Report dropped and truncated sentences of a split, as a warning if there are many.

    Args:
        name: Name of the split or test set.
        split: `train`, `valid` or `test`.
        counts: Its counts.
        sources: Its token files or shards, for the error.
        listen: Receives the report.

    Raises:
        DataError: The split has no sentences left.
    """
    dropped = sum(counts.dropped.values())
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in counts.dropped.items())
    if not counts.sentences:
        raise DataError(
            f"the {name} split has no sentences left",
            f"{' and '.join(map(str, sources))}: {counts.lines:,} lines" + (f", dropped: {reasons}" if reasons else ""),
            hint="see --max-length, --long and the filters" if reasons else None,
            path=sources[0],
        )
    if dropped > _DROPPED_WARNING * counts.lines:
        listen(WarningEvent(f"{name}: dropped {dropped:,} of {counts.lines:,} lines: {reasons}"))
    elif dropped:
        listen(Note(f"{name}: dropped {reasons}"))
    if counts.truncated and split == TEST:
        listen(WarningEvent(f"{name}: truncated {counts.truncated:,} lines; scores on them cover only what is left"))


def warn_of_blank_lines(splits: Mapping[str, SplitCounts], listen: Listener) -> None:
    """Warn if blank lines of data with one side were dropped from some splits and kept in others."""
    from rnnkit.data.encoding import EMPTY

    dropped = {name: counts.dropped.get(EMPTY, 0) for name, counts in splits.items()}
    kept = {name: counts.blank for name, counts in splits.items()}
    if not any(dropped.values()) or not any(kept.values()):
        return
    without, having = (
        ", ".join(f"{name} ({count:,})" for name, count in found.items() if count) for found in (dropped, kept)
    )
    listen(
        WarningEvent(
            f"blank lines are dropped from {without} but kept in {having}: scores there include blank lines, which the "
            "model is not trained on; --keep-empty keeps them in all splits, as WikiText results do"
        )
    )
