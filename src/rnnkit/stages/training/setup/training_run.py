"""A training run of a network, whatever it learns: from inputs that belong together to a finished model directory."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnkit.data.step_iterator import ShardSpec
from rnnkit.errors import UsageError
from rnnkit.events import Listener, Note, WarningEvent, null_listener
from rnnkit.io.resumable_output import RunDirectory
from rnnkit.stages import outputs
from rnnkit.stages.training.setup import initial_weights, model_directory, run_folder
from rnnkit.stages.training.setup.model_directory import TrainingResult
from rnnkit.system.machine import available_cores, memory_shortage
from rnnkit.training import distributed, schedules
from rnnkit.training.distributed import ProcessGroup

if TYPE_CHECKING:
    import torch
    from torch import nn

    from rnnkit.stages.training.setup.training_inputs import TrainingInputs
    from rnnkit.training.dry_run import CostEstimate
    from rnnkit.training.task import EpochBatchIterator, Validate
    from rnnkit.training.trainer import Trainer, TrainingPlan
    from rnnkit.training.training_step import NetworkTask

KIND = "model"
"""Kind of artefact that a run makes, and may replace."""

DIVERGENCE_FACTOR = 4.0
"""A loss of so many times a blind guess's is no spike any more."""


@dataclass(frozen=True)
class TrainingComponents:
    """A network with all that its training takes.

    Attributes:
        folder: The model directory.
        network: What learns.
        languages: Of the text; source and target where there are two.
        task: Learns from a batch.
        batches: What it learns from: a `training.task.Source` that knows how many make a pass.
        validate: Measures it.
        epochs: Passes over the data, where the options leave it open.
        vocabulary: Tokens that each prediction chooses from.
        precision: Type of the layers' products.
    """

    folder: RunDirectory
    network: nn.Module
    languages: tuple[str, ...]
    task: NetworkTask[Any]
    batches: EpochBatchIterator[Any]
    validate: Validate
    epochs: float
    vocabulary: int
    precision: torch.dtype


@dataclass(frozen=True)
class Recipe:
    """How one kind of model is trained.

    Attributes:
        open_inputs: Finds data, vocabulary and tokenizer.
        vectors: Word vectors that embeddings start from.
        prepare: Makes the learner: from the inputs, and whether a checkpoint will give it its weights.
        group: The processes that take each step together.
    """

    open_inputs: Callable[[], TrainingInputs]
    vectors: initial_weights.PretrainedEmbeddings
    prepare: Callable[[TrainingInputs, bool], TrainingComponents]
    group: ProcessGroup


def run(
    options: Any, folder: Path, recipe: Callable[[Any, ProcessGroup, RunDirectory], Recipe], listen: Listener
) -> TrainingResult | CostEstimate:
    """Train, or with `dry_run` say what it would cost.

    Args:
        options: The stage's options; those of the run where `resume` is among them.
        folder: The model directory.
        recipe: The recipe for these options, the processes that take each step together, and the run's folder.
        listen: Hears how it goes.

    Raises:
        DataError: Data, vocabulary or tokenizer is missing, or the data has no `train` or `valid` part.
        UsageError: The options ask for several processes, and this one is alone, or among more or fewer.
        PeerLostError: Another process is gone; the last checkpoint is whole.
        ArtefactError: They do not belong together, or the output already exists or is in use.
        Interrupted: A signal came; everything is saved.
    """
    if options.dry_run:
        return _estimate(options, recipe(options, ProcessGroup(), RunDirectory(folder)), listen)
    if not options.resume:
        outputs.refuse_inputs(folder, outputs.input_paths(options))
        run_folder.check_replaceable(folder, options.overwrite, KIND)
    with distributed.join_process_group(options.device) as group, _holding(folder, options, group) as place:
        listen = listen if group.is_main else null_listener
        if options.resume:
            options = run_folder.saved_options(folder, options)
        options = _with_threads(_with_processes(options, group), group)
        if options.resume and group.is_main:
            run_folder.warn_of_threads(folder, options.threads, listen)
        return _train(options, place, recipe(options, group, place), listen)


@contextmanager
def _holding(folder: Path, options: Any, group: ProcessGroup) -> Iterator[RunDirectory]:
    """The first process makes room and keeps other runs out; the others wait for it, and it for them in the end."""
    if not group.is_main:
        group.barrier()
        yield RunDirectory(folder)
        group.barrier()
        return
    room = run_folder.resume(folder) if options.resume else run_folder.begin(folder, options.overwrite, KIND)
    with room as place:
        group.barrier()
        yield place
        group.barrier()


def _with_processes(options: Any, group: ProcessGroup) -> Any:
    """The options with as many processes as there are. Raises UsageError where they say another number."""
    if options.processes not in (group.world_size, 1) or (options.resume and options.processes != group.world_size):
        raise UsageError(
            f"--processes of the run is {options.processes}, and there are {group.world_size}",
            hint=f"`rnnkit train --processes {options.processes}` starts them, "
            f"or `torchrun --nproc-per-node {options.processes} -m rnnkit train`",
        )
    return dataclasses.replace(options, processes=group.world_size)


def _with_threads(options: Any, group: ProcessGroup) -> Any:
    """The options with the number of threads that is used, which the run is recorded with."""
    share = max(1, available_cores() // group.rank_info.local_world_size)
    return dataclasses.replace(options, threads=options.threads or share)


def shard_spec(options: Any, group: ProcessGroup) -> ShardSpec:
    """What this process takes of each step; of a run that is only estimated, the first one's."""
    return ShardSpec(options.accumulate, group.rank_info.rank, options.processes)


def _train(options: Any, folder: RunDirectory, recipe: Recipe, listen: Listener) -> TrainingResult:
    from rnnkit.training import checkpoint, metrics
    from rnnkit.training.dry_run import check_memory, memory_warning

    made_from = recipe.open_inputs()
    resuming = options.resume and checkpoint.exists(folder / "last")
    vectors = (
        initial_weights.recorded_embeddings(folder.path) if resuming else recipe.vectors.digests(made_from.data.sides)
    )
    made_from = dataclasses.replace(made_from, digests={**made_from.digests, **vectors})
    if options.resume:
        run_folder.check_inputs(folder.path, made_from.digests)
    if options.resume and not resuming:
        if recipe.group.is_main:
            metrics.truncate_after(folder / metrics.METRICS_FILE, 0)
        listen(Note(f"{folder} has no checkpoint yet: training starts from the beginning"))
    group = recipe.group
    fresh = group.is_main and not options.resume
    learner = recipe.prepare(made_from, resuming)
    group.seed_per_rank(options.seed)
    trained = model_directory.TrainedModel(folder, learner.network, learner.languages)
    if fresh:
        model_directory.write_model_manifest(trained, made_from, run_folder.run_options(options))
    if (warning := memory_warning(learner.network)) is not None:
        listen(WarningEvent(warning))
    check_memory(learner.task, learner.batches.largest_batches(), next(learner.network.parameters()).device)
    if fresh and not folder.replaces:
        folder.commit()
    if group.is_main:
        run_folder.require_listed_files(folder)
    plan = _plan(options, learner)
    loop = _make_loop(options, plan, learner, group, listen)
    if resuming:
        loop.resume()
        listen(Note(f"going on from step {loop.counters.step}"))
    _announce(options, learner, plan, listen)
    counters = loop.run()
    if counters.skipped_steps:
        listen(
            Note(
                f"{counters.skipped_steps:,} of {counters.step:,} steps were skipped: their gradient overflowed float16"
            )
        )
    if group.is_main:
        folder.check()
        model_directory.finalize_model_directory(trained, made_from, run_folder.run_options(options), counters, listen)
    group.barrier()
    listen(Note(f"best: step {counters.best_step:,} of {counters.step:,} after {counters.seconds / 60:.1f} minutes"))
    return model_directory.result(folder.final, counters)


def _estimate(options: Any, recipe: Recipe, listen: Listener) -> CostEstimate:
    from rnnkit.models import model_weights
    from rnnkit.training.dry_run import estimate_cost, memory_warning

    learner = recipe.prepare(recipe.open_inputs(), False)
    plan = _plan(options, learner)
    _announce(options, learner, plan, listen)
    network = learner.network
    parameters, frozen = model_weights.count_parameters(network), model_weights.count_frozen_parameters(network)
    warning = memory_warning(network)
    if warning is not None:
        listen(WarningEvent(warning))
    found = estimate_cost(learner.task, learner.batches, learner.validate, plan, parameters, frozen)
    if warning is None and (warning := memory_shortage(found.memory_bytes)) is not None:
        listen(WarningEvent(warning))
    return found


def _plan(options: Any, learner: TrainingComponents) -> TrainingPlan:
    """How long and how often, from the options and the size of the data."""
    from rnnkit.training.trainer import TrainingPlan

    per_epoch = learner.batches.per_epoch
    steps = max(1, round((options.epochs or learner.epochs) * per_epoch))
    return TrainingPlan(
        steps=min(steps, options.max_steps or steps),
        validate_every=options.validate_every or per_epoch,
        report_every=options.report_every,
        save_seconds=options.save_every,
        patience=options.patience,
        divergence_threshold=DIVERGENCE_FACTOR * math.log(max(2, learner.vocabulary)),
    )


def _make_loop(
    options: Any, plan: TrainingPlan, learner: TrainingComponents, group: ProcessGroup, listen: Listener
) -> Trainer[Any]:
    from rnnkit.training.trainer import Trainer

    schedule = schedules.Schedule(
        name=options.schedule, peak=options.learning_rate, warmup=min(options.warmup, plan.steps // 2), total=plan.steps
    )
    return Trainer(learner.task, learner.batches, schedule, plan, learner.folder, learner.validate, listen, group)


def _announce(options: Any, learner: TrainingComponents, plan: TrainingPlan, listen: Listener) -> None:
    import torch

    from rnnkit.models import model_weights

    device = next(learner.network.parameters()).device
    precision = str(learner.precision).removeprefix("torch.")
    frozen = model_weights.count_frozen_parameters(learner.network)
    count = f"{model_weights.count_parameters(learner.network):,} parameters" + (
        f", {frozen:,} of them frozen" if frozen else ""
    )
    where = f"{device}, {torch.get_num_threads()} threads" if device.type == "cpu" else str(device)
    where += f" in each of {options.processes} processes" if options.processes > 1 else ""
    listen(Note(f"{options.arch} {'-'.join(learner.languages)}: {count}, {precision} on {where}"))
    if learner.precision == torch.float16 and device.type == "cpu":
        listen(WarningEvent("--precision fp16 is for GPUs: most processors are slower with it than with fp32"))
    per_epoch = learner.batches.per_epoch
    epochs = plan.steps / per_epoch
    count = options.accumulate * options.processes
    unit = "batches" if count == 1 else f"steps, {count} batches each"
    listen(Note(f"{plan.steps:,} steps, {epochs:.1f} passes of {per_epoch} {unit}, seed {options.seed}"))
