"""What `train-tagger` and `train-classifier` have in common: inputs, network, task and validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from rnnkit.errors import ArtefactError, DataError, UsageError
from rnnkit.io import manifest
from rnnkit.io.manifest import Workspace
from rnnkit.json_types import JsonMapping
from rnnkit.stages.training import language_model_inputs, static_vector_inputs
from rnnkit.stages.training.labelling_options import (
    CLASSIFIER_EPOCHS,
    TAGGER_EPOCHS,
    TrainClassifierOptions,
    TrainTaggerOptions,
    apply_preset,
    parse_class_weights,
)
from rnnkit.stages.training.run_folder import TrainedModel
from rnnkit.stages.training.training_inputs import PretrainedEmbeddings, TrainingInputs, check_match
from rnnkit.stages.training.training_run import TrainingComponents, TrainingRun
from rnnkit.system.machine import retain_freed_memory

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from rnnkit.data.labelled_data import LabelledData, LabelSet
    from rnnkit.models.labelling.labelling_encoder import LabellingConfig
    from rnnkit.models.labelling.labelling_store import LabelInventory
    from rnnkit.models.labelling.language_model_states import LanguageModelStates
    from rnnkit.models.labelling.static_vectors import StaticVectors
    from rnnkit.models.labelling.tagger import TaggerNetwork
    from rnnkit.models.labelling.text_classifier import ClassifierNetwork
    from rnnkit.training.optimizer import OptimizerSettings

Options = TrainTaggerOptions | TrainClassifierOptions
OptionsT = TypeVar("OptionsT", TrainTaggerOptions, TrainClassifierOptions)
Run = TrainingRun[TrainTaggerOptions] | TrainingRun[TrainClassifierOptions]

HASHED_NGRAMS = 50_000
"""Embeddings of character n-grams; those with the same hash share one."""

SIDES_HINT = {
    "tagging": "`rnnkit align --text NAME --labels NAME` with a label for each word makes such data",
    "classification": "`rnnkit align --text NAME --labels NAME` with a label for each line makes such data",
}


def open_labelled(options: Options, task: str) -> TrainingInputs[LabelledData]:
    """Open labelled data with its vocabulary and, if it has one, its tokenizer.

    Args:
        options: The options.
        task: Task that the data must have.

    Raises:
        DataError: Something is missing, the data has another task or lacks a `train` or `valid` split.
        ArtefactError: The data was made with another vocabulary or tokenizer.
    """
    from rnnkit.data.labelled_data import LabelledData, read_task
    from rnnkit.text.tokenizer_store import read_tokenizer_identity

    workspace = Workspace(options.work)
    folder = options.data or workspace.data
    if (found := read_task(folder)) != task:
        raise DataError(f"{folder} is {found} data, not {task} data", hint=SIDES_HINT[task], path=folder)
    data = LabelledData.open(folder)
    for split in ("train", "valid"):
        if split not in data.splits:
            raise DataError(
                f"{folder} has no {split} split", hint=f"give `rnnkit align` a {split} split as well", path=folder
            )
    joint = "vocabulary" in data.meta.inputs
    paths = options.vocab or [workspace.vocabulary(None if joint else data.text)]
    if len(paths) != 1:
        raise UsageError(f"--vocab names {len(paths)} files, but {folder} was made with one", option="--vocab")
    name = "vocabulary" if joint else f"vocabulary.{data.text}"
    check_match(data, name, paths[0], manifest.sha256(paths[0]))
    tokenizer = None
    if "tokenizer" in data.meta.inputs:
        tokenizer = options.tokenizer or workspace.tokenizer
        check_match(data, "tokenizer", tokenizer, read_tokenizer_identity(tokenizer))
    digests = {"data": manifest.sha256(data.folder / manifest.NAME), **data.meta.inputs}
    output = options.output or workspace.model
    digests |= static_vector_inputs.input_digests(options, output)
    digests |= language_model_inputs.input_digests(options, output)
    return TrainingInputs(data, paths, tokenizer, digests)


def complete_options(options: OptionsT, preset: JsonMapping) -> OptionsT:
    """Return the options of a new run with those that were not given, from a language model or from the preset.

    Raises:
        UsageError: Options cannot be combined, or contradict the language model of --init-from.
        DataError: --init-from names no model directory.
        ArtefactError: It is an n-gram model, or reads from right to left.
        FormatError: It is damaged.
    """
    from rnnkit.stages.training.language_model_start import adopt_shape

    options = apply_preset(adopt_shape(options), preset)
    embeddings_of(options).check(False, options.init_from)
    return options


def embeddings_of(options: Options) -> PretrainedEmbeddings:
    """Return the word vectors that initialize the embeddings."""
    return PretrainedEmbeddings(tuple(options.embeddings), options.freeze_embeddings, True, options.repair)


def build_labeller(run: Run, inputs: TrainingInputs[LabelledData]) -> TrainingComponents:
    """Build the network, its training task, the batches and the validation."""
    from rnnkit.data.batch_sampler import BatchSampler, StepIterator
    from rnnkit.evaluation.labelling_validation import make_labelling_validation
    from rnnkit.models.labelling.labelling_store import character_features
    from rnnkit.nn.device import MIN_HIDDEN_FOR_BF16_SEQUENCES, choose_precision
    from rnnkit.stages.training.language_model_start import make_layerwise
    from rnnkit.training.labelling_task import LabelledBatches, LabellingObjective, LabellingTask
    from rnnkit.training.optimizer import NetworkOptimizer

    options, data = run.options, inputs.data
    model = _make_model(run, inputs)
    network = model.network
    table = data.table.with_features(character_features(network.config, model.inventory.alphabet))
    if model.vectors is not None:
        table = static_vector_inputs.extend(table, model.vectors, run, data)
    states = language_model_inputs.cache_states(run, data, inputs.tokenizer, model.language_models)
    train, valid = (LabelledBatches(data, split, table, states.splits.get(split)) for split in ("train", "valid"))
    batches = StepIterator(BatchSampler([train.lengths()], options.batch_tokens or 1, options.seed), run.shard)
    layerwise = make_layerwise(network, options, batches.per_epoch)
    if options.optimizer == "adam" and not options.weight_decay and layerwise is None:
        network.encoder.use_sparse_gradients()
    optimizer = NetworkOptimizer(network, _optimizer_settings(options), run.directory, run.group, layerwise)
    precision = choose_precision(
        options.precision, optimizer.device, options.hidden or 0, MIN_HIDDEN_FOR_BF16_SEQUENCES
    )
    weights = _class_weights(options, data.columns, optimizer.device)
    objective = LabellingObjective(options.label_smoothing or 0.0, weights, precision)
    return TrainingComponents(
        model=TrainedModel(run.directory, network, (data.text,)),
        task=LabellingTask(network, train, objective, optimizer),
        batches=batches,
        validate=make_labelling_validation(network, data, valid, precision, optimizer.ema_weights),
        default_epochs=_default_epochs(options, data),
        vocabulary_size=max(network.config.labels),
        precision=precision,
        preparation_seconds=states.seconds,
    )


@dataclass(frozen=True)
class _NewModel:
    network: TaggerNetwork | ClassifierNetwork
    inventory: LabelInventory
    vectors: StaticVectors | None
    language_models: LanguageModelStates | None


def _make_model(run: Run, inputs: TrainingInputs[LabelledData]) -> _NewModel:
    """Create the network on its device with its initial weights, and the model directory of a new run."""
    import torch

    from rnnkit.data.word_table import Alphabet
    from rnnkit.models.labelling import labelling_store
    from rnnkit.models.labelling.labelling_store import LabelInventory
    from rnnkit.models.pretrained_embeddings import load_initial_weights
    from rnnkit.nn.device import choose_device, enable_checkpointing, set_threads
    from rnnkit.stages.training.language_model_start import (
        causal_shape_of,
        copy_from_language_model,
        is_language_model,
    )
    from rnnkit.text.vocabulary import Vocabulary

    options, data = run.options, inputs.data
    set_threads(options.threads, run.group.rank_info.local_world_size)
    retain_freed_memory()
    alphabet = Alphabet.of_words(_train_words(data)) if options.characters in ("lstm", "cnn") else Alphabet("")
    inventory = LabelInventory(data.columns, alphabet)
    device = choose_device(options.device)
    vectors = static_vector_inputs.open_vectors(run)
    language_models = language_model_inputs.open_states(run, device)
    config = _config(options, data, inventory, language_models)
    config = replace(config, word_vectors=0 if vectors is None else vectors.dimension)
    shape = causal_shape_of(run)
    if shape is not None:
        config = shape.extend(config)
    torch.manual_seed(options.seed)
    network = labelling_store.make_network(data.task, config, inventory)
    network.encoder.set_token_counts(data.token_counts())
    network.to(device)
    if options.recompute:
        enable_checkpointing(network)
    embeddings = embeddings_of(options)
    if not run.from_checkpoint:
        vocabularies = [Vocabulary.load(path) for path in inputs.vocabularies]
        if options.init_from is not None and is_language_model(options.init_from):
            copy_from_language_model(network, options.init_from, inputs, vocabularies[0], run.listen)
        elif options.init_from is not None:
            _check_same_labels(options.init_from, inventory)
            static_vector_inputs.check_same_vectors(options.init_from, vectors)
            language_model_inputs.check_same_language_models(options.init_from, language_models)
            load_initial_weights(network, data.task, options.init_from, vocabularies)
        embeddings.initialize(network, vocabularies, data, run.listen)
    embeddings.freeze(network, data)
    if run.creates_model:
        labelling_store.create_labeller(
            run.directory.path, data.task, config, inventory, data.text, inputs.tokenizer, inputs.vocabularies[0],
            vectors, language_models,
        )  # fmt: skip
    return _NewModel(network, inventory, vectors, language_models)


def _check_same_labels(source: Path, inventory: LabelInventory) -> None:
    """Check that a model to fine-tune predicts the same labels, so that its outputs keep their meaning.

    Raises:
        ArtefactError: Its labels or its alphabet differ.
    """
    from rnnkit.models import store
    from rnnkit.models.labelling.labelling_store import read_inventory

    if store.read_config(source)["task"] not in (store.TAGGING, store.CLASSIFICATION):
        return  # the check of the task explains it
    other = read_inventory(source)
    labels, others = ([column.labels for column in each.columns] for each in (inventory, other))
    if labels != others or inventory.alphabet != other.alphabet:
        raise ArtefactError(
            f"--init-from {source} has other {'labels' if labels != others else 'characters'}",
            "its weights belong to its own labels and characters, in their order",
            hint="train on data with the same labels, or leave out --init-from",
            path=source,
            option="--init-from",
        )


def _default_epochs(options: Options, data: LabelledData) -> float:
    """Return the number of epochs for a training split of this size."""
    from rnnkit.training.schedules import default_epochs

    product = TAGGER_EPOCHS if isinstance(options, TrainTaggerOptions) else CLASSIFIER_EPOCHS
    return default_epochs(len(data.side("train", data.text).ids), product)


def _train_words(data: LabelledData) -> Sequence[str]:
    """Return the distinct words of train: an alphabet of the other splits, too, would have untrained characters."""
    import numpy as np

    from rnnkit.data.word_table import EOS_ROW

    rows = np.unique(np.asarray(data.side("train", data.text).ids))
    return [data.table.words[row] for row in rows if row != EOS_ROW]


def _config(
    options: Options, data: LabelledData, inventory: LabelInventory, language_models: LanguageModelStates | None
) -> LabellingConfig:
    from rnnkit.models.labelling.labelling_encoder import LabellingConfig

    crf, pooling = False, "max"
    if isinstance(options, TrainClassifierOptions):
        pooling = options.pooling
    else:
        has_spans = any(column.scheme is not None for column in data.columns)
        crf = has_spans if options.crf is None else options.crf
    soft = [bool(each.get("soft")) for each in data.meta.facts["labels"].values()]
    # The values are among the declared choices, and the preset has filled in all values.
    return LabellingConfig(
        arch=options.arch,  # type: ignore[arg-type]
        vocabulary=data.vocabulary_size(data.text),
        labels=[len(column.labels) for column in data.columns],
        embedding=options.embedding or 1,
        hidden=options.hidden or 1,
        layers=options.layers or 1,
        bidirectional=bool(options.bidirectional),
        characters=options.characters or "none",  # type: ignore[arg-type]
        alphabet=HASHED_NGRAMS if options.characters == "ngrams" else len(inventory.alphabet),
        character_embedding=options.character_embedding or 1,
        character_hidden=options.character_hidden or 1,
        crf=crf,
        pooling=pooling,  # type: ignore[arg-type]
        multi_label=any(column.many for column in data.columns) and not any(soft),
        heads=options.heads or 1,
        inner=(options.inner or 0) if options.arch == "transformer" else 0,
        residual=bool(options.residual),
        layer_norm=bool(options.layer_norm),
        dropout=options.dropout or 0.0,
        dropout_embedding=options.dropout_embedding or 0.0,
        dropout_ngrams=options.dropout_ngrams or 0.0,
        weight_drop=options.weight_drop or 0.0,
        unknown=options.word_dropout or 0.0,
        language_models=[] if language_models is None else language_models.directions,
        language_model_states=0 if language_models is None else language_models.size,
        language_model_projection=0 if language_models is None else options.language_model_projection,
    )


def _class_weights(options: Options, columns: Sequence[LabelSet], device: torch.device) -> list[Tensor | None] | None:
    """Return the weight of each class of each output; None if all are equal."""
    import torch

    from rnnkit.nn.label_losses import balanced_weights

    if not options.class_weights:
        return None
    given = parse_class_weights(options.class_weights)
    if given is None:
        return [balanced_weights(torch.tensor(column.counts)).to(device) for column in columns]
    known = {label for column in columns for label in column.labels}
    if unknown := [label for label in given if label not in known]:
        raise UsageError(
            f"--class-weights names {unknown[0]}, which is no label",
            f"labels: {', '.join(sorted(known)[:20])}",
            option="--class-weights",
        )
    return [torch.tensor([given.get(label, 1.0) for label in column.labels]).to(device) for column in columns]


def _optimizer_settings(options: Options) -> OptimizerSettings:
    from rnnkit.training.optimizer import OptimizerSettings

    return OptimizerSettings(
        optimizer=options.optimizer,  # type: ignore[arg-type]  # the value is one of the declared choices
        weight_decay=options.weight_decay,
        clip=options.clip,
        ema_decay=options.mean_decay or 0.0,
        keep_snapshots=options.average,
        scale_loss=options.precision == "fp16",
    )
