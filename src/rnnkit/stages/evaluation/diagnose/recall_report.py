"""Recall spans in `diagnose`: training and report."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median_low
from typing import TYPE_CHECKING, Any

from rnnkit.events import Listener, Progress
from rnnkit.reports.figures import format_columns
from rnnkit.stages.evaluation.diagnose.options import RECALL_HIDDEN, RECALLERS, DiagnoseOptions

if TYPE_CHECKING:
    from rnnkit.evaluation.recall import RecallCurve, RecallLevel


@dataclass(frozen=True)
class RecallResult:
    """Recall spans, ready to print.

    Attributes:
        curves: Results of each network, grouped by architecture.
        spans: The spans that were requested.
    """

    curves: tuple[RecallCurve, ...]
    spans: tuple[int, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        """Printed form: the accuracy of each network at each span, and the recall span of each architecture."""
        settings = self.curves[0].settings
        heads = ["arch", "seed", *map(str, self.spans), "span"]
        rows = []
        for curve in self.curves:
            found = {level.span: f"{100 * level.accuracy:.0f} %" for level in curve.levels}
            shares = (found.get(span, "-") for span in self.spans)
            rows.append([curve.settings.arch, str(curve.settings.seed), *shares, str(curve.span)])
        title = (
            f"accuracy of recalling one of {settings.symbols} symbols k steps later; "
            f"learned from {100 * settings.goal:g} %"
        )
        return (title, "", *format_columns([heads, *rows], right=range(1, len(heads))), "", *self.numbers)

    @property
    def numbers(self) -> tuple[str, ...]:
        """Printed form with `--quiet`: one line per architecture."""
        return tuple(f"{arch}: recalls {self._describe(spans)}" for arch, spans in self._by_arch().items())

    def _by_arch(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for curve in self.curves:
            found.setdefault(curve.settings.arch, []).append(curve.span)
        return found

    def _describe(self, spans: Sequence[int]) -> str:
        more = " or more" if median_low(spans) == self.spans[-1] else ""
        between = f" ({min(spans)} to {max(spans)} in {len(spans)} runs)" if len(spans) > 1 else ""
        return f"{median_low(spans)} steps{more}{between}"

    def as_dict(self) -> dict[str, Any]:
        """JSON form."""
        curves = [
            {
                "arch": curve.settings.arch,
                "seed": curve.settings.seed,
                "span": curve.span,
                "spans": [dataclasses.asdict(level) for level in curve.levels],
            }
            for curve in self.curves
        ]
        settings = self.curves[0].settings
        return {
            "symbols": settings.symbols,
            "goal": settings.goal,
            "budget": settings.budget,
            "span": {arch: median_low(spans) for arch, spans in self._by_arch().items()},
            "networks": curves,
        }


def measure_recall(options: DiagnoseOptions, listen: Listener) -> RecallResult:
    """Train the requested networks and measure their recall spans. Raises as `diagnose.run`."""
    from rnnkit.evaluation import recall

    archs = list(dict.fromkeys(options.arch or RECALLERS))
    networks = list(itertools.product(archs, range(options.seed, options.seed + options.runs)))
    total = len(networks) * len(options.spans)
    curves: list[RecallCurve] = []
    for arch, seed in networks:
        settings = recall.RecallSettings(
            arch=arch,  # type: ignore[arg-type]  # `config.resolve` checks the choices
            hidden=options.hidden or RECALL_HIDDEN,
            layers=options.layers,
            start=options.start,  # type: ignore[arg-type]
            symbols=options.symbols,
            goal=options.goal,
            budget=options.budget,
            seed=seed,
        )

        def report(level: RecallLevel, arch: str = arch) -> None:
            done = len(curves) * len(options.spans) + options.spans.index(level.span) + 1
            listen(
                Progress("recall", done, total, "spans", {f"{arch} {level.span} steps back": f"{level.accuracy:.0%}"})
            )

        curves.append(recall.measure_recall(settings, options.spans, report))
    listen(Progress("recall", total, total, "spans", finished=True))
    return RecallResult(tuple(curves), tuple(options.spans))
