"""Names that choose between parts; kept apart from the parts so that the command line lists them without torch."""

from __future__ import annotations

from typing import Literal, get_args

Arch = Literal["rnn", "gru", "lstm"]
Attention = Literal["none", "dot", "general", "additive"]
Bridge = Literal["last", "mean"]
Reset = Literal["after", "inside"]
Optimizer = Literal["adam", "adamw"]
Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["auto", "fp32", "bf16"]

ARCHS: tuple[Arch, ...] = get_args(Arch)
ATTENTIONS: tuple[Attention, ...] = get_args(Attention)
BRIDGES: tuple[Bridge, ...] = get_args(Bridge)
RESETS: tuple[Reset, ...] = get_args(Reset)
OPTIMIZERS: tuple[Optimizer, ...] = get_args(Optimizer)
DEVICES: tuple[Device, ...] = get_args(Device)
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
