"""`rnnkit tokenize`: text to tokens."""

from rnnkit.stages.text.tokenize.command import EXAMPLE, is_filter, open_filter, run
from rnnkit.stages.text.tokenize.options import TokenizedFile, TokenizeOptions, TokenizeResult

__all__ = ["EXAMPLE", "TokenizeOptions", "TokenizeResult", "TokenizedFile", "is_filter", "open_filter", "run"]
