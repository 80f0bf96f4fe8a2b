"""What `train-seq2seq` can be told, and the presets that say the rest."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnnkit.config import option
from rnnkit.errors import UsageError
from rnnkit.nn import kinds
from rnnkit.stages import shared_options as usual
from rnnkit.stages.training import training_options
from rnnkit.stages.training import training_options as training
from rnnkit.stages.training.setup import training_inputs
from rnnkit.training import schedules

SMALL: Mapping[str, Any] = {
    "layers": 1, "decoder_layers": 0, "hidden": 512, "embedding": 256, "inner": 1024, "heads": 4, "layer_norm": False,
    "copy": False, "dropout": 0.3, "dropout_embedding": 0.0, "weight_drop": 0.0, "variational": False, "epochs": 0.0,
    "batch_tokens": 2048, "learning_rate": 2e-3, "warmup": 200, "label_smoothing": 0.1, "mean_decay": 0.999,
    "measure": "auto",
}  # fmt: skip
BASE: Mapping[str, Any] = {
    **SMALL, "layers": 2, "hidden": 768, "embedding": 512, "inner": 2048, "heads": 8, "batch_tokens": 4096,
    "learning_rate": 1.5e-3, "warmup": 500,
}  # fmt: skip
G2P_SMALL: Mapping[str, Any] = {**SMALL, "attention": "location", "batch_tokens": 1536, "measure": "accuracy"}
G2P_BASE: Mapping[str, Any] = {**G2P_SMALL, "layers": 2, "decoder_layers": 2, "dropout": 0.1}
INFLECTION_SMALL: Mapping[str, Any] = {
    **SMALL, "attention": "location", "hidden": 256, "embedding": 128, "copy": True, "batch_tokens": 1024,
    "warmup": 500, "epochs": 40.0, "learning_rate": 1e-3, "measure": "accuracy",
}  # fmt: skip
INFLECTION_BASE: Mapping[str, Any] = {
    **INFLECTION_SMALL, "layers": 2, "hidden": 512, "embedding": 256, "dropout": 0.4, "epochs": 60.0,
}  # fmt: skip
PRESETS: Mapping[str, Mapping[str, Any]] = {
    "small": SMALL, "base": BASE, "g2p-small": G2P_SMALL, "g2p-base": G2P_BASE,
    "inflection-small": INFLECTION_SMALL, "inflection-base": INFLECTION_BASE,
}  # fmt: skip
"""What a recurrent network is told, by the task and the size."""

CHARACTERS: Mapping[str, Any] = {"layers": 4, "hidden": 256, "batch_tokens": 4096, "learning_rate": 1e-3}
TRANSFORMERS: Mapping[str, Mapping[str, Any]] = {
    "small": {"layers": 3, "hidden": 256, "learning_rate": 1.5e-3, "warmup": 800},
    "base": {"layers": 6, "hidden": 512, "batch_tokens": 8192, "learning_rate": 1e-3, "warmup": 4000, "dropout": 0.1},
    "g2p-small": {**CHARACTERS, "layers": 3, "warmup": 1000, "dropout": 0.1},
    "g2p-base": {**CHARACTERS, "warmup": 2000, "dropout": 0.2},
    "inflection-small": {**CHARACTERS, "layers": 3, "warmup": 1000},
    "inflection-base": {**CHARACTERS, "warmup": 2000, "epochs": 100.0},
}
"""What a Transformer is told otherwise."""

HYBRID: Mapping[str, Any] = {"decoder_layers": 2}
"""What a hybrid is told otherwise than a Transformer: most of its work is done once, in the encoder."""

SHOWN: Mapping[str, Mapping[str, Any]] = {"small": SMALL}
"""The presets whose values `--help` shows."""

_preset = functools.partial(training_options.preset_option, SHOWN)


@dataclass(frozen=True)
class TrainSeq2SeqOptions:
    """Train a sequence-to-sequence model on aligned data of two sides.

    Options not given come from --preset; shown is what `small` says of a recurrent network. --arch transformer has
    attention in place of recurrence, --arch hybrid only in its encoder. The model directory keeps the best and the last
    weights, the metrics, a learning curve and a model card.

    Embeddings can start from word vectors: a vectors directory, or a file of word2vec, fastText or GloVe, with the size
    of --embedding. One is for the source, and for both sides with --joint-embeddings; two are for source and target.
    Tokens are looked up as they are, then without the marks of their tokenizer, then in lower case; where the vectors
    have n-grams, the others are composed. All are scaled to the mean length of new embeddings, and tokens without a
    vector are drawn at random like those that have one.
    """

    work: Path = usual.work()
    data: Path | None = training.data()
    vocab: list[Path] = training.vocab(help="Vocabulary, or the source's and the target's.")
    tokenizer: Path | None = training.tokenizer()
    init_from: Path | None = training.init_from()
    preset: str = training.preset(choices=tuple(PRESETS))
    arch: str = option(
        "lstm", help="Recurrent unit, Transformer, or its encoder with a recurrent decoder.", panel="Model",
        choices=kinds.TRANSLATION_ARCHS,
    )  # fmt: skip
    layers: int | None = _preset("layers", help="Encoder layers.", minimum=1)
    decoder_layers: int | None = _preset("decoder_layers", help="Decoder layers; 0: as the encoder.", minimum=0)
    hidden: int | None = _preset("hidden", help="Size of memory and decoder states.", minimum=2)
    embedding: int | None = _preset("embedding", help="Size of the embeddings; a Transformer's is --hidden.", minimum=1)
    bidirectional: bool = option(True, help="Encoder reads both ways, half the size each.", panel="Model")
    residual: bool = option(
        True, help="Recurrent layers' input added to their output, from three layers up.", panel="Model"
    )
    layer_norm: bool | None = _preset("layer_norm", help="Normalise what recurrent layers read.")
    attention: str | None = option(
        None, help="Attention over the source; location knows where it looked last, monotonic never looks back.",
        panel="Model", choices=kinds.ATTENTIONS,
        shown_default="dot, for g2p and inflection location; a Transformer's is multihead",
    )  # fmt: skip
    heads: int | None = _preset("heads", help="Heads of multihead attention.", minimum=1)
    inner: int | None = _preset("inner", help="Size within a Transformer's feed-forward networks.", minimum=1)
    norm: str = option("pre", help="A Transformer's layer norms before or after.", panel="Model", choices=kinds.NORMS)
    positions: str = option(
        "rotary", help="How a Transformer knows the order of tokens.", panel="Model", choices=kinds.POSITIONS
    )
    cell: str = option("ssru", help="Recurrent cell of --arch hybrid.", panel="Model", choices=kinds.CELLS)
    bridge: str = option(
        "mean", help="Decoder starts from the encoder's last states or its memory's mean.", panel="Model",
        choices=kinds.BRIDGES,
    )  # fmt: skip
    input_feeding: bool = option(False, help="Feed each readout into the next step (Luong); slower.", panel="Model")
    copy: bool | None = _preset("copy", help="Tokens can be copied from the source; needs a joint vocabulary.")
    right_to_left: bool = option(False, help="Say the target from its end; decode turns it round.", panel="Model")
    tied: bool = option(True, help="Output matrix is the target embeddings.", panel="Model")
    joint_embeddings: bool = option(
        False, help="Source and target share embeddings; needs a joint vocabulary.", panel="Model"
    )
    gru_reset: str = option(
        "after", help="GRU's reset gate after the product (torch) or inside it (paper).", panel="Model",
        choices=kinds.RESETS,
    )  # fmt: skip
    embeddings: list[Path] = training.embeddings(
        help="Word vectors that embeddings start from: the source's, or the source's and the target's.", many=True
    )
    repair: bool = training.repair()
    freeze_embeddings: bool = training.freeze_embeddings()
    dropout: float | None = _preset(
        "dropout", help="Share dropped on embeddings, layers, readout.", minimum=0, maximum=0.99
    )
    variational: bool | None = _preset("variational", help="Drop the same features at all steps of a sentence.")
    dropout_embedding: float | None = training.dropout_embedding(SHOWN)
    weight_drop: float | None = training.weight_drop(SHOWN)
    epochs: float | None = training.epochs(SHOWN, help="Passes over the data; 0: by its size.")
    max_steps: int = training.max_steps()
    batch_tokens: int | None = _preset(
        "batch_tokens", "Optimisation", help="Batch size on its longer side, padding counted.", unit="tokens", minimum=1
    )
    optimizer: str = option("adam", help="Optimizer.", panel="Optimisation", choices=kinds.OPTIMIZERS)
    guided_attention: Path | None = option(
        None, help="Links of the training pairs, from `align-words`, that attention is pulled towards.",
        panel="Optimisation", shown_default="attention finds its own way",
    )  # fmt: skip
    guided_weight: float = option(
        training_inputs.GUIDED_WEIGHT,
        help="Weight of --guided-attention beside the loss.",
        panel="Optimisation",
        minimum=0,
    )
    learning_rate: float | None = training.learning_rate(SHOWN)
    schedule: str = option("cosine", help="Rate after warm-up.", panel="Optimisation", choices=schedules.SCHEDULES)
    warmup: int | None = training.warmup(SHOWN, help="Steps of linear warm-up.")
    weight_decay: float = option(0.0, help="Weight decay.", panel="Optimisation", minimum=0)
    label_smoothing: float | None = _preset(
        "label_smoothing", "Optimisation", help="Probability spread over the vocabulary.", minimum=0, maximum=0.99
    )
    mean_decay: float | None = training.mean_decay(SHOWN)
    clip: float = option(1.0, help="Norm that longer gradients are cut to.", panel="Optimisation", minimum=1e-9)
    patience: int = training.patience(5)
    precision: str = training.precision(
        help="Of matrix products; auto: bf16 where the hardware has it and states are large."
    )
    recompute: bool = training.recompute()
    device: str = training.device()
    threads: int = training.threads()
    accumulate: int = training.accumulate()
    processes: int = training.processes()
    restarts: int = training.restarts()
    seed: int = training.seed()
    output: Path | None = training.output()
    validate_every: int = training.validate_every()
    validate_lines: int = option(
        1000, help="Validation lines decoded; 0: by loss alone.", panel="Output", unit="lines", minimum=0
    )
    measure: str | None = _preset(
        "measure", "Output", help="What chooses the best weights; auto: BLEU, of short outputs chrF.",
        choices=kinds.VALIDATION_METRICS,
    )  # fmt: skip
    samples: int = option(3, help="Sample translations shown at a validation.", panel="Output", minimum=0)
    average: int = training.average()
    report_every: int = training.report_every()
    save_every: float = training.save_every()
    resume: bool = training.resume()
    overwrite: bool = training.overwrite()
    dry_run: bool = training.dry_run()


def apply_preset(options: TrainSeq2SeqOptions) -> TrainSeq2SeqOptions:
    """The options with the preset's values where none were given.

    Raises:
        UsageError: Options that do not go together.
    """
    values: dict[str, Any] = {"attention": "dot", **PRESETS[options.preset]}
    if options.arch in kinds.TRANSFORMERS:
        values |= {"attention": "multihead", **TRANSFORMERS[options.preset]}
        values |= HYBRID if options.arch == "hybrid" else {}
        values["embedding"] = options.hidden or values["hidden"]
    filled = training_options.apply_preset(options, values)
    check(filled)
    return filled


def check(options: TrainSeq2SeqOptions) -> None:
    """Refuse what makes no sense, before any work is done. Raises UsageError."""
    hidden, heads = options.hidden or 0, options.heads or 1
    if options.attention == "multihead" and hidden % heads:
        raise UsageError(f"--hidden {hidden} cannot be parted among --heads {heads}")
    if options.gru_reset == "inside" and options.arch != "gru":
        raise UsageError(f"--gru-reset inside is for --arch gru, not {options.arch}")
    if options.copy and options.attention == "none":
        raise UsageError("--copy needs attention", "it copies what the decoder looks at")
    training_inputs.GuidedAttentionInput(options.guided_attention, options.guided_weight).check(options.attention)
    if options.arch in kinds.TRANSFORMERS:
        _check_transformer(options)
        return
    if options.bidirectional and hidden % 2:
        raise UsageError(f"--hidden {hidden} is odd; each direction of the encoder gets half of it")
    if options.variational and options.input_feeding:
        raise UsageError("--variational and --input-feeding do not go together", "input feeding runs step by step")
    if options.weight_drop and options.arch == "mingru":
        raise UsageError("--weight-drop is not for --arch mingru", "it has no matrix from state to state")
    if options.weight_drop and options.arch == "lstm" and options.bridge == "last":
        raise UsageError(
            "--weight-drop and --bridge last do not go together for an LSTM",
            "its cells' last states come from a call that knows only the layer's own weights",
            hint="--bridge mean",
        )


def _check_transformer(options: TrainSeq2SeqOptions) -> None:
    name = f"--arch {options.arch}"
    if options.embedding != options.hidden:
        raise UsageError(
            f"a Transformer has one size: --embedding {options.embedding} is not --hidden {options.hidden}"
        )
    if options.attention != "multihead":
        raise UsageError(f"--attention {options.attention} is not for {name}", "a Transformer's attention is multihead")
    recurrent = {
        "--input-feeding": options.input_feeding, "--weight-drop": options.weight_drop,
        "--layer-norm": options.layer_norm, "--bridge last": options.bridge == "last",
    }  # fmt: skip
    for flag, given in recurrent.items():
        if given:
            raise UsageError(f"{flag} is for recurrent networks, not {name}")
