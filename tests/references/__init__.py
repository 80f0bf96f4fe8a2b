"""Slow, readable implementations that only tests use."""
