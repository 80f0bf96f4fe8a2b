"""What the processor can do that kernels are compiled for, and whether it is worth while to run them on it."""

from __future__ import annotations

import torch
from numba import config
from numba.core import codegen

from rnnkit.kernels import openmp

_FEATURES = (codegen.get_host_cpu_features() if config.CPU_FEATURES is None else config.CPU_FEATURES).split(",")

HAS_WIDE = "+avx512f" in _FEATURES
"""Whether there is AVX-512, with 32 registers of sixteen lanes."""

HAS_HALF = "+avx512bf16" in _FEATURES
"""Whether it multiplies bfloat16."""

HAS_LANES = "+avx2" in _FEATURES and "+fma" in _FEATURES
"""Whether it is of the kinds on which the kernels were found to be faster than torch."""

HAS_BYTES = "+avx512bw" in _FEATURES
"""Whether it is of the kind on which torch's products of bytes (oneDNN) were found to be faster than those of float32.

With AVX2 alone they take three to five times as long for a few rows, and elsewhere longer still.
"""


def suits() -> bool:
    """Whether layers should run on the kernels: the processor is of those kinds, and no thread stays idle."""
    return HAS_LANES and (torch.get_num_threads() == 1 or openmp.torch_threads_are_reachable())


def inference_kernels_apply(*tensors: Tensor) -> bool:
    """Whether compiled kernels may take these: float32, on a processor that they suit, and no gradient is wanted."""
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
        return False
    if any(tensor.device.type != "cpu" or tensor.dtype != torch.float32 for tensor in tensors):
        return False
    from rnnkit.kernels import dispatch  # brings the compiler along

    return dispatch.HAS_LANES


def int8_is_fast() -> bool:
    """Whether these maps are known to be faster than those of float32 on this processor, by what it can do."""
    from rnnkit.kernels import dispatch  # brings the compiler along

    return dispatch.HAS_LANES and dispatch.HAS_BYTES and bool(torch.backends.mkldnn.is_available())


MIN_ROWS_FOR_KERNELS = 16


def layer_kernels_apply(x: Tensor, weight: Tensor) -> bool:
    """Whether a layer with these inputs and this weight runs on our own kernels and not on torch's.

    It does on CPUs that they were found to suit, in float32 or under autocast to bfloat16; but for a few rows it is
    not worth while to pack the weights.
    """
    if x.device.type != "cpu" or weight.dtype != torch.float32 or x.shape[0] * x.shape[1] < MIN_ROWS_FOR_KERNELS:
        return False
    if torch.is_autocast_enabled("cpu"):
        known = torch.get_autocast_dtype("cpu") == torch.bfloat16
    else:
        known = x.dtype == torch.float32
    if not known:
        return False
    from rnnkit.kernels import dispatch  # brings the compiler along

    return dispatch.suits()


def bf16_kernels_apply() -> bool:
    """Whether bfloat16 is allowed, and the processor multiplies it."""
    return torch.is_autocast_enabled("cpu") and HAS_HALF
