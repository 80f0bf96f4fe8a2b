"""What a training run leaves in its model directory: the average, the learning curve, the card and the manifest."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from torch import nn

    from rnnkit.stages.training_inputs import TrainingInputs
    from rnnkit.training.loop import Counters


@dataclass(frozen=True)
class Trained:
    """A network and where it is kept.

    Attributes:
        folder: The model directory.
        network: The network; its `config` is a dataclass.
        languages: Of the text; source and target where there are two.
    """

    folder: Path
    network: nn.Module
    languages: tuple[str, ...]


@dataclass(frozen=True)
class Result:
    """What a training run came to.

    Attributes:
        model: The model directory.
        steps: Steps taken.
        best_step: Step of the best weights.
        scores: Validation scores of the best weights.
        seconds: Time spent, over all resumptions.
        curve: The picture of the learning curve.
    """

    model: Path
    steps: int
    best_step: int
    scores: dict[str, float]
    seconds: float
    curve: Path

    def as_dict(self) -> dict[str, Any]:
        """The result as JSON."""
        return {**dataclasses.asdict(self), "model": str(self.model), "curve": str(self.curve)}


def conclude(
    model: Trained, made_from: TrainingInputs, options: Mapping[str, Any], counters: Counters
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
        title=f"{options['arch']} {'-'.join(model.languages)}",
        languages=model.languages,
        parameters=weights.count(model.network),
        network=dataclasses.asdict(cast(Any, model.network.config)),
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
    model: Trained, made_from: TrainingInputs, options: Mapping[str, Any], result: Mapping[str, Any] | None = None
) -> None:
    """Write the manifest; with the result once the run is finished."""
    from rnnkit.models import store, weights

    facts = {"languages": list(model.languages), "parameters": weights.count(model.network), **(result or {})}
    store.seal(model.folder, options, made_from.digests, facts, finished=result is not None)
