"""Constrained decoding: which tokens an output may have, must begin with, and must contain."""
