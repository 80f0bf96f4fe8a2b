"""Tests of rnnkit.wordalign."""
