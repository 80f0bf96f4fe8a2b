"""What a training run leaves in its model directory: the average, the learning curve, the card and the manifest."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rnnkit.models.store import Model
    from rnnkit.stages.training_inputs import TrainingInputs
    from rnnkit.training.loop import Counters


def conclude(
    model: Model, made_from: TrainingInputs, options: Mapping[str, Any], counters: Counters
) -> tuple[dict[str, float], Path]:
    """Average, draw, describe and seal.

    Args:
        model: The model directory with its network.
        made_from: What it was trained on.
        options: The options that belong to the run.
        counters: Where the loop ended.

    Returns:
        The validation scores of the best weights, and the picture of the learning curve.
    """
    from rnnkit.models import weights
    from rnnkit.reports.card import Card, write_card
    from rnnkit.reports.curve import draw_curve
    from rnnkit.training import metrics

    folder = model.folder
    if options["average"]:
        snapshots = sorted((folder / "snapshots").glob("step-*.safetensors"))
        mean = weights.average([weights.load(path)[0] for path in snapshots])
        weights.save(folder / "average.safetensors", mean, {"averaged": [path.name for path in snapshots]})
    curve = folder / "curve.png"
    draw_curve(folder / metrics.NAME, curve)
    _, facts = weights.load(folder / "best.safetensors")
    scores = {name: value for name, value in facts.items() if name != "step"}
    card = Card(
        title=f"{options['arch']} {model.languages[0]}-{model.languages[1]}",
        languages=model.languages,
        parameters=weights.count(model.network),
        network=dataclasses.asdict(model.network.config),
        options=options,
        data=made_from.data.meta.facts,
        inputs=made_from.digests,
        scores=scores,
        steps=(counters.step, counters.best_step),
        seconds=counters.seconds,
    )
    write_card(folder, card)
    seal(model, made_from, options, {"steps": counters.step, "best": facts})
    return scores, curve


def seal(
    model: Model, made_from: TrainingInputs, options: Mapping[str, Any], result: Mapping[str, Any] | None = None
) -> None:
    """Write the manifest; with the result once the run is finished."""
    from rnnkit.models import store, weights

    facts = {"languages": list(model.languages), "parameters": weights.count(model.network), **(result or {})}
    store.seal(model.folder, options, made_from.digests, facts, finished=result is not None)
