"""The directory of a run: created, replaced or reopened, with the options of the run; and what the run leaves in it."""

from __future__ import annotations

import dataclasses
import shutil
import typing
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from rnnkit.errors import ArtefactError, ConfigError
from rnnkit.events import Listener, WarningEvent, null_listener
from rnnkit.io import artifact_output, manifest, resumable_output
from rnnkit.io.resumable_output import RunDirectory
from rnnkit.json_types import JsonMapping, JsonObject, JsonValue
from rnnkit.options.declare import parameters_of
from rnnkit.options.record import as_dict, with_current_names
from rnnkit.stages.outputs import Options

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from torch import nn

    from rnnkit.io.resumable_output import RunDirectory
    from rnnkit.stages.training.training_inputs import TrainingInputs
    from rnnkit.training.trainer import TrainingCounters

NOT_SAVED = ("work", "output", "resume", "overwrite", "dry_run", "restarts", "save_every", "samples")
"""Options of a call of the command rather than of the run: a resumed run may have others."""

CHANGEABLE = ("threads",)
"""Options that a resumed run keeps unless they are given again: they change results only by rounding."""

OptionsT = TypeVar("OptionsT", bound=Options)


def run_options(options: Options) -> JsonObject:
    """Return the options that belong to the run, not to a call of the command."""
    return {key: value for key, value in as_dict(options).items() if key.replace("-", "_") not in NOT_SAVED}


def saved_options(folder: Path, options: OptionsT, kind: str = "model", version: int = 1) -> OptionsT:
    """Return the options that the run was started with, for `--resume`.

    Args:
        folder: The directory of the run.
        options: The options of this call.
        kind: Kind of artifact that the run writes.
        version: The newest format version of that kind that can be read.

    Raises:
        ArtefactError: There is no run.
        ConfigError: An option is given that differs from the run's.
    """
    if not has_run(folder):
        raise no_run_error(folder)
    saved = with_current_names(manifest.read(folder, kind, version).options, type(options))
    changes: JsonObject = {}
    differing = []
    for option in parameters_of(type(options)):
        name, key = option.name, option.key
        if name in NOT_SAVED or key not in saved:
            continue
        given, recorded = getattr(options, name), _restore(saved[key], option.kind)
        if name in CHANGEABLE and given != option.default:
            continue
        if given not in (option.default, recorded):
            differing.append(f"--{key}: {_shown(recorded)} in the run, {_shown(given)} now")
        changes[name] = recorded
    if differing:
        raise ConfigError(
            f"--resume continues with the options of the run in {folder}",
            *differing,
            hint="leave them out; --init-from with another --output starts a run with other options from these weights",
            path=folder,
            option=differing[0].partition(":")[0],
        )
    return dataclasses.replace(options, **changes)


def has_run(folder: Path) -> bool:
    """Return whether a folder holds a run, finished or not."""
    return (folder / manifest.NAME).exists()


def no_run_error(folder: Path) -> ArtefactError:
    """Return the error of `--resume` without a run."""
    return ArtefactError(
        f"there is no run to resume in {folder}", hint="leave out --resume to start one", path=folder, option="--resume"
    )


def _shown(value: object) -> str:
    return "not given" if value is None or value == [] else str(value)


def require_listed_files(folder: RunDirectory) -> None:
    """Stop the run if a file disappears that its manifest lists, except for files that change during the run.

    Raises:
        ArtefactError: A file has disappeared already.
    """
    changing = (".safetensors", ".jsonl", ".png")
    listed = manifest.load(folder / manifest.NAME).files
    folder.required = tuple(name for name in listed if not name.endswith(changing))
    folder.check()


def warn_of_threads(folder: Path, threads: int, listen: Listener) -> None:
    """Warn if a resumed run has another number of threads than it was started with."""
    started_with = manifest.load(folder / manifest.NAME).options.get("threads") or threads
    if started_with != threads:
        listen(
            WarningEvent(
                f"the run in {folder} was started with --threads {started_with} and resumes with {threads}: "
                "its weights will differ from those of an uninterrupted run by rounding"
            )
        )


def check_inputs(folder: Path, digests: Mapping[str, str]) -> None:
    """Compare the inputs of a resumed run with those that it was started with.

    Raises:
        ArtefactError: An input has changed; the message names it.
    """
    started_with = manifest.load(folder / manifest.NAME).inputs
    changed = sorted(name for name in {*started_with, *digests} if started_with.get(name) != digests.get(name))
    if changed:
        raise ArtefactError(
            f"the run in {folder} was started with other data",
            f"changed since: {', '.join(changed)}",
            hint="restore the original data, or start again with --overwrite",
            path=folder,
        )


def _restore(value: JsonValue, wanted: object) -> JsonValue:
    """Convert a JSON value to the type of the option: text to a path."""
    if Path not in (wanted, *typing.get_args(wanted)):
        return value
    if isinstance(value, list):
        return [Path(item) for item in value]
    return None if value is None else Path(value)


def check_replaceable(folder: Path, overwrite: bool, kind: str) -> None:
    """Check that a new run may use the folder, before any work is done.

    Raises:
        ArtefactError: The folder is not empty and may not be replaced. Leftovers of a killed run do not count.
    """
    artifact_output.resolve_directory(folder)
    if not overwrite and artifact_output.is_occupied(folder):
        raise ArtefactError(
            f"{folder} already exists", hint="--resume continues its run, --overwrite replaces it", path=folder
        )
    artifact_output.check_replaceable_directory(folder, (kind,))


@contextmanager
def begin(folder: Path, overwrite: bool, kind: str) -> Iterator[RunDirectory]:
    """Create the directory of a new run, and lock out other writers until the block ends.

    The run writes into a temporary folder beside it, which is renamed at `commit`: with the first checkpoint if
    something is replaced, otherwise as soon as it is ready. A run that ends before leaves everything unchanged.

    Raises:
        ArtefactError: As `check_replaceable`; or another run writes there.
    """
    check_replaceable(folder, overwrite, kind)
    with resumable_output.staged_run_directory(folder, kind) as directory:
        check_replaceable(folder, overwrite, kind)  # again, now that no other run can start there
        yield directory


def resume(folder: Path) -> AbstractContextManager[RunDirectory]:
    """Reopen the directory of a run, and lock out other writers. Raises ArtefactError if another run writes there."""
    return resumable_output.resume_run_directory(folder)


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

    def as_dict(self) -> JsonObject:
        """JSON form."""
        return {**dataclasses.asdict(self), "model": str(self.model), "curve": str(self.curve)}


@dataclass(frozen=True)
class NgramTrainingResult:
    """Result of estimating an n-gram model.

    Attributes:
        model: The model directory.
        ngrams: Number of n-grams of each order.
        loss: Mean negative log-likelihood per token of the validation split, in nats.
        perplexity: exp(loss).
        seconds: Time of counting and smoothing.
    """

    model: Path
    ngrams: tuple[int, ...]
    loss: float
    perplexity: float
    seconds: float

    def as_dict(self) -> JsonObject:
        """JSON form."""
        return {**dataclasses.asdict(self), "model": str(self.model)}

    @property
    def lines(self) -> list[str]:
        """Printed form."""
        counts = ", ".join(f"{count:,}" for count in self.ngrams)
        return [
            f"{self.model}: {counts} n-grams of orders 1 to {len(self.ngrams)} in {self.seconds:.1f} s",
            f"validation perplexity {self.perplexity:.2f}",
        ]


@dataclass(frozen=True)
class NgramTrainingCost:
    """Estimated cost of an n-gram model.

    Attributes:
        tokens: Tokens of the training text.
        memory_bytes: Peak memory.
    """

    tokens: int
    memory_bytes: int

    def as_dict(self) -> JsonObject:
        """JSON form."""
        return dataclasses.asdict(self)

    @property
    def lines(self) -> list[str]:
        """Printed form."""
        return [f"tokens  {self.tokens:,}", f"memory  {self.memory_bytes / 1e6:,.0f} MB at most"]


def finalize_model_directory(
    model: TrainedModel,
    inputs: TrainingInputs[Any],
    options: JsonMapping,
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
    from rnnkit.models import model_weights, store
    from rnnkit.reports.model_card import ModelCard, write_model_card

    folder = model.directory.path
    shutil.rmtree(folder / store.STATES_FOLDER, ignore_errors=True)
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
        network=dataclasses.asdict(cast("DataclassInstance", model.network.config)),
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
    from rnnkit.training import checkpoint

    try:
        from rnnkit.reports.figures import plot_learning_curve

        plot_learning_curve(folder / checkpoint.METRICS_FILE, folder / CURVE)
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


def _scores(facts: JsonMapping) -> dict[str, float]:
    return {name: value for name, value in facts.items() if name != "step"}


def write_model_manifest(
    model: TrainedModel, inputs: TrainingInputs[Any], options: JsonMapping, result: JsonMapping | None = None
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
