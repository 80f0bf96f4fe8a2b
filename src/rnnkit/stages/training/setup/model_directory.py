"""What a training run leaves in its model directory: the average, the learning curve, the card and the manifest."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from rnnkit.events import Listener, WarningEvent, null_listener

if TYPE_CHECKING:
    from torch import nn

    from rnnkit.io.resumable_output import RunDirectory
    from rnnkit.stages.training.setup.training_inputs import TrainingInputs
    from rnnkit.training.trainer import TrainingCounters


CURVE = "curve.png"


@dataclass(frozen=True)
class TrainedModel:
    """A network and where it is kept.

    Attributes:
        folder: The model directory.
        network: The network; its `config` is a dataclass.
        languages: Of the text; source and target where there are two.
    """

    folder: RunDirectory
    network: nn.Module
    languages: tuple[str, ...]


@dataclass(frozen=True)
class TrainingResult:
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


def finalize_model_directory(
    model: TrainedModel,
    made_from: TrainingInputs,
    options: Mapping[str, Any],
    counters: TrainingCounters,
    listen: Listener = null_listener,
) -> None:
    """Average, draw, describe and seal.

    Args:
        model: The model directory with its network.
        made_from: What it was trained on.
        options: The options that belong to the run.
        counters: Where the loop ended.
        listen: Warned of a picture that cannot be drawn, for whose sake no training fails.
    """
    from rnnkit.models import model_weights
    from rnnkit.reports.card import Card, write_card

    folder = model.folder.path
    if options["average"]:
        snapshots = sorted((folder / "snapshots").glob("step-*.safetensors"))
        mean = model_weights.average_weights([model_weights.load(path)[0] for path in snapshots])
        model_weights.save(folder / "average.safetensors", mean, {"averaged": [path.name for path in snapshots]})
    _draw_curve(folder, listen)
    _, facts = model_weights.load(folder / "best.safetensors")
    card = Card(
        title=f"{options['arch']} {'-'.join(model.languages)}",
        languages=model.languages,
        parameters=model_weights.count_parameters(model.network),
        network=dataclasses.asdict(cast(Any, model.network.config)),
        options=options,
        data=made_from.data.meta.facts,
        inputs=made_from.digests,
        scores=_scores(facts),
        steps=(counters.step, counters.best_step),
        seconds=counters.seconds,
    )
    write_card(folder, card)
    write_model_manifest(model, made_from, options, {"steps": counters.step, "best": facts})


def _draw_curve(folder: Path, listen: Listener) -> None:
    from rnnkit.training import metrics

    try:
        from rnnkit.reports.curve import draw_curve

        draw_curve(folder / metrics.METRICS_FILE, folder / CURVE)
    except Exception as failure:
        listen(
            WarningEvent(
                f"the learning curve was not drawn ({type(failure).__name__}: {failure}); all else is saved, "
                f"and `rnnkit plot {folder}` draws it later"
            )
        )


def result(folder: Path, counters: TrainingCounters) -> TrainingResult:
    """What the run in a finished model directory came to."""
    from rnnkit.models import model_weights

    scores = _scores(model_weights.load(folder / "best.safetensors")[1])
    return TrainingResult(folder, counters.step, counters.best_step, scores, counters.seconds, folder / CURVE)


def _scores(facts: Mapping[str, Any]) -> dict[str, float]:
    return {name: value for name, value in facts.items() if name != "step"}


def write_model_manifest(
    model: TrainedModel, made_from: TrainingInputs, options: Mapping[str, Any], result: Mapping[str, Any] | None = None
) -> None:
    """Write the manifest; with the result once the run is finished."""
    from rnnkit.models import model_weights, store

    longest = made_from.data.meta.facts["splits"]["train"].get("longest")
    facts = {
        "languages": list(model.languages),
        "parameters": model_weights.count_parameters(model.network),
        **({} if longest is None else {"longest": dict(longest)}),
        **(result or {}),
    }
    store.write_manifest(model.folder.path, options, made_from.digests, facts, finished=result is not None)
