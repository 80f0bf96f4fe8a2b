"""Commands that evaluate models and outputs."""
