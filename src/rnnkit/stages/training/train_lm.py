"""`rnnkit train-lm`: train a neural, masked or n-gram language model on monolingual data."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from rnnkit.errors import UsageError
from rnnkit.events import Listener, Status, WarningEvent, null_listener
from rnnkit.io import artifact_output
from rnnkit.io.manifest import Workspace
from rnnkit.stages import outputs
from rnnkit.stages.training import run_folder, training_inputs, training_run
from rnnkit.stages.training.run_folder import NgramTrainingCost, NgramTrainingResult, TrainedModel, TrainingResult
from rnnkit.stages.training.train_lm_options import NGRAM, TrainLMOptions, apply_preset, unused_options
from rnnkit.stages.training.training_inputs import PretrainedEmbeddings, TrainingInputs
from rnnkit.stages.training.training_run import TrainingComponents, TrainingRun
from rnnkit.system import machine
from rnnkit.system.machine import retain_freed_memory
from rnnkit.text.special_tokens import NAMES, UNK

if TYPE_CHECKING:
    import torch

    from rnnkit.data.aligned_data import AlignedData
    from rnnkit.models.language_model import LanguageModelNetwork, LMConfig
    from rnnkit.models.masked_lm import MaskedLM, MaskedLMConfig
    from rnnkit.ngrams.ngram_model import BackoffModel
    from rnnkit.nn.losses import Proposal
    from rnnkit.text.vocabulary import Vocabulary
    from rnnkit.training.dry_run import CostEstimate
    from rnnkit.training.lm_tasks import LanguageModelObjective
    from rnnkit.training.optimizer import OptimizerSettings

    N = TypeVar("N", MaskedLM, LanguageModelNetwork)


EXAMPLE = """\
rnnkit train-lm --arch lstm
rnnkit train-lm --arch ngram --order 5 --output work/counts
rnnkit train-lm --preset medium --arch gru --epochs 20
rnnkit train-lm --direction backward --output work/backward
rnnkit train-lm --cloze --arch lstm --output work/cloze
rnnkit train-lm --resume"""

NGRAM_OPTIONS = ("arch", "order", "smoothing", "add-k", "prune", "closed")
"""Options of n-gram models, which are recorded with the model; the others are of neural networks."""


def run(
    options: TrainLMOptions, listen: Listener = null_listener
) -> TrainingResult | CostEstimate | NgramTrainingResult | NgramTrainingCost:
    """Train a model, or with `dry_run` estimate the cost.

    Raises:
        DataError: Data, vocabulary or tokenizer is missing, or the data lacks a `train` or `valid` split.
        UsageError: Options cannot be combined.
        ArtefactError: Inputs do not match each other, or the output exists or is in use.
        Interrupted: A signal arrived; everything is saved.
    """
    folder = options.output or Workspace(options.work).model
    if unused := unused_options(options):
        listen(WarningEvent(f"no effect on --arch {options.arch}: {', '.join(unused)}"))
    if not options.resume:
        options = apply_preset(options)
        _embeddings(options).check(options.tied, options.init_from)
    if options.arch == NGRAM:
        return train_ngram_model(options, folder, listen)
    if options.dry_run:
        trial = training_run.dry_run(options, folder, listen)
        return trial.estimate(_build(trial, _open_inputs(options)))
    with training_run.start(options, folder, listen) as started:
        inputs = started.check_inputs(_open_inputs(started.options), _embeddings(started.options))
        return started.fit(_build(started, inputs), inputs)


def _open_inputs(options: TrainLMOptions) -> TrainingInputs[AlignedData]:
    return training_inputs.open_text(options.work, options.data, options.vocab, options.tokenizer)


def _build(run: TrainingRun[TrainLMOptions], inputs: TrainingInputs[AlignedData]) -> TrainingComponents:
    return build_masked_lm(run, inputs) if run.options.cloze else build_language_model(run, inputs)


def build_language_model(run: TrainingRun[TrainLMOptions], inputs: TrainingInputs[AlignedData]) -> TrainingComponents:
    """Build the network of a causal language model, its training task, the batches and the validation."""
    from rnnkit.data.batch_sampler import StepIterator
    from rnnkit.data.bptt_batching import BpttBatchSampler, BpttLayout, LineBatchSampler
    from rnnkit.evaluation.validation import make_lm_validation
    from rnnkit.models import lm_store
    from rnnkit.models.language_model import LanguageModelNetwork
    from rnnkit.training.lm_tasks import LanguageModelTask
    from rnnkit.training.optimizer import NetworkOptimizer

    options = run.options
    device, vocabulary = _prepare(run, inputs)
    network = LanguageModelNetwork(_lm_config(options, len(vocabulary))).to(device)
    _initialize(run, network, inputs, vocabulary)
    language = inputs.data.sides[0]
    if run.creates_model:
        warn_of_markers(vocabulary, False, run.listen)
        lm_store.create_language_model(
            run.directory.path, network.config, language, inputs.tokenizer, inputs.vocabularies[0]
        )
    text = inputs.data.side("train", language)
    if network.config.direction == "backward":
        text = text.reversed()
    optimizer = NetworkOptimizer(network, _optimizer_settings(options), run.directory, run.group)
    objective = _objective(options, inputs, optimizer.device)
    streams = (options.batch_size or 1) * run.shard.batches_per_step
    layout = BpttLayout(streams, options.steps or 1, bool(options.vary_steps), options.partial_shuffle)
    batches = (
        LineBatchSampler(text, options.batch_tokens, options.seed)
        if options.context == "line"
        else BpttBatchSampler(text.stream(), layout, options.seed)
    )
    return TrainingComponents(
        model=TrainedModel(run.directory, network, (language,)),
        task=LanguageModelTask(network, objective, optimizer),
        batches=StepIterator(batches, run.shard),
        validate=make_lm_validation(network, inputs.data.side("valid", language), optimizer.ema_weights),
        default_epochs=_default_epochs(inputs),
        vocabulary_size=network.config.vocabulary,
        precision=objective.precision,
    )


def build_masked_lm(run: TrainingRun[TrainLMOptions], inputs: TrainingInputs[AlignedData]) -> TrainingComponents:
    """Build a masked language model, its training task, the batches and the validation."""
    from rnnkit.data.batch_sampler import BatchSampler, StepIterator
    from rnnkit.evaluation.validation import make_masked_lm_validation
    from rnnkit.models import lm_store
    from rnnkit.models.masked_lm import MaskedLM
    from rnnkit.nn.device import choose_output_precision
    from rnnkit.training.lm_tasks import MaskedLMObjective, MaskedLMTask
    from rnnkit.training.optimizer import NetworkOptimizer

    options = run.options
    device, vocabulary = _prepare(run, inputs)
    network = MaskedLM(_masked_lm_config(options, len(vocabulary))).to(device)
    _initialize(run, network, inputs, vocabulary)
    language = inputs.data.sides[0]
    if run.creates_model:
        lm_store.create_masked_lm(
            run.directory.path, network.config, language, inputs.tokenizer, inputs.vocabularies[0]
        )
    lines, held_out = (inputs.data.side(split, language) for split in ("train", "valid"))
    optimizer = NetworkOptimizer(network, _optimizer_settings(options), run.directory, run.group)
    device = optimizer.device
    objective = MaskedLMObjective(_precision(options, device), choose_output_precision(options.precision, device))
    batches = BatchSampler([lines.lengths()], options.batch_tokens, options.seed)
    return TrainingComponents(
        model=TrainedModel(run.directory, network, (language,)),
        task=MaskedLMTask(network, lines, objective, optimizer),
        batches=StepIterator(batches, run.shard),
        validate=make_masked_lm_validation(network, held_out, optimizer.ema_weights),
        default_epochs=_default_epochs(inputs),
        vocabulary_size=network.config.vocabulary,
        precision=objective.precision,
    )


def _prepare(run: TrainingRun[TrainLMOptions], inputs: TrainingInputs[AlignedData]) -> tuple[torch.device, Vocabulary]:
    """Set threads and the random seed, right before the network draws its weights; load the vocabulary."""
    import torch

    from rnnkit.nn.device import choose_device, set_threads
    from rnnkit.text.vocabulary import Vocabulary

    set_threads(run.options.threads, run.group.rank_info.local_world_size)
    retain_freed_memory()
    device = choose_device(run.options.device)
    vocabulary = Vocabulary.load(inputs.vocabularies[0])
    torch.manual_seed(run.options.seed)
    return device, vocabulary


def _initialize(
    run: TrainingRun[TrainLMOptions], network: N, inputs: TrainingInputs[AlignedData], vocabulary: Vocabulary
) -> None:
    """Load the initial weights that the options name; a checkpoint replaces those of a resumed run."""
    from rnnkit.models import store
    from rnnkit.models.pretrained_embeddings import load_initial_weights
    from rnnkit.nn.device import enable_checkpointing

    options, embeddings = run.options, _embeddings(run.options)
    if options.recompute:
        enable_checkpointing(network)
    if not run.from_checkpoint and options.init_from is not None:
        task = store.MASKED_LM if options.cloze else store.LANGUAGE_MODEL
        load_initial_weights(network, task, options.init_from, [vocabulary])
    if not run.from_checkpoint:
        embeddings.initialize(network, [vocabulary], inputs.data, run.listen)
    embeddings.freeze(network, inputs.data)


def _objective(
    options: TrainLMOptions, inputs: TrainingInputs[AlignedData], device: torch.device
) -> LanguageModelObjective:
    from rnnkit.nn.device import choose_output_precision
    from rnnkit.training.lm_tasks import LanguageModelObjective

    return LanguageModelObjective(
        activation=options.activation_penalty or 0.0,
        temporal=options.temporal_penalty or 0.0,
        proposal=_proposal(options, inputs, device),
        precision=_precision(options, device),
        output_precision=choose_output_precision(options.precision, device),
    )


def _proposal(options: TrainLMOptions, inputs: TrainingInputs[AlignedData], device: torch.device) -> Proposal | None:
    """Return the proposal distribution of sampled softmax, unigram frequencies; None for the full softmax."""
    import torch

    from rnnkit.nn.losses import propose, unigram_weights

    if not options.sampled_softmax:
        return None
    counts_V = training_inputs.count_tokens(inputs.data, inputs.data.sides)
    return propose(unigram_weights(torch.from_numpy(counts_V)), options.sampled_softmax, device)


def _precision(options: TrainLMOptions, device: torch.device) -> torch.dtype:
    """Return the data type of matrix multiplications, which span whole segments."""
    from rnnkit.nn.device import MIN_HIDDEN_FOR_BF16_SEQUENCES, choose_precision

    return choose_precision(options.precision, device, options.hidden or 0, MIN_HIDDEN_FOR_BF16_SEQUENCES)


def _default_epochs(inputs: TrainingInputs[AlignedData]) -> float:
    """Return the number of epochs for a text of this size."""
    from rnnkit.training.schedules import default_epochs

    return default_epochs(inputs.data.meta.facts["splits"]["train"]["tokens"][inputs.data.sides[0]])


def _lm_config(options: TrainLMOptions, vocabulary_size: int) -> LMConfig:
    from rnnkit.models.language_model import LMConfig

    return LMConfig(
        arch=options.arch,  # type: ignore[arg-type]  # the value is one of the declared choices
        vocabulary=vocabulary_size,
        embedding=options.embedding or 1,
        hidden=options.hidden or 1,
        layers=options.layers or 1,
        tied=options.tied,
        residual=bool(options.residual),
        context=options.context,  # type: ignore[arg-type]
        direction=options.direction,  # type: ignore[arg-type]
        heads=options.heads,
        memory=options.memory,
        dropout=options.dropout or 0.0,
        dropout_input=options.dropout_input or 0.0,
        dropout_hidden=options.dropout_hidden or 0.0,
        dropout_embedding=options.dropout_embedding or 0.0,
        weight_drop=options.weight_drop or 0.0,
    )


def _masked_lm_config(options: TrainLMOptions, vocabulary_size: int) -> MaskedLMConfig:
    from rnnkit.models.masked_lm import MaskedLMConfig

    names = {field.name for field in dataclasses.fields(MaskedLMConfig)}
    shared = dataclasses.asdict(_lm_config(options, vocabulary_size))
    return MaskedLMConfig(**{name: value for name, value in shared.items() if name in names})


def _optimizer_settings(options: TrainLMOptions) -> OptimizerSettings:
    from rnnkit.training.optimizer import OptimizerSettings

    return OptimizerSettings(
        optimizer=options.optimizer,  # type: ignore[arg-type]  # the value is one of the declared choices
        weight_decay=options.weight_decay or 0.0,
        clip=options.clip or 0.0,
        clip_value=options.clip_value,
        ema_decay=options.mean_decay or 0.0,
        keep_snapshots=options.average,
        scale_loss=options.precision == "fp16",
    )


def _embeddings(options: TrainLMOptions) -> PretrainedEmbeddings:
    return PretrainedEmbeddings(tuple(options.embeddings), options.freeze_embeddings, True, options.repair)


def train_ngram_model(
    options: TrainLMOptions, folder: Path, listen: Listener
) -> NgramTrainingResult | NgramTrainingCost:
    """Estimate an n-gram model, or with `dry_run` its cost.

    Raises:
        DataError: Data, vocabulary or tokenizer is missing, or the text cannot be smoothed.
        UsageError: --resume is given.
        ArtefactError: The inputs do not match each other, or the output exists or is in use.
    """
    if options.resume:
        raise UsageError(
            "--resume cannot be combined with --arch ngram",
            "counting takes seconds and writes no checkpoints",
            hint="use --overwrite to start again",
            option="--resume",
        )
    inputs = training_inputs.open_text(options.work, options.data, options.vocab, options.tokenizer)
    language = inputs.data.sides[0]
    if options.dry_run:
        from rnnkit.ngrams.ngram_estimation import estimated_bytes

        facts = inputs.data.meta.facts["splits"]["train"]
        tokens = int(facts["tokens"][language])
        cost = NgramTrainingCost(tokens, estimated_bytes(tokens, int(facts["sentences"]), options.order))
        machine.report_limits(cost.memory_bytes, listen)
        return cost
    outputs.check_not_inputs(folder, outputs.input_paths(options))
    run_folder.check_replaceable(folder, options.overwrite, training_run.KIND)
    with artifact_output.atomic_directory(folder, training_run.KIND) as partial:
        result = _estimate_ngrams(options, inputs, partial, listen)
    return dataclasses.replace(result, model=folder)


def _estimate_ngrams(
    options: TrainLMOptions, inputs: TrainingInputs[AlignedData], folder: Path, listen: Listener
) -> NgramTrainingResult:
    from rnnkit.evaluation.perplexity import perplexity, remove_padding
    from rnnkit.ngrams import store as ngram_store
    from rnnkit.ngrams.ngram_estimation import estimate_ngram_model
    from rnnkit.ngrams.options import NgramOptions
    from rnnkit.text.vocabulary import Vocabulary

    began = time.monotonic()
    warn_of_markers(Vocabulary.load(inputs.vocabularies[0]), True, listen)
    language = inputs.data.sides[0]
    text, held_out = (remove_padding(inputs.data.side(split, language)) for split in ("train", "valid"))
    settings = NgramOptions(
        order=options.order,
        smoothing=options.smoothing,  # type: ignore[arg-type]  # the value is one of the declared choices
        prune=tuple(options.prune),
        add=options.add_k,
        closed=options.closed,
    )
    model = estimate_ngram_model(text.ids, text.offsets, inputs.data.vocabulary_size(language), settings, listen)
    listen(Status("writing the model"))
    ngram_store.save(folder / ngram_store.NAME, model)
    seconds = time.monotonic() - began
    listen(Status("validation"))
    log_p = model.score(held_out.ids, held_out.offsets)
    loss = float(-log_p.mean())
    result = NgramTrainingResult(folder, tuple(model.sizes), loss, perplexity(loss), seconds)
    _write_ngram_directory(options, inputs, model, result)
    return result


def _write_ngram_directory(
    options: TrainLMOptions, inputs: TrainingInputs[AlignedData], model: BackoffModel, result: NgramTrainingResult
) -> None:
    """Complete the model directory with configuration, vocabulary, tokenizer and manifest."""
    from rnnkit.models import store
    from rnnkit.models.lm_store import VOCABULARY_FILE

    folder, language = result.model, inputs.data.sides[0]
    store.create_model_dir(folder, inputs.tokenizer, {VOCABULARY_FILE: inputs.vocabularies[0]})
    network = {"arch": "ngram", "order": model.order, "smoothing": options.smoothing}
    store.write_config(folder, store.LANGUAGE_MODEL, [language], [VOCABULARY_FILE], network)
    facts = {"languages": [language], "ngrams": list(result.ngrams), "perplexity": result.perplexity}
    kept = {name: value for name, value in run_folder.run_options(options).items() if name in NGRAM_OPTIONS}
    store.write_manifest(folder, kept, inputs.digests, facts, finished=True)


def warn_of_markers(vocabulary: Vocabulary, is_ngram: bool, listen: Listener) -> None:
    """Warn if `<s>`, `</s>` or `<unk>` occur as ordinary words of the training text, and of the effect on export.

    Args:
        vocabulary: Vocabulary of the training text.
        is_ngram: Whether an n-gram model is trained, which can be exported. For a neural model, only `<s>` and `</s>`
            matter: `<unk>` is common in preprocessed text and harmless there.
        listen: Receives at most one warning.
    """
    unknown = NAMES[UNK]
    found = [name for name in NAMES[UNK:] if name in vocabulary.ids and (is_ngram or name != unknown)]
    if not found:
        return
    shown = ", ".join(f"{name} ({vocabulary.counts[vocabulary.ids[name]]:,} times)" for name in found)
    text = f"the training text has {shown} as ordinary words, in addition to the markers that each line gets"
    limits = [name for name in found if name != unknown]
    if limits:
        text += f"; remove {' and '.join(limits)} from the text (`sed -E 's#</?s>##g' TEXT`) and train again"
    if is_ngram and limits:
        text += "; otherwise convert-ngrams cannot write the model, as an ARPA file has each marker once"
    if unknown in found:
        text += f"; convert-ngrams --merge-unknown makes the text's {unknown} the unknown word of an ARPA file"
    listen(WarningEvent(text))
