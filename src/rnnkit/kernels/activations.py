"""Exponential, logistic function and hyperbolic tangent of sixteen lanes at once.

    e^x - 1    = 2^n p(r) + (2^n - 1)     x = n ln 2 + r, n integer, |r| <= ln 2 / 2,   p(r) = e^r - 1 = r + r^2/2 + ...
    sigmoid(x) = 1 / (1 + e^-x)
    tanh(x)    = (e^2x - 1) / (e^2x - 1 + 2)

Accurate to a few units in the last place of float32, near zero too.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rnnkit.kernels.simd import broadcast, clamp, exp2, round_nearest
from rnnkit.kernels.threads import inlined

MAX_EXPONENT = np.float32(30.0)
"""Arguments of e^x are clamped to +-MAX_EXPONENT: beyond it, sigmoid and tanh are constant in float32."""

_PER_LN2 = np.float32(1 / math.log(2))
_LN2_HIGH = np.float32(0.693359375)  # few bits, so that its product with n is exact
_LN2_LOW = np.float32(math.log(2) - 0.693359375)
_C2, _C3, _C4, _C5, _C6, _C7 = (np.float32(1 / math.factorial(i)) for i in range(2, 8))
_ONE, _TWO, _ZERO = np.float32(1), np.float32(2), np.float32(0)


@inlined
def _split_power(x: Any) -> Any:
    """Compute 2^n and 2^n p(r)."""
    x = clamp(x, MAX_EXPONENT)
    n = round_nearest(x * broadcast(_PER_LN2))
    r = x - n * broadcast(_LN2_HIGH) - n * broadcast(_LN2_LOW)
    series = broadcast(_C6) + r * broadcast(_C7)
    series = broadcast(_C5) + r * series
    series = broadcast(_C4) + r * series
    series = broadcast(_C3) + r * series
    series = broadcast(_C2) + r * series
    scale = exp2(n)
    return scale, scale * (r + r * r * series)


@inlined
def exp(x: Any) -> Any:
    """Compute e^x."""
    scale, rest = _split_power(x)
    return scale + rest


@inlined
def expm1(x: Any) -> Any:
    """Compute e^x - 1."""
    scale, rest = _split_power(x)
    return rest + (scale - broadcast(_ONE))


@inlined
def sigmoid(x: Any) -> Any:
    """Compute the logistic function."""
    return broadcast(_ONE) / (broadcast(_TWO) + expm1(broadcast(_ZERO) - x))


@inlined
def tanh(x: Any) -> Any:
    """Compute the hyperbolic tangent."""
    power = expm1(x + x)
    return power / (power + broadcast(_TWO))
