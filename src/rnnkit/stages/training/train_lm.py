"""`rnnkit train-lm`: aligned data of one side in, a language model out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from rnnkit.events import Listener, ignore
from rnnkit.io.workspace import Workspace
from rnnkit.stages.training import language_options, pretrained, training_inputs, training_run
from rnnkit.stages.training.language_options import NGRAM, TrainLMOptions
from rnnkit.stages.training.outcome import TrainingResult
from rnnkit.stages.training.training_run import Learner, Recipe
from rnnkit.system.machine import keep_freed_memory

if TYPE_CHECKING:
    import torch

    from rnnkit.io.staged import RunFolder
    from rnnkit.models.cloze import Cloze
    from rnnkit.models.cloze import Config as ClozeConfig
    from rnnkit.models.language_model import Config, LanguageModel
    from rnnkit.nn.sampled_softmax import Proposal
    from rnnkit.stages.training.count_ngrams import Cost, Counted
    from rnnkit.stages.training.training_inputs import TrainingInputs
    from rnnkit.training.estimate import Estimate
    from rnnkit.training.optimisation import Settings as Changes
    from rnnkit.training.processes import Group

    N = TypeVar("N", Cloze, LanguageModel)

EXAMPLE = """\
rnnkit train-lm --arch lstm
rnnkit train-lm --arch ngram --order 5 --output work/counts
rnnkit train-lm --preset medium --arch gru --epochs 20
rnnkit train-lm --cloze --arch lstm --output work/cloze
rnnkit train-lm --resume"""

__all__ = ["EXAMPLE", "TrainLMOptions", "run"]


def run(options: TrainLMOptions, listen: Listener = ignore) -> TrainingResult | Estimate | Counted | Cost:
    """Train, or with `dry_run` say what it would cost.

    Raises:
        DataError: Data, vocabulary or tokenizer is missing, or the data has no `train` or `valid` part.
        UsageError: Options that do not go together.
        ArtefactError: The inputs do not belong together, or the output already exists or is in use.
        Interrupted: A signal came; everything is saved.
    """
    folder = options.output or Workspace(options.work).model
    if not options.resume:
        options = language_options.fill(options)
        _pretrained(options).check(options.tied, options.init_from)
    if options.arch == NGRAM:
        from rnnkit.stages.training import count_ngrams

        return count_ngrams.run(options, folder, listen)
    return training_run.run(
        options, folder, lambda resolved, group, place: _recipe(resolved, place, group, listen), listen
    )


def _recipe(options: TrainLMOptions, folder: RunFolder, group: Group, listen: Listener) -> Recipe:
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
    folder: RunFolder,
    resuming: bool,
    group: Group,
    listen: Listener,
) -> Learner:
    """The model directory with its network, the task that trains it, the batches, and what measures it.

    A run that is resumed from a checkpoint needs no other weights to start from.
    """
    from rnnkit.data.steps import Steps
    from rnnkit.data.stream import Cutting, LineBatches, StreamBatches
    from rnnkit.evaluation.perplexity import make_validation
    from rnnkit.models import language_store
    from rnnkit.models.language_model import LanguageModel
    from rnnkit.nn.device import choose_output_precision
    from rnnkit.stages.training.markers import warn_of_markers
    from rnnkit.text.vocabulary import Vocabulary
    from rnnkit.training.language_model import LanguageModelTask, Settings
    from rnnkit.training.optimisation import Optimisation

    network = _start(options, made_from, resuming, group, listen, lambda size: LanguageModel(_config(options, size)))
    language = made_from.data.sides[0]
    if group.first and not options.dry_run and not options.resume:
        warn_of_markers(Vocabulary.load(made_from.vocabularies[0]), False, listen)
        language_store.create(folder.path, network.config, language, made_from.tokenizer, made_from.vocabularies[0])
    text = made_from.data.side("train", language)
    optimisation = Optimisation(network, _changes(options), folder, group)
    device = optimisation.device
    settings = Settings(
        activation=options.activation_penalty or 0.0,
        temporal=options.temporal_penalty or 0.0,
        proposal=_proposal(options, made_from, device),
        precision=_precision(options, device),
        output_precision=choose_output_precision(options.precision, device),
    )
    share = training_run.share(options, group)
    columns = (options.columns or 1) * share.count
    cutting = Cutting(columns, options.steps or 1, bool(options.vary_steps), options.partial_shuffle)
    batches = (
        LineBatches(text, options.batch_tokens, options.seed)
        if options.context == "line"
        else StreamBatches(text.stream(), cutting, options.seed)
    )
    return Learner(
        folder=folder,
        network=network,
        languages=(language,),
        task=LanguageModelTask(network, settings, optimisation),
        batches=Steps(batches, share),
        validate=make_validation(network, made_from.data.side("valid", language), optimisation.mean_weights),
        epochs=_epochs(made_from),
        precision=settings.precision,
        vocabulary=network.config.vocabulary,
    )


def _prepare_fill(
    options: TrainLMOptions,
    made_from: TrainingInputs,
    folder: RunFolder,
    resuming: bool,
    group: Group,
    listen: Listener,
) -> Learner:
    """As `_prepare`, for a model that fills gaps."""
    from rnnkit.data.batching import Batches
    from rnnkit.data.steps import Steps
    from rnnkit.evaluation.cloze import make_validation
    from rnnkit.models import cloze_store
    from rnnkit.models.cloze import Cloze
    from rnnkit.nn.device import choose_output_precision
    from rnnkit.training.cloze import ClozeTask, Settings
    from rnnkit.training.optimisation import Optimisation

    network = _start(options, made_from, resuming, group, listen, lambda size: Cloze(_cloze_config(options, size)))
    language = made_from.data.sides[0]
    if group.first and not options.dry_run and not options.resume:
        cloze_store.create(folder.path, network.config, language, made_from.tokenizer, made_from.vocabularies[0])
    lines, held_out = (made_from.data.side(split, language) for split in ("train", "valid"))
    optimisation = Optimisation(network, _changes(options), folder, group)
    device = optimisation.device
    settings = Settings(
        _precision(options, device),
        choose_output_precision(options.precision, device),
    )
    batches = Batches([lines.lengths()], options.batch_tokens, options.seed)
    return Learner(
        folder=folder,
        network=network,
        languages=(language,),
        task=ClozeTask(network, lines, settings, optimisation),
        batches=Steps(batches, training_run.share(options, group)),
        validate=make_validation(network, held_out, optimisation.mean_weights),
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
    from rnnkit.training.budget import default_epochs

    return default_epochs(made_from.data.meta.facts["splits"]["train"]["tokens"][made_from.data.sides[0]])


def _start(
    options: TrainLMOptions,
    made_from: TrainingInputs,
    resuming: bool,
    group: Group,
    listen: Listener,
    build: Callable[[int], N],
) -> N:
    """A network on its device with what it starts from: random weights, those of another model, word vectors."""
    import torch

    from rnnkit.models import store
    from rnnkit.nn import activation_checkpointing
    from rnnkit.nn.device import choose_device, set_threads
    from rnnkit.stages.training.fine_tuning import initialise
    from rnnkit.text.vocabulary import Vocabulary

    set_threads(options.threads, group.place.local_size)
    keep_freed_memory()
    device = choose_device(options.device)
    vocabularies = [Vocabulary.load(made_from.vocabularies[0])]
    torch.manual_seed(options.seed)
    network = build(len(vocabularies[0])).to(device)
    if options.recompute:
        activation_checkpointing.enable_checkpointing(network)
    vectors = _pretrained(options)
    if not resuming and options.init_from is not None:
        initialise(network, store.CLOZE if options.cloze else store.LANGUAGE_MODEL, options.init_from, vocabularies)
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
    counts_V = pretrained.count_tokens(made_from.data, made_from.data.sides)
    return propose(unigram_weights(torch.from_numpy(counts_V)), options.sampled_softmax, device)


def _config(options: TrainLMOptions, vocabulary: int) -> Config:
    from rnnkit.models.language_model import Config

    return Config(
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
    from rnnkit.models import cloze

    known = {field.name for field in dataclasses.fields(cloze.Config)}
    shared = dataclasses.asdict(_config(options, vocabulary))
    return cloze.Config(**{name: value for name, value in shared.items() if name in known})


def _changes(options: TrainLMOptions) -> Changes:
    from rnnkit.training.optimisation import Settings

    return Settings(
        optimizer=options.optimizer,  # type: ignore[arg-type]  # held to the choices by `config.resolve`
        weight_decay=options.weight_decay or 0.0,
        clip=options.clip or 0.0,
        clip_value=options.clip_value,
        mean_decay=options.mean_decay or 0.0,
        keep_last=options.average,
        scaled=options.precision == "fp16",
    )


def _pretrained(options: TrainLMOptions) -> pretrained.Pretrained:
    return pretrained.Pretrained(tuple(options.embeddings), options.freeze_embeddings, True, options.repair)
