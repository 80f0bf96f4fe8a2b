"""Tests of rnnkit.alignment."""
