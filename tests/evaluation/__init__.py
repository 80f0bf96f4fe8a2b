"""Tests of `rnnkit.evaluation`; a package, since `tests/stages` has files of the same names."""
