"""What a torture came to: faults tried and survived, by stage; drawn on a terminal, tab-separated in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class Tally:
    """Trials of one fault in one stage.

    Attributes:
        tried: How many.
        lost: What went wrong, with the seed of its trial.
    """

    tried: int = 0
    lost: list[str] = field(default_factory=list)
    survived: int = 0

    def add(self, seed: str, found: Sequence[str]) -> None:
        """Count one trial and what it found."""
        self.tried += 1
        self.survived += not found
        self.lost += [f"{seed}: {one}" for one in found]


Table = dict[tuple[str, str], Tally]
"""By stage and fault."""


def rows(table: Table) -> list[list[str]]:
    """The cells as text, `survived/tried`; the first row is the head, the last the sums."""
    names, faults = (list(dict.fromkeys(key[place] for key in table)) for place in (0, 1))
    body = [[name, *(_cell([table.get((name, fault), Tally())]) for fault in faults)] for name in names]
    sums = [_cell([tally for key, tally in table.items() if key[1] == fault]) for fault in faults]
    return [["stage", *faults], *body, ["all", *sums]]


def show(table: Table) -> None:
    """Print the table, and below it what was lost."""
    cells = rows(table)
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table as Drawing

        drawing = Drawing(*cells[0], title="faults survived / tried")
        for row in cells[1:]:
            drawing.add_row(*row, end_section=row is cells[-2])
        Console().print(drawing)
    else:
        print("\n".join("\t".join(row) for row in cells))
    for tally in table.values():
        for one in tally.lost:
            print(f"LOST {one}")


def _cell(tallies: Sequence[Tally]) -> str:
    tried = sum(tally.tried for tally in tallies)
    return f"{sum(tally.survived for tally in tallies)}/{tried}" if tried else "-"
