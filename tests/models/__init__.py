"""Tests of `rnnkit.models`."""
