"""rnnkit: from raw text files to trained, scored sequence models."""

__version__ = "0.1.0"
