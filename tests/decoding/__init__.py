"""Tests of `rnnkit.decoding`."""
