"""Evaluation: translation metrics, error rates, perplexity, word similarity, diagnostics of long-range memory."""
