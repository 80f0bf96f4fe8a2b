"""Tests of `rnnkit.nn`."""
