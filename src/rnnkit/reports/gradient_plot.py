"""Gradient flow as a plot and as a table: gradient norms as a function of the distance k."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnkit.reports.columns import format_columns
from rnnkit.reports.figures import default_style, new_figure, save_figure, set_plain_text

if TYPE_CHECKING:
    from rnnkit.evaluation.gradient_profile import GradientProfile

INCHES = (8.0, 4.5)
REPORTED_MULTIPLES = (1, 2, 5)
"""The table has the distances that are these multiples of powers of ten."""

LOWEST, MARGIN = 1e-12, 3
"""Lower bound of the logarithmic axis, below which a gradient has vanished; and the factor of its margins."""


def plot_gradient_flow(flows: Mapping[str, GradientProfile], share: float, by: str, picture: Path) -> None:
    """Plot g_k / g_0 over k, one line per model, and mark where it falls below a fraction.

    Args:
        flows: Gradient profiles by name of the model.
        share: The fraction to mark.
        by: `state` or `input`: what the gradient is with respect to.
        picture: Output file; its extension (`.png`, `.svg`, `.pdf`) selects the format.

    Raises:
        DataError: The extension is unknown.
    """
    with default_style():
        figure = new_figure(INCHES)
        _draw(figure.add_subplot(), flows, share, by)
        save_figure(figure, picture)


def _draw(axis: Any, flows: Mapping[str, GradientProfile], share: float, by: str) -> None:
    lines = []
    for number, flow in enumerate(flows.values()):
        heights = [height if height > 0 else float("nan") for height in flow.relative]
        lines += axis.plot(heights, color=f"C{number % 10}")
        crossing = flow.falls_below(share)
        if crossing is not None:
            axis.plot([crossing], [heights[crossing]], color=f"C{number % 10}", marker="o")
    axis.set_yscale("log")
    visible = [height for flow in flows.values() for height in flow.relative if height >= LOWEST]
    axis.set_ylim(min(visible, default=LOWEST) / MARGIN, max(visible, default=1) * MARGIN)
    axis.axhline(share, color="0.5", linestyle="--", linewidth=1)
    axis.set_xlabel("steps back, k")
    axis.set_ylabel(f"norm of the loss gradient w.r.t. the {by}\nk steps earlier, relative to k = 0")
    axis.grid(alpha=0.3)
    legend = axis.legend(lines, ["model"] * len(lines))
    set_plain_text(legend.get_texts(), [f"{name}: {describe_crossing(flow, share)}" for name, flow in flows.items()])


def format_gradient_table(flows: Mapping[str, GradientProfile], share: float) -> list[str]:
    """Format a table of g_k and g_k / g_0 for selected k, with a column pair and a summary line per model."""
    heads = ["k", *(cell for name in flows for cell in (name, "of k = 0"))]
    rows = [heads]
    for steps in reported_distances(len(next(iter(flows.values())).norms) - 1):
        cells = ((flow.norms[steps], flow.relative[steps]) for flow in flows.values())
        rows.append([str(steps), *(f"{number:.2e}" for pair in cells for number in pair)])
    table = format_columns(rows, right=range(len(heads)))
    words = [(name, describe_profile(flow, share)) for name, flow in flows.items()]
    return [*table, "", *format_columns(words)]


def reported_distances(steps: int) -> Sequence[int]:
    """Return 0, 1, 2, 5, 10, 20, 50, … and the last distance."""
    powers = [10**power for power in range(len(str(steps)))]
    return [
        0,
        *sorted({first * power for power in powers for first in REPORTED_MULTIPLES if first * power < steps} | {steps}),
    ]


def describe_profile(flow: GradientProfile, share: float) -> str:
    """Describe where the gradient falls below a fraction, and its mean decay per step."""
    kept = "" if flow.factor is None else f", each step from k = 1 on leaves {100 * flow.factor:.1f} %"
    return describe_crossing(flow, share) + kept


def describe_crossing(flow: GradientProfile, share: float) -> str:
    """Describe where the gradient falls below a fraction of that at k = 0."""
    crossing = flow.falls_below(share)
    where = f"within {len(flow.norms) - 1} steps" if crossing is None else f"at k = {crossing}"
    return f"{'not ' if crossing is None else ''}under {100 * share:g} % {where}"


@dataclass(frozen=True)
class FlowResult:
    """Gradient flow, ready to print.

    Attributes:
        flows: Gradient flow by name of the model.
        archs: Architectures, in the same order.
        by: `state` or `input`.
        share: Fraction of k = 0 whose first shortfall is reported.
        picture: The picture, if one was drawn.
    """

    flows: dict[str, GradientProfile]
    archs: tuple[str, ...]
    by: str
    share: float
    picture: Path | None

    @property
    def lines(self) -> tuple[str, ...]:
        """Printed form."""
        positions = sorted({flow.positions for flow in self.flows.values()})
        count = f"{positions[0]}" if len(positions) == 1 else f"{positions[0]} to {positions[-1]}"
        where = "at one position" if positions == [1] else f"mean over {count} positions"
        title = f"norm of the gradient of the loss with respect to the {self.by} k steps before, {where}"
        return (title, "", *format_gradient_table(self.flows, self.share))

    @property
    def numbers(self) -> tuple[str, ...]:
        """Printed form with `--quiet`: one line per model."""
        return tuple(f"{name}: {describe_profile(flow, self.share)}" for name, flow in self.flows.items())

    def as_dict(self) -> dict[str, Any]:
        """JSON form."""
        models = [
            {
                "model": name,
                "arch": arch,
                "places": flow.positions,
                "norms": list(flow.norms),
                "relative": list(flow.relative),
                "falls_below_share_at": flow.falls_below(self.share),
                "factor": flow.factor,
            }
            for (name, flow), arch in zip(self.flows.items(), self.archs, strict=True)
        ]
        picture = None if self.picture is None else str(self.picture)
        return {"by": self.by, "share": self.share, "models": models, "picture": picture}
