"""`rnnkit train-lm`: aligned data of one side in, a language model out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from rnnkit.events import Listener, null_listener
from rnnkit.io.workspace import Workspace
from rnnkit.stages.training.setup import initial_weights, training_inputs, training_run
from rnnkit.stages.training.setup.model_directory import TrainingResult
from rnnkit.stages.training.setup.training_run import Recipe, TrainingComponents
from rnnkit.stages.training.train_lm.options import NGRAM, TrainLMOptions, apply_preset
from rnnkit.system.machine import retain_freed_memory

if TYPE_CHECKING:
    import torch

    from rnnkit.io.resumable_output import RunDirectory
    from rnnkit.models.language_model import LanguageModel, LMConfig
    from rnnkit.models.masked_lm import MaskedLM
    from rnnkit.models.masked_lm import MaskedLMConfig as ClozeConfig
    from rnnkit.nn.sampled_softmax import Proposal
    from rnnkit.stages.training.setup.training_inputs import TrainingInputs
    from rnnkit.stages.training.train_lm.ngram_training import NgramTrainingCost, NgramTrainingResult
    from rnnkit.training.distributed import ProcessGroup
    from rnnkit.training.dry_run import CostEstimate
    from rnnkit.training.optimizer import OptimizerSettings as Changes

    N = TypeVar("N", MaskedLM, LanguageModel)

EXAMPLE = """\
rnnkit train-lm --arch lstm
rnnkit train-lm --arch ngram --order 5 --output work/counts
rnnkit train-lm --preset medium --arch gru --epochs 20
rnnkit train-lm --cloze --arch lstm --output work/cloze
rnnkit train-lm --resume"""

__all__ = ["EXAMPLE", "TrainLMOptions", "run"]


def run(
    options: TrainLMOptions, listen: Listener = null_listener
) -> TrainingResult | CostEstimate | NgramTrainingResult | NgramTrainingCost:
    """Train, or with `dry_run` say what it would cost.

    Raises:
        DataError: Data, vocabulary or tokenizer is missing, or the data has no `train` or `valid` part.
        UsageError: Options that do not go together.
        ArtefactError: The inputs do not belong together, or the output already exists or is in use.
        Interrupted: A signal came; everything is saved.
    """
    folder = options.output or Workspace(options.work).model
    if not options.resume:
        options = apply_preset(options)
        _pretrained(options).check(options.tied, options.init_from)
    if options.arch == NGRAM:
        from rnnkit.stages.training.train_lm import ngram_training

        return ngram_training.run(options, folder, listen)
    return training_run.run(
        options, folder, lambda resolved, group, place: _recipe(resolved, place, group, listen), listen
    )


def _recipe(options: TrainLMOptions, folder: RunDirectory, group: ProcessGroup, listen: Listener) -> Recipe:
    prepare = _prepare_fill if options.cloze else _prepare
    return Recipe(
        open_inputs=lambda: training_inputs.open_text(options.work, options.data, options.vocab, options.tokenizer),
        vectors=_pretrained(options),
        prepare=lambda made_from, resuming: prepare(options, made_from, folder, resuming, group, listen),
        group=group,
    )


def _prepare(
    options: TrainLMOptions,
    made_from: TrainingInputs,
    folder: RunDirectory,
    resuming: bool,
    group: ProcessGroup,
    listen: Listener,
) -> TrainingComponents:
    """The model directory with its network, the task that trains it, the batches, and what measures it.

    A run that is resumed from a checkpoint needs no other weights to start from.
    """
    from rnnkit.data.bptt_batching import BpttBatchSampler, BpttLayout, LineBatchSampler
    from rnnkit.data.step_iterator import StepIterator
    from rnnkit.evaluation.perplexity import make_validation
    from rnnkit.models import lm_store
    from rnnkit.models.language_model import LanguageModel
    from rnnkit.nn.device import choose_output_precision
    from rnnkit.stages.training.setup.training_inputs import warn_of_markers
    from rnnkit.text.vocabulary import Vocabulary
    from rnnkit.training.lm_tasks import LanguageModelObjective, LanguageModelTask
    from rnnkit.training.optimizer import NetworkOptimizer

    network = _start(options, made_from, resuming, group, listen, lambda size: LanguageModel(_config(options, size)))
    language = made_from.data.sides[0]
    if group.is_main and not options.dry_run and not options.resume:
        warn_of_markers(Vocabulary.load(made_from.vocabularies[0]), False, listen)
        lm_store.create_language_model(
            folder.path, network.config, language, made_from.tokenizer, made_from.vocabularies[0]
        )
    text = made_from.data.side("train", language)
    optimizer = NetworkOptimizer(network, _changes(options), folder, group)
    device = optimizer.device
    settings = LanguageModelObjective(
        activation=options.activation_penalty or 0.0,
        temporal=options.temporal_penalty or 0.0,
        proposal=_proposal(options, made_from, device),
        precision=_precision(options, device),
        output_precision=choose_output_precision(options.precision, device),
    )
    share = training_run.shard_spec(options, group)
    columns = (options.columns or 1) * share.batches_per_step
    cutting = BpttLayout(columns, options.steps or 1, bool(options.vary_steps), options.partial_shuffle)
    batches = (
        LineBatchSampler(text, options.batch_tokens, options.seed)
        if options.context == "line"
        else BpttBatchSampler(text.stream(), cutting, options.seed)
    )
    return TrainingComponents(
        folder=folder,
        network=network,
        languages=(language,),
        task=LanguageModelTask(network, settings, optimizer),
        batches=StepIterator(batches, share),
        validate=make_validation(network, made_from.data.side("valid", language), optimizer.ema_weights),
        epochs=_epochs(made_from),
        precision=settings.precision,
        vocabulary=network.config.vocabulary,
    )


def _prepare_fill(
    options: TrainLMOptions,
    made_from: TrainingInputs,
    folder: RunDirectory,
    resuming: bool,
    group: ProcessGroup,
    listen: Listener,
) -> TrainingComponents:
    """As `_prepare`, for a model that fills gaps."""
    from rnnkit.data.batch_sampler import BatchSampler
    from rnnkit.data.step_iterator import StepIterator
    from rnnkit.evaluation.cloze import make_validation
    from rnnkit.models import lm_store
    from rnnkit.models.masked_lm import MaskedLM
    from rnnkit.nn.device import choose_output_precision
    from rnnkit.training.lm_tasks import MaskedLMObjective, MaskedLMTask
    from rnnkit.training.optimizer import NetworkOptimizer

    network = _start(options, made_from, resuming, group, listen, lambda size: MaskedLM(_cloze_config(options, size)))
    language = made_from.data.sides[0]
    if group.is_main and not options.dry_run and not options.resume:
        lm_store.create_masked_lm(folder.path, network.config, language, made_from.tokenizer, made_from.vocabularies[0])
    lines, held_out = (made_from.data.side(split, language) for split in ("train", "valid"))
    optimizer = NetworkOptimizer(network, _changes(options), folder, group)
    device = optimizer.device
    settings = MaskedLMObjective(
        _precision(options, device),
        choose_output_precision(options.precision, device),
    )
    batches = BatchSampler([lines.lengths()], options.batch_tokens, options.seed)
    return TrainingComponents(
        folder=folder,
        network=network,
        languages=(language,),
        task=MaskedLMTask(network, lines, settings, optimizer),
        batches=StepIterator(batches, training_run.shard_spec(options, group)),
        validate=make_validation(network, held_out, optimizer.ema_weights),
        epochs=_epochs(made_from),
        precision=settings.precision,
        vocabulary=network.config.vocabulary,
    )


def _precision(options: TrainLMOptions, device: torch.device) -> torch.dtype:
    """The type of the layers' products; they run over whole pieces."""
    from rnnkit.nn.device import MIN_HIDDEN_FOR_BF16_SEQUENCES, choose_precision

    return choose_precision(options.precision, device, options.hidden or 0, MIN_HIDDEN_FOR_BF16_SEQUENCES)


def _epochs(made_from: TrainingInputs) -> float:
    """Passes over a text of this size, where nobody says."""
    from rnnkit.training.schedules import default_epochs

    return default_epochs(made_from.data.meta.facts["splits"]["train"]["tokens"][made_from.data.sides[0]])


def _start(
    options: TrainLMOptions,
    made_from: TrainingInputs,
    resuming: bool,
    group: ProcessGroup,
    listen: Listener,
    build: Callable[[int], N],
) -> N:
    """A network on its device with what it starts from: random weights, those of another model, word vectors."""
    import torch

    from rnnkit.models import store
    from rnnkit.nn import activation_checkpointing
    from rnnkit.nn.device import choose_device, set_threads
    from rnnkit.stages.training.setup.initial_weights import load_initial_weights
    from rnnkit.text.vocabulary import Vocabulary

    set_threads(options.threads, group.rank_info.local_world_size)
    retain_freed_memory()
    device = choose_device(options.device)
    vocabularies = [Vocabulary.load(made_from.vocabularies[0])]
    torch.manual_seed(options.seed)
    network = build(len(vocabularies[0])).to(device)
    if options.recompute:
        activation_checkpointing.enable_checkpointing(network)
    vectors = _pretrained(options)
    if not resuming and options.init_from is not None:
        load_initial_weights(
            network, store.MASKED_LM if options.cloze else store.LANGUAGE_MODEL, options.init_from, vocabularies
        )
    if not resuming:
        vectors.fill(network, vocabularies, made_from.data, listen)
    vectors.freeze(network, made_from.data)
    return network


def _proposal(options: TrainLMOptions, made_from: TrainingInputs, device: torch.device) -> Proposal | None:
    """What a sampled softmax draws from: tokens by how often the text has them; None for an exact one."""
    import torch

    from rnnkit.nn.sampled_softmax import propose, unigram_weights

    if not options.sampled_softmax:
        return None
    counts_V = initial_weights.count_tokens(made_from.data, made_from.data.sides)
    return propose(unigram_weights(torch.from_numpy(counts_V)), options.sampled_softmax, device)


def _config(options: TrainLMOptions, vocabulary: int) -> LMConfig:
    from rnnkit.models.language_model import LMConfig

    return LMConfig(
        arch=options.arch,  # type: ignore[arg-type]  # held to the choices by `config.resolve`
        vocabulary=vocabulary,
        embedding=options.embedding or 1,
        hidden=options.hidden or 1,
        layers=options.layers or 1,
        tied=options.tied,
        residual=bool(options.residual),
        context=options.context,  # type: ignore[arg-type]
        heads=options.heads,
        memory=options.memory,
        dropout=options.dropout or 0.0,
        dropout_input=options.dropout_input or 0.0,
        dropout_hidden=options.dropout_hidden or 0.0,
        dropout_embedding=options.dropout_embedding or 0.0,
        weight_drop=options.weight_drop or 0.0,
    )


def _cloze_config(options: TrainLMOptions, vocabulary: int) -> ClozeConfig:
    from rnnkit.models import masked_lm

    known = {field.name for field in dataclasses.fields(masked_lm.MaskedLMConfig)}
    shared = dataclasses.asdict(_config(options, vocabulary))
    return masked_lm.MaskedLMConfig(**{name: value for name, value in shared.items() if name in known})


def _changes(options: TrainLMOptions) -> Changes:
    from rnnkit.training.optimizer import OptimizerSettings

    return OptimizerSettings(
        optimizer=options.optimizer,  # type: ignore[arg-type]  # held to the choices by `config.resolve`
        weight_decay=options.weight_decay or 0.0,
        clip=options.clip or 0.0,
        clip_value=options.clip_value,
        ema_decay=options.mean_decay or 0.0,
        keep_snapshots=options.average,
        scale_loss=options.precision == "fp16",
    )


def _pretrained(options: TrainLMOptions) -> initial_weights.PretrainedEmbeddings:
    return initial_weights.PretrainedEmbeddings(
        tuple(options.embeddings), options.freeze_embeddings, True, options.repair
    )
