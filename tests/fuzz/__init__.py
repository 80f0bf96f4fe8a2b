"""Hostile files: every reader raises an error of rnnkit, in bounded memory."""
