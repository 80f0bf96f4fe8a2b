"""Tests of `rnnkit.data`."""
