"""Tests of `rnnkit.text.tokenizers`."""
