"""Compositions of `nn`, and the store that reads and writes them."""
