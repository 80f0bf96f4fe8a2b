"""Allowed values of architecture and training options, in a module that the command line can import without torch."""

from __future__ import annotations

from typing import Literal, get_args

Arch = Literal["rnn", "gru", "lstm"]
LanguageArch = Literal["rnn", "gru", "lstm", "mingru", "transformer"]
RecurrentArch = Literal["rnn", "gru", "lstm", "mingru"]
TranslationArch = Literal["rnn", "gru", "lstm", "mingru", "transformer", "hybrid"]
Cell = Literal["ssru", "mingru"]
Norm = Literal["pre", "post"]
Positions = Literal["rotary", "sinusoidal"]
LineContext = Literal["stream", "line"]
Direction = Literal["forward", "backward"]
Attention = Literal["none", "dot", "general", "additive", "multihead", "monotonic", "location"]
Bridge = Literal["last", "mean"]
Reset = Literal["after", "inside"]
DynamicMethod = Literal["rms", "sgd"]
Initialization = Literal["orthogonal", "uniform"]
CharacterEncoding = Literal["lstm", "cnn", "ngrams", "none"]
Pooling = Literal["last", "mean", "max", "attention", "all"]
Optimizer = Literal["adam", "adamw", "sgd"]
Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]

ARCHS: tuple[Arch, ...] = get_args(Arch)
LANGUAGE_ARCHS: tuple[LanguageArch, ...] = get_args(LanguageArch)
TRANSLATION_ARCHS: tuple[TranslationArch, ...] = get_args(TranslationArch)
TRANSFORMERS: tuple[TranslationArch, ...] = ("transformer", "hybrid")
"""Architectures with a Transformer encoder."""

VALIDATION_METRICS = ("auto", "bleu", "chrf", "accuracy")
"""Metrics that select the best checkpoint of a seq2seq model; accuracy is the share of exactly correct lines."""

CELLS: tuple[Cell, ...] = get_args(Cell)
NORMS: tuple[Norm, ...] = get_args(Norm)
POSITIONS: tuple[Positions, ...] = get_args(Positions)
LINE_CONTEXTS: tuple[LineContext, ...] = get_args(LineContext)
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
ATTENTIONS: tuple[Attention, ...] = get_args(Attention)
RECURRENT_ATTENTIONS: tuple[Attention, ...] = ("monotonic", "location")
"""Attention kinds that depend on the attention weights of the previous step."""

BRIDGES: tuple[Bridge, ...] = get_args(Bridge)
RESETS: tuple[Reset, ...] = get_args(Reset)
DYNAMIC_METHODS: tuple[DynamicMethod, ...] = get_args(DynamicMethod)
INITIALIZATIONS: tuple[Initialization, ...] = get_args(Initialization)
CHARACTER_ENCODINGS: tuple[CharacterEncoding, ...] = get_args(CharacterEncoding)
POOLINGS: tuple[Pooling, ...] = get_args(Pooling)
OPTIMIZERS: tuple[Optimizer, ...] = get_args(Optimizer)
DEVICES: tuple[Device, ...] = get_args(Device)
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
