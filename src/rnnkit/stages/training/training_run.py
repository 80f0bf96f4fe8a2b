"""A training run of a network: from checked inputs to a finished model directory.

A training command drives the run from top to bottom: `start` locks the directory and joins the process group, the
command opens its inputs and builds `TrainingComponents`, `TrainingRun.fit` trains them. Nothing here calls back into
the command.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from rnnkit.errors import UsageError
from rnnkit.events import Listener, Note, Status, WarningEvent, null_listener
from rnnkit.io.resumable_output import RunDirectory
from rnnkit.stages import outputs
from rnnkit.stages.training import run_folder, training_inputs
from rnnkit.stages.training.run_folder import TrainedModel, TrainingResult
from rnnkit.system.machine import available_cores, memory_shortage
from rnnkit.training import schedules
from rnnkit.training.process_group import ProcessGroup

if TYPE_CHECKING:
    import torch

    from rnnkit.data.batch_sampler import ShardSpec
    from rnnkit.stages.training.labelling_options import TrainClassifierOptions, TrainTaggerOptions
    from rnnkit.stages.training.train_lm_options import TrainLMOptions
    from rnnkit.stages.training.train_seq2seq_options import TrainSeq2SeqOptions
    from rnnkit.stages.training.training_inputs import DataT, TrainingInputs
    from rnnkit.training.dry_run import CostEstimate
    from rnnkit.training.hyperparameter_search import TrialLimit
    from rnnkit.training.task import EpochBatchIterator, Validate
    from rnnkit.training.trainer import Trainer, TrainingCounters, TrainingPlan
    from rnnkit.training.training_step import NetworkTask

    OptionsT = TypeVar("OptionsT", TrainSeq2SeqOptions, TrainLMOptions, TrainTaggerOptions, TrainClassifierOptions)
else:
    OptionsT = TypeVar("OptionsT")

KIND = "model"
"""Kind of artifact that a run writes, and may replace."""

DIVERGENCE_FACTOR = 4.0
"""Training has diverged once the loss exceeds the loss of a uniform guess by this factor: no spike recovers from it."""


@dataclass(frozen=True)
class TrainingComponents:
    """A network with everything that its training needs.

    Attributes:
        model: The network and its model directory.
        task: Computes the loss of a batch and updates the network.
        batches: Resumable iterator over the training batches; its length in steps per epoch is known.
        validate: Computes the validation scores.
        default_epochs: Number of epochs if the options leave it open.
        vocabulary_size: Number of classes of each prediction.
        precision: Data type of matrix multiplications.
        preparation_seconds: Estimated time of a dry run's computations before the first step.
    """

    model: TrainedModel
    task: NetworkTask[Any]
    batches: EpochBatchIterator[Any]
    validate: Validate
    default_epochs: float
    vocabulary_size: int
    precision: torch.dtype
    preparation_seconds: float = 0.0

    @property
    def device(self) -> torch.device:
        """Device of the network."""
        return next(self.model.network.parameters()).device


@dataclass(frozen=True)
class TrainingRun(Generic[OptionsT]):
    """A run that holds its directory and its place in the process group.

    Attributes:
        options: The options; of a resumed run, those that it was started with.
        directory: The model directory.
        group: The data-parallel process group.
        listen: Receives notes, warnings and progress; silent in all processes but the main one.
        from_checkpoint: Whether a checkpoint will provide the weights.
    """

    options: OptionsT
    directory: RunDirectory
    group: ProcessGroup
    listen: Listener
    from_checkpoint: bool = False

    @property
    def creates_model(self) -> bool:
        """Whether this process writes a new model directory."""
        return self.group.is_main and not self.options.dry_run and not self.options.resume

    @property
    def shard(self) -> ShardSpec:
        """The batches of each step that this process takes."""
        return shard_spec(self.options, self.group)

    def check_inputs(
        self, inputs: TrainingInputs[DataT], embeddings: training_inputs.PretrainedEmbeddings
    ) -> TrainingInputs[DataT]:
        """Add the digests of pretrained embeddings; of a resumed run, compare all inputs with those it started with.

        Raises:
            DataError: A file of pretrained embeddings is missing.
            ArtefactError: An input has changed since the run was started.
        """
        from rnnkit.training import checkpoint

        if self.from_checkpoint:
            digests = training_inputs.recorded_embeddings(self.directory.path)
        else:
            digests = embeddings.digests(inputs.data.sides)
        inputs = dataclasses.replace(inputs, digests={**inputs.digests, **digests})
        if self.options.resume:
            run_folder.check_inputs(self.directory.path, inputs.digests)
        if self.options.resume and not self.from_checkpoint:
            if self.group.is_main:
                checkpoint.truncate_metrics(self.directory / checkpoint.METRICS_FILE, 0)
            self.listen(Note(f"{self.directory} has no checkpoint yet: training starts from the beginning"))
        return inputs

    def fit(
        self, components: TrainingComponents, inputs: TrainingInputs[Any], limit: TrialLimit | None = None
    ) -> TrainingResult:
        """Train, and finish the model directory.

        Args:
            components: The network with everything that its training needs.
            inputs: What it is trained on.
            limit: Ends a trial of a search early.

        Raises:
            TrainingError: Training diverged, or the largest batches do not fit into memory.
            ArtefactError: A file of the model directory has disappeared.
            Interrupted: A signal arrived; everything is saved.
        """
        self._prepare_directory(components, inputs)
        plan = _make_plan(self.options, components)
        trainer = self._make_trainer(components, plan, limit)
        if self.from_checkpoint:
            trainer.resume()
            self.listen(Note(f"resuming from step {trainer.counters.step}"))
        _announce(self.options, components, plan, self.listen)
        counters = trainer.run()
        _report_skipped(counters, self.listen)
        if self.group.is_main:
            self.directory.check()
            self.listen(Status("finishing the model"))
            options = run_folder.run_options(self.options)
            run_folder.finalize_model_directory(components.model, inputs, options, counters, self.listen)
        self.group.barrier()
        from rnnkit.reports.model_card import format_duration

        earlier = ", earlier parts of the run included" if self.from_checkpoint else ""
        steps = f"step {counters.best_step:,} of {counters.step:,}"
        self.listen(Note(f"best: {steps} after {format_duration(counters.seconds)}{earlier}"))
        return run_folder.load_result(self.directory.final, counters)

    def _prepare_directory(self, components: TrainingComponents, inputs: TrainingInputs[Any]) -> None:
        """Write what a resumed run needs, after the largest batches have been tried."""
        from rnnkit.training.dry_run import check_memory, memory_warning

        self.group.seed_per_rank(self.options.seed)
        if self.creates_model:
            options = run_folder.run_options(self.options)
            run_folder.write_model_manifest(components.model, inputs, options)
        if (warning := memory_warning(components.model.network)) is not None:
            self.listen(WarningEvent(warning))
        check_memory(components.task, components.batches.largest_batches(), components.device)
        if self.creates_model and not self.directory.replaces:
            self.directory.commit()
        if self.group.is_main:
            run_folder.require_listed_files(self.directory)

    def _make_trainer(
        self, components: TrainingComponents, plan: TrainingPlan, limit: TrialLimit | None
    ) -> Trainer[Any]:
        from rnnkit.training.trainer import Trainer, TrainingContext

        rates = schedules.Schedule(
            name=cast(schedules.ScheduleName, self.options.schedule),  # the value is one of the declared choices
            peak=self.options.learning_rate or 0.0,
            warmup=min(self.options.warmup or 0, plan.steps // 2),
            total=plan.steps,
        )
        return Trainer(
            components.task,
            components.batches,
            rates,
            plan,
            components.validate,
            TrainingContext(components.model.directory, self.listen, self.group, limit),
        )

    def estimate(self, components: TrainingComponents) -> CostEstimate:
        """Estimate time and memory of the run from a few steps, without training."""
        from rnnkit.models import model_weights
        from rnnkit.training.dry_run import estimate_cost, memory_warning

        plan = _make_plan(self.options, components)
        _announce(self.options, components, plan, self.listen)
        network = components.model.network
        if (warning := memory_warning(network)) is not None:
            self.listen(WarningEvent(warning))
        cost = estimate_cost(
            components.task,
            components.batches,
            components.validate,
            plan,
            model_weights.count_parameters(network),
            model_weights.count_frozen_parameters(network),
            components.preparation_seconds,
        )
        if warning is None and (warning := memory_shortage(cost.memory_bytes)) is not None:
            self.listen(WarningEvent(warning))
        return cost


def dry_run(options: OptionsT, folder: Path, listen: Listener) -> TrainingRun[OptionsT]:
    """Return a run in this process alone that writes nothing, to estimate its cost."""
    return TrainingRun(options, RunDirectory(folder), ProcessGroup(), listen)


@contextmanager
def start(options: OptionsT, folder: Path, listen: Listener) -> Iterator[TrainingRun[OptionsT]]:
    """Start or resume a run: lock its directory and join the process group, until the block ends.

    Args:
        options: The options of this call.
        folder: The model directory.
        listen: Receives notes, warnings and progress.

    Raises:
        UsageError: The number of processes is not that of the options.
        ConfigError: An option differs from that of the resumed run.
        PeerLostError: Another process died; the last checkpoint is complete.
        ArtefactError: The model directory exists, is in use, or contains an input.
    """
    from rnnkit.training import checkpoint

    if not options.resume:
        outputs.check_not_inputs(folder, outputs.input_paths(options))
        run_folder.check_replaceable(folder, options.overwrite, KIND)
    from rnnkit.training.distributed import join_process_group

    with join_process_group(options.device) as group, _lock(folder, options, group) as directory:
        listen = listen if group.is_main else null_listener
        if options.resume:
            options = run_folder.saved_options(folder, options)
        options = _with_threads(_with_processes(options, group), group)
        if options.resume and group.is_main:
            run_folder.warn_of_threads(folder, options.threads, listen)
        from_checkpoint = options.resume and checkpoint.exists(directory / "last")
        yield TrainingRun(options, directory, group, listen, from_checkpoint)


@contextmanager
def _lock(folder: Path, options: OptionsT, group: ProcessGroup) -> Iterator[RunDirectory]:
    """Create or reopen the run directory in the main process; the others wait until it is ready, and it for their end.

    Keeps other runs out meanwhile.
    """
    if not group.is_main:
        group.barrier()
        yield RunDirectory(folder)
        group.barrier()
        return
    opened = run_folder.resume(folder) if options.resume else run_folder.begin(folder, options.overwrite, KIND)
    with opened as directory:
        group.barrier()
        yield directory
        group.barrier()


def _with_processes(options: OptionsT, group: ProcessGroup) -> OptionsT:
    """Set the number of processes to the world size. Raises UsageError if the options specify another number."""
    if options.processes not in (group.world_size, 1) or (options.resume and options.processes != group.world_size):
        raise UsageError(
            f"--processes is {options.processes} in this run, but {group.world_size} were started",
            hint=f"`rnnkit train --processes {options.processes}` starts them, "
            f"or `torchrun --nproc-per-node {options.processes} -m rnnkit train`",
            option="--processes",
        )
    return dataclasses.replace(options, processes=group.world_size)


def _with_threads(options: OptionsT, group: ProcessGroup) -> OptionsT:
    """Set the number of threads to the one in use, which is recorded with the run."""
    per_process = max(1, available_cores() // group.rank_info.local_world_size)
    return dataclasses.replace(options, threads=options.threads or per_process)


def shard_spec(options: OptionsT, group: ProcessGroup) -> ShardSpec:
    """Return the batches of each step that this process takes; in a dry run, those of the first."""
    from rnnkit.data.batch_sampler import ShardSpec

    return ShardSpec(options.accumulate, group.rank_info.rank, options.processes)


def _make_plan(options: OptionsT, components: TrainingComponents) -> TrainingPlan:
    """Determine the number of steps and the intervals from the options and the size of the data."""
    from rnnkit.training.trainer import TrainingPlan

    per_epoch = components.batches.per_epoch
    steps = max(1, round((options.epochs or components.default_epochs) * per_epoch))
    return TrainingPlan(
        steps=min(steps, options.max_steps or steps),
        validate_every=options.validate_every or per_epoch,
        report_every=options.report_every,
        save_seconds=options.save_every,
        patience=options.patience,
        divergence_threshold=DIVERGENCE_FACTOR * math.log(max(2, components.vocabulary_size)),
    )


def _announce(options: OptionsT, components: TrainingComponents, plan: TrainingPlan, listen: Listener) -> None:
    """Emit the size of the model, the hardware and the length of the run."""
    import torch

    from rnnkit.models import model_weights

    network, device = components.model.network, components.device
    frozen = model_weights.count_frozen_parameters(network)
    size = f"{model_weights.count_parameters(network):,} parameters" + (f" ({frozen:,} frozen)" if frozen else "")
    precision = str(components.precision).removeprefix("torch.")
    where = f"{device}, {torch.get_num_threads()} threads" if device.type == "cpu" else str(device)
    where += f" in each of {options.processes} processes" if options.processes > 1 else ""
    listen(Note(f"{options.arch} {'-'.join(components.model.languages)}: {size}, {precision} on {where}"))
    if components.precision == torch.float16 and device.type == "cpu":
        listen(WarningEvent("--precision fp16 is for GPUs: on most CPUs it is slower than fp32"))
    per_epoch = components.batches.per_epoch
    batches = options.accumulate * options.processes
    unit = "batches" if batches == 1 else f"steps with {batches} batches each"
    epochs = plan.steps / per_epoch
    listen(Note(f"{plan.steps:,} steps, {epochs:.1f} epochs of {per_epoch} {unit}, seed {options.seed}"))


def _report_skipped(counters: TrainingCounters, listen: Listener) -> None:
    if counters.skipped_steps:
        listen(
            Note(f"{counters.skipped_steps:,} of {counters.step:,} steps were skipped: the gradient overflowed float16")
        )
