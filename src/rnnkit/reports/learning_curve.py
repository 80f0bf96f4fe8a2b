"""Learning curve of a training run, drawn from its `metrics.jsonl`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rnnkit.errors import DataError
from rnnkit.reports.figures import default_style, new_figure, save_figure
from rnnkit.training import checkpoint

INCHES = (8.0, 4.5)

METRIC_LABELS = {"bleu": "BLEU", "chrf": "chrF", "accuracy": "lines exactly right, %"}
"""Axis labels of validation metrics."""


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
        figure = new_figure(INCHES)
        _draw_losses(figure, records)
        save_figure(figure, picture)


def _draw_losses(figure: Any, records: list[dict[str, Any]]) -> None:
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
    axis.legend(lines, [line.get_label() for line in lines], loc="center right")
