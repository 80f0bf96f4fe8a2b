"""Tests of `rnnkit.kernels`."""
