"""Tests of `rnnkit.nn.kernels`."""
