"""What a training run leaves in its model directory: averaged weights, learning curve, model card and manifest."""

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
    """A network and its model directory.

    Attributes:
        directory: The model directory.
        network: The network; its `config` is a dataclass.
        languages: Language of the text, or source and target language.
    """

    directory: RunDirectory
    network: nn.Module
    languages: tuple[str, ...]


@dataclass(frozen=True)
class TrainingResult:
    """Result of a training run.

    Attributes:
        model: The model directory.
        steps: Number of steps.
        best_step: Step of the best weights.
        scores: Validation scores of the best weights.
        seconds: Training time, over all resumptions.
        curve: Picture of the learning curve.
    """

    model: Path
    steps: int
    best_step: int
    scores: dict[str, float]
    seconds: float
    curve: Path

    def as_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {**dataclasses.asdict(self), "model": str(self.model), "curve": str(self.curve)}


def finalize_model_directory(
    model: TrainedModel,
    inputs: TrainingInputs,
    options: Mapping[str, Any],
    counters: TrainingCounters,
    listen: Listener = null_listener,
) -> None:
    """Average the snapshots, draw the learning curve, and write the model card and the final manifest.

    Args:
        model: The network and its model directory.
        inputs: What it was trained on.
        options: The options that belong to the run.
        counters: State of the trainer at the end.
        listen: Receives a warning if the learning curve cannot be drawn, which does not fail the run.
    """
    from rnnkit.models import model_weights
    from rnnkit.reports.model_card import ModelCard, write_model_card

    folder = model.directory.path
    if options["average"]:
        snapshots = sorted((folder / "snapshots").glob("step-*.safetensors"))
        mean = model_weights.average_weights([model_weights.load(path)[0] for path in snapshots])
        model_weights.save(folder / "average.safetensors", mean, {"averaged": [path.name for path in snapshots]})
    _draw_curve(folder, listen)
    _, facts = model_weights.load(folder / "best.safetensors")
    card = ModelCard(
        title=f"{options['arch']} {'-'.join(model.languages)}",
        languages=model.languages,
        parameters=model_weights.count_parameters(model.network),
        network=dataclasses.asdict(cast(Any, model.network.config)),
        options=options,
        data=inputs.data.meta.facts,
        inputs=inputs.digests,
        scores=_scores(facts),
        steps=(counters.step, counters.best_step),
        seconds=counters.seconds,
    )
    write_model_card(folder, card)
    write_model_manifest(model, inputs, options, {"steps": counters.step, "best": facts})


def _draw_curve(folder: Path, listen: Listener) -> None:
    from rnnkit.training import metrics

    try:
        from rnnkit.reports.figures import plot_learning_curve

        plot_learning_curve(folder / metrics.METRICS_FILE, folder / CURVE)
    except Exception as failure:
        listen(
            WarningEvent(
                f"the learning curve was not drawn ({type(failure).__name__}: {failure}); everything else is saved, "
                f"and `rnnkit plot {folder}` draws it later"
            )
        )


def load_result(folder: Path, counters: TrainingCounters) -> TrainingResult:
    """Read the result of a run from its finished model directory."""
    from rnnkit.models import model_weights

    scores = _scores(model_weights.load(folder / "best.safetensors")[1])
    return TrainingResult(folder, counters.step, counters.best_step, scores, counters.seconds, folder / CURVE)


def _scores(facts: Mapping[str, Any]) -> dict[str, float]:
    return {name: value for name, value in facts.items() if name != "step"}


def write_model_manifest(
    model: TrainedModel, inputs: TrainingInputs, options: Mapping[str, Any], result: Mapping[str, Any] | None = None
) -> None:
    """Write the manifest of a model directory; `result` is given once the run is finished."""
    from rnnkit.models import model_weights, store

    longest = inputs.data.meta.facts["splits"]["train"].get("longest")
    facts = {
        "languages": list(model.languages),
        "parameters": model_weights.count_parameters(model.network),
        **({} if longest is None else {"longest": dict(longest)}),
        **(result or {}),
    }
    store.write_manifest(model.directory.path, options, inputs.digests, facts, finished=result is not None)
