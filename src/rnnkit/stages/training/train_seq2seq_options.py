"""Options of `train-seq2seq`, their presets, and the checks of which can be combined."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from pathlib import Path

from rnnkit.errors import UsageError
from rnnkit.json_types import JsonMapping, JsonObject
from rnnkit.nn import kinds
from rnnkit.options.declare import changed, option
from rnnkit.stages.training import training_inputs, training_options
from rnnkit.stages.training import training_options as training
from rnnkit.training import schedules

SMALL: JsonMapping = {
    "layers": 1, "decoder_layers": 0, "hidden": 512, "embedding": 256, "inner": 1024, "heads": 4, "layer_norm": False,
    "copy": False, "dropout": 0.3, "dropout_embedding": 0.0, "weight_drop": 0.0, "variational": False, "epochs": 0.0,
    "batch_tokens": 2048, "learning_rate": 2e-3, "warmup": 200, "label_smoothing": 0.1, "mean_decay": 0.999,
    "measure": "auto",
}  # fmt: skip
BASE: JsonMapping = {
    **SMALL, "layers": 2, "hidden": 768, "embedding": 512, "inner": 2048, "heads": 8, "batch_tokens": 4096,
    "learning_rate": 1.5e-3, "warmup": 500,
}  # fmt: skip
G2P_SMALL: JsonMapping = {**SMALL, "attention": "location", "batch_tokens": 1536, "measure": "accuracy"}
G2P_BASE: JsonMapping = {**G2P_SMALL, "layers": 2, "decoder_layers": 2, "dropout": 0.1}
INFLECTION_SMALL: JsonMapping = {
    **SMALL, "attention": "location", "hidden": 256, "embedding": 128, "copy": True, "batch_tokens": 1024,
    "warmup": 500, "epochs": 40.0, "learning_rate": 1e-3, "measure": "accuracy",
}  # fmt: skip
INFLECTION_BASE: JsonMapping = {
    **INFLECTION_SMALL, "layers": 2, "hidden": 512, "embedding": 256, "dropout": 0.4, "epochs": 60.0,
}  # fmt: skip
PRESETS: Mapping[str, JsonMapping] = {
    "small": SMALL, "base": BASE, "g2p-small": G2P_SMALL, "g2p-base": G2P_BASE,
    "inflection-small": INFLECTION_SMALL, "inflection-base": INFLECTION_BASE,
}  # fmt: skip
"""Defaults of recurrent networks, by task and size."""

CHARACTERS: JsonMapping = {"layers": 4, "hidden": 256, "batch_tokens": 4096, "learning_rate": 1e-3}
TRANSFORMERS: Mapping[str, JsonMapping] = {
    "small": {"layers": 3, "hidden": 256, "learning_rate": 1.5e-3, "warmup": 800},
    "base": {"layers": 6, "hidden": 512, "batch_tokens": 8192, "learning_rate": 1e-3, "warmup": 4000, "dropout": 0.1},
    "g2p-small": {**CHARACTERS, "layers": 3, "warmup": 1000, "dropout": 0.1},
    "g2p-base": {**CHARACTERS, "warmup": 2000, "dropout": 0.2},
    "inflection-small": {**CHARACTERS, "layers": 3, "warmup": 1000},
    "inflection-base": {**CHARACTERS, "warmup": 2000, "epochs": 100.0},
}
"""Defaults of a Transformer that differ."""

HYBRID: JsonMapping = {"decoder_layers": 2}
"""Defaults of a hybrid that differ from a Transformer's: most of its computation is in the encoder."""

SHOWN: Mapping[str, JsonMapping] = {"small": SMALL}
"""The presets whose values `--help` shows."""

_preset = functools.partial(training_options.preset_option, SHOWN)


@dataclass(frozen=True)
class TrainSeq2SeqOptions(training.TrainingOptions):
    """Train a sequence-to-sequence model on parallel data.

    --preset supplies the defaults; those shown are of `small` for a recurrent network. --arch transformer uses
    self-attention instead of recurrence, --arch hybrid only in the encoder. The model directory holds the best and the
    last weights, the metrics, a learning curve and a model card.

    Embeddings can be initialized from word vectors of dimension --embedding: a vectors directory, or a word2vec,
    fastText or GloVe file. One file is for the source, and for both sides with --joint-embeddings; two are for source
    and target. Tokens are looked up unchanged, then without the markers of their tokenizer, then in lower case; vectors
    with n-grams compose the remaining ones. All are scaled to the mean norm of random embeddings, and tokens without a
    vector are initialized randomly with the same spread.
    """

    preset: str = option("small", help="Preset that supplies defaults.", panel="Model", choices=tuple(PRESETS))
    arch: str = option(
        "lstm", help="Recurrent cell, Transformer, or hybrid: Transformer encoder, recurrent decoder.", panel="Model",
        choices=kinds.TRANSLATION_ARCHS,
    )  # fmt: skip
    layers: int | None = _preset("layers", help="Encoder layers.", minimum=1)
    decoder_layers: int | None = _preset(
        "decoder_layers", help="Decoder layers; 0: as many as in the encoder.", minimum=0
    )
    hidden: int | None = _preset("hidden", help="Hidden size.", minimum=2)
    embedding: int | None = _preset("embedding", help="Embedding dimension; of a Transformer, --hidden.", minimum=1)
    bidirectional: bool = option(True, help="Bidirectional encoder, half the hidden size per direction.", panel="Model")
    residual: bool = option(
        True, help="Residual connections between recurrent layers, from three layers on.", panel="Model"
    )
    layer_norm: bool | None = _preset("layer_norm", help="Layer normalization of the input of recurrent layers.")
    attention: str | None = option(
        None, help="Attention over the source; location uses the previous weights, monotonic never moves back.",
        panel="Model", choices=kinds.ATTENTIONS,
        shown_default="dot; location for g2p and inflection; multihead for a Transformer",
    )  # fmt: skip
    heads: int | None = _preset("heads", help="Heads of multi-head attention.", minimum=1)
    inner: int | None = _preset("inner", help="Feed-forward size of a Transformer.", minimum=1)
    norm: str = option(
        "pre",
        help="Layer normalization of a Transformer before or after each sublayer.",
        panel="Model",
        choices=kinds.NORMS,
    )
    positions: str = option(
        "rotary", help="Positional encoding of a Transformer.", panel="Model", choices=kinds.POSITIONS
    )
    cell: str = option("ssru", help="Recurrent cell of --arch hybrid.", panel="Model", choices=kinds.CELLS)
    bridge: str = option(
        "mean", help="Initial decoder state: last encoder states, or mean of the encoder output.", panel="Model",
        choices=kinds.BRIDGES,
    )  # fmt: skip
    input_feeding: bool = option(
        False,
        help="Input feeding (Luong et al. 2015): the readout is an input of the next step; slower.",
        panel="Model",
    )
    copy: bool | None = _preset(
        "copy", help="Copy mechanism: tokens can be copied from the source; needs a joint vocabulary."
    )
    right_to_left: bool = option(
        False, help="Generate the target from right to left; decode reverses it.", panel="Model"
    )
    tied: bool = option(True, help="Tie the output layer to the target embeddings.", panel="Model")
    joint_embeddings: bool = option(
        False, help="Share the embeddings of source and target; needs a joint vocabulary.", panel="Model"
    )
    gru_reset: str = option(
        "after", help="Reset gate of the GRU after the matrix product (torch) or inside it (paper).", panel="Model",
        choices=kinds.RESETS,
    )  # fmt: skip
    dropout: float | None = _preset(
        "dropout", help="Dropout on embeddings, layers and readout.", minimum=0, maximum=0.99
    )
    variational: bool | None = _preset(
        "variational", help="Variational dropout: the same mask at all steps of a sentence."
    )
    dropout_embedding: float | None = training.dropout_embedding(SHOWN)
    weight_drop: float | None = training.weight_drop(SHOWN)
    epochs: float | None = training.epochs(SHOWN, help="Number of epochs; 0: chosen by the size of the data.")
    batch_tokens: int | None = _preset(
        "batch_tokens",
        "Optimization",
        help="Batch size in tokens of the longer side, padding included.",
        unit="tokens",
        minimum=1,
    )
    optimizer: str = option("adam", help="Optimizer.", panel="Optimization", choices=kinds.OPTIMIZERS)
    guided_attention: Path | None = option(
        None, help="Alignment links of the training pairs, from `align-words`, to supervise the attention.",
        panel="Optimization", shown_default="none (no guided attention)",
    )  # fmt: skip
    guided_weight: float = option(
        training_inputs.GUIDED_WEIGHT,
        help="Weight of the guided-attention loss.",
        panel="Optimization",
        minimum=0,
    )
    learning_rate: float | None = training.learning_rate(SHOWN)
    schedule: str = option(
        "cosine", help="Learning-rate schedule after warm-up.", panel="Schedule", choices=schedules.SCHEDULES
    )
    warmup: int | None = training.warmup(SHOWN, help="Steps of linear warm-up.")
    weight_decay: float = option(0.0, help="Weight decay.", panel="Optimization", minimum=0)
    label_smoothing: float | None = _preset(
        "label_smoothing", "Optimization", help="Label smoothing.", minimum=0, maximum=0.99
    )
    mean_decay: float | None = training.mean_decay(SHOWN)
    clip: float = option(1.0, help="Clip gradients to this norm.", panel="Optimization", minimum=1e-9)
    patience: int = option(
        5, help="Early stopping after this many validations without improvement; 0: never.", panel="Schedule", minimum=0
    )
    validate_lines: int = option(
        1000, help="Validation lines to decode; 0: validate by the loss alone.", panel="Output", unit="lines", minimum=0
    )
    measure: str | None = _preset(
        "measure", "Output", help="Metric that selects the best weights; auto: BLEU, or chrF for short outputs.",
        choices=kinds.VALIDATION_METRICS,
    )  # fmt: skip
    samples: int = option(3, help="Sample translations to show at each validation.", panel="Output", minimum=0)
    _: KW_ONLY
    vocab: list[Path] = changed(
        training.TrainingOptions, "vocab", help="Vocabulary file, or those of source and target."
    )
    embeddings: list[Path] = changed(
        training.TrainingOptions,
        "embeddings",
        help="Word vectors that initialize the embeddings: of the source, or of source and target.",
        many=True,
    )
    precision: str = changed(
        training.TrainingOptions,
        "precision",
        help="Precision of matrix multiplications; auto: bf16 if the hardware supports it and --hidden is large.",
    )


def apply_preset(options: TrainSeq2SeqOptions) -> TrainSeq2SeqOptions:
    """Fill in the values of the preset for options that were not given.

    Raises:
        UsageError: Options cannot be combined.
    """
    values: JsonObject = {"attention": "dot", **PRESETS[options.preset]}
    if options.arch in kinds.TRANSFORMERS:
        values |= {"attention": "multihead", **TRANSFORMERS[options.preset]}
        values |= HYBRID if options.arch == "hybrid" else {}
        values["embedding"] = options.hidden or values["hidden"]
    filled = training_options.apply_preset(options, values)
    check(filled)
    return filled


def check(options: TrainSeq2SeqOptions) -> None:
    """Check the options before any work is done. Raises UsageError if they cannot be combined."""
    hidden, heads = options.hidden or 0, options.heads or 1
    if options.attention == "multihead" and hidden % heads:
        raise UsageError(f"--hidden ({hidden}) must be divisible by --heads ({heads})", option="--hidden")
    if options.gru_reset == "inside" and options.arch != "gru":
        raise UsageError(f"--gru-reset inside needs --arch gru, not {options.arch}", option="--gru-reset")
    if options.copy and options.attention == "none":
        raise UsageError("--copy needs attention", "its weights are the probabilities of copying", option="--copy")
    training_inputs.GuidedAttentionInput(options.guided_attention, options.guided_weight).check(options.attention)
    if options.arch in kinds.TRANSFORMERS:
        _check_transformer(options)
        return
    if options.bidirectional and hidden % 2:
        raise UsageError(
            f"--hidden must be even for a bidirectional encoder, got {hidden}",
            "each direction gets half of it",
            option="--hidden",
        )
    if options.variational and options.input_feeding:
        raise UsageError(
            "--variational cannot be combined with --input-feeding",
            "input feeding computes one step at a time",
            option="--variational",
        )
    if options.weight_drop and options.arch == "mingru":
        raise UsageError(
            "--weight-drop cannot be combined with --arch mingru",
            "it has no recurrent weight matrix",
            option="--weight-drop",
        )
    if options.weight_drop and options.arch == "lstm" and options.bridge == "last":
        raise UsageError(
            "--weight-drop cannot be combined with --bridge last for an LSTM",
            "the last cell states are computed with the weights without DropConnect",
            hint="--bridge mean",
            option="--weight-drop",
        )


def _check_transformer(options: TrainSeq2SeqOptions) -> None:
    name = f"--arch {options.arch}"
    if options.embedding != options.hidden:
        raise UsageError(
            f"--embedding ({options.embedding}) must equal --hidden ({options.hidden}) for a Transformer",
            option="--embedding",
        )
    if options.attention != "multihead":
        raise UsageError(
            f"--attention {options.attention} cannot be combined with {name}",
            "a Transformer needs multihead attention",
            option="--attention",
        )
    recurrent = {
        "--input-feeding": options.input_feeding, "--weight-drop": options.weight_drop,
        "--layer-norm": options.layer_norm, "--bridge last": options.bridge == "last",
    }  # fmt: skip
    for flag, is_set in recurrent.items():
        if is_set:
            raise UsageError(f"{flag} needs a recurrent network, not {name}", option=flag.partition(" ")[0])
