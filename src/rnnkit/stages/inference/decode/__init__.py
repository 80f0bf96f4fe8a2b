"""`rnnkit decode`: translate, generate or infill raw text with a trained model."""

from rnnkit.stages.inference.decode.command import EXAMPLE, run, write
from rnnkit.stages.inference.decode.options import DecodeOptions

__all__ = ["EXAMPLE", "DecodeOptions", "run", "write"]
