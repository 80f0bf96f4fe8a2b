"""What the processor can do that kernels are compiled for, and whether it is worth while to run them on it."""

from __future__ import annotations

import torch
from numba import config
from numba.core import codegen

from rnnkit.kernels import team

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
    return HAS_LANES and (torch.get_num_threads() == 1 or team.reaches_torchs_threads())
