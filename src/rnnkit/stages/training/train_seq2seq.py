"""`rnnkit train-seq2seq`: train a sequence-to-sequence model on parallel data."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, cast

from rnnkit.errors import UsageError
from rnnkit.events import Listener, null_listener
from rnnkit.io.manifest import Workspace
from rnnkit.nn import kinds
from rnnkit.stages.training import training_inputs, training_run
from rnnkit.stages.training.run_folder import TrainedModel, TrainingResult
from rnnkit.stages.training.train_seq2seq_options import TrainSeq2SeqOptions, apply_preset
from rnnkit.stages.training.training_inputs import GuidedAttentionInput, PretrainedEmbeddings, TrainingInputs
from rnnkit.stages.training.training_run import TrainingComponents, TrainingRun

if TYPE_CHECKING:
    import torch

    from rnnkit.data.aligned_data import AlignedData
    from rnnkit.evaluation.validation import ValidationSettings
    from rnnkit.models.encoder_decoder import Seq2SeqConfig
    from rnnkit.models.store import LoadedSeq2Seq
    from rnnkit.training.dry_run import CostEstimate
    from rnnkit.training.optimizer import OptimizerSettings

EXAMPLE = """\
rnnkit train-seq2seq --arch lstm
rnnkit train-seq2seq --arch gru --layers 2 --attention additive --output work/gru
rnnkit train-seq2seq --arch transformer --preset base --output work/transformer
rnnkit train-seq2seq --embeddings wiki.de.vec wiki.en.vec --embedding 300
rnnkit train-seq2seq --resume"""

VALIDATION_BEAM = 1


def run(options: TrainSeq2SeqOptions, listen: Listener = null_listener) -> TrainingResult | CostEstimate:
    """Train a model, or with `dry_run` estimate the cost.

    Raises:
        DataError: Data, vocabulary or tokenizer is missing, or the data lacks a `train` or `valid` split.
        UsageError: Options cannot be combined.
        ArtefactError: Inputs do not match each other, or the output exists or is in use.
        Interrupted: A signal arrived; everything is saved.
    """
    folder = options.output or Workspace(options.work).model
    if not options.resume:
        options = apply_preset(options)
        _embeddings(options).check(options.tied, options.init_from)
    if options.dry_run:
        trial = training_run.dry_run(options, folder, listen)
        return trial.estimate(build_seq2seq(trial, _open_inputs(options)))
    with training_run.start(options, folder, listen) as started:
        inputs = started.check_inputs(_open_inputs(started.options), _embeddings(started.options))
        return started.fit(build_seq2seq(started, inputs), inputs)


def _open_inputs(options: TrainSeq2SeqOptions) -> TrainingInputs[AlignedData]:
    found = training_inputs.open_pairs(options.work, options.data, options.vocab, options.tokenizer)
    return dataclasses.replace(found, digests={**found.digests, **_guided(options).digests()})


def build_seq2seq(run: TrainingRun[TrainSeq2SeqOptions], inputs: TrainingInputs[AlignedData]) -> TrainingComponents:
    """Build the network, its training task, the batches and the validation."""
    from rnnkit.data.batch_sampler import BatchSampler, StepIterator
    from rnnkit.evaluation.validation import make_seq2seq_validation
    from rnnkit.training.optimizer import NetworkOptimizer
    from rnnkit.training.schedules import default_epochs
    from rnnkit.training.training_step import Seq2SeqObjective, Seq2SeqTask

    options, data = run.options, inputs.data
    supervision = _guided(options).load(data)
    model = _make_model(run, inputs)
    network = model.network
    source, target = (data.side("train", side) for side in data.sides)
    optimizer = NetworkOptimizer(network, _optimizer_settings(options), run.directory, run.group)
    precision = _precision(options, optimizer.device)
    objective = Seq2SeqObjective(options.label_smoothing or 0.0, precision)
    batches = BatchSampler([source.lengths(), target.lengths()], options.batch_tokens or 1, options.seed)
    return TrainingComponents(
        model=TrainedModel(run.directory, network, model.languages),
        task=Seq2SeqTask(network, source, target, objective, optimizer, supervision),
        batches=StepIterator(batches, run.shard),
        validate=make_seq2seq_validation(model, data, _validation(options, data), optimizer.ema_weights, run.listen),
        default_epochs=default_epochs(data.meta.facts["splits"]["train"]["tokens"][data.sides[1]]),
        vocabulary_size=network.config.target_size,
        precision=precision,
    )


def _validation(options: TrainSeq2SeqOptions, data: AlignedData) -> ValidationSettings:
    """Return how to validate: with greedy search, under the length limits that `decode` has for the finished model."""
    from rnnkit.decoding.stepper import SearchOptions, max_training_lengths
    from rnnkit.evaluation.validation import ValidationSettings

    known = data.meta.facts["splits"]["train"].get("longest")
    longest = max_training_lengths([None if known is None else (known[data.sides[0]], known[data.sides[1]])])
    search = SearchOptions(
        beam=VALIDATION_BEAM, max_source_length=longest.max_source_length, max_output_length=longest.max_output_length
    )
    batch_tokens = 2 * (options.batch_tokens or 1)
    return ValidationSettings(options.validate_lines, options.measure or "auto", options.samples, search, batch_tokens)


def _make_model(run: TrainingRun[TrainSeq2SeqOptions], inputs: TrainingInputs[AlignedData]) -> LoadedSeq2Seq:
    """Create the network on its device with its initial weights, and the model directory of a new run.

    A checkpoint replaces the weights of a resumed run, so that no others are loaded.
    """
    import torch

    from rnnkit.models import store
    from rnnkit.models.pretrained_embeddings import load_initial_weights
    from rnnkit.models.sequence_to_sequence import SequenceToSequence
    from rnnkit.nn.device import choose_device, enable_checkpointing, set_threads
    from rnnkit.text.tokenizer_store import load_tokenizer
    from rnnkit.text.vocabulary import Vocabulary

    options, data = run.options, inputs.data
    set_threads(options.threads, run.group.rank_info.local_world_size)
    tokenizer = cast(Path, inputs.tokenizer)  # `open_pairs` refuses data without one
    config = _config(options, data, inputs.joint)
    vocabularies = [Vocabulary.load(path) for path in inputs.vocabularies]
    torch.manual_seed(options.seed)
    network = SequenceToSequence(config).to(choose_device(options.device))
    if options.recompute:
        enable_checkpointing(network)
    embeddings = _embeddings(options)
    if not run.from_checkpoint and options.init_from is not None:
        load_initial_weights(network, store.SEQ2SEQ, options.init_from, vocabularies)
    if not run.from_checkpoint:
        embeddings.initialize(network, vocabularies, data, run.listen)
    embeddings.freeze(network, data)
    languages = (data.sides[0], data.sides[1])
    if run.creates_model:
        store.create_seq2seq(run.directory.path, config, languages, tokenizer, inputs.vocabularies)
    return store.LoadedSeq2Seq(
        folder=run.directory.path,
        network=network,
        tokenizer=load_tokenizer(tokenizer),
        source_vocabulary=vocabularies[0],
        target_vocabulary=vocabularies[-1],
        languages=languages,
        facts={},
    )


def _optimizer_settings(options: TrainSeq2SeqOptions) -> OptimizerSettings:
    from rnnkit.training.optimizer import OptimizerSettings

    return OptimizerSettings(
        optimizer=options.optimizer,  # type: ignore[arg-type]  # the value is one of the declared choices
        weight_decay=options.weight_decay,
        clip=options.clip,
        ema_decay=options.mean_decay or 0.0,
        keep_snapshots=options.average,
        scale_loss=options.precision == "fp16",
    )


def _precision(options: TrainSeq2SeqOptions, device: torch.device) -> torch.dtype:
    """Return the data type of matrix multiplications; those of a Transformer span whole sentences."""
    from rnnkit.nn import device as devices

    is_transformer = options.arch in kinds.TRANSFORMERS
    smallest = devices.MIN_HIDDEN_FOR_BF16_SEQUENCES if is_transformer else devices.MIN_HIDDEN_FOR_BF16
    return devices.choose_precision(options.precision, device, options.hidden or 0, smallest)


def _config(options: TrainSeq2SeqOptions, data: AlignedData, joint_vocabulary: bool) -> Seq2SeqConfig:
    from rnnkit.models.encoder_decoder import Seq2SeqConfig

    for enabled, flag in ((options.joint_embeddings, "--joint-embeddings"), (options.copy, "--copy")):
        if enabled and not joint_vocabulary:
            raise UsageError(f"{flag} needs a joint vocabulary", hint="`rnnkit vocab` without --separate", option=flag)
    source, target = data.sides
    is_multihead, is_transformer = options.attention == "multihead", options.arch in kinds.TRANSFORMERS
    # The values are among the declared choices, and the preset has filled in all values.
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
        heads=options.heads or 1 if is_multihead else Seq2SeqConfig.heads,
        inner=options.inner or 0 if is_transformer else Seq2SeqConfig.inner,
        norm=options.norm,  # type: ignore[arg-type]
        positions=options.positions,  # type: ignore[arg-type]
        cell=options.cell,  # type: ignore[arg-type]
        residual=options.residual,
        layer_norm=bool(options.layer_norm),
        locked=bool(options.variational),
        weight_drop=options.weight_drop or 0.0,
        dropout_embedding=options.dropout_embedding or 0.0,
        copy=bool(options.copy),
        guided_head=is_multihead and _guided(options).file is not None,
        right_to_left=options.right_to_left,
    )


def _guided(options: TrainSeq2SeqOptions) -> GuidedAttentionInput:
    return GuidedAttentionInput(options.guided_attention, options.guided_weight)


def _embeddings(options: TrainSeq2SeqOptions) -> PretrainedEmbeddings:
    return PretrainedEmbeddings(
        tuple(options.embeddings), options.freeze_embeddings, options.joint_embeddings, options.repair
    )
