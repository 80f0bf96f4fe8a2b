"""Tests of `rnnkit.text`."""
