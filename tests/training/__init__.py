"""Tests of `rnnkit.training`."""
