"""Figures and tables: style and output, the learning curve of a run, and gradient flow.

The user's matplotlib settings and a `matplotlibrc` in the current folder have no effect: the same command produces the
same bytes everywhere, and needs no TeX. SVG and PDF keep text as text, so it can be searched and edited. Tables are
plain text with aligned columns.
"""

from __future__ import annotations

import unicodedata
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnkit.errors import DataError, escape_line
from rnnkit.events import Listener, WarningEvent, null_listener
from rnnkit.io.atomic import atomic_file
from rnnkit.json_types import JsonObject
from rnnkit.training import checkpoint

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

    from rnnkit.evaluation.gradient_profile import GradientProfile

DOTS_PER_INCH = 120
PLOT_INCHES = (8.0, 4.5)
"""Size of a plot over steps."""

FALLBACK_FONTS = (
    "DejaVu Sans", "Noto Sans", "Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans CJK KR", "WenQuanYi Zen Hei",
    "Arial Unicode MS", "Hiragino Sans", "PingFang SC", "Microsoft YaHei", "Malgun Gothic", "Noto Sans Devanagari",
    "Noto Naskh Arabic",
)  # fmt: skip
"""Fonts to search for glyphs, in this order; fonts that are not installed are skipped."""

_REPRODUCIBLE_METADATA: dict[str, dict[str, None]] = {
    "png": {"Software": None},
    "svg": {"Date": None},
    "pdf": {"CreationDate": None},
}
"""Metadata that depends on the time or the version of matplotlib, removed."""

COLUMN_GAP = "  "

METRIC_LABELS = {"bleu": "BLEU", "chrf": "chrF", "accuracy": "lines exactly right, %"}
"""Axis labels of validation metrics."""

REPORTED_MULTIPLES = (1, 2, 5)
"""The table of gradient norms has the distances that are these multiples of powers of ten."""

LOWEST, MARGIN = 1e-12, 3
"""Lower bound of the logarithmic axis, below which a gradient has vanished; and the factor of its margins."""


@contextmanager
def default_style() -> Iterator[None]:
    """Context with matplotlib's default settings; create, fill and save a figure inside one."""
    import matplotlib

    defaults: dict[Any, Any] = {name: value for name, value in matplotlib.rcParamsDefault.items() if name != "backend"}
    text: dict[Any, Any] = {"svg.fonttype": "none", "pdf.fonttype": 42}  # text as text; embedded TrueType fonts
    with matplotlib.rc_context({**defaults, **text, "svg.hashsalt": "rnnkit"}), warnings.catch_warnings():
        # A missing glyph is drawn as a box; `missing_glyphs` reports it.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def new_figure(inches: tuple[float, float]) -> Figure:
    """Create an empty figure of this width and height, without pyplot's global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=inches, dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def installed_fonts() -> list[str]:
    """Return the installed fonts of `FALLBACK_FONTS`, which matplotlib searches in turn for each glyph."""
    from matplotlib import font_manager

    installed = set(font_manager.get_font_names())
    return [name for name in FALLBACK_FONTS if name in installed]


def warn_missing_glyphs(
    picture: Path, caught: Sequence[warnings.WarningMessage], listen: Listener = null_listener
) -> bool:
    """Emit a warning if matplotlib reported characters that no font has; return whether there are any.

    Args:
        picture: The output file, for the message.
        caught: Warnings recorded while the figure was drawn.
        listen: Receives the warning.
    """
    missing = {str(warning.message) for warning in caught if "Glyph" in str(warning.message)}
    if missing:
        listen(WarningEvent(f"{picture}: no installed font can draw {len(missing)} of the characters"))
    return bool(missing)


def set_plain_text(texts: Sequence[Text], words: Sequence[str]) -> None:
    """Set texts of a figure literally: `$x$` is not parsed as math, and control characters are escaped.

    Args:
        texts: Labels, titles, or entries of a legend.
        words: The new text of each.
    """
    for text, word in zip(texts, words, strict=True):
        text.set_parse_math(False)
        text.set_text(escape_line(word))


def save_figure(figure: Figure, picture: Path) -> None:
    """Write a figure atomically.

    Args:
        figure: A figure of `new_figure`.
        picture: Output file; its extension (`.png`, `.svg`, `.pdf`) selects the format.

    Raises:
        DataError: The extension is unknown.
    """
    form = picture.suffix.removeprefix(".") or "png"
    supported = figure.canvas.get_supported_filetypes()
    if form not in supported:
        raise DataError(
            f"{picture}: unknown image format", f"known extensions: {', '.join(sorted(supported))}", path=picture
        )
    with atomic_file(picture, "wb") as file, default_style():
        figure.savefig(file, format=form, metadata=_REPRODUCIBLE_METADATA.get(form))


def format_columns(rows: Sequence[Sequence[str]], right: Collection[int] = (), indent: str = "") -> list[str]:
    """Format rows as lines with aligned columns.

    Args:
        rows: Rows of equally many cells.
        right: Indices of right-aligned columns, such as numbers.
        indent: Prefix of each line.
    """
    widths = [max(map(display_width, column)) for column in zip(*rows, strict=True)]
    return [
        (
            indent + COLUMN_GAP.join(_pad(cell, widths[place], ahead=place in right) for place, cell in enumerate(row))
        ).rstrip()
        for row in rows
    ]


def display_width(text: str) -> int:
    """Compute the width of a text in terminal cells: wide characters take two, combining marks none."""
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "FW" else 1
        for character in text
    )


def _pad(cell: str, wanted: int, ahead: bool) -> str:
    blank = " " * (wanted - display_width(cell))
    return blank + cell if ahead else cell + blank


def plot_learning_curve(metrics_path: Path, picture: Path) -> None:
    """Plot the loss (left axis) and the validation metric (right axis) over training steps.

    Args:
        metrics_path: `metrics.jsonl` of a run.
        picture: Output file; its extension (`.png`, `.svg`, `.pdf`) selects the format.

    Raises:
        DataError: There are no measurements yet, or the extension is unknown.
    """
    records = list(checkpoint.read_metrics(metrics_path)) if metrics_path.exists() else []
    if not records:
        raise DataError(f"{metrics_path} holds no measurements yet", path=metrics_path)
    with default_style():
        figure = new_figure(PLOT_INCHES)
        _draw_losses(figure, records)
        save_figure(figure, picture)


def _draw_losses(figure: Figure, records: list[JsonObject]) -> None:
    steps = [record for record in records if "nll" in record]
    checks = [record for record in records if "validation" in record]
    axis = figure.add_subplot()
    axis.plot([r["step"] for r in steps], [r["nll"] for r in steps], color="C0", label="training loss")
    points = [(r["step"], r["validation"]["loss"]) for r in checks]
    axis.plot(*zip(*points, strict=True), color="C1", marker="o", label="validation loss") if points else None
    axis.set_xlabel("step")
    axis.set_ylabel("negative log-likelihood (nats per token)")
    axis.set_ylim(bottom=0)
    axis.grid(alpha=0.3)
    lines = list(axis.get_lines())
    for measure, name in METRIC_LABELS.items():
        scores = [(r["step"], r["validation"][measure]) for r in checks if measure in r["validation"]]
        if not scores:
            continue
        right = axis.twinx()
        right.plot(*zip(*scores, strict=True), color="C2", marker="s", label=f"validation {name}")
        right.set_ylabel(name)
        right.set_ylim(bottom=0)
        lines += right.get_lines()
    axis.legend(lines, [str(line.get_label()) for line in lines], loc="center right")


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
        figure = new_figure(PLOT_INCHES)
        _draw_gradients(figure.add_subplot(), flows, share, by)
        save_figure(figure, picture)


def _draw_gradients(axis: Axes, flows: Mapping[str, GradientProfile], share: float, by: str) -> None:
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

    def as_dict(self) -> JsonObject:
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
