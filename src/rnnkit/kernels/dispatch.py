"""Dispatch: decide which kernels suit this processor and these tensors.

The layers of `rnnkit.nn` call these predicates and fall back to torch where one is false, so that all conditions stand
in one place. Importing this module does not import Numba; `cpu_features` does, at the first call that needs it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

MIN_ROWS_FOR_KERNELS = 16
"""Rows (batch x time steps) from which a recurrent layer runs on our kernels.

Below this, packing the weights into panels takes longer than the kernels save over torch.
"""


@dataclass(frozen=True)
class CpuFeatures:
    """Instruction sets of the processor that kernels are compiled for.

    Attributes:
        avx2_fma: AVX2 with fused multiply-add. The kernels were measured to be faster than torch on such processors.
        avx512: AVX-512F, with 32 registers of sixteen float32 lanes.
        avx512_bf16: Dot products of bfloat16 pairs.
        avx512_bytes: AVX-512BW. oneDNN's int8 products were measured to be faster than float32 products with it; with
            AVX2 alone they take three to five times as long for a few rows, and longer still on other processors.
    """

    avx2_fma: bool
    avx512: bool
    avx512_bf16: bool
    avx512_bytes: bool


@cache
def cpu_features() -> CpuFeatures:
    """Return the instruction sets that Numba compiles for: the host's, or those in `NUMBA_CPU_FEATURES`."""
    from numba import config
    from numba.core import codegen

    listed = codegen.get_host_cpu_features() if config.CPU_FEATURES is None else config.CPU_FEATURES
    found = set(listed.split(","))
    return CpuFeatures(
        avx2_fma={"+avx2", "+fma"} <= found,
        avx512="+avx512f" in found,
        avx512_bf16="+avx512bf16" in found,
        avx512_bytes="+avx512bw" in found,
    )


@cache
def parallel_region() -> Callable[..., None] | None:
    """Return `GOMP_parallel(function, argument, threads, flags)` of the OpenMP runtime that torch uses, or None.

    Compilers emit calls of it for parallel regions; kernels join torch's threads through it.
    """
    try:
        function = ctypes.CDLL(torch._C.__file__).GOMP_parallel
    except (AttributeError, OSError):
        return None
    function.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
    function.restype = None
    return function


def layer_kernels_apply(x: Tensor, weight: Tensor) -> bool:
    """Return whether a recurrent layer with this input and weight runs on our kernels, gradients included.

    They take float32 weights on the CPU, with float32 input or under autocast to bfloat16.

    Args:
        x: Input; its first two dimensions are batch and time, in either order.
        weight: Weight matrix of the layer.
    """
    if x.device.type != "cpu" or weight.dtype != torch.float32 or x.shape[0] * x.shape[1] < MIN_ROWS_FOR_KERNELS:
        return False
    if torch.is_autocast_enabled("cpu"):
        supported = torch.get_autocast_dtype("cpu") == torch.bfloat16
    else:
        supported = x.dtype == torch.float32
    return supported and cpu_runs_layer_kernels()


def cpu_runs_layer_kernels() -> bool:
    """Return whether the kernels of whole layers pay: on a suitable processor, and without idle threads.

    Where torch's OpenMP cannot be entered, a kernel has one thread only, and torch's several threads are faster.
    """
    return cpu_features().avx2_fma and (torch.get_num_threads() == 1 or parallel_region() is not None)


def inference_kernels_apply(*tensors: Tensor) -> bool:
    """Return whether kernels without a gradient can take these tensors: float32 on a suitable CPU."""
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
        return False
    if any(tensor.device.type != "cpu" or tensor.dtype != torch.float32 for tensor in tensors):
        return False
    return cpu_features().avx2_fma


def crf_kernels_apply(scores: Tensor) -> bool:
    """Return whether the kernels of CRFs can take these emissions: float32 on the CPU, of any kind."""
    return scores.device.type == "cpu" and scores.dtype == torch.float32


def bf16_kernels_apply() -> bool:
    """Return whether kernels multiply in bfloat16: autocast is on and the processor has the instructions."""
    return torch.is_autocast_enabled("cpu") and cpu_features().avx512_bf16


def int8_is_fast() -> bool:
    """Return whether int8 linear layers are known to be faster than float32 ones on this processor."""
    features = cpu_features()
    return features.avx2_fma and features.avx512_bytes and bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]
