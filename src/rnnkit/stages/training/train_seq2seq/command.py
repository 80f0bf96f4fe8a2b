"""`rnnkit train-seq2seq`: aligned data of two sides in, a model directory out."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, cast

from rnnkit.errors import UsageError
from rnnkit.events import Listener, null_listener
from rnnkit.io.workspace import Workspace
from rnnkit.nn import kinds
from rnnkit.stages.training.setup import initial_weights, training_inputs, training_run
from rnnkit.stages.training.setup.model_directory import TrainingResult
from rnnkit.stages.training.setup.training_run import Recipe, TrainingComponents
from rnnkit.stages.training.train_seq2seq.options import TrainSeq2SeqOptions, apply_preset

if TYPE_CHECKING:
    import torch

    from rnnkit.data.aligned_data import AlignedData
    from rnnkit.io.resumable_output import RunDirectory
    from rnnkit.models.seq2seq_config import Seq2SeqConfig
    from rnnkit.models.store import LoadedSeq2Seq
    from rnnkit.stages.training.setup.training_inputs import TrainingInputs
    from rnnkit.training.distributed import ProcessGroup
    from rnnkit.training.dry_run import CostEstimate
    from rnnkit.training.optimizer import OptimizerSettings as Changes

EXAMPLE = """\
rnnkit train-seq2seq --arch lstm
rnnkit train-seq2seq --arch gru --layers 2 --attention additive --output work/gru
rnnkit train-seq2seq --arch transformer --preset base --output work/transformer
rnnkit train-seq2seq --embeddings wiki.de.vec wiki.en.vec --embedding 300
rnnkit train-seq2seq --resume"""

__all__ = ["EXAMPLE", "TrainSeq2SeqOptions", "run"]

VALIDATION_BEAM = 1


def run(options: TrainSeq2SeqOptions, listen: Listener = null_listener) -> TrainingResult | CostEstimate:
    """Train, or with `dry_run` say what it would cost.

    Raises:
        DataError: Data, vocabulary or tokenizer is missing, or the data has no `train` or `valid` part.
        UsageError: Options that do not go together.
        ArtefactError: They do not belong together, or the output already exists or is in use.
        Interrupted: A signal came; everything is saved.
    """
    folder = options.output or Workspace(options.work).model
    if not options.resume:
        options = apply_preset(options)
        _pretrained(options).check(options.tied, options.init_from)
    return training_run.run(
        options, folder, lambda resolved, group, place: _recipe(resolved, place, group, listen), listen
    )


def _recipe(options: TrainSeq2SeqOptions, folder: RunDirectory, group: ProcessGroup, listen: Listener) -> Recipe:
    return Recipe(
        open_inputs=lambda: _open_inputs(options),
        vectors=_pretrained(options),
        prepare=lambda made_from, resuming: _prepare(options, made_from, folder, resuming, group, listen),
        group=group,
    )


def _open_inputs(options: TrainSeq2SeqOptions) -> TrainingInputs:
    found = training_inputs.open_pairs(options.work, options.data, options.vocab, options.tokenizer)
    return dataclasses.replace(found, digests={**found.digests, **_guided(options).digests()})


def _prepare(
    options: TrainSeq2SeqOptions,
    made_from: TrainingInputs,
    folder: RunDirectory,
    resuming: bool,
    group: ProcessGroup,
    listen: Listener,
) -> TrainingComponents:
    """The network in its model directory, the task that trains it, the batches, and what measures it."""
    from rnnkit.data.batch_sampler import BatchSampler
    from rnnkit.data.step_iterator import StepIterator
    from rnnkit.decoding.stepper import SearchOptions, max_training_lengths
    from rnnkit.evaluation.translation import Measured, make_validation
    from rnnkit.training.optimizer import NetworkOptimizer
    from rnnkit.training.schedules import default_epochs
    from rnnkit.training.seq2seq_task import Seq2SeqObjective, Seq2SeqTask

    data = made_from.data
    guide = _guided(options).load(data)
    model = _make_model(options, made_from, folder, resuming, group, listen)
    network = model.network
    source, target = (data.side("train", side) for side in data.sides)
    optimizer = NetworkOptimizer(network, _changes(options), folder, group)
    precision = _precision(options, optimizer.device)
    batch_tokens = options.batch_tokens or 1
    known = data.meta.facts["splits"]["train"].get("longest")
    longest = max_training_lengths([None if known is None else (known[data.sides[0]], known[data.sides[1]])])
    # As `decode` will search with the finished model.
    search = SearchOptions(
        beam=VALIDATION_BEAM, max_source_length=longest.max_source_length, max_output_length=longest.max_output_length
    )
    measured = Measured(options.validate_lines, options.measure or "auto", options.samples, search, 2 * batch_tokens)
    batches = BatchSampler([source.lengths(), target.lengths()], batch_tokens, options.seed)
    return TrainingComponents(
        folder=folder,
        network=network,
        languages=model.languages,
        task=Seq2SeqTask(
            network, source, target, Seq2SeqObjective(options.label_smoothing or 0.0, precision), optimizer, guide
        ),
        batches=StepIterator(batches, training_run.shard_spec(options, group)),
        validate=make_validation(model, data, measured, optimizer.ema_weights, listen),
        epochs=default_epochs(data.meta.facts["splits"]["train"]["tokens"][data.sides[1]]),
        vocabulary=network.config.target_size,
        precision=precision,
    )


def _make_model(
    options: TrainSeq2SeqOptions,
    made_from: TrainingInputs,
    folder: RunDirectory,
    resuming: bool,
    group: ProcessGroup,
    listen: Listener,
) -> LoadedSeq2Seq:
    """The model directory with its network on its device.

    A run that is resumed from a checkpoint needs no other weights to start from.
    """
    import torch

    from rnnkit.models import store
    from rnnkit.models.sequence_to_sequence import SequenceToSequence
    from rnnkit.nn import activation_checkpointing
    from rnnkit.nn.device import choose_device, set_threads
    from rnnkit.stages.training.setup.initial_weights import load_initial_weights
    from rnnkit.text.tokenizers.store import load_tokenizer
    from rnnkit.text.vocabulary import Vocabulary

    set_threads(options.threads, group.rank_info.local_world_size)
    data = made_from.data
    languages = (data.sides[0], data.sides[1])
    tokenizer = cast(Path, made_from.tokenizer)  # `open_pairs` refuses data without one
    config = _config(options, data, made_from.joint)
    loaded = [Vocabulary.load(path) for path in made_from.vocabularies]
    torch.manual_seed(options.seed)
    network = SequenceToSequence(config).to(choose_device(options.device))
    if options.recompute:
        activation_checkpointing.enable_checkpointing(network)
    if not resuming and options.init_from is not None:
        load_initial_weights(network, store.SEQ2SEQ, options.init_from, loaded)
    if not resuming:
        _pretrained(options).fill(network, loaded, data, listen)
    _pretrained(options).freeze(network, data)
    if group.is_main and not options.dry_run and not options.resume:
        store.create_seq2seq(folder.path, config, languages, tokenizer, made_from.vocabularies)
    return store.LoadedSeq2Seq(
        folder=folder.path,
        network=network,
        tokenizer=load_tokenizer(tokenizer),
        source_vocabulary=loaded[0],
        target_vocabulary=loaded[-1],
        languages=languages,
        facts={},
    )


def _changes(options: TrainSeq2SeqOptions) -> Changes:
    from rnnkit.training.optimizer import OptimizerSettings

    return OptimizerSettings(
        optimizer=options.optimizer,  # type: ignore[arg-type]  # held to the choices by `config.resolve`
        weight_decay=options.weight_decay,
        clip=options.clip,
        ema_decay=options.mean_decay or 0.0,
        keep_snapshots=options.average,
        scale_loss=options.precision == "fp16",
    )


def _precision(options: TrainSeq2SeqOptions, device: torch.device) -> torch.dtype:
    """The type of the layers' products; a Transformer's run over whole sentences."""
    from rnnkit.nn import device as devices

    whole = options.arch in kinds.TRANSFORMERS
    smallest = devices.MIN_HIDDEN_FOR_BF16_SEQUENCES if whole else devices.MIN_HIDDEN_FOR_BF16
    return devices.choose_precision(options.precision, device, options.hidden or 0, smallest)


def _config(options: TrainSeq2SeqOptions, data: AlignedData, joint_vocabulary: bool) -> Seq2SeqConfig:
    from rnnkit.models.seq2seq_config import Seq2SeqConfig

    for asked, flag in ((options.joint_embeddings, "--joint-embeddings"), (options.copy, "--copy")):
        if asked and not joint_vocabulary:
            raise UsageError(f"{flag} needs a joint vocabulary", hint="`rnnkit vocab` without --separate")
    source, target = data.sides
    headed, whole = options.attention == "multihead", options.arch in kinds.TRANSFORMERS
    # Names are held to the choices by `config.resolve`, and none of the preset's values is missing any more.
    return Seq2SeqConfig(
        arch=options.arch,  # type: ignore[arg-type]
        source_size=data.vocabulary_size(source),
        target_size=data.vocabulary_size(target),
        embedding=options.embedding or 1,
        hidden=options.hidden or 1,
        layers=options.layers or 1,
        decoder_layers=options.decoder_layers or options.layers or 1,
        bidirectional=options.bidirectional,
        attention=options.attention,  # type: ignore[arg-type]
        bridge=options.bridge,  # type: ignore[arg-type]
        input_feeding=options.input_feeding,
        tied=options.tied,
        joint=options.joint_embeddings,
        reset_inside=options.gru_reset == "inside",
        dropout=options.dropout or 0.0,
        heads=options.heads or 1 if headed else Seq2SeqConfig.heads,
        inner=options.inner or 0 if whole else Seq2SeqConfig.inner,
        norm=options.norm,  # type: ignore[arg-type]
        positions=options.positions,  # type: ignore[arg-type]
        cell=options.cell,  # type: ignore[arg-type]
        residual=options.residual,
        layer_norm=bool(options.layer_norm),
        locked=bool(options.variational),
        weight_drop=options.weight_drop or 0.0,
        dropout_embedding=options.dropout_embedding or 0.0,
        copy=bool(options.copy),
        guided_head=headed and _guided(options).file is not None,
        right_to_left=options.right_to_left,
    )


def _guided(options: TrainSeq2SeqOptions) -> training_inputs.GuidedAttentionInput:
    return training_inputs.GuidedAttentionInput(options.guided_attention, options.guided_weight)


def _pretrained(options: TrainSeq2SeqOptions) -> initial_weights.PretrainedEmbeddings:
    return initial_weights.PretrainedEmbeddings(
        tuple(options.embeddings), options.freeze_embeddings, options.joint_embeddings, options.repair
    )
