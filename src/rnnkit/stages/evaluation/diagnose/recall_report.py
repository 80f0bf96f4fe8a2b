"""The half of `diagnose` that trains networks to remember, and shows how long they do."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median_low
from typing import TYPE_CHECKING, Any

from rnnkit.events import Listener, Progress
from rnnkit.reports.columns import aligned
from rnnkit.stages.evaluation.diagnose.options import RECALL_HIDDEN, RECALLERS, DiagnoseOptions

if TYPE_CHECKING:
    from rnnkit.evaluation.recall import Climb, Rung


@dataclass(frozen=True)
class RecallResult:
    """Memory spans, ready to print.

    Attributes:
        climbs: One a network, those of one kind together.
        spans: The spans that were asked for.
    """

    climbs: tuple[Climb, ...]
    spans: tuple[int, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        """What is printed: what each network got right at each span, and how far each kind came."""
        settings = self.climbs[0].settings
        heads = ["arch", "seed", *map(str, self.spans), "span"]
        rows = []
        for climb in self.climbs:
            found = {rung.span: f"{100 * rung.accuracy:.0f} %" for rung in climb.rungs}
            shares = (found.get(span, "-") for span in self.spans)
            rows.append([climb.settings.arch, str(climb.settings.seed), *shares, str(climb.span)])
        title = (
            f"right answers, one of {settings.symbols} symbols shown so many steps before; "
            f"learned from {100 * settings.goal:g} % on"
        )
        return (title, "", *aligned([heads, *rows], right=range(1, len(heads))), "", *self.numbers)

    @property
    def numbers(self) -> tuple[str, ...]:
        """What is printed with `--quiet`: a line a kind."""
        return tuple(f"{arch}: remembers {self._words(spans)}" for arch, spans in self._by_arch().items())

    def _by_arch(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for climb in self.climbs:
            found.setdefault(climb.settings.arch, []).append(climb.span)
        return found

    def _words(self, spans: Sequence[int]) -> str:
        more = " or more" if median_low(spans) == self.spans[-1] else ""
        between = f" ({min(spans)} to {max(spans)} in {len(spans)} runs)" if len(spans) > 1 else ""
        return f"{median_low(spans)} steps{more}{between}"

    def as_dict(self) -> dict[str, Any]:
        """What is printed with `--json`."""
        climbs = [
            {
                "arch": climb.settings.arch,
                "seed": climb.settings.seed,
                "span": climb.span,
                "spans": [dataclasses.asdict(rung) for rung in climb.rungs],
            }
            for climb in self.climbs
        ]
        settings = self.climbs[0].settings
        return {
            "symbols": settings.symbols,
            "goal": settings.goal,
            "budget": settings.budget,
            "span": {arch: median_low(spans) for arch, spans in self._by_arch().items()},
            "networks": climbs,
        }


def measure_recall(options: DiagnoseOptions, listen: Listener) -> RecallResult:
    """The memory span of every kind that was asked for. Raises as `diagnose.run`."""
    from rnnkit.evaluation import recall

    archs = list(dict.fromkeys(options.arch or RECALLERS))
    wanted = list(itertools.product(archs, range(options.seed, options.seed + options.runs)))
    total = len(wanted) * len(options.spans)
    climbs: list[Climb] = []
    for arch, seed in wanted:
        settings = recall.Settings(
            arch=arch,  # type: ignore[arg-type]  # held to the choices by `config.resolve`
            hidden=options.hidden or RECALL_HIDDEN,
            layers=options.layers,
            start=options.start,  # type: ignore[arg-type]
            symbols=options.symbols,
            goal=options.goal,
            budget=options.budget,
            seed=seed,
        )

        def hear(rung: Rung, arch: str = arch) -> None:
            done = len(climbs) * len(options.spans) + options.spans.index(rung.span) + 1
            listen(Progress("recall", done, total, "spans", {f"{arch} {rung.span} steps back": f"{rung.accuracy:.0%}"}))

        climbs.append(recall.climb(settings, options.spans, hear))
    listen(Progress("recall", total, total, "spans", finished=True))
    return RecallResult(tuple(climbs), tuple(options.spans))
