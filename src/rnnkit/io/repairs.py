"""What a reader changes or leaves out of an imperfect file under `--repair`: counted by kind, and listed.

Published word vectors and ARPA files break their own formats in known ways. Reading is strict by default; with a
`Repairs` a reader records what it repaired or skipped, and continues.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rnnkit.events import Listener, Warned

LISTED = 10_000
"""Repairs that are listed one by one. A file with more is counted in full, but its list ends here."""


@dataclass(frozen=True)
class Repair:
    """One place that was repaired or skipped.

    Attributes:
        kind: What was wrong, in the plural, such as `duplicate words`; repairs are counted by it.
        place: Where: `FILE:LINE`, or `FILE: word N` of a binary file.
        action: What was done: `skipped`, `replaced` and so on, with the detail that helps.
    """

    kind: str
    place: str
    action: str


@dataclass
class Repairs:
    """The repairs made while one file is read.

    Attributes:
        path: The file.
        counts: Repairs of each kind.
        listed: The first `LISTED` of them, in the order of the file.
    """

    path: Path
    counts: Counter[str] = field(default_factory=Counter)
    listed: list[Repair] = field(default_factory=list)

    def add(self, kind: str, place: str, action: str) -> None:
        """Record one repair."""
        self.counts[kind] += 1
        if len(self.listed) < LISTED:
            self.listed.append(Repair(kind, place, action))

    def warn(self, listen: Listener) -> None:
        """Send one warning with the counts, if anything was repaired."""
        if self.counts:
            counted = ", ".join(f"{kind} ({count:,})" for kind, count in self.counts.items())
            listen(Warned(f"{self.path}: repaired or skipped: {counted}"))

    def as_dict(self) -> dict[str, Any]:
        """The repairs as JSON: `counts` by kind and the list of `repairs`."""
        listed = [{"kind": one.kind, "place": one.place, "action": one.action} for one in self.listed]
        return {"path": str(self.path), "counts": dict(self.counts), "repairs": listed}
