"""Tests of the training of word vectors."""
