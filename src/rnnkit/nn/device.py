"""Device, precision and CPU threads."""

from __future__ import annotations

import contextlib
import os
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor

from rnnkit.errors import UsageError
from rnnkit.kernels.openmp import start_contention_monitor
from rnnkit.system.machine import available_cores

ONEDNN_CACHE_CAPACITY = "128"
"""Compiled primitives that oneDNN caches. Its default of 1,024 takes gigabytes with many batch shapes."""

MIN_HIDDEN_FOR_BF16 = 384
"""Hidden size from which bfloat16 pays; in smaller networks the conversions cost more than the products save."""

MIN_HIDDEN_FOR_BF16_SEQUENCES = 128
"""The same for networks whose layers run over whole sequences at once, and never step by step."""


def choose_device(name: str) -> torch.device:
    """Return the device of that name; `auto` is CUDA if available, else the CPU.

    Raises:
        UsageError: `cuda` is not available.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError(
            "--device cuda: torch finds no CUDA device",
            hint="use --device auto to fall back to the CPU",
            option="--device",
        )
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def choose_precision(
    name: str, device: torch.device, hidden: int, min_hidden: int = MIN_HIDDEN_FOR_BF16
) -> torch.dtype:
    """Return the type of matrix products in training; weights and optimizer state stay in float32.

    `auto` is bfloat16 if the hardware multiplies it natively and the network is large enough to profit, else float32.
    It is never float16, whose gradients need loss scaling (`training/optimizer.py`).

    Args:
        name: `auto`, `fp32`, `bf16` or `fp16`.
        device: Device of the network.
        hidden: Hidden size of the network.
        min_hidden: Hidden size from which `auto` is bfloat16.
    """
    if name == "auto":
        native = torch.cuda.is_bf16_supported() if device.type == "cuda" else cpu_has_bfloat16()
        name = "bf16" if native and hidden >= min_hidden else "fp32"
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[name]


def choose_output_precision(name: str, device: torch.device) -> torch.dtype:
    """Return the type of the output layer's products: `choose_precision` for a size that is always large enough."""
    return choose_precision(name, device, MIN_HIDDEN_FOR_BF16)


def cpu_has_bfloat16() -> bool:
    """Return whether the CPU multiplies bfloat16 in hardware (AVX512-BF16 or AMX); emulation is slower than float32."""
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        probe = getattr(torch.cpu, name, None)
        if probe is not None and probe():
            return True
    return False


def autocast(device: torch.device, dtype: torch.dtype) -> AbstractContextManager[Any]:
    """Return a context in which matrix products run in `dtype`."""
    if dtype == torch.float32:
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=dtype)


def is_fp16_autocast_on_cpu(x: Tensor) -> bool:
    """Return whether autocast to float16 is on for a CPU tensor, where torch has no float16 LSTM and slow gradients."""
    if x.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
        return False
    return torch.get_autocast_dtype("cpu") == torch.float16


def set_threads(threads: int, processes: int = 1) -> int:
    """Set the number of CPU threads.

    With several threads, also starts the contention monitor (`kernels/openmp.py`). Limits oneDNN's cache of compiled
    primitives through an environment variable that the library reads at its first use.

    Args:
        threads: Threads of this process; 0 for all available cores, divided among the processes.
        processes: Processes that share the cores.

    Returns:
        The number of threads.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", ONEDNN_CACHE_CAPACITY)
    count = threads or max(1, available_cores() // processes)
    torch.set_num_threads(count)
    if count > 1:
        start_contention_monitor()
    return count


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that memory ran out, in Python, on a GPU or in torch on the CPU.

    Torch's allocator on the CPU raises a plain RuntimeError, which only its message distinguishes.
    """
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)
