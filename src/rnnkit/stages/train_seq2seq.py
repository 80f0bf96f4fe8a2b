"""`rnnkit train-seq2seq`: aligned data of two sides in, a model directory out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from rnnkit.config import option
from rnnkit.errors import UsageError
from rnnkit.events import Listener, ignore
from rnnkit.files.workspace import Workspace
from rnnkit.nn import kinds
from rnnkit.stages import pretrained, training_inputs, training_run
from rnnkit.stages.outcome import Result
from rnnkit.stages.training_run import Learner, Recipe
from rnnkit.training import schedules

if TYPE_CHECKING:
    from rnnkit.data.aligned import AlignedData
    from rnnkit.models.sequence_to_sequence import Config
    from rnnkit.models.store import Model
    from rnnkit.stages.training_inputs import TrainingInputs
    from rnnkit.training.estimate import Estimate
    from rnnkit.training.optimisation import Settings as Changes

EXAMPLE = """\
rnnkit train-seq2seq --arch lstm
rnnkit train-seq2seq --arch gru --layers 2 --attention additive --output work/gru
rnnkit train-seq2seq --embeddings wiki.de.vec wiki.en.vec --embedding 300
rnnkit train-seq2seq --resume"""

VALIDATION_BEAM = 1


@dataclass(frozen=True)
class Options:
    """Train a sequence-to-sequence model on aligned data of two sides.

    The model directory keeps the best and the last weights, the metrics, a learning curve and a model card.

    Embeddings can start from word vectors: a vectors directory, or a file of word2vec, fastText or GloVe, with the size
    of --embedding. One is for the source, and for both sides with --joint-embeddings; two are for source and target.
    Tokens are looked up as they are, then without the marks of their tokenizer, then in lower case; where the vectors
    have n-grams, the others are composed. All are scaled to the mean length of new embeddings, and tokens without a
    vector are drawn at random like those that have one.
    """

    work: Path = option(Path("work"), help="Workspace that paths not given are in.", panel="Data")
    data: Path | None = option(None, help="Aligned data.", panel="Data", shown_default="WORK/data")
    vocab: list[Path] = option(
        (), help="Vocabulary, or the source's and the target's.", panel="Data", shown_default="as the data names it"
    )
    tokenizer: Path | None = option(None, help="Tokenizer folder.", panel="Data", shown_default="WORK/tokenizer")
    init_from: Path | None = option(
        None, help="Model whose best weights to start from (fine-tuning); same vocabulary.", panel="Data"
    )
    arch: str = option("lstm", help="Recurrent unit.", panel="Model", choices=kinds.ARCHS)
    layers: int = option(1, help="Encoder layers; from three up with residual connections.", panel="Model", minimum=1)
    decoder_layers: int = option(0, help="Decoder layers; 0: as the encoder.", panel="Model", minimum=0)
    hidden: int = option(512, help="Size of memory and decoder states.", panel="Model", minimum=2)
    embedding: int = option(256, help="Size of the embeddings.", panel="Model", minimum=1)
    bidirectional: bool = option(True, help="Encoder reads both ways, half the size each.", panel="Model")
    attention: str = option("dot", help="Attention over the source.", panel="Model", choices=kinds.ATTENTIONS)
    bridge: str = option(
        "mean", help="Decoder starts from the encoder's last states or its memory's mean.", panel="Model",
        choices=kinds.BRIDGES,
    )  # fmt: skip
    input_feeding: bool = option(False, help="Feed each readout into the next step (Luong); slower.", panel="Model")
    tied: bool = option(True, help="Output matrix is the target embeddings.", panel="Model")
    joint_embeddings: bool = option(
        False, help="Source and target share embeddings; needs a joint vocabulary.", panel="Model"
    )
    gru_reset: str = option(
        "after", help="GRU's reset gate after the product (torch) or inside it (paper).", panel="Model",
        choices=kinds.RESETS,
    )  # fmt: skip
    embeddings: list[Path] = option(
        (), help="Word vectors that embeddings start from: the source's, or the source's and the target's.",
        many=True, shown_default="random", panel="Model",
    )  # fmt: skip
    freeze_embeddings: bool = option(False, help="Leave embeddings from vectors as they are.", panel="Model")
    dropout: float = option(
        0.3, help="Share dropped on embeddings, layers, readout.", panel="Model", minimum=0, maximum=0.99
    )
    epochs: float = option(
        0, help="Passes over the data; 0: by its size.", panel="Optimisation", unit="passes", minimum=0
    )
    max_steps: int = option(0, help="Most steps; 0: as --epochs says.", panel="Optimisation", unit="steps", minimum=0)
    batch_tokens: int = option(
        2048, help="Batch size on its longer side, padding counted.", panel="Optimisation", unit="tokens", minimum=1
    )
    optimizer: str = option("adam", help="Optimizer.", panel="Optimisation", choices=kinds.OPTIMIZERS)
    learning_rate: float = option(2e-3, help="Peak learning rate.", panel="Optimisation", minimum=0)
    schedule: str = option("cosine", help="Rate after warm-up.", panel="Optimisation", choices=schedules.NAMES)
    warmup: int = option(200, help="Steps of linear warm-up.", panel="Optimisation", unit="steps", minimum=0)
    weight_decay: float = option(0.0, help="Weight decay.", panel="Optimisation", minimum=0)
    label_smoothing: float = option(
        0.1, help="Probability spread over the vocabulary.", panel="Optimisation", minimum=0, maximum=0.99
    )
    clip: float = option(1.0, help="Norm that longer gradients are cut to.", panel="Optimisation", minimum=1e-9)
    patience: int = option(
        5, help="Validations without improvement before training ends; 0: never.", panel="Optimisation", minimum=0
    )
    precision: str = option(
        "auto",
        help="Of matrix products; auto: bf16 where the hardware has it and states are large.",
        panel="Optimisation",
        choices=kinds.PRECISIONS,
    )
    device: str = option("auto", help="Where to train.", panel="Optimisation", choices=kinds.DEVICES)
    threads: int = option(0, help="CPU threads; 0: all cores.", panel="Optimisation", minimum=0)
    seed: int = option(1, help="Seed of weights, dropout and order.", panel="Optimisation", minimum=0)
    output: Path | None = option(None, help="Model directory to write.", panel="Output", shown_default="WORK/model")
    validate_every: int = option(
        0, help="Steps between validations; 0: once a pass.", panel="Output", unit="steps", minimum=0
    )
    validate_lines: int = option(
        1000, help="Validation lines decoded for BLEU; 0: by loss alone.", panel="Output", unit="lines", minimum=0
    )
    samples: int = option(3, help="Sample translations shown at a validation.", panel="Output", minimum=0)
    average: int = option(0, help="Average the weights of the last so many validations.", panel="Output", minimum=0)
    report_every: int = option(50, help="Steps between lines of metrics.", panel="Output", unit="steps", minimum=1)
    save_every: float = option(120.0, help="Seconds between checkpoints.", panel="Output", unit="seconds", minimum=0)
    resume: bool = option(False, help="Go on with the run in the model directory.", panel="Output")
    overwrite: bool = option(False, help="Replace the model directory.", panel="Output")
    dry_run: bool = option(False, help="Print what the run would cost, and stop.", panel="Output")


def run(options: Options, listen: Listener = ignore) -> Result | Estimate:
    """Train, or with `dry_run` say what it would cost.

    Raises:
        DataError: Data, vocabulary or tokenizer is missing, or the data has no `train` or `valid` part.
        ArtefactError: They do not belong together, or the output is there already or in use.
        Interrupted: A signal came; everything is saved.
    """
    folder = options.output or Workspace(options.work).model
    if not options.resume:
        _pretrained(options).check(options.tied, options.init_from)
    return training_run.run(options, folder, lambda resolved: _recipe(resolved, folder, listen), listen)


def _recipe(options: Options, folder: Path, listen: Listener) -> Recipe:
    return Recipe(
        open_inputs=lambda: training_inputs.open_pairs(options.work, options.data, options.vocab, options.tokenizer),
        vectors=_pretrained(options),
        prepare=lambda made_from, resuming: _prepare(options, made_from, folder, resuming, listen),
    )


def _prepare(options: Options, made_from: TrainingInputs, folder: Path, resuming: bool, listen: Listener) -> Learner:
    """The network in its model directory, the task that trains it, the batches, and what measures it."""
    from rnnkit.data.batching import Batches
    from rnnkit.decoding.stepper import SearchOptions
    from rnnkit.evaluation.translation import make_validation
    from rnnkit.nn.device import choose_precision
    from rnnkit.training.budget import default_epochs
    from rnnkit.training.optimisation import Optimisation
    from rnnkit.training.sequence_to_sequence import SequenceToSequenceTask, Settings

    data = made_from.data
    model = _make_model(options, made_from, folder, resuming, listen)
    network = model.network
    source, target = (data.side("train", side) for side in data.sides)
    optimisation = Optimisation(network, _changes(options), folder)
    precision = choose_precision(options.precision, optimisation.device, options.hidden)
    search = SearchOptions(beam=VALIDATION_BEAM)
    return Learner(
        folder=folder,
        network=network,
        languages=model.languages,
        task=SequenceToSequenceTask(
            network, source, target, Settings(options.label_smoothing, precision), optimisation
        ),
        batches=Batches([source.lengths(), target.lengths()], options.batch_tokens, options.seed),
        validate=make_validation(
            model, data, options.validate_lines, options.samples, search, 2 * options.batch_tokens
        ),
        epochs=default_epochs(data.meta.facts["splits"]["train"]["tokens"][data.sides[1]]),
        vocabulary=network.config.target_size,
        precision=precision,
    )


def _make_model(options: Options, made_from: TrainingInputs, folder: Path, resuming: bool, listen: Listener) -> Model:
    """The model directory with its network on its device.

    A run that is resumed from a checkpoint needs no other weights to start from.
    """
    import torch

    from rnnkit.models import store
    from rnnkit.models.sequence_to_sequence import SequenceToSequence
    from rnnkit.nn.device import choose_device, set_threads
    from rnnkit.stages.fine_tuning import initialise
    from rnnkit.text.tokenizers.store import load_tokenizer
    from rnnkit.text.vocabulary import Vocabulary

    set_threads(options.threads)
    data = made_from.data
    languages = (data.sides[0], data.sides[1])
    tokenizer = cast(Path, made_from.tokenizer)  # `open_pairs` refuses data without one
    config = _config(options, data, made_from.joint)
    loaded = [Vocabulary.load(path) for path in made_from.vocabularies]
    torch.manual_seed(options.seed)
    network = SequenceToSequence(config).to(choose_device(options.device))
    if not resuming and options.init_from is not None:
        initialise(network, store.TASK, options.init_from, loaded)
    if not resuming:
        _pretrained(options).fill(network, loaded, data, listen)
    _pretrained(options).freeze(network, data)
    if not options.dry_run and not options.resume:
        store.create(folder, config, languages, tokenizer, made_from.vocabularies)
    return store.Model(
        folder=folder,
        network=network,
        tokenizer=load_tokenizer(tokenizer),
        source_vocabulary=loaded[0],
        target_vocabulary=loaded[-1],
        languages=languages,
        facts={},
    )


def _changes(options: Options) -> Changes:
    from rnnkit.training.optimisation import Settings

    return Settings(
        optimizer=options.optimizer,  # type: ignore[arg-type]  # held to the choices by `config.resolve`
        weight_decay=options.weight_decay,
        clip=options.clip,
        keep_last=options.average,
    )


def _config(options: Options, data: AlignedData, joint_vocabulary: bool) -> Config:
    from rnnkit.models.sequence_to_sequence import Config

    if options.bidirectional and options.hidden % 2:
        raise UsageError(f"--hidden {options.hidden} is odd; each direction of the encoder gets half of it")
    if options.joint_embeddings and not joint_vocabulary:
        raise UsageError("--joint-embeddings needs a joint vocabulary", hint="`rnnkit vocab` without --separate")
    if options.gru_reset == "inside" and options.arch != "gru":
        raise UsageError(f"--gru-reset inside is for --arch gru, not {options.arch}")
    source, target = data.sides
    return Config(
        arch=options.arch,  # type: ignore[arg-type]  # held to the choices by `config.resolve`
        source_size=data.vocabulary_size(source),
        target_size=data.vocabulary_size(target),
        embedding=options.embedding,
        hidden=options.hidden,
        layers=options.layers,
        decoder_layers=options.decoder_layers or options.layers,
        bidirectional=options.bidirectional,
        attention=options.attention,  # type: ignore[arg-type]
        bridge=options.bridge,  # type: ignore[arg-type]
        input_feeding=options.input_feeding,
        tied=options.tied,
        joint=options.joint_embeddings,
        reset_inside=options.gru_reset == "inside",
        dropout=options.dropout,
    )


def _pretrained(options: Options) -> pretrained.Pretrained:
    return pretrained.Pretrained(tuple(options.embeddings), options.freeze_embeddings, options.joint_embeddings)
