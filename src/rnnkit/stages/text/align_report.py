"""What `align` reports of each part: how much was kept, dropped and cut, and what that means for figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from rnnkit.errors import DataError
from rnnkit.events import Listener, Note, WarningEvent
from rnnkit.text.token_files import TEST

if TYPE_CHECKING:
    from rnnkit.data.aligned_data import SplitCounts

_MANY_DROPPED: Final = 0.1


def describe(counts: SplitCounts) -> str:
    """What became of a part, in words."""
    sides = [
        f"{side} {side_counts.tokens:,} tokens ({side_counts.unknown / max(1, side_counts.tokens):.2%} unknown, "
        f"longest {side_counts.longest})"
        for side, side_counts in counts.sides.items()
    ]
    left_out = [f"dropped {number:,} {reason}" for reason, number in counts.dropped.items()]
    cut = [f"truncated {counts.truncated:,}"] if counts.truncated else []
    return "; ".join([f"{counts.sentences:,} of {counts.lines:,} lines", *sides, *left_out, *cut])


def judge(name: str, split: str, counts: SplitCounts, places: Sequence[str], listen: Listener) -> None:
    """Refuse a part of which nothing is left, and say it where much was dropped."""
    dropped = sum(counts.dropped.values())
    reasons = ", ".join(f"{number:,} {reason}" for reason, number in counts.dropped.items())
    if not counts.sentences:
        raise DataError(
            f"nothing is left of the {name} part",
            f"{' and '.join(places)}: {counts.lines:,} lines" + (f", dropped: {reasons}" if reasons else ""),
            hint="see --max-length, --long and the filters" if reasons else None,
        )
    if dropped > _MANY_DROPPED * counts.lines:
        listen(WarningEvent(f"{name}: {dropped:,} of {counts.lines:,} lines were dropped: {reasons}"))
    elif dropped:
        listen(Note(f"{name}: dropped {reasons}"))
    if counts.truncated and split == TEST:
        listen(
            WarningEvent(f"{name}: {counts.truncated:,} lines were cut; figures for them are those of their beginning")
        )


def warn_blank(splits: Mapping[str, SplitCounts], listen: Listener) -> None:
    """Send a warning where blank lines of one-sided data are in some parts and were dropped from others.

    Args:
        splits: What became of each part.
        listen: Gets the warning.
    """
    from rnnkit.data.sentence_filters import EMPTY

    dropped = {name: counts.dropped.get(EMPTY, 0) for name, counts in splits.items()}
    kept = {name: counts.blank for name, counts in splits.items()}
    if not any(dropped.values()) or not any(kept.values()):
        return
    without, having = (
        ", ".join(f"{name} ({number:,})" for name, number in found.items() if number) for found in (dropped, kept)
    )
    listen(
        WarningEvent(
            f"blank lines are dropped from {without} and kept in {having}: figures there count lines of a kind that "
            "the model has never read; align with --keep-empty to keep them in all parts, as WikiText's figures do"
        )
    )
