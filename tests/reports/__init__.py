"""Tests of `rnnkit.reports`."""
