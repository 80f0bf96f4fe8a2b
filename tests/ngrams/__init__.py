"""Tests of rnnkit.ngrams."""
