"""Tests of `rnnkit.files`."""
