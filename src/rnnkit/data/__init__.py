"""Aligned data on disk, and the batches drawn from it. No torch."""
