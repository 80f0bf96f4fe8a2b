"""Labelling: networks that classify texts and tag tokens."""
