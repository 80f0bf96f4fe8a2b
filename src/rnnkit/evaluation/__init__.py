"""Scores: BLEU and its relatives, error rates."""
