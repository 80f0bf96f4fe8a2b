"""Commands that score models and outputs."""
