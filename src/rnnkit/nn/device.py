"""Where tensors live and in which precision training multiplies them."""

from __future__ import annotations

import contextlib
import os
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor

from rnnkit.errors import UsageError
from rnnkit.kernels.openmp import watch_cores
from rnnkit.system.machine import available_cores

KERNELS_KEPT = "128"
SMALLEST_FOR_BFLOAT16 = 384
"""In smaller networks the conversions cost more than the products save."""

SMALLEST_LAYERS_FOR_BFLOAT16 = 128
"""The same where layers run over whole pieces at once, and nothing step by step."""


def choose_device(name: str) -> torch.device:
    """The device of that name; `auto` is CUDA where there is one.

    Raises:
        UsageError: CUDA was asked for and is not there.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device cuda: torch finds no CUDA device here", hint="--device auto takes what there is")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def choose_precision(
    name: str, device: torch.device, hidden: int, smallest: int = SMALLEST_FOR_BFLOAT16
) -> torch.dtype:
    """The type of matrix products in training; weights and optimiser stay in float32.

    `auto` is bfloat16 where the hardware multiplies it natively and the products are large enough to gain by it,
    float32 elsewhere. It is never float16, whose gradients need a scaled loss (`training/loss_scaling.py`).

    Args:
        name: `auto`, `fp32`, `bf16` or `fp16`.
        device: Where the network is.
        hidden: Size of its states.
        smallest: The size from which `auto` takes bfloat16.
    """
    if name == "auto":
        native = torch.cuda.is_bf16_supported() if device.type == "cuda" else cpu_has_bfloat16()
        name = "bf16" if native and hidden >= smallest else "fp32"
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[name]


def choose_output_precision(name: str, device: torch.device) -> torch.dtype:
    """The type of an output layer's products: as `choose_precision`, for a vocabulary is always large enough."""
    return choose_precision(name, device, SMALLEST_FOR_BFLOAT16)


def cpu_has_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 in hardware (AVX512-BF16 or AMX); emulation would be slower than float32."""
    for probe in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        ask = getattr(torch.cpu, probe, None)
        if ask is not None and ask():
            return True
    return False


def autocast(device: torch.device, kind: torch.dtype) -> AbstractContextManager[Any]:
    """A context in which matrix products run in `kind`."""
    if kind == torch.float32:
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=kind)


def float16_on_cpu(x: Tensor) -> bool:
    """Whether autocast asks for float16 on a CPU, where torch has neither an LSTM in it nor a fast gradient."""
    if x.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
        return False
    return torch.get_autocast_dtype("cpu") == torch.float16


def set_threads(threads: int, processes: int = 1) -> int:
    """Use this many CPU threads, 0 for all cores this process may run on. Returns the number.

    So many processes share the cores, where nobody says how many threads each has.

    Several wait quietly while other programs want the cores (`kernels/openmp.py`).

    Also keeps oneDNN from remembering a compiled kernel for each of a thousand batch shapes, which would take
    gigabytes; the library reads the variable at its first use.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", KERNELS_KEPT)
    count = threads or max(1, available_cores() // processes)
    torch.set_num_threads(count)
    if count > 1:
        watch_cores()
    return count


def out_of_memory(failure: BaseException) -> bool:
    """Whether memory ran out: Python's own, a GPU's, or torch's on the CPU, which has no type of its own."""
    return isinstance(failure, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(failure)


def kernels_serve(*tensors: Tensor) -> bool:
    """Whether compiled kernels may take these: float32, on a processor that they suit, and no gradient is wanted."""
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
        return False
    if any(tensor.device.type != "cpu" or tensor.dtype != torch.float32 for tensor in tensors):
        return False
    from rnnkit.kernels import processor  # brings the compiler along

    return processor.HAS_LANES
