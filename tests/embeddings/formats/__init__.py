"""Tests of the file formats of word vectors."""
